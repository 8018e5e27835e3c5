"""`./run bench rego [--json]`: one rule in Cedar, in Rego in this process, and in Rego asked of an OPA server."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import bundles
from benchmarks.figures import Report, progress
from benchmarks.furnishing import Desk, furnish, opened
from benchmarks.rounds import Case, Plan, interleaved, ratio
from benchmarks.workplace import temporary_folder
from remit.pap.reading.folder import read_bundle
from remit.pap.rego.served import opa_bundle
from tests.opa import binary, served

CEDAR, INSIDE, OPA = "cedar", "in this process", "asked of OPA"
RULE = """package remit

import rego.v1

permit contains {"id": "small-to-us"} if {
	input.resource.id == "send_email"
	input.context.args.amount <= 1000
	input.context.args.domain == "example.com"
}

forbid contains {"id": "tainted"} if input.context.args.tainted
"""
"""`bundles.COMMON_RULE` in Rego."""
GIVEN = {"domain": "example.com", "tainted": False}
_fresh = count(-1_000_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0."""
    parser = argparse.ArgumentParser(prog="./run bench rego", description="Measure Rego beside Cedar.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args(arguments)
    report = Report()
    with temporary_folder() as folder, ExitStack() as stack:
        _write(folder / INSIDE)
        (folder / "bundle.tar.gz").write_bytes(opa_bundle(read_bundle(folder / INSIDE)))
        bundles.write_common_rule(folder / CEDAR)
        names = [CEDAR, INSIDE]
        try:
            binary()
        except BaseException as skipped:  # pytest's, where no OPA is at hand
            report.missing("OPA", str(skipped))
        else:
            server = stack.enter_context(served("--bundle", str(folder / "bundle.tar.gz")))
            _write(folder / OPA, f"opa: {{url: {server.url}}}\n")
            names.append(OPA)
        _measure(report, folder, names, stack)
    print(report.to_json() if given.json else report.to_text())
    return 0


def _write(folder: Path, more: str = "") -> None:
    bundles.write_common_rule(folder)
    (folder / "policies" / "all.cedar").unlink()
    (folder / "policies" / "all.rego").write_text(RULE)
    with (folder / "bundle.yaml").open("a") as manifest:
        manifest.write(more)


def _prepare(calls: int) -> list[dict[str, Any]]:
    return [{**GIVEN, "amount": next(_fresh)} for _ in range(calls)]


def _measure(report: Report, folder: Path, names: Sequence[str], stack: ExitStack) -> None:
    cases: dict[str, Case] = {}
    for name in names:
        embedded = stack.enter_context(opened(folder / f"store {name}"))
        furnish(embedded, folder / name)
        desk = Desk(embedded, "send_email", {**GIVEN, "amount": 7})
        cases[name] = Case(desk.answer, _prepare)
    progress(f"rego: {', '.join(names)}, new values each time")
    times = interleaved(cases, Plan(rounds=25, calls=40))
    for name in names[1:]:
        report.tell(f"authorize without disk, the rivals' rule in Rego {name} / in Cedar", ratio(times, name, CEDAR), "ratio")
    for name in names:
        report.tell(f"authorize without disk, the rivals' rule, {name}", median(times[name]), "µs")


if __name__ == "__main__":
    raise SystemExit(main())
