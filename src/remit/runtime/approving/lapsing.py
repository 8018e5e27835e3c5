"""Why an approval that was given does not count any more: in words for the agent, which name nobody, and in full for people."""

import msgspec
from msgspec.structs import replace

from remit.model.authorizer import ApprovalState
from remit.model.decision import Deny, Reason
from remit.model.errors import RemitError
from remit.model.identity import AgentId, ApprovalId
from remit.pdp.decide import decide
from remit.pdp.inputs import Decided, Grant, Inputs
from remit.pdp.obligations import owners_of, parts_in
from remit.pdp.outside import NotAsked
from remit.runtime.acting import unlent
from remit.runtime.approving.approvals import askers, grant_of, shown_in
from remit.runtime.approving.excluding import as_asked
from remit.runtime.beside import Behind
from remit.runtime.runtime import Runtime
from remit.runtime.store import Approval
from remit.runtime.view import View

BY_WHOM = "whoever gave it may not approve this any more"
"""All that an agent is told of people: who they are, and what became of them, is none of its business."""
LATE = "it was not used in time"
_POLICY = frozenset({Reason.FORBIDDEN, Reason.NO_PERMIT, Reason.APPROVAL_REQUIRED})
"""Of a call that is denied for anything else, as one that is stopped, the approval is not to blame."""


class Lapse(msgspec.Struct, frozen=True):
    """Why an approval that was given does not lift a denial (any more): as its agent is told, and as people are."""

    approval: ApprovalId
    told: str
    whole: str


def by_people(view: View, inputs: Inputs, grant: Grant, asked_by: frozenset[str]) -> Lapse | None:
    """The lapse of an approval whose givers could not give it now: the directory, the agent and the task may say otherwise by now."""
    request = inputs.request
    parts = parts_in(request.action, request.arguments.values, view.agent)
    owners = (*owners_of(inputs.agent, inputs.delegators), *parts)
    people = [(name, inputs.chain, owners) for name in (grant.approver, *grant.others)]
    why = unlent(view.directory, grant.rule, AgentId(request.subject.id), people, asked_by)
    return Lapse(grant.id, BY_WHOM, why) if why else None


def by_policy(grant: Grant, decided: Decided) -> Lapse:
    """The lapse of an approval with which the same was denied again."""
    why = decided.uncovered or (decided.decision.message if isinstance(decided.decision, Deny) else "")
    return Lapse(grant.id, decided.uncovered or "policies do not accept it any more", why)


def in_words(deny: Deny, lapses: list[Lapse]) -> Deny:
    """The denial, and that the newest of these does not count."""
    if not lapses:
        return deny
    newest = lapses[0]
    more = f"people see why with `remit approval show {newest.approval}`"
    said = f"approval `{newest.approval}` does not count any more, {newest.told} ({more})"
    return replace(deny, message=f"{deny.message}; {said}")


def look(runtime: Runtime) -> None:
    """What another process has changed since counts for what is only shown, too. Raises `RemitError` (unavailable)."""
    with runtime.view.lock:
        runtime.view.look()


def lapse_of(runtime: Runtime, approval: Approval) -> Lapse | None:
    """Why an approval that was given would not count now; None where it would, or that cannot be told.

    As of the last `look`, which whoever shows something takes first, once for all of it. Reads the store: not on an event loop.
    """
    if approval.state is not ApprovalState.APPROVED:
        return None
    if runtime.clock() >= approval.expires:
        return Lapse(approval.id, LATE, LATE)
    try:
        with runtime.view.lock:
            key = runtime.view.key(approval.task)
            shown = shown_in(approval, key) if key is not None else None
            inputs = as_asked(runtime, approval, shown) if shown is not None else None
            if key is None or shown is None or inputs is None:
                return None
            grant = grant_of(approval, key, inputs.now)
            if grant is None:
                return None
            if (lapse := by_people(runtime.view, inputs, grant, askers(approval, shown, key))) is not None:
                return lapse
        decided = decide(replace(inputs, grant=grant))
    except (Behind, NotAsked, RemitError):
        return None
    return by_policy(grant, decided) if isinstance(decided.decision, Deny) and decided.decision.reason in _POLICY else None
