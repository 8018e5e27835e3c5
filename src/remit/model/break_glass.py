"""Break-glass: for some minutes, two people let a named agent or task do what policy denies; a third looks back at it."""

from enum import StrEnum
from typing import Annotated

import msgspec

from remit.model.clock import DAY
from remit.model.identity import AgentId, BreakGlassId, TaskId

MOST_MINUTES = 60
"""No bundle lets one last longer."""


class Stage(StrEnum):
    """Where one stands. Of an end that nobody brought about the store knows nothing: time alone says `lapsed`, or `ended`."""

    ASKED = "asked"
    LAPSED = "lapsed"
    """Nobody confirmed it in time."""
    WITHDRAWN = "withdrawn"
    """Ended before anybody confirmed it."""
    OPEN = "open"
    ENDED = "ended"
    """Over, and not yet reviewed."""
    REVIEWED = "reviewed"


class Verdict(StrEnum):
    """What the third person found."""

    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


class BreakGlassRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle says of it: the most `minutes` one may last (0: none is possible), and after how many `review_days` one that nobody has
    reviewed is overdue."""

    minutes: Annotated[int, msgspec.Meta(ge=0, le=MOST_MINUTES)] = 30
    review_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 7


class OpenGlass(msgspec.Struct, frozen=True):
    """What doors are told of one that is open: for which agent, in which task if in one alone, and until when (µs)."""

    id: BreakGlassId
    agent: AgentId
    task: TaskId | None
    until: int


class BreakGlass(msgspec.Struct, frozen=True):
    """One of them, from the asking to the review. It covers `agent`, in `task` alone if that is named: calls of `tools`, and other
    actions on resources that fit a pattern of `resources`.

    Times are µs since the epoch: it must be confirmed before `confirm_by`, and is open from `started` to `until` at most. Each person
    stands with how they were verified; `version` is compared and set.
    """

    id: BreakGlassId
    agent: AgentId
    task: TaskId | None
    tools: tuple[str, ...]
    resources: tuple[str, ...]
    minutes: int
    review_days: int
    reason: str
    incident: str
    asked_by: str
    asked_verified_by: str
    asked: int
    confirm_by: int
    stage: Stage = Stage.ASKED
    version: int = 1
    confirmed_by: str = ""
    confirmed_verified_by: str = ""
    started: int = 0
    until: int = 0
    ended_by: str = ""
    ended: int = 0
    reviewed_by: str = ""
    reviewed: int = 0
    verdict: Verdict | None = None
    comment: str = ""

    def at(self, now: int) -> Stage:
        """Where it stands at a time."""
        if self.stage is Stage.ASKED and now >= self.confirm_by:
            return Stage.LAPSED
        return Stage.ENDED if self.stage is Stage.OPEN and now >= self.until else self.stage

    @property
    def review_by(self) -> int:
        """When its review is overdue (µs), counted from its end; 0 for one that was never open."""
        over = self.ended or self.until
        return over + self.review_days * DAY if self.started else 0

    def is_overdue(self, now: int) -> bool:
        """Whether it should have been reviewed by now."""
        return self.at(now) is Stage.ENDED and now >= self.review_by

    def __str__(self) -> str:
        whose = f"task `{self.task}` of agent `{self.agent}`" if self.task is not None else f"agent `{self.agent}`"
        return f"`{self.id}` (incident `{self.incident}`) for {whose}"
