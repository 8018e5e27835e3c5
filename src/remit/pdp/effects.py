"""What a decision and an outcome change in session and budgets: pure steps from one state to the next."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from msgspec.structs import replace

from remit.model.identity import DecisionId
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Amount, Session, Spent, TaskState, next_version

MAX_PENDING = 128
"""A session tells so many calls under way apart; beyond that it keeps the worst of them all for good, as of one that never ends."""
UNTOLD = DecisionId("(untold)")
_PUBLIC = Confidentiality.PUBLIC


class NotAnAmount(Exception):
    """A budgeted argument that is not a number that can be added up."""


def amount_of(value: Any) -> Amount:
    """A numeric argument in ten-thousandths, rounded up. Raises `NotAnAmount` for text that is no number, and below zero."""
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0 or number > 10**15:
        raise NotAnAmount
    scaled = number * 10000
    return Amount(int(scaled) + (scaled != int(scaled)))


def counted_as(action: str, resource: str) -> str:
    """The name that counters and budgets know a call by: the tool's, or the action's where the resource is no tool."""
    return resource if action == TOOL_CALL else action


def spend(spent: Spent, request: EvaluationRequest, watched: Mapping[str, Amount], decision: DecisionId) -> Spent:
    """What has been spent once this request is permitted; only arguments that a budget watches are added up.

    Raises `NotAnAmount` if a watched argument is there and cannot be added up.
    """
    name = counted_as(request.action, request.resource.id)
    tools = {**spent.tools, name: spent.tools.get(name, 0) + 1}
    amounts = spent.amounts
    for key in watched:
        tool, _, argument = key.rpartition(".")
        if tool == name and request.arguments.values.get(argument) is not None:
            sum_ = amounts.get(key, 0) + amount_of(request.arguments.values[argument])
            amounts = {**amounts, key: Amount(sum_)}
    return Spent(
        spent.calls + 1,
        tools,
        amounts,
        next_version(spent.version, decision),
        spent.flows,
        spent.history,
        spent.rates,
        spent.raised,
        spent.tainted,
        spent.lowered,
    )


def flows_used(state: TaskState, used: Iterable[str]) -> TaskState:
    """The task once a permit has used these data-flow grants (`task#number`), each once; those of other tasks are none of its."""
    flows = dict(state.spent.flows)
    for name in used:
        task, _, number = name.rpartition("#")
        if task == state.task.id:
            flows[int(number)] = flows.get(int(number), 0) + 1
    return TaskState(state.task, replace(state.spent, flows=flows)) if flows != state.spent.flows else state


def exceeded(state: TaskState, after: Spent) -> str | None:
    """The first budget that `after` would overrun, in words, or None."""
    budgets = state.task.budgets
    if budgets.calls is not None and after.calls > budgets.calls:
        return f"its {budgets.calls} calls are used up"
    for tool, limit in budgets.tools.items():
        if after.tools.get(tool, 0) > limit:
            return f"its {limit} calls of `{tool}` are used up"
    for key, bound in budgets.amounts.items():
        if after.amounts.get(key, 0) > bound:
            used = state.spent.amounts.get(key, 0)
            return f"`{key}` would exceed its budget of {bound / 10000:g} ({used / 10000:g} spent)"
    return None


def session_after_permit(session: Session, decision: DecisionId, request: EvaluationRequest, worst: Label, now: int) -> Session:
    """The session once the call is permitted: counted, and carrying the worst the call can touch until its outcome says less."""
    # INVARIANT (labels come from what was touched): the worst case joins at permit, a report can only make it precise.
    name = counted_as(request.action, request.resource.id)
    calls = {**session.calls, name: session.calls.get(name, 0) + 1}
    pending = session.pending if worst.within(session.label) else with_pending(session.pending, decision, worst)
    seen, version = now if now > session.seen else session.seen, next_version(session.version, decision)
    tainting = 1 if worst.sources else 0
    touching = 1 if tainting or worst.confidentiality is not _PUBLIC else 0
    return Session(
        session.id,
        session.task,
        session.agent,
        session.label,
        pending,
        calls,
        session.denials,
        seen,
        version,
        session.unreported + touching,
        session.tainting + tainting,
        session.touches + touching,
        session.forgiven,
        session.settled,
        session.tainted + tainting,
        session.heard,
        session.awaits,
    )


def with_pending(pending: Mapping[DecisionId, Label], decision: DecisionId, worst: Label) -> dict[DecisionId, Label]:
    """The calls under way, and one more that can touch `worst`."""
    if len(pending) < MAX_PENDING:
        return {**pending, decision: worst}
    # INVARIANT (fail closed): nobody waits for outcomes of ever more calls; those that are not told apart count as never seen.
    for other in pending.values():
        worst = worst.join(other)
    return {UNTOLD: worst}


def session_after_deny(session: Session, decision: DecisionId, now: int) -> Session:
    """The session once the call is denied: counted apart, for denied attempts are not use."""
    version = next_version(session.version, decision)
    return replace(session, denials=session.denials + 1, seen=max(now, session.seen), version=version)


class Closed(NamedTuple):
    """A permit whose outcome is known: what its call can have touched at worst, whether its session counts it among those that it waits
    for (older stores did not count), and whether among those that can bring back what is untrusted."""

    decision: DecisionId
    worst: Label
    counted: bool = True
    tainting: bool = False

    @classmethod
    def of(cls, decision: DecisionId, own: Label, on_memory: bool, counted: bool = True) -> "Closed":
        """The permit of a call of which this is known at its permit; in a memory, others may have written what it reads."""
        tainting = own.untrusted or on_memory
        return cls(decision, own, counted and (tainting or own != PUBLIC_TRUSTED), tainting)


def session_after_outcome(session: Session, permit: Closed, touched: Label | None, now: int) -> Session:
    """The session once the outcome is known: what the call really touched joins, its worst case goes.

    `touched` is None where the door could not see the result: then the worst case stands.
    """
    # INVARIANT (labels come from what was touched): the worst is the permit's, whether or not the label covered it when it was given.
    label = session.label.join(permit.worst if touched is None else touched)
    pending = session.pending
    if permit.decision in pending:
        pending = {key: value for key, value in pending.items() if key != permit.decision}
    seen = max(now, session.seen)
    return replace(
        session,
        label=label,
        pending=pending,
        seen=seen,
        version=next_version(session.version, f"outcome of {permit.decision}: {label} {seen}"),
        unreported=max(0, session.unreported - permit.counted),
        tainting=max(0, session.tainting - (permit.counted and permit.tainting)),
    )


def waits_for_untrusted(session: Session) -> bool:
    """Whether a call is under way that can bring back what is untrusted."""
    return session.tainting > 0 or (bool(session.pending) and any(label.untrusted for label in session.pending.values()))
