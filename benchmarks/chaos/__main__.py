"""`./run bench chaos [--minutes N] [--json]`: several workers on one PostgreSQL under load while they are killed at random."""

import argparse
from collections.abc import Sequence

from benchmarks.chaos.running import Plan, held
from benchmarks.figures import progress
from benchmarks.workplace import temporary_folder
from remit.storage.postgres.store import create
from tests.postgres import served


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return 0 if the log says exactly what callers were told, else 1."""
    parser = argparse.ArgumentParser(
        prog="./run bench chaos",
        description="Load on several workers that are killed at random; then the log against what was told.",
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to kill (5)")
    parser.add_argument("--workers", type=int, default=4, help="how many workers there are (4)")
    parser.add_argument("--seed", type=int, default=1, help="of what callers do and who is killed when")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args(arguments)
    with temporary_folder() as folder, served() as postgres:
        url = postgres.url(postgres.database(empty=True))
        create(url)
        report, faults = held(Plan(seconds=60 * given.minutes, workers=given.workers, seed=given.seed), folder, url)
    print(report.to_json() if given.json else report.to_text())
    for fault in faults[:50]:
        progress(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
