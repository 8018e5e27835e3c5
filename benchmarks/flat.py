"""What the size of a bundle costs: deciding where few policies can match, and publishing all of them."""

import time
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks import bundles, figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import OPERATOR, Desk, furnish, opened
from benchmarks.rounds import Case, Plan, interleaved, ratio
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded

MANY = 10_000


def measure(report: Report, folder: Path, plan: Plan) -> None:
    """The same ten matching policies, alone and among 10,000."""
    progress(f"flat: {MANY:,} policies beside 10, and publishing them")
    bundles.write_many(folder / "many", MANY)
    bundles.write_few(folder / "few")
    with opened(folder / "store-few") as small, opened(folder / "store-many") as large:
        furnish(small, folder / "few")
        furnish(large, folder / "few")  # publishing is measured in a store that is in use
        report.judge(figures.PUBLISH, _publish(large, folder / "many"))
        times = interleaved({"few": _case(small), "many": _case(large)}, plan)
    report.judge(figures.FLAT, ratio(times, "many", "few"))
    report.tell("authorize without disk, new values, 10 policies", median(times["few"]), "µs")
    report.tell("authorize without disk, new values, 10,000 policies", median(times["many"]), "µs")


def _publish(embedded: Embedded, bundle: Path) -> float:
    """Seconds from the folder until this process would decide by it: read, checked, tested, activated, compiled."""
    begun = time.perf_counter()
    publish_folder(embedded, bundle, OPERATOR)
    view = embedded.runtime.view
    with view.lock:
        view.refresh()
    spent = time.perf_counter() - begun
    assert view.bundle is not None and len(view.bundle.index) == MANY
    return spent


def _case(embedded: Embedded) -> Case:
    desk, fresh = Desk(embedded, bundles.WIDE, bundles.wide_arguments()), count()
    return Case(desk.authorize, desk.prepared(lambda: bundles.wide_arguments(next(fresh))))
