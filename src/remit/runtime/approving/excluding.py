"""Whether policies let a person approve: asked before the answer counts, and once more when it is used."""

from functools import partial

from msgspec.structs import replace

from remit.model.decision import Deny, Permit, Reason
from remit.model.errors import unavailable
from remit.model.identity import EntityRef, Operator, SessionId
from remit.model.request import EvaluationRequest
from remit.model.values import NO_ARGUMENTS, thaw
from remit.pdp.decide import decide
from remit.pdp.inputs import Decided, Inputs
from remit.pdp.outside import MAX_QUESTIONS, NotAsked
from remit.runtime.approving.approvals import Shown, grant_by
from remit.runtime.beside import Behind
from remit.runtime.loading import load
from remit.runtime.pending import Inquiry, Steps
from remit.runtime.runtime import Runtime
from remit.runtime.sessions import taking_over
from remit.runtime.store import Approval


def excluded(runtime: Runtime, approval: Approval, shown: Shown, operator: Operator, flows: bool = False) -> Steps[str]:
    """Why policies do not let this person approve what they let others approve; empty where they do, or do not say so of this now: that
    is not enough for one who grants `flows`, too. Raises `RemitError` (unavailable).

    An approval by somebody whom policies exclude lifts no denial, so of that it only spares everybody the detour; data flows that are
    granted with it stand by themselves.
    """
    try:
        inputs = _inputs(runtime, approval, shown)
    except Behind:  # as before any decision, what other sessions of the task have touched is taken over first
        yield from taking_over(runtime, approval.session or SessionId(""), needed=True)
        try:
            inputs = _inputs(runtime, approval, shown)
        except Behind:
            raise unavailable("other sessions of the task kept touching more: answer again") from None
    if inputs is None:
        return ""
    open_to_all = yield from _decided(runtime, inputs)
    by_them = yield from _decided(runtime, replace(inputs, grant=grant_by(approval, shown, operator.id)))
    before, after = open_to_all.decision, by_them.decision
    if not isinstance(after, Deny) or after.reason is Reason.APPROVAL_REQUIRED:
        return ""
    # A data flow that was granted meanwhile lets it pass, and is for other calls: this approval counts no more for it.
    waits = bool(before.basis.flows) if isinstance(before, Permit) else before.reason is Reason.APPROVAL_REQUIRED
    if waits and after.reason is Reason.FORBIDDEN:
        return f"policy does not let `{operator.id}` approve this, ask somebody else: {after.message}"
    # INVARIANT (the guard is guarded): who grants a flow is somebody of whom policies have said that they may.
    unsaid = f"policy does not say now whether `{operator.id}` may grant these flows, for the call is denied ({after.reason})"
    return f"{unsaid}: {after.message}" if flows else ""


def _inputs(runtime: Runtime, approval: Approval, shown: Shown) -> Inputs | None:
    with runtime.view.lock:
        return as_asked(runtime, approval, shown)


def as_asked(runtime: Runtime, approval: Approval, shown: Shown) -> Inputs | None:
    """What was asked for, with everything as it is now (as of the last `look`); None in requests of older stores."""
    asked = shown.asked
    if asked is None:
        return None
    runtime.view.catch_up(approval.task, approval.session)
    properties = thaw(bytes(shown.said))
    request = EvaluationRequest(
        EntityRef(asked.subject, approval.agent),
        shown.action,
        EntityRef(asked.resource, approval.tool),
        thaw(bytes(shown.arguments)),
        approval.task,
        approval.session,
        shown.upstream,
        definition=shown.definition,
        hints=asked.hints,
        properties=properties if properties.values else NO_ARGUMENTS,
    )
    return load(runtime, request, approval.decision, runtime.clock()).inputs


def _decided(runtime: Runtime, inputs: Inputs) -> Steps[Decided]:
    for _ in range(MAX_QUESTIONS):
        try:
            return decide(inputs)
        except NotAsked as question:
            asking = Inquiry(partial(runtime.ask, question.opa, question.document))
            yield asking
            inputs = replace(inputs, outside=question.answered(inputs.outside, asking.said))
    return decide(inputs)
