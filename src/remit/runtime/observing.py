"""How decisions went, told to whoever counts or traces them; nothing that they do changes a decision."""

import logging
from enum import StrEnum
from time import perf_counter_ns
from typing import Protocol

from remit.model.decision import Decision
from remit.model.request import EvaluationRequest

_log = logging.getLogger("remit")


class Stage(StrEnum):
    """A part of a decision that takes its time."""

    LOAD = "load"
    """Everything that it can touch is read; the wait for this process's state counts."""
    DECIDE = "decide"
    COMMIT = "commit"
    """From its submission until it is durable, or cannot be."""
    ASK = "ask"
    """An engine outside is asked."""
    CATCH_UP = "catch-up"
    """What other sessions have touched is taken over."""


class Course:
    """How one decision goes: its stages in their order, each with when it began and ended (ns of `perf_counter_ns`)."""

    __slots__ = ("_since", "began", "stages")

    def __init__(self) -> None:
        self.began = self._since = perf_counter_ns()
        self.stages: list[tuple[Stage, int, int]] = []

    def passed(self, stage: Stage) -> None:
        """A stage has ended, which began where the one before it ended."""
        now = perf_counter_ns()
        self.stages.append((stage, self._since, now))
        self._since = now

    @property
    def ended(self) -> int:
        """When the last stage ended."""
        return self._since


class _Unseen(Course):
    """The course of a decision that nobody follows."""

    __slots__ = ()

    def passed(self, stage: Stage) -> None:
        """Remember nothing."""


_UNSEEN = _Unseen()


class Observer(Protocol):
    """Somebody who is told of decisions. What it raises is told once, and lost."""

    def decided(self, request: EvaluationRequest, decision: Decision, course: Course) -> None:
        """A decision was made, and is durable if it is a permit."""
        ...


def begun(observers: list[Observer]) -> Course:
    """The course of a decision that begins now."""
    return Course() if observers else _UNSEEN


def tell(observers: list[Observer], request: EvaluationRequest, decision: Decision, course: Course) -> None:
    """Tell all of them of a decision."""
    for observer in tuple(observers):
        try:
            observer.decided(request, decision, course)
        except Exception:  # the decision stands, whatever becomes of those who count it
            observers.remove(observer)
            _log.exception("decisions are not observed any more: please report this as a defect")
