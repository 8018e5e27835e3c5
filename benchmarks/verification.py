"""How long a stranger needs for a whole log: an export verified offline, by the code that shares nothing with the writer."""

import json
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from benchmarks import bundles, figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import call_once, furnish, open_sessions, opened, request
from benchmarks.processes import run_module
from remit.decision_log.append import Ticket
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import DecisionMade, OutcomeSeen
from remit.decision_log.store import Record
from remit.local.wiring import Embedded
from remit.model.identity import new_id

ENTRIES, QUICK_ENTRIES = 1_000_000, 50_000
_TOGETHER = 5_000
"""So many entries are appended in one commit: only this many at once are in memory."""


def measure(report: Report, folder: Path, quick: bool) -> None:
    """Fill a store through its writer, export it, and verify the export in a process of its own."""
    entries = QUICK_ENTRIES if quick else ENTRIES
    progress(f"verification: filling a log of {entries:,} entries")
    bundles.write_common_rule(folder / "bundle")
    export = folder / "log.export"
    with opened(folder / "store") as embedded:
        furnish(embedded, folder / "bundle")
        _fill(embedded, entries)
        key = embedded.head.vkey
        embedded.head.export(export, overwrite=False)
    progress(f"verification: verifying {export.stat().st_size / 1e6:,.0f} MB")
    found = json.loads(run_module("benchmarks.verifying", str(export), key))
    assert found["verified"] and found["size"] >= entries, found
    if quick:
        report.tell(f"offline verification of {entries:,} entries", found["seconds"], "s")
        report.tell(f"peak memory of verifying {entries:,} entries", found["megabytes"], "MB")
        return
    report.judge(figures.VERIFY, found["seconds"])
    report.judge(figures.VERIFY_MEMORY, found["megabytes"])


def _fill(embedded: Embedded, entries: int) -> None:
    """Append decisions and outcomes like one that was really made, each with an id of its own."""
    decision, outcome = _one_of_each(embedded)
    pairs = _pairs(decision, outcome, embedded.runtime.clock())
    appender, clock = embedded.runtime.appender, embedded.runtime.clock
    while (missing := entries - embedded.store.log.size()) > 0:
        records = [record for _ in range(min(_TOGETHER, missing + 1) // 2) for record in next(pairs)]
        appender.submit(Ticket(records, (), embedded.store.revision, clock())).result()


def _one_of_each(embedded: Embedded) -> tuple[DecisionMade, OutcomeSeen]:
    [session] = open_sessions(embedded.runtime, 1)
    arguments = {"amount": 250, "domain": "example.com", "tainted": False}
    permit = call_once(embedded, request(session, "send_email", arguments))
    decision, outcome = (entry.body for entry in embedded.store.log.by_decision(permit.id))
    assert isinstance(decision, DecisionMade) and isinstance(outcome, OutcomeSeen)
    return decision, outcome


def _pairs(decision: DecisionMade, outcome: OutcomeSeen, now: int) -> Iterator[tuple[Record, Record]]:
    while True:
        name = new_id("dec", now)
        yield (
            Record(encode_body(replace(decision, id=name)), "decision", name, decision.task),
            Record(encode_body(replace(outcome, decision=name)), "outcome", name, outcome.task),
        )
