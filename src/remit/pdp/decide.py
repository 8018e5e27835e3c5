"""The decision: from everything that is known to a permit or a denial, and what committing it changes. Pure."""

import msgspec
from msgspec.structs import replace

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
from remit.model.errors import RemitError
from remit.model.identity import AgentStatus, EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.request import Tier
from remit.model.task import TaskState
from remit.pdp import checks
from remit.pdp.arguments import Unrepresentable
from remit.pdp.cedar.engine import EngineAnswer
from remit.pdp.checks import Refusal
from remit.pdp.compiled import CompiledBundle, Mode
from remit.pdp.context import Facts, context_of, steering_of
from remit.pdp.effects import session_after_deny, session_after_permit
from remit.pdp.entities import check_resource
from remit.pdp.inputs import PERMIT_MICROSECONDS, Decided, Grant, Inputs
from remit.pdp.locus import Locus, evaluate, known_locus, locus_of
from remit.pdp.locus import obligations as asked_by
from remit.pdp.obligations import UnknownObligation, approver_rule
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

    Never raises for what a caller can send; a fault of the code itself is the caller's to turn into a denial.
    """
    try:
        return _decide(inputs)
    except Refusal as refusal:
        return _shadowed(inputs, Deny(inputs.decision, refusal.reason, refusal.message, basis=_bare(inputs.bundle)))


def _decide(inputs: Inputs) -> Decided:
    bundle = inputs.bundle
    if bundle is None:
        raise Refusal(Reason.NO_BUNDLE, "no policy is published: run `remit policy publish`")
    if inputs.kills:
        checks.check_kills(inputs)
    locus = _known(inputs, bundle)
    if locus is None:  # one that was found before has passed these, which ask nothing that its key does not name
        _check_request(inputs)
        checks.check_agent(inputs)
        checks.check_action(inputs, bundle)
    checks.check_clock(inputs)
    checks.check_task(inputs, bundle)
    checks.check_delegation(inputs)
    if locus is None:
        assert inputs.agent is not None
        locus = locus_of(bundle, inputs.agent, inputs.request, inputs.target)
    checks.check_arguments(inputs, locus.tool)
    checks.check_scope(inputs, bundle, locus.tool)
    spent = checks.check_budgets(inputs)
    return _by_policy(inputs, bundle, locus, spent)


def _check_request(inputs: Inputs) -> None:
    if inputs.request.malformed:
        raise Refusal(Reason.MALFORMED_ARGUMENTS, inputs.request.malformed)
    try:
        check_resource(inputs.request.resource)
    except RemitError as error:
        raise Refusal(Reason.MALFORMED_REQUEST, error.message) from None


def _known(inputs: Inputs, bundle: CompiledBundle) -> Locus | None:
    agent = inputs.agent
    if agent is None or agent.status is not AgentStatus.ACTIVE or inputs.request.malformed:
        return None
    return known_locus(bundle, agent, inputs.request, inputs.target)


def _by_policy(inputs: Inputs, bundle: CompiledBundle, locus: Locus, spent: tuple[TaskState, ...]) -> Decided:
    reached = inputs.session.reached if inputs.session else PUBLIC_TRUSTED
    tier = locus.tier(reached)
    tree = locus.slice.reads.context
    steering = steering_of(bundle, inputs, locus.tool) if locus.steered else ()
    facts = Facts(
        bundle,
        inputs.request,
        tier,
        inputs.now,
        inputs.chain,
        inputs.session,
        reached,
        locus.tool,
        steering,
        None,
        locus.arguments,
    )
    try:
        context = context_of(tree, facts)
    except Unrepresentable as problem:
        raise Refusal(
            Reason.UNREPRESENTABLE_ARGUMENT, f"{problem}, and a policy reads it: pass it as text or with fewer digits"
        ) from None
    answer = evaluate(bundle, locus, context)
    if answer.allowed and not answer.errors:
        return _permitted(inputs, locus, facts, spent, answer, context.read)
    return _not_permitted(inputs, locus, facts, spent, answer, context.read)


def _permitted(
    inputs: Inputs, locus: Locus, facts: Facts, spent: tuple[TaskState, ...], answer: EngineAnswer, read: bytes
) -> Decided:
    basis = _basis(locus, facts, answer, read)
    try:
        obligations = asked_by(locus, answer.reasons)
    except UnknownObligation as problem:
        message = f"a policy asks for obligation {problem}, which nothing here understands"
        return _shadowed(inputs, Deny(inputs.decision, Reason.UNKNOWN_OBLIGATION, message, facts.tier, basis=basis))
    granted = inputs.grant.id if inputs.grant and facts.approver is not None else None
    permit = Permit(inputs.decision, facts.tier, inputs.now + PERMIT_MICROSECONDS, obligations, basis=basis, approval=granted)
    return Decided(permit, _permit_effects(inputs, spent, locus.worst, permit))


def _permit_effects(inputs: Inputs, spent: tuple[TaskState, ...], worst: Label, permit: Permit) -> Effects:
    if inputs.session is None:
        return Effects(approval_used=permit.approval, worst=worst)
    session = session_after_permit(inputs.session, permit.id, inputs.request, worst, inputs.now)
    return Effects(session, spent, permit.approval, worst)


def _not_permitted(
    inputs: Inputs, locus: Locus, facts: Facts, spent: tuple[TaskState, ...], answer: EngineAnswer, read: bytes
) -> Decided:
    basis = _basis(locus, facts, answer, read)
    # INVARIANT (fail closed): Cedar skips a policy that errors, even a forbid; so any reported error denies.
    if answer.errors:
        message = f"a policy could not be evaluated ({answer.errors[0]}): its author must mend it"
        return _shadowed(inputs, Deny(inputs.decision, Reason.POLICY_ERROR, message, facts.tier, basis=basis))
    if not answer.reasons:
        message = f"no policy permits {_act(inputs)}"
        return _shadowed(inputs, Deny(inputs.decision, Reason.NO_PERMIT, message, facts.tier, basis=basis))
    lift = _lift(inputs, locus, facts, answer)
    if lift is None:
        message = f"policy forbids {_act(inputs)}: {_why(locus, answer)}"
        return _shadowed(inputs, Deny(inputs.decision, Reason.FORBIDDEN, message, facts.tier, basis=basis))
    if inputs.grant is not None and _covered(inputs.grant, facts, lift, bool(locus.slice.by_approver)):
        granted = replace(facts, approver=inputs.grant.approver)
        return _permitted(inputs, locus, granted, spent, lift.answer, lift.read)
    message = f"this needs an approval: {_why(locus, answer)}"
    deny = Deny(
        inputs.decision, Reason.APPROVAL_REQUIRED, message, facts.tier, lift.rule, obligations=lift.obligations, basis=basis
    )
    return _shadowed(inputs, deny)


class _Lift(msgspec.Struct, frozen=True):
    """What policies say of a denied request once an approval is there: who must give it, and what would then hold."""

    rule: ApproverRule
    answer: EngineAnswer
    read: bytes
    obligations: tuple[Obligation, ...]


def _lift(inputs: Inputs, locus: Locus, facts: Facts, answer: EngineAnswer) -> _Lift | None:
    """Whether an approval would lift this denial: asked of the policies themselves, by evaluating them as if it were there."""
    rule = approver_rule(answer.reasons, locus.slice.annotations)
    if rule is None:
        return None
    approver = inputs.grant.approver if inputs.grant else ""
    context = context_of(locus.slice.reads.context, replace(facts, approver=approver))
    read, lifted = context.read, evaluate(facts.bundle, locus, context)
    if not lifted.allowed or lifted.errors:
        # Where all that still stands in the way asks who approved, it may be asked for, and is decided with the person who did.
        by_approver = locus.slice.by_approver
        if inputs.grant is None and not lifted.errors and by_approver and by_approver.issuperset(lifted.reasons):
            return _Lift(_rule(facts, rule), lifted, read, ())
        return None
    try:
        obligations = asked_by(locus, lifted.reasons)
    except UnknownObligation:
        return None
    return _Lift(_rule(facts, rule), lifted, read, obligations)


def _rule(facts: Facts, rule: ApproverRule) -> ApproverRule:
    return ApproverRule.FOUR_EYES if facts.tier is Tier.CRITICAL else rule


def _covered(grant: Grant, facts: Facts, lift: _Lift, by_approver: bool) -> bool:
    # INVARIANT (an approval is for one exact action): it covers the flows, labels and obligations its approver was shown; only where
    # policies ask who approved may more obligations come with that person.
    return (
        facts.reached.within(grant.label)
        and facts.steering == grant.steering
        and (lift.obligations == grant.obligations or (by_approver and set(grant.obligations) <= set(lift.obligations)))
        and (grant.rule is ApproverRule.FOUR_EYES or lift.rule is ApproverRule.ONE)
    )


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
        worst = output_label(inputs.bundle, inputs.request.action, inputs.request.resource)
        return Decided(permit, _permit_effects(inputs, (), worst, permit))
    if session is None or not checks.owns_session(inputs):
        return Decided(deny, Effects())  # whoever is refused as a stranger moves nobody's session
    return Decided(deny, Effects(session_after_deny(session, inputs.decision, inputs.now)))


def _basis(locus: Locus, facts: Facts, answer: EngineAnswer, read: bytes) -> Basis:
    return Basis(
        answer.reasons,
        answer.errors,
        len(locus.slice.ids),
        read,
        locus.names,
        facts.steering,
        facts.bundle.digest,
    )


def _bare(bundle: CompiledBundle | None) -> Basis:
    return Basis(bundle=bundle.digest) if bundle else EMPTY_BASIS


def _act(inputs: Inputs) -> str:
    resource: EntityRef = inputs.request.resource
    return f"`{inputs.request.action}` on `{resource.id}`"


def _why(locus: Locus, answer: EngineAnswer) -> str:
    """The descriptions of the policies that decided, or their names."""
    words = []
    for policy in answer.reasons:
        described = locus.slice.annotations.get(policy, {}).get("description")
        words.append(f"{described} (policy `{policy}`)" if described else f"policy `{policy}`")
    return "; ".join(words)
