"""What must hold before any policy is asked: identity, task, clock, scope and budgets. Each check is one rule."""

from remit.model.caller import Proof
from remit.model.decision import Reason
from remit.model.identity import AGENT, AgentStatus
from remit.model.labels import Confidentiality
from remit.model.request import AGENT_DELEGATE, NET_REQUEST, SESSION_DECLASSIFY, TOOL_CALL, Tier
from remit.model.task import Scope, Spent, TaskState, TaskStatus
from remit.model.tool import UNANNOTATED, Reach, ToolEffect
from remit.pdp.compiled import CompiledBundle, CompiledTool
from remit.pdp.effects import NotAnAmount, exceeded, spend
from remit.pdp.flow import choices
from remit.pdp.inputs import Inputs
from remit.pdp.parties import askers, check_party
from remit.pdp.patterns import matches
from remit.pdp.provenance.principals import known
from remit.pdp.provenance.roles import Role, text_of
from remit.pdp.rates import account_after, spend_rates
from remit.pdp.refusal import Refusal

NEEDS_TASK = (
    "this needs a task: enter one with `remit.task(…)` (a new thread has none: start it in a copied context), or open one by "
    "`remit task open` or `POST /v1/tasks` and name it, with a session of it, in the request"
)
NEEDS_SESSION = "no session is named: make one by `POST /v1/tasks/{id}/sessions` and name it in the request, or enter the task"
OF_ANOTHER_TASK = "the session does not belong to this task: name one that does, or enter the task again"
NO_NUMBER = "an argument that a budget adds up is not a number from zero to 10^15"
CLOCK_TOLERANCE = 1_000_000
"""A clock may be set back by a second (µs), as time services do; more denies."""


def check_subject(inputs: Inputs, bundle: CompiledBundle) -> None:
    """The subject is a registered agent that may act, or one of another type that the bundle knows."""
    name = inputs.request.subject.id
    if not name:
        raise Refusal(Reason.TASK_REQUIRED, NEEDS_TASK)
    if inputs.request.subject.type != AGENT:
        check_party(bundle, inputs.request.subject)
        return
    if inputs.agent is None or inputs.agent.id != name:
        raise Refusal(Reason.AGENT_UNKNOWN, f"agent `{name}` is not registered: run `remit agent register {name} --owner …`")
    if inputs.agent.status is not AgentStatus.ACTIVE:
        raise Refusal(Reason.AGENT_INACTIVE, f"agent `{name}` is {inputs.agent.status.value}: its owner can resume it")


def check_proof(inputs: Inputs, tier: Tier) -> None:
    """What came with a mere bearer token, which a thief would have as well, reaches the low tier only."""
    if inputs.request.proof is Proof.BEARER and tier is not Tier.LOW:
        message = f"a bearer token reaches the low tier only, and this is {tier.value}: use one bound to a key, and prove it (DPoP, mTLS)"
        raise Refusal(Reason.PROOF_REQUIRED, message)


def check_kills(inputs: Inputs) -> None:
    """Nothing that an administrator stopped."""
    request = inputs.request
    for kill in inputs.kills:
        if kill.stops(request.subject.id, request.resource, [state.task for state in inputs.chain]):
            raise Refusal(Reason.KILLED, f"{kill} was stopped by `{kill.operator}`: nothing passes until it is released")


def check_action(inputs: Inputs, bundle: CompiledBundle) -> None:
    """The action is one that the bundle knows, asked for on the type of resource it is for."""
    types = bundle.actions.get(inputs.request.action)
    if types is None:
        raise Refusal(Reason.UNKNOWN_ACTION, f"action `{inputs.request.action}` is not defined: add it to the bundle's schema")
    subjects = askers(bundle, inputs.request.action)
    if inputs.request.subject.type not in subjects:
        expected = " or a ".join(sorted(subjects))
        message = f"`{inputs.request.action}` is asked for by a {expected}, not by a {inputs.request.subject.type}"
        raise Refusal(Reason.MALFORMED_REQUEST, message)
    if inputs.request.resource.type not in types:
        # Another type would slip past policies that name the right one.
        expected = " or a ".join(sorted(types))
        message = f"`{inputs.request.action}` is asked for on a {expected}, not a {inputs.request.resource.type}"
        raise Refusal(Reason.MALFORMED_REQUEST, message)


def check_clock(inputs: Inputs) -> None:
    """Time has not gone backwards since anything was last decided here, or this session or its task moved."""
    latest = inputs.latest
    if inputs.session is not None and inputs.session.seen > latest:
        latest = inputs.session.seen
    for state in inputs.chain:
        if state.task.opened > latest:
            latest = state.task.opened
    if inputs.now + CLOCK_TOLERANCE < latest:
        behind = (latest - inputs.now) / 1_000_000
        raise Refusal(Reason.CLOCK_BACKWARDS, f"the clock is {behind:.1f} s behind the last decision: set it right")


def check_task(inputs: Inputs, bundle: CompiledBundle) -> None:
    """There is a task, it and all it was delegated from still stand, and it and the session are this agent's."""
    request = inputs.request
    if not inputs.chain and request.task is not None:
        raise Refusal(Reason.TASK_UNKNOWN, f"task `{request.task}` does not exist in this store")
    # INVARIANT (delegation only narrows): a link that cannot be verified denies.
    if not inputs.complete:
        raise Refusal(Reason.DELEGATION_BROKEN, "a task this one was delegated from cannot be found")
    if inputs.chain and inputs.chain[0].task.agent != request.subject.id:
        raise Refusal(Reason.TASK_OF_ANOTHER, f"task `{request.task}` was given to another agent")
    if (inputs.chain or request.session is not None) and not owns_session(inputs):
        raise Refusal(Reason.SESSION_UNKNOWN, OF_ANOTHER_TASK if request.session is not None else NEEDS_SESSION)
    for state in inputs.chain:
        if state.task.status is not TaskStatus.OPEN:
            raise Refusal(Reason.TASK_CLOSED, f"task `{state.task.id}` is closed: ask for a new one")
        if inputs.now >= state.task.expires:
            raise Refusal(Reason.TASK_EXPIRED, f"task `{state.task.id}` has expired: ask for a new one")
    if not inputs.chain and bundle.needs_task(request.action, request.resource):
        raise Refusal(Reason.TASK_REQUIRED, NEEDS_TASK)


def owns_session(inputs: Inputs) -> bool:
    """Whether the session that the request names is this agent's, in this task."""
    session, request = inputs.session, inputs.request
    return (
        session is not None
        and request.subject.type == AGENT
        and session.agent == request.subject.id
        and session.task == request.task
    )


def check_arguments(inputs: Inputs, tool: CompiledTool | None) -> None:
    """The tool is called with arguments it has."""
    request = inputs.request
    if tool is None:
        return
    unknown = tool.types.unknown(request.arguments.values)
    if unknown is not None:
        known = ", ".join(f"`{name}`" for name in tool.types.root.fields) or "none"
        raise Refusal(
            Reason.MALFORMED_ARGUMENTS, f"`{request.resource.id}` has no argument `{unknown}`: its arguments are {known}"
        )


def check_scope(inputs: Inputs, bundle: CompiledBundle, tool: CompiledTool | None) -> None:
    """The action lies within what the task, and every task above it, declared."""
    # INVARIANT (delegation only narrows): the intersection along the whole chain.
    for state in inputs.chain:
        problem = _outside(inputs, bundle, tool, state.task.scope)
        if problem:
            raise Refusal(Reason.OUTSIDE_SCOPE, f"{problem}, which task `{state.task.id}` did not declare")


def _outside(inputs: Inputs, bundle: CompiledBundle, tool: CompiledTool | None, scope: Scope) -> str | None:
    request = inputs.request
    if request.action == SESSION_DECLASSIFY:
        return None  # it touches nothing
    if request.action == TOOL_CALL:
        if scope.tools is not None and not _declares(scope.tools, request.resource.id, tool):
            return f"tool `{request.resource.id}` is outside of the task's tools"
        outside = _undeclared_destination(inputs, tool, scope)
        if outside is not None:
            return f"destination `{outside}` is outside of the task's destinations"
        sensitivity = tool.tool.annotations.sensitivity if tool else None
    else:
        if scope.resources is None and scope.tools is not None:
            return f"`{request.action}` is none of the task's tools, and it declares no resources"
        if request.action == NET_REQUEST and (outside := _undeclared_destination(inputs, None, scope)) is not None:
            return f"host `{outside}` is outside of the task's destinations"
        if scope.resources is not None and not any(covers_resource(p, request.resource.id) for p in scope.resources):
            return f"resource `{request.resource.id}` is outside of the task's resources"
        classed = bundle.class_of(request.resource)
        sensitivity = classed.sensitivity if classed else None
    if scope.confidentiality is not None:
        level = sensitivity or Confidentiality.INTERNAL
        if level.rank > scope.confidentiality.rank:
            return f"{level.value} data is above the task's {scope.confidentiality.value}"
    return None


def _declares(tools: tuple[str, ...], name: str, tool: CompiledTool | None) -> bool:
    groups = tool.tool.groups if tool else ()
    if name in tools or any(f"group:{group}" in tools for group in groups):
        return True
    annotations = tool.tool.annotations if tool else UNANNOTATED
    return annotations.complete and annotations.reach is not Reach.EXTERNAL and f"effect:{annotations.effect}" in tools


def covers_resource(pattern: str, resource: str) -> bool:
    """Whether a pattern of a scope has a resource: `*` is any text, and what ends with `/` a folder with all in it."""
    if pattern.endswith("/"):
        return resource.startswith(pattern) or resource == pattern[:-1]
    return matches(resource, pattern)


def _undeclared_destination(inputs: Inputs, tool: CompiledTool | None, scope: Scope) -> str | None:
    annotations = tool.tool.annotations if tool else UNANNOTATED
    reads_inside = annotations.effect is ToolEffect.READ and annotations.reach is not Reach.EXTERNAL
    if scope.destinations is None or reads_inside:
        return None
    for _name, parts in choices(inputs.request, tool):
        for _, role, value in parts:
            text = text_of(value)
            if role is not Role.AMOUNT and text.strip() and not known(text, scope.destinations):
                return text
    return None


def check_budgets(inputs: Inputs, tool: CompiledTool | None) -> tuple[TaskState, ...]:
    """Every budget of the chain holds once this call is counted; the chain as it then is.

    A sub-task's spending is its parents' spending too.
    """
    after = []
    for state in inputs.chain:
        try:
            spent = spend(state.spent, inputs.request, state.task.budgets.amounts, inputs.decision)
            overrun = None
            if state.task.budgets.rates:
                groups = tool.tool.groups if tool else ()
                spent, overrun = spend_rates(spent, state.task.budgets.rates, inputs.request, groups, inputs.now)
        except NotAnAmount:
            raise Refusal(Reason.MALFORMED_ARGUMENTS, NO_NUMBER) from None
        problem = exceeded(state, spent) or (overrun.words(inputs.now) if overrun is not None else None)
        if problem:
            raise Refusal(Reason.BUDGET_EXHAUSTED, f"task `{state.task.id}`: {problem}")
        after.append(TaskState(state.task, spent))
    return tuple(after)


def check_account(inputs: Inputs, bundle: CompiledBundle, tool: CompiledTool | None) -> Spent | None:
    """The agent stays within its rates over all its tasks; what it has then spent, None where nothing bounds it."""
    if not bundle.agent_rates:
        return None
    groups = tool.tool.groups if tool else ()
    try:
        after, overrun = account_after(inputs.account, bundle.agent_rates, inputs.request, groups, inputs.now, inputs.decision)
    except NotAnAmount:
        raise Refusal(Reason.MALFORMED_ARGUMENTS, NO_NUMBER) from None
    if overrun is not None:
        raise Refusal(Reason.BUDGET_EXHAUSTED, f"agent `{inputs.request.subject.id}`: {overrun.words(inputs.now)}")
    return after


def check_delegation(inputs: Inputs) -> None:
    """An agent delegates only within a task of its own, and whoever delegated may still act."""
    above = inputs.chain[1:]
    # INVARIANT (delegation only narrows): who may not act has nothing to delegate.
    for state, agent in zip(above, inputs.delegators, strict=True) if above else ():
        if agent is None or agent.status is not AgentStatus.ACTIVE:
            message = f"agent `{state.task.agent}`, whose task this was delegated from, may not act: its owner can resume it"
            raise Refusal(Reason.AGENT_INACTIVE, message)
    if inputs.request.action == AGENT_DELEGATE and not inputs.chain:
        raise Refusal(Reason.TASK_REQUIRED, "delegation needs a task to narrow: open one first")
