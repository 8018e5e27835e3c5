"""The rules of combination, written down small and naively: the whole policy text, no slices, no memo, nothing of `remit.pdp`.

Cedar's answer over all policies + the checks before it + labels and flows + approvals ⇒ what is decided and what it changes.
Production must agree on all of it (`test_reference.py`).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cedarpy

from remit.model.identity import EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.task import Scope, TaskState
from remit.pdp.provenance.roles import Role
from tests.reference.case import Case, Rule
from tests.reference.facts import (
    ACTIONS,
    Unsayable,
    after,
    authority,
    context,
    counted,
    entities,
    flows,
    listed,
    matches,
    sensitivity,
    tier,
    tool_of,
    typed,
    uid,
    worst,
)

OBLIGATIONS = {"deadline", "limit-result", "notify", "redact-result"}
SHADOWED = {
    "no-permit",
    "forbidden",
    "approval-required",
    "outside-scope",
    "budget-exhausted",
    "policy-error",
    "unrepresentable-argument",
}
SECOND = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What is decided; `label` to `seen` is the session afterwards, `spent` (calls, tools, amounts) of each task of the chain, `past`
    (used, effects, groups, touched) what the first of them then knows was done."""

    effect: str
    reason: str
    enforced: bool = True
    requestable: str | None = None
    approval: str | None = None
    obligations: tuple[tuple[str, str, str], ...] = ()
    session: tuple[Label, Label, dict[str, int], int, int] | None = None
    spent: tuple[tuple[int, dict[str, int], dict[str, int]], ...] = ()
    past: tuple[set[str], set[str], set[str], Label] | None = None


class No(Exception):
    """A check that failed: the reason."""


def decide(case: Case) -> Answer:
    """Decide one case, and what committing it would change."""
    try:
        check(case)
        spent = tuple(spend(case, state) for state in case.chain)
        answer = ask_policies(case, spent)
    except No as problem:
        answer = Answer("deny", str(problem))
    if answer.effect == "deny" and case.shadow and answer.reason in SHADOWED:
        answer = Answer("permit", answer.reason, enforced=False)
    session = case.session
    answer = replace(answer, past=after(case, answer.effect == "permit" and session is not None))
    if session is None or (answer.effect == "deny" and not owned(case)):
        return replace(answer, spent=answer.spent if session is not None else ())
    calls, denials = dict(session.calls), session.denials
    label, reached = session.label, session.reached
    if answer.effect == "permit":
        calls[counted(case.request)] = calls.get(counted(case.request), 0) + 1
        reached = reached.join(worst(case))
    else:
        denials += 1
    return replace(answer, session=(label, reached, calls, denials, max(case.now, session.seen)))


def check(case: Case) -> None:
    """What must hold before any policy is asked, in this order."""
    request, chain, now = case.request, case.chain, case.now
    resource, tool = request.resource, tool_of(case)
    scopes = [state.task.scope for state in chain]
    latest = max([case.latest, case.session.seen if case.session else 0, *(state.task.opened for state in chain)])
    free = any(
        matches(entry, f"{request.action} {resource.id}" if " " in entry else request.action)
        for entry in case.catalogue.task_free
    )
    schema = (tool.schema or {}) if tool else {}
    foreign = (
        set(request.arguments.values) - set(schema.get("properties", {}))
        if schema.get("additionalProperties") is False
        else set()
    )
    for failed, reason in (
        (lambda: request.malformed, "malformed-arguments"),
        (lambda: not normal(resource), "malformed-request"),
        (lambda: request.subject.type != "Agent", "subject-unknown"),
        (lambda: case.agent is None or request.subject.id != case.agent.id, "agent-unknown"),
        (lambda: case.agent is not None and case.agent.status != "active", "agent-inactive"),
        (lambda: request.action in ACTIONS and ACTIONS[request.action] != resource.type, "malformed-request"),
        (lambda: request.action not in ACTIONS, "unknown-action"),
        (lambda: now + SECOND < latest, "clock-backwards"),
        (lambda: request.task is not None and not chain, "task-unknown"),
        (lambda: not case.complete, "delegation-broken"),
        (lambda: chain and chain[0].task.agent != request.subject.id, "task-of-another"),
        (lambda: (chain or request.session is not None) and not owned(case), "session-unknown"),
        *[
            part
            for state in chain
            for part in ((lambda s=state: s.task.status != "open", "task-closed"), (lambda s=state: now >= s.task.expires, "task-expired"))
        ],
        (lambda: not chain and not free, "task-required"),
        (lambda: len(chain) > 1 and case.delegator != "active", "agent-inactive"),
        (lambda: bool(foreign), "malformed-arguments"),
        (lambda: any(outside(case, scope) for scope in scopes), "outside-scope"),
    ):  # fmt: skip
        if failed():  # type: ignore[no-untyped-call]
            raise No(reason)


def owned(case: Case) -> bool:
    session, request = case.session, case.request
    return session is not None and request.subject == EntityRef("Agent", session.agent) and session.task == request.task


def normal(resource: EntityRef) -> bool:
    """An id that means the same once resolved."""
    name = resource.id
    if not name or len(name) > 4096 or any(ord(char) < 32 or ord(char) == 127 for char in name):
        return False
    if resource.type == "File":
        return name == "/" or bool(re.fullmatch("(/[^/]+)+", name)) and not {".", ".."} & set(name.split("/"))
    return resource.type != "Host" or (name == name.lower() and not name.startswith(".") and not name.endswith("."))


def outside(case: Case, scope: Scope) -> bool:
    """Whether the action lies outside of what one task declared."""
    tool, name = tool_of(case), case.request.resource.id
    if case.request.action == "tool.call":
        groups = {f"group:{group}" for group in (tool.groups if tool else ())}
        if scope.tools is not None and not ({name} | groups) & set(scope.tools):
            return True
        if scope.destinations is not None and not (
            tool is not None and tool.annotations.effect == "read" and tool.annotations.reach != "external"
        ):
            parts = [part for _, parts in authority(case) for part, role in parts if part.strip() and role is not Role.AMOUNT]
            if not all(listed(part, scope.destinations) for part in parts):
                return True
    elif (
        scope.resources is None
        and scope.tools is not None
        or case.request.action == "net.request"
        and scope.destinations is not None
        and not listed(name, scope.destinations)
        or scope.resources is not None
        and not any(
            name.startswith(pattern) or name == pattern[:-1] if pattern.endswith("/") else matches(pattern, name)
            for pattern in scope.resources
        )
    ):
        return True
    return scope.confidentiality is not None and sensitivity(case).rank > scope.confidentiality.rank


def spend(case: Case, state: TaskState) -> tuple[int, dict[str, int], dict[str, int]]:
    """What a task has spent once the call is counted. Raises `No`."""
    name, budgets = counted(case.request), state.task.budgets
    tools, amounts = dict(state.spent.tools), dict(state.spent.amounts)
    tools[name] = tools.get(name, 0) + 1
    for key in budgets.amounts:
        value = case.request.arguments.values.get(key.split(".")[-1])
        if key.split(".")[0] == name and value is not None:
            amounts[key] = amounts.get(key, 0) + ten_thousandths(value)
    over = budgets.calls is not None and state.spent.calls + 1 > budgets.calls
    if (
        over
        or any(tools.get(k, 0) > n for k, n in budgets.tools.items())
        or any(amounts.get(k, 0) > n for k, n in budgets.amounts.items())
    ):
        raise No("budget-exhausted")
    return state.spent.calls + 1, tools, amounts


def ten_thousandths(value: Any) -> int:
    try:
        number = Fraction(repr(value) if isinstance(value, float) else "no" if isinstance(value, bool) else value)
    except (ValueError, TypeError):
        raise No("malformed-arguments") from None
    if not 0 <= number <= 10**15:
        raise No("malformed-arguments")
    return math.ceil(number * 10000)


def ask_policies(case: Case, spent: tuple[Any, ...]) -> Answer:
    """What all the policies together say, and whether an approval could change it."""
    heads = [replace(rule, effect="permit", condition="") for rule in case.rules]
    matched = engine(case, heads, {})[1]
    matching = [rule for rule in case.rules if rule.id in matched]
    check_representable(case, matching)
    shown = flows(case)  # whatever policies ask
    allowed, reasons, errs = engine(case, case.rules, context(case, None))
    if errs:
        raise No("policy-error")
    notes = {rule.id: rule.annotations for rule in case.rules}
    if allowed:
        return Answer("permit", "permitted", obligations=obligations(reasons, notes), spent=spent)
    if not reasons:
        raise No("no-permit")
    rules = {notes[name].get("requestable") for name in reasons}
    lifted, lifted_by, errs = engine(case, case.rules, context(case, case.grant.approver if case.grant else ""))
    asks_who = {rule.id for rule in matching if "approver" in rule.condition or rule.reads is None}
    up_to_who = case.grant is None and asks_who and set(lifted_by) <= asks_who
    if not rules <= set(STRICTNESS) or errs or not (lifted or up_to_who):
        raise No("forbidden")
    try:
        duties = obligations(lifted_by, notes) if lifted else ()
    except No:
        raise No("forbidden") from None
    rule = max([*rules, "four-eyes" if tier(case) == 3 else "one"], key=STRICTNESS.index)
    grant, reached = case.grant, case.session.reached if case.session else PUBLIC_TRUSTED
    if (
        grant is not None
        and reached.within(grant.label)
        and [(s.argument, s.origin) for s in grant.steering] == shown
        and ((shown_duties := obliged(grant)) == duties or asks_who and set(shown_duties) <= set(duties))
        and STRICTNESS.index(grant.rule) >= STRICTNESS.index(rule)
        and (rule != "two" or len({grant.approver, *grant.others}) == 2)
        and all(lifts(case, other, lifted_by) for other in grant.others)
    ):
        return Answer("permit", "permitted", approval=grant.id, obligations=duties, spent=spent)
    return Answer("deny", "approval-required", requestable=rule, obligations=duties)


STRICTNESS = ["one", "four-eyes", "two"]


def lifts(case: Case, approver: str, by: list[str]) -> bool:
    """Whether one more person may approve, and no other obligations come with them."""
    allowed, reasons, errs = engine(case, case.rules, context(case, approver))
    notes = {rule.id: rule.annotations for rule in case.rules}
    try:
        return allowed and not errs and obligations(reasons, notes) == obligations(by, notes)
    except No:
        return False


def obliged(grant: Any) -> tuple[tuple[str, str, str], ...]:
    return tuple((o.type, o.argument, o.policy) for o in grant.obligations)


def obligations(reasons: list[str], notes: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, str, str], ...]:
    asked = [(text.strip(), name) for name in reasons for text in notes[name].get("obligation", "").split(";") if text.strip()]
    found = [(text.partition(":")[0], text.partition(":")[2].strip(), name) for text, name in asked]
    if any(kind not in OBLIGATIONS for kind, _, _ in found):
        raise No("unknown-obligation")
    return tuple(dict.fromkeys(found))


def engine(case: Case, rules: "list[Rule] | tuple[Rule, ...]", context: dict[str, Any]) -> tuple[bool, list[str], bool]:
    """Cedar over the whole text: whether it allows, which policies determined that, and whether any of them erred."""
    request = {
        "principal": uid(case.request.subject), "action": uid(EntityRef("Action", case.request.action)),
        "resource": uid(case.request.resource), "context": context,
    }  # fmt: skip
    answer = cedarpy.is_authorized(request, "\n".join(rule.text for rule in rules), entities(case))
    found = sorted(rules[int(name.removeprefix("policy"))].id for name in answer.diagnostics.reasons)
    return bool(answer.allowed), found, bool(answer.diagnostics.errors)


def check_representable(case: Case, matching: list[Rule]) -> None:
    """A value that Cedar cannot say matters only where a policy that can match reads it. Raises `No`."""
    properties = ((tool.schema or {}) if (tool := tool_of(case)) else {}).get("properties", {})
    values = case.request.arguments.values
    for rule in matching:
        for path in [(name,) for name in values] if rule.reads is None else rule.reads:
            here: Any = values
            for step in path:
                if isinstance(here, dict):
                    here = here.get(step)
            if here is not None:
                try:
                    typed(here, properties.get(path[0], {}) if len(path) == 1 else {}, drop=False)
                except Unsayable:
                    raise No("unrepresentable-argument") from None
