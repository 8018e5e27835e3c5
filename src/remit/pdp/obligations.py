"""Obligations and approver rules, as policy annotations ask for them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from remit.model.decision import ApproverRule, Obligation
from remit.model.identity import Agent, AgentId
from remit.model.obligations import KNOWN_OBLIGATIONS
from remit.model.person import folded
from remit.model.request import TASK_OPEN
from remit.model.task import TaskState

OBLIGATION = "obligation"
REQUESTABLE = "requestable"
_RULES = frozenset(rule.value for rule in ApproverRule)


class UnknownObligation(Exception):
    """An annotation that asks for something no enforcement point understands."""


def obligations_of(policies: Iterable[str], annotations: Mapping[str, Mapping[str, str]]) -> tuple[Obligation, ...]:
    """What the permits that decided ask of the enforcement point; each `@obligation` may hold several, separated by `;`.

    Raises `UnknownObligation` naming the type and the policy.
    """
    # INVARIANT (fail closed): an obligation that is not understood turns the permit into a denial.
    asked: dict[Obligation, None] = {}
    for policy in policies:
        for text in annotations.get(policy, {}).get(OBLIGATION, "").split(";"):
            if not text.strip():
                continue
            kind, _, argument = text.strip().partition(":")
            if kind not in KNOWN_OBLIGATIONS:
                raise UnknownObligation(f"`{kind}` (asked by policy `{policy}`)")
            asked[Obligation(kind, argument.strip(), policy)] = None
    return tuple(asked)


def approver_rule(policies: Iterable[str], annotations: Mapping[str, Mapping[str, str]]) -> ApproverRule | None:
    """Who could lift a denial: the strictest rule of the forbids that decided, or None if any of them cannot be lifted."""
    strictest: ApproverRule | None = None
    for policy in policies:
        asked = annotations.get(policy, {}).get(REQUESTABLE)
        if asked not in _RULES:
            return None
        strictest = ApproverRule(asked).and_(strictest or ApproverRule.ONE)
    return strictest


def owners_of(agent: Agent | None, delegators: Iterable[Agent | None] = ()) -> tuple[str, ...]:
    """Who owns an agent, and those that delegated to it, as far as they are registered."""
    return tuple([known.owner for known in (agent, *delegators) if known is not None])


def parts_in(action: str, arguments: Mapping[str, Any], find: Callable[[AgentId], Agent | None]) -> tuple[str, ...]:
    """Who has a part in the task that is to be opened: whom it is for, and who owns its agent; nobody in any other action."""
    if action != TASK_OPEN:
        return ()
    agent, whom = arguments.get("agent"), arguments.get("on_behalf_of")
    owners = owners_of(find(AgentId(agent))) if isinstance(agent, str) else ()
    return (*owners, whom) if isinstance(whom, str) and whom else owners


def barred(
    approver: str,
    rule: ApproverRule,
    agent: AgentId,
    owners: Iterable[str],
    chain: Iterable[TaskState],
    also: Collection[str] = (),
) -> str:
    """Why a person may not approve what an agent asks for in a task (`chain`: it and those it was delegated from); empty if they may.
    `owners` are those of the agent and of the agents that delegated to it, and who has a part in a task that is to be opened; `also` are
    other names of the approver (folded)."""
    # INVARIANT (an approval is for one exact action): four eyes are never the requester's, nor the agent's owner's alone.
    names = {folded(approver), *also}
    if folded(agent) in names:
        return "an agent cannot approve its own action"
    involved = {folded(person) for state in chain for person in (state.task.opener, state.task.on_behalf_of)}
    involved.update(map(folded, owners))
    if rule.covers(ApproverRule.FOUR_EYES) and not names.isdisjoint(involved):
        eyes = "four eyes" if rule is ApproverRule.FOUR_EYES else "two people who have no part in it"
        return (
            f"this needs {eyes}: `{approver}` opened the task, is whom it is for, or owns the agent or one that delegated to it; ask"
            " somebody else"
        )
    return ""
