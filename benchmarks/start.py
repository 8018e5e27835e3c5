"""What a process pays once: importing Remit and getting the first decision on the disk."""

import json
import time
from pathlib import Path
from statistics import median

from benchmarks import figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import furnish, opened
from benchmarks.processes import run_module
from remit.pap import baseline

BASELINE = Path(baseline.__file__).parent


def measure(report: Report, folder: Path, quick: bool) -> None:
    """Fresh processes on an existing store with the baseline bundle."""
    progress("start: import remit, enter a task, the first guarded call")
    home = folder / "store"
    with opened(home) as embedded:
        furnish(embedded, BASELINE)
    run_module("benchmarks.first_call", REMIT_HOME=str(home))  # compiles and caches what Python compiles and caches
    found = [_once(home) for _ in range(3 if quick else 7)]
    report.judge(figures.START, median(one["ms"] for one in found))
    report.judge(figures.MEMORY, median(one["megabytes"] for one in found))
    report.tell("the same and starting and ending Python", median(one["whole_ms"] for one in found), "ms")


def _once(home: Path) -> dict[str, float]:
    begun = time.perf_counter()
    found: dict[str, float] = json.loads(run_module("benchmarks.first_call", REMIT_HOME=str(home)))
    return {**found, "whole_ms": (time.perf_counter() - begun) * 1000}
