"""Break-glass as people see it: where each stands, what was done under it, and which reviews are open or overdue."""

from collections.abc import Sequence

import msgspec

from remit.decision_log.entry import BreakGlassUsed
from remit.decision_log.store import LogReader
from remit.model.break_glass import BreakGlass, Stage
from remit.model.identity import BreakGlassId
from remit.runtime.runtime import Runtime


class BreakGlassSeen(BreakGlass, frozen=True, kw_only=True):
    """One of them, where it stands by now, and whether its review is overdue."""

    overdue: bool


class BreakGlassTold(BreakGlassSeen, frozen=True, kw_only=True):
    """One of them with the decisions that nothing else permits, in the order of the log."""

    decisions: tuple[str, ...]


class BreakGlassStatus(msgspec.Struct, frozen=True):
    """What is open, what waits for the second person, what is over and not reviewed, and how much of that is overdue."""

    open: tuple[BreakGlassSeen, ...]
    asked: tuple[BreakGlassSeen, ...]
    unreviewed: tuple[BreakGlassSeen, ...]
    overdue: int


def seen(glass: BreakGlass, now: int) -> BreakGlassSeen:
    """One as it stands at a time (µs)."""
    return BreakGlassSeen(**{**msgspec.structs.asdict(glass), "stage": glass.at(now)}, overdue=glass.is_overdue(now))


def told(runtime: Runtime, log: LogReader, glass: BreakGlass) -> BreakGlassTold:
    """The same, with what was done under it. Reads the log: not on an event loop."""
    found = [entry.body.decision for entry in log.by_decision(glass.id) if isinstance(entry.body, BreakGlassUsed)]
    return BreakGlassTold(**msgspec.structs.asdict(seen(glass, runtime.clock())), decisions=tuple(found))


def emergencies(
    runtime: Runtime, stages: Sequence[Stage] = tuple(Stage), before: BreakGlassId | None = None
) -> list[BreakGlassSeen]:
    """Those that stand at one of these stages by now, newest first; behind one, if that is named."""
    now = runtime.clock()
    found = [seen(glass, now) for glass in runtime.view.store.break_glasses()]
    return [one for one in found if one.stage in stages and (before is None or one.id < before)]


def status(runtime: Runtime) -> BreakGlassStatus:
    """What people must know of now."""
    now = runtime.clock()
    found = [seen(glass, now) for glass in runtime.view.store.break_glasses([Stage.ASKED, Stage.OPEN, Stage.ENDED])]
    of = {stage: tuple([one for one in found if one.stage is stage]) for stage in (Stage.OPEN, Stage.ASKED, Stage.ENDED)}
    return BreakGlassStatus(of[Stage.OPEN], of[Stage.ASKED], of[Stage.ENDED], sum(one.overdue for one in of[Stage.ENDED]))
