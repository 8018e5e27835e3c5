"""Decisions, what they open or use up, and outcomes as log entries: what is plain, and what is sealed under the task's key."""

import msgspec

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ApprovalRequested, BreakGlassUsed, DecisionMade, MemoryRaised, OutcomeSeen
from remit.decision_log.sealed import SealedDecision, SealedOutside, encode_sealed
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.model.authorizer import Outcome
from remit.model.decision import Decision, Permit
from remit.model.identity import BreakGlassId, DecisionId, TaskId
from remit.model.labels import PUBLIC_TRUSTED
from remit.model.memory import Memory
from remit.model.person import OwnerState
from remit.model.task import Session
from remit.model.values import NO_ARGUMENTS
from remit.pdp.inputs import Inputs
from remit.pdp.outside import Outside
from remit.runtime.store import Approval, OpenPermit


def decision_record(inputs: Inputs, decision: Decision, session: Session | None, key: SealKey) -> Record:
    """The entry of a decision. `session` is the state it leads to."""
    request, basis = inputs.request, decision.basis
    permit = isinstance(decision, Permit)
    canonical = request.arguments.canonical
    sealed = SealedDecision(
        msgspec.Raw(canonical),
        msgspec.Raw(basis.read),
        decision.message,
        basis.errors,
        basis.entities,
        basis.steering,
        _sealed_outside(inputs.outside) if inputs.outside is not None else None,
        msgspec.Raw(request.properties.canonical) if request.properties is not NO_ARGUMENTS else None,
    )
    label = session.reached if session is not None else PUBLIC_TRUSTED
    body = DecisionMade(
        id=decision.id,
        at=inputs.now,
        effect="permit" if permit else "deny",
        enforced=decision.enforced if isinstance(decision, Permit) else True,
        reason=decision.reason,
        tier=decision.tier or "",
        subject=f"{request.subject.type}::{request.subject.id}",
        subject_version=inputs.agent.version if inputs.agent else 0,
        action=request.action,
        resource_type=request.resource.type,
        resource=request.resource.id,
        task=request.task,
        chain=tuple([state.task.id for state in inputs.chain]),
        session=request.session,
        session_version=session.version >> 32 if session else 0,
        upstream=request.upstream,
        definition=request.definition,
        bundle=basis.bundle,
        policies=basis.policies,
        slice_size=basis.slice_size,
        obligations=tuple([f"{o.type}:{o.argument}" for o in decision.obligations]) if decision.obligations else (),
        requestable="" if isinstance(decision, Permit) or decision.requestable is None else decision.requestable.value,
        approval=decision.approval,
        label=label.confidentiality,
        sources=label.sources,
        arguments=key.digest(canonical),
        sealed=key.seal(encode_sealed(sealed), decision.id),
        engine=inputs.outside.engine if inputs.outside is not None else "",
        flows=basis.flows,
        hints=request.hints,
        caller=request.caller,
        proof=request.proof or "",
        behind=inputs.behind,
        break_glass=(decision.break_glass or "") if isinstance(decision, Permit) else "",
        owner="" if inputs.owner is OwnerState.UNKNOWN else inputs.owner,
    )
    return Record(encode_body(body), "decision", decision.id, request.task)


def used_record(glass: BreakGlassId, decision: DecisionId, task: TaskId | None) -> Record:
    """The entry of what was permitted under a break-glass alone; found by that, as all that is about it."""
    return Record(encode_body(BreakGlassUsed(glass, decision, task)), "break-glass.used", glass, task)


def _sealed_outside(outside: Outside) -> SealedOutside:
    said = {name: msgspec.Raw(answer) for name, answer in outside.answers.items() if isinstance(answer, bytes)}
    return SealedOutside(outside.moment, said)


def requested_record(approval: Approval) -> Record:
    """The entry of an access request."""
    body = ApprovalRequested(
        approval.id, approval.decision, approval.task, approval.rule.value, approval.digest, approval.expires
    )
    return Record(encode_body(body), "approval.requested", approval.decision, approval.task)


def memory_record(memory: Memory, decision: DecisionId, task: TaskId | None) -> Record:
    """The entry of a memory whose label a decision raised."""
    body = MemoryRaised(memory.name, decision, task, memory.label.confidentiality.value, memory.label.sources)
    return Record(encode_body(body), "memory.raised", decision, task)


def outcome_record(outcome: Outcome, permit: OpenPermit, session: Session | None, key: SealKey) -> Record:
    """The entry of an outcome; the content itself is not in it, only its keyed digest and its size."""
    label = session.reached if session is not None else PUBLIC_TRUSTED
    content = outcome.content.encode("utf-8", "surrogatepass") if outcome.content else b""
    body = OutcomeSeen(
        decision=outcome.decision,
        status=outcome.status.value,
        session=permit.session,
        task=permit.task,
        label=label.confidentiality.value,
        sources=label.sources,
        content=key.digest(content) if content else "",
        size=len(content),
        sealed=key.seal(outcome.error.encode("utf-8", "replace"), outcome.decision) if outcome.error else b"",
    )
    return Record(encode_body(body), "outcome", outcome.decision, permit.task)
