"""An access request as the command line shows it: the same values, be they of a store or what a server answered."""

from typing import Annotated

import msgspec

from remit.model.authorizer import ApprovalState
from remit.model.errors import unavailable
from remit.runtime.approving.approvals import Shown
from remit.runtime.approving.misreading import readable

Time = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_000_000)]
"""Microseconds since the epoch, of a year that can be written."""


class Submitted(msgspec.Struct, frozen=True):
    """What was said when it was submitted, as JSON, and by whom."""

    by: str
    says: msgspec.Raw


class Seen(msgspec.Struct, frozen=True):
    """One access request in the plain values of `remit.runtime.approving.inbox`. Without a `rule` it is all that its agent is told."""

    id: str
    state: str
    agent: str = ""
    tool: str = ""
    rule: str = ""
    people: int = 1
    opened: Time = 0
    expires: Time = 0
    resolver: str = ""
    approved_by: tuple[str, ...] = ()
    flows_by: dict[str, int | None] = {}
    granted: tuple[str, ...] = ()
    escalated: Time = 0
    told: tuple[str, ...] = ()
    group: str = ""
    alike: int = 0
    lapsed: str = ""
    why: str = ""
    look_closely: tuple[str, ...] = ()
    shown: Shown | None = None
    submitted: Submitted | None = None

    @property
    def waits(self) -> bool:
        """Whether an answer is of use."""
        return self.state == ApprovalState.PENDING


_decode = msgspec.json.Decoder(Seen).decode


def seen_in(text: msgspec.Raw | bytes) -> Seen:
    """The access request in this JSON. Raises `RemitError` (unavailable) for what is none that could be shown whole."""
    try:
        seen = _decode(text)
        if seen.shown is not None:
            readable(seen.shown)
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise unavailable(
            f"what was answered is no access request that could be shown ({why}): is it another version of Remit, or another program?"
        ) from None
    return seen
