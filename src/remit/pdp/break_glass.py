"""Break-glass: where two people opened something, a denial by policy becomes a permit; nothing else that denies does. Pure."""

from remit.model.break_glass import BreakGlass, BreakGlassRules, Stage
from remit.model.clock import MINUTE
from remit.model.decision import ApproverRule
from remit.model.identity import AGENT, EntityRef
from remit.model.request import AGENT_DELEGATE, SESSION_DECLASSIFY, TOOL_CALL, EvaluationRequest
from remit.pdp.answer import Annotations, EngineAnswer
from remit.pdp.checks import CLOCK_TOLERANCE, covers_resource
from remit.pdp.inputs import Inputs
from remit.pdp.obligations import barred, owners_of

NEVER_OPENED = frozenset({SESSION_DECLASSIFY, AGENT_DELEGATE})
"""Lowering a label is an act of two people of its own; and what is opened is for the agent that is named, for no other."""
BREAK_GLASS = "break_glass"
NEVER = "never"
"""What a policy's `@break_glass` says where nobody may open what it forbids."""


def covers(glass: BreakGlass, request: EvaluationRequest) -> bool:
    """Whether a request is of the agent, the task, and on a tool or resource that is named."""
    if request.subject != EntityRef(AGENT, glass.agent) or glass.task not in (None, request.task):
        return False
    if request.action == TOOL_CALL:
        return request.resource.id in glass.tools
    return request.action not in NEVER_OPENED and any(covers_resource(one, request.resource.id) for one in glass.resources)


def open_until(glass: BreakGlass, rules: BreakGlassRules) -> int:
    """When it ends (µs) by itself, also where the bundle has become stricter since; 0 for one that is not open."""
    return min(glass.until, glass.started + rules.minutes * MINUTE) if glass.stage is Stage.OPEN else 0


def lifted(inputs: Inputs, answer: EngineAnswer, annotations: Annotations) -> BreakGlass | None:
    """What opens a request that policies deny; None where nothing does."""
    glass, bundle = inputs.glass, inputs.bundle
    if glass is None or bundle is None or not covers(glass, inputs.request):
        return None
    # INVARIANT (labels come from what was touched): nothing is opened where no session would carry what is touched.
    if inputs.session is None or not inputs.chain:
        return None
    if not glass.started - CLOCK_TOLERANCE <= inputs.now < open_until(glass, bundle.break_glass):
        return None
    if answer.errors or any(BREAK_GLASS in annotations.get(policy, {}) for policy in answer.reasons):
        return None
    return glass if _by_two_others(glass, inputs) else None


def _by_two_others(glass: BreakGlass, inputs: Inputs) -> bool:
    """Whether those who opened it are still two people who may: agents and tasks can have come to be theirs since."""
    # INVARIANT (the guard is guarded): neither owns the agent; who confirmed it has not opened or delegated the task either.
    agent, four_eyes = glass.agent, ApproverRule.FOUR_EYES
    return (
        glass.asked_by.casefold() != glass.confirmed_by.casefold()
        and not barred(glass.asked_by, four_eyes, agent, owners_of(inputs.agent), ())
        and not barred(glass.confirmed_by, four_eyes, agent, owners_of(inputs.agent, inputs.delegators), inputs.chain)
    )
