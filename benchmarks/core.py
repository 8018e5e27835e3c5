"""`./run bench core [--json] [--quick]`: every figure of the core, judged against its bar."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import authorize, durable, flat, rivals, start, verification
from benchmarks.figures import Report, progress
from benchmarks.rounds import Plan
from benchmarks.workplace import temporary_folder

FULL, QUICK = Plan(rounds=101, calls=40), Plan(rounds=7, calls=40)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0; a bar that does not hold is told, not an error."""
    parser = argparse.ArgumentParser(prog="./run bench core", description="Measure the core beside its rivals.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and entries, install nothing: under a minute")
    given = parser.parse_args(arguments)
    report = Report()
    with temporary_folder() as folder:
        for name, measure in _groups(given.quick):
            (folder / name).mkdir()
            measure(report, folder / name)
    print(report.to_json() if given.json else report.to_text())
    progress(f"{sum(figure.holds is False for figure in report.figures)} bars do not hold")
    return 0


def _groups(quick: bool) -> list[tuple[str, Callable[[Report, Path], None]]]:
    plan = QUICK if quick else FULL
    return [
        ("authorize", lambda report, folder: authorize.measure(report, folder, plan)),
        ("rivals", lambda report, folder: rivals.measure(report, folder, plan, install=not quick)),
        ("flat", lambda report, folder: flat.measure(report, folder, plan)),
        ("durable", lambda report, folder: durable.measure(report, folder, quick)),
        ("start", lambda report, folder: start.measure(report, folder, quick)),
        ("verification", lambda report, folder: verification.measure(report, folder, quick)),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
