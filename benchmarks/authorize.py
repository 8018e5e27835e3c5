"""A whole authorization without the disk, beside the bare engine asked for the same."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import cedarpy
import msgspec

from benchmarks import bundles, figures
from benchmarks.figures import Report, progress
from benchmarks.furnishing import Desk, furnish, opened
from benchmarks.rounds import Case, Plan, interleaved, ratio
from remit.local.wiring import Embedded
from remit.pdp.locus import Locus

POLICIES = 100
_BARE, _NEW, _SAME, _QUEUED = "bare", "new", "same", "queued"


def measure(report: Report, folder: Path, plan: Plan) -> None:
    """Tools of 20 arguments under 100 policies: those that match read all of them, or three."""
    progress(f"authorize: {POLICIES} policies, {bundles.FIELDS} arguments, beside cedarpy.is_authorized")
    bundles.write_many(folder / "bundle", POLICIES)
    with opened(folder / "store") as embedded:
        furnish(embedded, folder / "bundle")
        wide = _measured(embedded, bundles.WIDE, plan)
        narrow = _measured(embedded, bundles.NARROW, plan)
    report.judge(figures.NEW_VALUES, ratio(wide, _NEW, _BARE))
    report.judge(figures.REMEMBERED, ratio(wide, _SAME, _BARE))
    report.tell("authorize without disk, 3 of 20 fields read, new values / bare cedarpy", ratio(narrow, _NEW, _BARE), "ratio")
    report.tell("authorize without disk, 3 of 20 fields read, remembered / bare cedarpy", ratio(narrow, _SAME, _BARE), "ratio")
    for times, what in ((wide, "20 fields"), (narrow, "3 of 20 fields read")):
        report.tell(f"bare cedarpy.is_authorized, {what}", median(times[_BARE]), "µs")
        report.tell(f"authorize without disk, {what}, new values", median(times[_NEW]), "µs")
        report.tell(f"authorize without disk, {what}, remembered", median(times[_SAME]), "µs")
        report.tell(f"the same through the writer's queue, {what}, remembered", median(times[_QUEUED]), "µs")


def _measured(embedded: Embedded, tool: str, plan: Plan) -> dict[str, Sequence[float]]:
    desk = Desk(embedded, tool, bundles.wide_arguments())
    fresh = count()
    cases = {
        _BARE: bare_case(desk.locus(), desk.basis.read),
        _NEW: Case(desk.authorize, desk.prepared(lambda: bundles.wide_arguments(next(fresh)))),
        _SAME: Case(desk.authorize, desk.prepared(bundles.wide_arguments)),
        _QUEUED: Case(desk.answer, desk.prepared(bundles.wide_arguments)),
    }
    return dict(interleaved(cases, plan))


def bare_case(locus: Locus, read: bytes) -> Case:
    """The public `cedarpy.is_authorized` over the same slice, entities and fields as the authorization has, handles kept."""
    principal, action, resource = locus.uids
    policies, entities = locus.slice.handle.handle, cedarpy.Entities(locus.entities)
    fresh = count()

    def prepare(calls: int) -> list[dict[str, Any]]:
        return [
            {"principal": principal, "action": action, "resource": resource, "context": _changed(read, next(fresh))}
            for _ in range(calls)
        ]

    def call(request: dict[str, Any]) -> object:
        return cedarpy.is_authorized(request, policies, entities)

    _check(call, prepare)
    return Case(call, prepare)


def _changed(read: bytes, value: int) -> dict[str, Any]:
    context: dict[str, Any] = msgspec.json.decode(read)
    context["args"]["f1"] = value
    return context


def _check(call: Callable[[Any], Any], prepare: Callable[[int], Sequence[Any]]) -> None:
    [request] = prepare(1)
    assert call(request).allowed, "the bare engine must permit what the product permits"
