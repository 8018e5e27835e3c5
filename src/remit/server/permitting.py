"""What a caller may do to what: one question, one function."""

from remit.model.caller import Caller, Role
from remit.model.identity import AGENT, EntityRef

_ASKS_FOR_OTHERS = frozenset({Role.ENFORCEMENT_POINT})
_SEES_APPROVALS = frozenset({Role.ADMINISTRATOR, Role.APPROVER, Role.REVIEWER, Role.AUDITOR})


def may_ask(caller: Caller, subject: EntityRef) -> bool:
    """Whether they may ask what this subject may do, and come back to what was answered."""
    # INVARIANT (authority enters from outside the agent): an agent asks for itself, whatever else it says.
    if caller.agent is not None:
        return subject == EntityRef(AGENT, caller.agent)
    return not _ASKS_FOR_OTHERS.isdisjoint(caller.roles)


def may_see_approvals(caller: Caller) -> bool:
    """Whether they may see what waits for people, and what was answered."""
    return caller.agent is None and not _SEES_APPROVALS.isdisjoint(caller.roles)


def may_answer(caller: Caller) -> bool:
    """Whether they may answer access requests at all; each says besides who may not."""
    return caller.agent is None and Role.APPROVER in caller.roles
