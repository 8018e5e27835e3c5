"""`./run bench replay [--json] [--quick]`: a million logged decisions asked again of another bundle, on all processors."""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from benchmarks import bundles, figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import call_once, furnish, open_sessions, opened, request
from benchmarks.processes import run_module
from benchmarks.workplace import temporary_folder
from remit.decision_log.append import Ticket
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import OutcomeSeen
from remit.decision_log.store import Record
from remit.local.wiring import Embedded
from remit.model.decision import Permit
from remit.model.identity import DecisionId, new_id
from remit.model.task import Session
from remit.runtime.authorize import consider, load
from remit.runtime.records import decision_record

DECISIONS, QUICK_DECISIONS = 1_000_000, 60_000
DISTINCT = 50_000
SESSIONS = 400
ONE = '@id("stricter") forbid (principal, action, resource == Tool::"tool1") when { context.args.amount > -1000 };'
COMPARED = ONE.replace('resource == Tool::"tool1"', "resource")
ALL = COMPARED.replace("context.args.amount >", "context.args.amount + 1 >")
"""Policies tell every amount apart that they calculate with; of one that they only compare, where it falls among constants."""
TOGETHER = 5_000
"""So many entries are committed at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0; a bar that does not hold is told, not an error."""
    parser = argparse.ArgumentParser(prog="./run bench replay", description="Measure the replay of logged decisions.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="60,000 decisions: a minute")
    given = parser.parse_args(arguments)
    report = Report()
    for name, bar, distinct in (("mixed", figures.REPLAY, DISTINCT), ("all distinct", figures.REPLAY_DISTINCT, 0)):
        with temporary_folder() as folder:
            _measure(report, folder, name, bar, distinct, QUICK_DECISIONS if given.quick else DECISIONS)
    print(report.to_json() if given.json else report.to_text())
    progress(f"{sum(figure.holds is False for figure in report.figures)} bars do not hold")
    return 0


def _measure(report: Report, folder: Path, name: str, bar: str, distinct: int, decisions: int) -> None:
    progress(f"replay: logging {decisions:,} decisions, {name}")
    bundles.write_mixed(folder / "before")
    bundles.write_mixed(folder / "all", ALL)
    bundles.write_mixed(folder / "compared", COMPARED)
    bundles.write_mixed(folder / "one", ONE)
    with opened(folder / "home") as embedded:
        furnish(embedded, folder / "before")
        _fill(embedded, decisions, distinct)
    progress(f"replay: replaying {name}")
    for bundle, words in (("one", "differs for one tool of twelve"), ("compared", "only compares, and differs everywhere")):
        found = json.loads(run_module("benchmarks.replaying", str(folder / "home"), str(folder / bundle)))
        report.tell(f"the same of a bundle that {words}, {name}", found["seconds"], "s")
    found = json.loads(run_module("benchmarks.replaying", str(folder / "home"), str(folder / "all")))
    assert found["decisions"] >= decisions and found["changed"] and not found["gaps"], found
    if decisions < DECISIONS:
        report.tell(f"replay of {decisions:,} decisions, {name}", found["seconds"], "s")
    else:
        report.judge(bar, found["seconds"])
    report.tell(f"different requests, {name}", found["requests"], "")
    report.judge(figures.REPLAY_MEMORY if distinct else figures.REPLAY_DISTINCT_MEMORY, found["megabytes"])


def _fill(embedded: Embedded, decisions: int, distinct: int) -> None:
    """Decisions as the runtime makes them, each followed by its outcome, of 400 sessions in as many tasks."""
    runtime = embedded.runtime
    sessions = [session for _ in range(SESSIONS) for session in open_sessions(runtime, 1)]
    for session in sessions:
        call_once(embedded, request(session, "tool0", {"amount": 250, "domain": "example.com", "tainted": False}))
    [outcome] = [e.body for e in embedded.store.log.by_kind("outcome", 1) if isinstance(e.body, OutcomeSeen)]
    records: list[Record] = []
    for session, tool, arguments in _calls(sessions, decisions, distinct):
        records += _call(embedded, session, tool, arguments, outcome)
        if len(records) >= TOGETHER:
            runtime.appender.submit(Ticket(records, (), embedded.store.revision, runtime.clock())).result()
            records = []
            runtime.view.permits.clear()
    runtime.appender.submit(Ticket(records, (), embedded.store.revision, runtime.clock())).result()


def _calls(sessions: list[Session], decisions: int, distinct: int) -> Iterator[tuple[Session, str, dict[str, Any]]]:
    places = random.Random(1)
    for number in range(decisions):
        # Of a mix, few requests are made often and most seldom.
        which = int(distinct * places.random() ** 3) if distinct else number
        arguments = {"amount": which - (distinct or decisions), "domain": "example.com", "tainted": False}
        yield places.choice(sessions), f"tool{which % 12}", arguments


def _call(embedded: Embedded, session: Session, tool: str, arguments: dict[str, Any], outcome: OutcomeSeen) -> list[Record]:
    runtime, now = embedded.runtime, embedded.runtime.clock()
    with runtime.view.lock:
        loaded = load(runtime, request(session, tool, arguments), DecisionId(new_id("dec", now)), now)
        decided = consider(runtime, loaded).decided
        record = decision_record(loaded.inputs, decided.decision, decided.effects.session, loaded.key)
        runtime.view.move(decided.effects.session, decided.effects.tasks)
    assert isinstance(decided.decision, Permit), decided.decision
    seen = replace(outcome, decision=decided.decision.id, session=session.id, task=session.task)
    return [record, Record(encode_body(seen), "outcome", seen.decision, seen.task)]


if __name__ == "__main__":
    raise SystemExit(main())
