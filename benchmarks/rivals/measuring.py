"""Remit beside each rival on the common rule, in rounds that take turns."""

from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import bundles, figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import Desk, furnish, opened
from benchmarks.rivals.environments import NotAvailable
from benchmarks.rivals.worker import started
from benchmarks.rounds import Case, Plan, Times, alternating, ratio, rounds_of

RIVALS = {"agt": "agent-governance-toolkit govern with log", "cedarling": "Cedarling authorize_unsigned with log"}


def measure(report: Report, folder: Path, plan: Plan, install: bool) -> None:
    """Each rival that can be had, in its own process; both sides log, neither waits for a disk."""
    bundles.write_common_rule(folder / "bundle")
    with opened(folder / "store") as embedded:
        furnish(embedded, folder / "bundle")
        desk = Desk(embedded, "send_email", _arguments(0))
        for rival, what in RIVALS.items():
            progress(f"rivals: {what}")
            try:
                _tell(report, rival, _beside(desk, rival, plan, install))
            except NotAvailable as reason:
                report.missing(what, str(reason))
                if rival == "agt":
                    report.judge(figures.GOVERN, None)


def _beside(desk: Desk, rival: str, plan: Plan, install: bool) -> Times:
    amounts = count(1000, -1)
    new = Case(desk.authorize, desk.prepared(lambda: _arguments(next(amounts))))
    same = Case(desk.authorize, desk.prepared(lambda: _arguments(0)))
    with started(rival, install) as worker:
        return alternating({"new": rounds_of(new), rival: worker.round, "same": rounds_of(same)}, plan)


def _tell(report: Report, rival: str, times: Times) -> None:
    what = RIVALS[rival]
    if rival == "agt":
        report.judge(figures.GOVERN, ratio(times, "new", rival))
        report.tell("authorize without disk, 3-field rule, new values", median(times["new"]), "µs")
        report.tell("authorize without disk, 3-field rule, remembered", median(times["same"]), "µs")
    else:
        report.tell(f"authorize without disk, 3-field rule, new values / {what}", ratio(times, "new", rival), "ratio")
    report.tell(f"{what}, 3-field rule", median(times[rival]), "µs")


def _arguments(amount: int) -> dict[str, Any]:
    return {"amount": amount, "domain": "example.com", "tainted": False}
