"""The decision: from everything that is known to a permit or a denial, and what committing it changes. Pure."""

import msgspec
from msgspec.structs import replace

from remit.model.break_glass import BreakGlass
from remit.model.decision import (
    EMPTY_BASIS,
    ApproverRule,
    Basis,
    Deny,
    Effects,
    Obligation,
    Permit,
    Reason,
)
from remit.model.errors import RemitError, unavailable
from remit.model.identity import AGENT, AgentStatus, EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.request import SESSION_DECLASSIFY, Tier
from remit.model.task import TaskState
from remit.pdp import checks
from remit.pdp.answer import Annotations, EngineAnswer
from remit.pdp.break_glass import lifted, open_until
from remit.pdp.compiled import CompiledBundle, FirstUse, Mode
from remit.pdp.context import Situation
from remit.pdp.declassification import check_declassification, declassified, touches_of
from remit.pdp.definitions import Redefined, check_definition, first_used
from remit.pdp.effects import flows_used, session_after_deny, session_after_permit
from remit.pdp.entities import check_resource
from remit.pdp.first_use import is_first_use
from remit.pdp.first_use import raised as one_deeper
from remit.pdp.flow import Traced, asked, links_of, query_of, traced
from remit.pdp.hints import hints_for
from remit.pdp.history import added_by, adding, once_lowered, remembered, told_beside, with_history
from remit.pdp.inputs import PERMIT_MICROSECONDS, Decided, Grant, Inputs
from remit.pdp.locus import Locus, known_locus, locus_of
from remit.pdp.locus import obligations as asked_by
from remit.pdp.memory import after_writing, under_way
from remit.pdp.obligations import UnknownObligation, approver_rule, obligations_of
from remit.pdp.outside import MAX_QUESTIONS, Ask, NotAsked
from remit.pdp.questions import Question, annotations_of, answer_to, by_approver, question_of
from remit.pdp.refusal import Refusal
from remit.pdp.stating import NOTHING_STATED, stated, with_call
from remit.pdp.tier import output_label

SHADOWED = frozenset(
    {
        Reason.NO_PERMIT,
        Reason.FORBIDDEN,
        Reason.APPROVAL_REQUIRED,
        Reason.OUTSIDE_SCOPE,
        Reason.BUDGET_EXHAUSTED,
        Reason.POLICY_ERROR,
        Reason.UNREPRESENTABLE_ARGUMENT,
    }
)
"""The denials that shadow mode lets pass: those a bundle or a task's author can mend. Faults and identities still deny."""


def decide(inputs: Inputs) -> Decided:
    """Decide one request: checks, tier, policies, obligations, and whether an approval could lift a denial.

    Never raises for what a caller can send, but `NotAsked` where an engine outside has to be asked first; a fault of the code itself
    is the caller's to turn into a denial.
    """
    try:
        return _decide(inputs)
    except Refusal as refusal:
        decided = _shadowed(inputs, Deny(inputs.decision, refusal.reason, refusal.message, basis=_bare(inputs.bundle)))
        if isinstance(refusal, Redefined) and refusal.known is not inputs.known:
            return replace(decided, effects=replace(decided.effects, definition=refusal.known))
        return decided


def decide_asking(inputs: Inputs, ask: Ask) -> Decided:
    """Decide, and ask engines outside whatever it takes. Raises `RemitError` (unavailable) for one that keeps changing meanwhile."""
    for _ in range(MAX_QUESTIONS):
        try:
            return decide(inputs)
        except NotAsked as question:
            said = ask(question.opa, question.document)
            inputs = replace(inputs, outside=question.answered(inputs.outside, said))
    raise unavailable(f"the policy engine kept changing while it was asked ({MAX_QUESTIONS} times): ask again")


def _decide(inputs: Inputs) -> Decided:
    bundle = inputs.bundle
    if bundle is None:
        raise Refusal(Reason.NO_BUNDLE, "no policy is published: run `remit policy publish`")
    if inputs.kills:
        checks.check_kills(inputs)
    locus = _known(inputs, bundle)
    if locus is None:  # one that was found before has passed these, which ask nothing that its key does not name
        _check_request(inputs)
        checks.check_subject(inputs, bundle)
        checks.check_action(inputs, bundle)
    checks.check_clock(inputs)
    checks.check_task(inputs, bundle)
    checks.check_delegation(inputs)
    if locus is None:
        locus = locus_of(bundle, inputs.agent, inputs.request, inputs.target)
    if inputs.request.definition or inputs.request.upstream:
        check_definition(inputs, locus.tool)
    checks.check_arguments(inputs, locus.tool)
    checks.check_scope(inputs, bundle, locus.tool)
    if inputs.request.action == SESSION_DECLASSIFY:
        check_declassification(inputs)
    spent = checks.check_budgets(inputs, locus.tool)
    account = checks.check_account(inputs, bundle, locus.tool) if bundle.agent_rates else None
    decided = _by_policy(inputs, bundle, locus, spent)
    if account is not None and isinstance(decided.decision, Permit) and decided.decision.enforced:
        decided = Decided(decided.decision, replace(decided.effects, account=account))
    return first_used(decided, inputs, locus.tool) if inputs.request.definition else decided


def _check_request(inputs: Inputs) -> None:
    if inputs.request.malformed:
        raise Refusal(Reason.MALFORMED_ARGUMENTS, inputs.request.malformed)
    try:
        check_resource(inputs.request.resource)
    except RemitError as error:
        raise Refusal(Reason.MALFORMED_REQUEST, error.message) from None


def _known(inputs: Inputs, bundle: CompiledBundle) -> Locus | None:
    agent = inputs.agent
    if inputs.request.malformed or (agent is None) is (inputs.request.subject.type == AGENT):
        return None
    if agent is not None and agent.status is not AgentStatus.ACTIVE:
        return None
    return known_locus(bundle, agent, inputs.request, inputs.target)


def _by_policy(inputs: Inputs, bundle: CompiledBundle, locus: Locus, spent: tuple[TaskState, ...]) -> Decided:
    reached = inputs.session.reached if inputs.session else PUBLIC_TRUSTED
    tier, first = locus.tier(reached), bundle.first_uses and is_first_use(inputs, locus, reached)
    if first and bundle.first_use is FirstUse.RAISE:
        tier = one_deeper(tier)
    if inputs.request.proof is not None:
        checks.check_proof(inputs, tier)
    # INVARIANT (an approval is for one exact action): what was granted with it is for other calls; its own is seen as it was shown.
    without = inputs.grant.flows if inputs.grant is not None else ()
    steering, flows = traced(bundle, inputs, locus.tool, without) if locus.steered else Traced()
    moment = inputs.outside.moment if inputs.outside is not None else inputs.now
    situation = Situation(
        bundle,
        inputs.request,
        tier,
        moment,
        inputs.chain,
        inputs.session,
        reached,
        locus.tool,
        steering,
        None,
        locus.steered and asked(inputs, locus.tool),
        links_of(bundle, inputs, locus.tool) if locus.steered else (),
        locus.arguments,
        flows,
        stated(bundle, inputs, locus.context) if bundle.facts.facts else NOTHING_STATED,
        first,
        inputs.owner,
    )
    if flows:
        spent = tuple([flows_used(state, flows) for state in spent])
    question = question_of(locus, situation)
    answer = answer_to(locus, situation, question, inputs.outside)
    if answer.allowed and not answer.errors and inputs.request.action != SESSION_DECLASSIFY:
        return _permitted(inputs, locus, situation, spent, answer, question)
    return _not_permitted(inputs, locus, situation, spent, answer, question)


def _permitted(
    inputs: Inputs, locus: Locus, situation: Situation, spent: tuple[TaskState, ...], answer: EngineAnswer, question: Question
) -> Decided:
    basis = _basis(locus, situation, answer, question)
    try:
        obligations = _obligations(locus, answer)
    except UnknownObligation as problem:
        message = f"a policy asks for obligation {problem}, which nothing here understands"
        return _shadowed(inputs, Deny(inputs.decision, Reason.UNKNOWN_OBLIGATION, message, situation.tier, basis=basis))
    granted = inputs.grant.id if inputs.grant and situation.approver is not None else None
    permit = Permit(inputs.decision, situation.tier, inputs.now + PERMIT_MICROSECONDS, obligations, basis=basis, approval=granted)
    return Decided(permit, _permit_effects(inputs, with_history(spent, adding(locus.adds, inputs.memory)), locus.worst, permit))


def _permit_effects(inputs: Inputs, tasks: tuple[TaskState, ...], own: Label, permit: Permit) -> Effects:
    worst, memory = own, None
    if inputs.memory is not None:
        worst, memory = under_way(own, inputs.memory), after_writing(inputs)
    if inputs.session is None:
        return Effects(approval_used=permit.approval, worst=own, memory=memory)
    assert inputs.bundle is not None
    before = inputs.session
    session = session_after_permit(before, permit.id, inputs.request, worst, inputs.now)
    if session.touches != before.touches or session.pending is not before.pending:
        tasks = told_beside(inputs.chain, tasks, before, session, permit.id)
    if inputs.request.action == SESSION_DECLASSIFY and permit.enforced:
        session, tasks = declassified(inputs, session), once_lowered(inputs.chain, tasks, permit.id)
    query = query_of(inputs.bundle, inputs, trusted=not worst.untrusted)
    if inputs.bundle.facts.facts:
        query = with_call(inputs.bundle, inputs, query)
    return Effects(session, tasks, permit.approval, own, query, memory)


def _not_permitted(
    inputs: Inputs, locus: Locus, situation: Situation, spent: tuple[TaskState, ...], answer: EngineAnswer, question: Question
) -> Decided:
    basis = _basis(locus, situation, answer, question)
    # INVARIANT (fail closed): Cedar skips a policy that errors, even a forbid; so any reported error denies.
    if answer.errors:
        message = f"a policy could not be evaluated ({answer.errors[0]}): its author must mend it"
        return _shadowed(inputs, Deny(inputs.decision, Reason.POLICY_ERROR, message, situation.tier, basis=basis))
    lift = _lift(inputs, locus, situation, answer)
    if lift is not None and not locus.steered:
        # INVARIANT (an approval is for one exact action): its approver is shown where values come from, whatever policies ask.
        situation = replace(situation, steering=traced(situation.bundle, inputs, locus.tool).steering)
        basis = _basis(locus, situation, answer, question)
    uncovered = (
        _uncovered(inputs.grant, inputs, locus, situation, answer, lift) if lift is not None and inputs.grant is not None else ""
    )
    if lift is not None and inputs.grant is not None and not uncovered:
        granted = replace(situation, approver=inputs.grant.approver)
        return _permitted(inputs, locus, granted, spent, lift.answer, lift.question)
    deny = replace(_denied(inputs, locus, situation, answer, lift), tier=situation.tier, basis=basis)
    glass = lifted(inputs, answer, annotations_of(locus, answer)) if inputs.glass is not None else None
    if glass is None:
        return replace(_shadowed(inputs, deny), uncovered=uncovered)
    # INVARIANT (fail closed): what forbids keeps permits from speaking, so whatever any of them asks for is asked for.
    said = {**locus.slice.annotations, **answer.annotations, **answer.silenced}
    return _opened(inputs, locus, spent, deny, glass, said)


def _denied(inputs: Inputs, locus: Locus, situation: Situation, answer: EngineAnswer, lift: "_Lift | None") -> Deny:
    if not answer.reasons:
        return Deny(inputs.decision, Reason.NO_PERMIT, f"no policy permits {_act(inputs)}")
    if lift is None:
        message = f"policy forbids {_act(inputs)}{_approved_by(inputs, locus, situation) or f': {_why(locus, answer)}'}"
        return Deny(inputs.decision, Reason.FORBIDDEN, message)
    message = f"this needs an approval: {'lowering a label needs two people' if answer.allowed else _why(locus, answer)}"
    return Deny(inputs.decision, Reason.APPROVAL_REQUIRED, message, requestable=lift.rule, obligations=lift.obligations)


def _opened(
    inputs: Inputs, locus: Locus, spent: tuple[TaskState, ...], deny: Deny, glass: BreakGlass, said: Annotations
) -> Decided:
    """A permit of what policy denies. It costs, touches and is remembered as any, and obliges to all that the policies here `said`."""
    assert inputs.bundle is not None
    try:
        asked = obligations_of(said, said)
    except UnknownObligation as problem:
        message = f"a policy asks for obligation {problem}, which nothing here understands"
        return _shadowed(inputs, Deny(inputs.decision, Reason.UNKNOWN_OBLIGATION, message, deny.tier, basis=deny.basis))
    until = min(inputs.now + PERMIT_MICROSECONDS, open_until(glass, inputs.bundle.break_glass))
    message = f"break-glass `{glass.id}`: {deny.message}"  # who opened it and why stands under its id, and is no agent's to know
    permit = Permit(
        inputs.decision,
        deny.tier or Tier.HIGH,
        until,
        tuple(dict.fromkeys((*deny.obligations, *asked))),
        Reason.BREAK_GLASS,
        message,
        deny.basis,
        break_glass=glass.id,
    )
    return Decided(permit, _permit_effects(inputs, with_history(spent, adding(locus.adds, inputs.memory)), locus.worst, permit))


class _Lift(msgspec.Struct, frozen=True):
    """What policies say of a denied request once an approval is there: who must give it, and what would then hold."""

    rule: ApproverRule
    answer: EngineAnswer
    question: Question
    obligations: tuple[Obligation, ...]


def _lift(inputs: Inputs, locus: Locus, situation: Situation, answer: EngineAnswer) -> _Lift | None:
    """Whether an approval would lift this denial: asked of the policies themselves, by evaluating them as if it were there."""
    # INVARIANT (the guard is guarded): policies that allow a label to be lowered allow two people to do it, and nobody else.
    rule = ApproverRule.FOUR_EYES if answer.allowed else approver_rule(answer.reasons, annotations_of(locus, answer))
    if rule is None:
        return None
    approver = inputs.grant.approver if inputs.grant else ""
    granted = replace(situation, approver=approver)
    question = question_of(locus, granted)
    lifted = answer_to(locus, granted, question, inputs.outside)
    if not lifted.allowed or lifted.errors:
        # Where all that still stands in the way asks who approved, it may be asked for, and is decided with the person who did.
        asking = by_approver(locus, situation, lifted)
        if inputs.grant is None and not lifted.errors and asking and asking.issuperset(lifted.reasons):
            return _Lift(_rule(situation, rule), lifted, question, ())
        return None
    try:
        obligations = _obligations(locus, lifted)
    except UnknownObligation:
        return None
    return _Lift(_rule(situation, rule), lifted, question, obligations)


def _obligations(locus: Locus, answer: EngineAnswer) -> tuple[Obligation, ...]:
    if answer.annotations:
        return obligations_of(answer.reasons, annotations_of(locus, answer))
    return asked_by(locus, answer.reasons)


def _rule(situation: Situation, rule: ApproverRule) -> ApproverRule:
    """The rule that policies ask for, raised by the tier: as the bundle says, and at the critical one in any case."""
    least = ApproverRule.FOUR_EYES if situation.tier is Tier.CRITICAL else ApproverRule.ONE
    return rule.and_(least).and_(situation.bundle.approvals.rules.get(situation.tier, ApproverRule.ONE))


def _uncovered(grant: Grant, inputs: Inputs, locus: Locus, situation: Situation, answer: EngineAnswer, lift: _Lift) -> str:
    """Why an approval does not lift this denial, empty if it does: it covers it, and policies accept each of the people who gave it."""
    if why := _beyond(grant, situation, lift, bool(by_approver(locus, situation, lift.answer)), touches_of(inputs)):
        return why
    # INVARIANT (an approval is for one exact action): where several must approve, policies are asked about every one of them.
    for other in grant.others:
        alike = _lift(replace(inputs, grant=replace(grant, approver=other)), locus, situation, answer)
        if alike is None or not alike.answer.allowed or alike.obligations != lift.obligations:
            return "policies do not accept it from everybody who gave it"
    people = len({person.casefold() for person in (grant.approver, *grant.others)})
    return "" if people >= lift.rule.people else _TOO_FEW


_TOO_FEW = "more people must approve this by now"


def _beyond(grant: Grant, situation: Situation, lift: _Lift, by_approver: bool, touches: int) -> str:
    """What of this an approval does not cover, in words that name nobody; empty if it covers all of it."""
    # INVARIANT (an approval is for one exact action): it covers the flows, labels and obligations its approver was shown; only where
    # policies ask who approved may more obligations come with that person.
    if not situation.reached.within(grant.label):
        return "the session has touched more since it was asked for"
    if set(situation.steering) != set(grant.steering):  # in which order the arguments stand is nobody's choice
        return "a value comes from elsewhere than its approver was shown"
    if lift.obligations != grant.obligations and not (by_approver and set(grant.obligations) <= set(lift.obligations)):
        return "policies oblige to something else by now"
    if not grant.rule.covers(lift.rule):
        return _TOO_FEW
    if situation.request.action == SESSION_DECLASSIFY and grant.touches != touches:
        return "the session has touched something since it was asked for"
    return ""


def _shadowed(inputs: Inputs, deny: Deny) -> Decided:
    """A denial and its effects; in shadow mode a denial by policy is turned into a permit that says what it would have been."""
    session = inputs.session
    if inputs.bundle is not None and inputs.bundle.mode is Mode.SHADOW and deny.reason in SHADOWED:
        permit = Permit(
            deny.id,
            deny.tier or Tier.HIGH,
            inputs.now + PERMIT_MICROSECONDS,
            reason=deny.reason,
            message=f"shadow mode, not enforced: {deny.message}",
            basis=deny.basis,
            enforced=False,
        )
        request = inputs.request
        action, resource, hints = request.action, request.resource, hints_for(inputs.bundle, request)
        # INVARIANT (history belongs to the task): what happens although it was denied has happened.
        tasks = remembered(inputs.chain, adding(added_by(inputs.bundle, action, resource, hints), inputs.memory), deny.id)
        return Decided(permit, _permit_effects(inputs, tasks, output_label(inputs.bundle, action, resource, hints), permit))
    if session is None or not checks.owns_session(inputs):
        return Decided(deny, Effects())  # whoever is refused as a stranger moves nobody's session
    return Decided(deny, Effects(session_after_deny(session, inputs.decision, inputs.now)))


def _basis(locus: Locus, situation: Situation, answer: EngineAnswer, question: Question) -> Basis:
    return Basis(
        answer.reasons,
        answer.errors,
        len(locus.slice.ids),
        question.read,
        locus.names,
        situation.steering,
        situation.bundle.digest,
        situation.flows,
    )


def _bare(bundle: CompiledBundle | None) -> Basis:
    return Basis(bundle=bundle.digest) if bundle else EMPTY_BASIS


def _act(inputs: Inputs) -> str:
    resource: EntityRef = inputs.request.resource
    return f"`{inputs.request.action}` on `{resource.id}`"


def _approved_by(inputs: Inputs, locus: Locus, situation: Situation) -> str:
    """That it is forbidden although somebody approved it, and by what; empty where nobody did, or that is not why."""
    if inputs.grant is None:
        return ""
    granted = replace(situation, approver=inputs.grant.approver)
    said = answer_to(locus, granted, question_of(locus, granted), inputs.outside)
    return f" though `{inputs.grant.approver}` approves: {_why(locus, said)}" if said.reasons and not said.allowed else ""


def _why(locus: Locus, answer: EngineAnswer) -> str:
    """The descriptions of the policies that decided, or their names."""
    words, annotations = [], annotations_of(locus, answer)
    for policy in answer.reasons:
        described = annotations.get(policy, {}).get("description")
        words.append(f"{described} (policy `{policy}`)" if described else f"policy `{policy}`")
    if locus.raised and answer.reasons:
        words.append(locus.raised)
    return "; ".join(words)
