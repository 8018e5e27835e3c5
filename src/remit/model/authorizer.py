"""The one protocol of the doors: ask for a decision, report an outcome, wait for an approval."""

from collections.abc import Generator
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

from remit.model.decision import Decision
from remit.model.identity import ApprovalId, DecisionId, SessionId
from remit.model.request import EvaluationRequest

T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """An answer under way: a synchronous caller blocks on `result()`, an asynchronous one awaits it."""

    def result(self) -> T_co:
        """Block until the answer is there."""
        ...

    def __await__(self) -> Generator[Any, Any, T_co]: ...


class OutcomeStatus(StrEnum):
    """What became of a permitted action."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_PERFORMED = "not-performed"
    """The permit was not used: an obligation failed, or it came too late."""
    UNKNOWN = "unknown"
    """The process ended between permit and report: the action may or may not have happened."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a door saw of a permitted action: its status, and what it returned as text (for labels and provenance).

    `content` is `None` where the door cannot see the result; then the tool's annotation stands at its worst.
    """

    decision: DecisionId
    session: SessionId | None
    status: OutcomeStatus
    content: str | None = None
    error: str = ""


class ApprovalState(StrEnum):
    """Where an access request stands (ARAP)."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    USED = "used"
    CANCELLED = "cancelled"
    """Taken back by whoever asked, before anybody answered."""


class Authorizer(Protocol):
    """What every enforcement point needs of the decision point, in process or remote.

    `evaluate` never raises for a fault of its own: what goes wrong is a `Deny` that says so.
    """

    def evaluate(self, request: EvaluationRequest) -> Pending[Decision]:
        """Decide, and make the decision durable before answering."""
        ...

    def report(self, outcome: Outcome) -> Pending[None]:
        """Record what became of a permit. Raises `RemitError` (unavailable) if it could not be recorded."""
        ...

    def may_act(self, decision: DecisionId) -> bool | Pending[bool]:
        """Whether a permit still stands, asked just before the act; true at most once for each permit.

        The answer itself where the decision point is in this process; where it is not, one that must be waited for.
        """
        ...

    def wait(self, approval: ApprovalId, seconds: float) -> Pending[ApprovalState]:
        """Wait until an access request is answered, at most so many seconds."""
        ...

    def why_denied(self, approval: ApprovalId) -> Pending[str]:
        """What whoever denied an access request says, empty where nothing was said. Raises `RemitError`."""
        ...
