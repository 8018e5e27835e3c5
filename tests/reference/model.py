"""The rules of combination, written down small and naively: the whole policy text, no slices, no memo, nothing of `remit.pdp`.

Cedar's answer over all policies + the checks before it + labels and flows + approvals ⇒ what is decided and what it changes.
Production must agree on all of it (`test_reference.py`).
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import cedarpy

from remit.model.identity import Agent, EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.request import EvaluationRequest
from remit.model.task import Scope, Session, TaskState
from remit.model.tool import Tool

APPLIES_TO = {"tool.call": "Tool", "file.read": "File", "net.request": "Host"}
OF_ACTION = {"file.read": ("read", "internal"), "net.request": ("send", "external")}
OBLIGATIONS = {"deadline", "limit-result", "notify", "redact-result"}
ORIGINS = ("intent", "directory", "trusted", "nowhere", "untrusted")
"""From best to worst."""
FLOWS = {"intended": "intent", "known": "directory", "trusted": "trusted", "unknown": "nowhere", "steered": "untrusted"}
SHADOWED = {"no-permit", "forbidden", "approval-required", "outside-scope", "budget-exhausted", "policy-error", "unrepresentable-argument"}
SECOND = 1_000_000


@dataclass(frozen=True)
class Rule:
    """One statement. `reads` are the argument paths its condition can read (None: all); `flow`: whether it asks where values come from."""

    id: str
    effect: str
    scope: str
    condition: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[tuple[str, ...], ...] | None = ()
    flow: bool = False

    @property
    def text(self) -> str:
        notes = "".join(f'@{name}("{value}") ' for name, value in {"id": self.id, **self.annotations}.items())
        return f"{notes}{self.effect} ({self.scope}) {self.condition};"


@dataclass(frozen=True, repr=False)
class Catalogue:
    """What a bundle says besides its policies. `classes` are (pattern, sensitivity, trusted) of files."""

    tools: Mapping[str, Tool]
    classes: tuple[tuple[str, Confidentiality, bool], ...]
    parents: Mapping[EntityRef, tuple[EntityRef, ...]]
    directory: tuple[str, ...]
    task_free: tuple[str, ...]

    def __repr__(self) -> str:
        return "the pool's"


@dataclass(frozen=True)
class Case:
    """Everything a decision is made from. `seen` are outputs as (source, untrusted, text)."""

    rules: tuple[Rule, ...]
    catalogue: Catalogue
    shadow: bool
    request: EvaluationRequest
    agent: Agent | None
    chain: tuple[TaskState, ...]
    complete: bool
    session: Session | None
    seen: tuple[tuple[str, bool, str], ...]
    now: int
    latest: int
    grant: Any = None


@dataclass(frozen=True)
class Answer:
    """What is decided; `label` to `seen` is the session afterwards, `spent` (calls, tools, amounts) of each task of the chain."""

    effect: str
    reason: str
    enforced: bool = True
    requestable: str | None = None
    approval: str | None = None
    obligations: tuple[tuple[str, str, str], ...] = ()
    session: tuple[Label, Label, dict[str, int], int, int] | None = None
    spent: tuple[tuple[int, dict[str, int], dict[str, int]], ...] = ()


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
    free = any(matches(entry, f"{request.action} {resource.id}" if " " in entry else request.action) for entry in case.catalogue.task_free)
    schema = (tool.schema or {}) if tool else {}
    foreign = set(request.arguments.values) - set(schema.get("properties", {})) if schema.get("additionalProperties") is False else set()
    for failed, reason in (
        (lambda: request.malformed, "malformed-arguments"),
        (lambda: not normal(resource), "malformed-request"),
        (lambda: case.agent is None or request.subject != EntityRef("Agent", case.agent.id), "agent-unknown"),
        (lambda: case.agent is not None and case.agent.status != "active", "agent-inactive"),
        (lambda: request.action in APPLIES_TO and APPLIES_TO[request.action] != resource.type, "malformed-request"),
        (lambda: request.action not in APPLIES_TO, "unknown-action"),
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


def matches(pattern: str, text: str) -> bool:
    """`*` is any text; the pool has no other wildcards."""
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL))


def tool_of(case: Case) -> Tool | None:
    return case.catalogue.tools.get(case.request.resource.id) if case.request.action == "tool.call" else None


def counted(request: EvaluationRequest) -> str:
    return request.resource.id if request.action == "tool.call" else request.action


def class_of(case: Case) -> tuple[Confidentiality | None, bool]:
    found = (known[1:] for known in case.catalogue.classes if case.request.resource.type == "File" and matches(known[0], case.request.resource.id))
    return next(found, (None, False))


def sensitivity(case: Case) -> Confidentiality:
    tool = tool_of(case)
    known = tool.annotations.sensitivity if tool else None
    return (known if case.request.action == "tool.call" else class_of(case)[0]) or Confidentiality.INTERNAL


def worst(case: Case) -> Label:
    """The most a call can have touched: unknown sensitivity is internal, unknown origin untrusted."""
    tool = tool_of(case)
    trusted = bool(tool and tool.annotations.output_trusted) if case.request.action == "tool.call" else class_of(case)[1]
    return Label(sensitivity(case), () if trusted else (case.request.resource.id,))


def tier(case: Case) -> int:
    """0 to 3, as the table of DESIGN §6 has it."""
    tool = tool_of(case)
    effect, reach, declared = None, None, None
    if case.request.action == "tool.call":
        if tool is not None:
            effect, reach, declared = tool.annotations.effect, tool.annotations.reach, tool.annotations.tier
    else:
        effect, reach = OF_ACTION[case.request.action]  # type: ignore[assignment]
    if effect is None or reach is None:
        rank = 2
    else:
        public, restricted = sensitivity(case).rank == 0, sensitivity(case).rank == 3
        rank = {
            "read": 2 if restricted else 0 if public else 1,
            "write": {"workspace": 1, "production": 3}.get(reach, 2),
            "delete": 2 if reach == "workspace" else 3,
            "send": 3 if reach == "production" else 2,
            "spend": 3 if reach == "production" else 2,
            "execute": 3,
            "grant": 3,
        }[effect]
    rank = max(rank, declared.rank if declared else 0)
    if case.session and case.session.reached.confidentiality.rank == 3 and effect != "read":
        rank = min(rank + 1, 3)
    return rank


def outside(case: Case, scope: Scope) -> bool:
    """Whether the action lies outside of what one task declared."""
    tool, name = tool_of(case), case.request.resource.id
    if case.request.action == "tool.call":
        groups = {f"group:{group}" for group in (tool.groups if tool else ())}
        if scope.tools is not None and not ({name} | groups) & set(scope.tools):
            return True
        if scope.destinations is not None and (tool is None or tool.annotations.effect != "read"):
            parts = [part for _, value in authority(case) for part in scalars(value) if part.strip()]
            if not all(listed(part, scope.destinations) for part in parts):
                return True
    elif scope.resources is not None and not any(
        name.startswith(pattern) or name == pattern[:-1] if pattern.endswith("/") else matches(pattern, name) for pattern in scope.resources
    ):
        return True
    return scope.confidentiality is not None and sensitivity(case).rank > scope.confidentiality.rank


def authority(case: Case) -> list[tuple[str, Any]]:
    """The arguments that choose where something goes, with their values."""
    if case.request.action != "tool.call":
        return [("resource", case.request.resource.id)]
    tool, values = tool_of(case), case.request.arguments.values
    notes = tool.annotations if tool else None
    names = list(notes.destinations) if notes else []
    if notes is None or notes.effect is None or notes.reach is None or (not names and notes.effect != "read"):
        names = [name for name in values if not (notes and name in notes.content)]
    return [(name, values[name]) for name in names if values.get(name) is not None]


def scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if not re.fullmatch("[a-z][A-Za-z_]{0,31}", name):
                yield name
            yield from scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item)
    elif value is not None and not isinstance(value, bool):
        yield value if isinstance(value, str) else repr(value)


def plain(text: str) -> str:
    return " ".join(re.sub("[A-Z]", lambda found: found[0].lower(), text).split())


def listed(value: str, names: tuple[str, ...]) -> bool:
    """A known principal, or a plain address of a known `@domain`."""
    value = plain(value)
    return any(
        value == plain(name) or (name.startswith("@") and bool(re.fullmatch(r"[\w.+-]+" + re.escape(plain(name)), value))) for name in names
    )


def flows(case: Case) -> list[tuple[str, str]]:
    """Each argument that chooses something, with the origin of its worst part."""
    intent = [plain(state.task.purpose) for state in case.chain if state.task.purpose_trusted]
    unknown = "untrusted" if case.session and any(label.untrusted for label in case.session.pending.values()) else "nowhere"

    def origin(part: str) -> str:
        if not part.strip() or any(holds(text, plain(part)) for text in intent):
            return "intent"
        if listed(part, case.catalogue.directory):
            return "directory"
        for _, untrusted, text in case.seen:
            if holds(" ".join(text.casefold().split()), " ".join(part.casefold().split())) if untrusted else holds(plain(text), plain(part)):
                return "untrusted" if untrusted else "trusted"
        return unknown

    return [(name, max([origin(part) for part in scalars(value)], key=ORIGINS.index, default="intent")) for name, value in authority(case)]


def holds(text: str, part: str) -> bool:
    """Whether a text has a part as a whole word."""
    ahead = r"(?<![^\W_])" if part[0].isalnum() else ""
    behind = r"(?![^\W_])" if part[-1].isalnum() else ""
    return bool(re.search(f"{ahead}{re.escape(part)}{behind}", text))


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
    if over or any(tools.get(k, 0) > n for k, n in budgets.tools.items()) or any(amounts.get(k, 0) > n for k, n in budgets.amounts.items()):
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
    shown = flows(case) if any(rule.flow or rule.reads is None for rule in matching) else []
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
    try:
        duties = obligations(lifted_by, notes)
    except No:
        lifted = False
    if not rules <= {"one", "four-eyes"} or not lifted or errs:
        raise No("forbidden")
    rule = "four-eyes" if "four-eyes" in rules or tier(case) == 3 else "one"
    grant, reached = case.grant, case.session.reached if case.session else PUBLIC_TRUSTED
    if (
        grant is not None
        and reached.within(grant.label)
        and [(s.argument, s.origin) for s in grant.steering] == shown
        and tuple((o.type, o.argument, o.policy) for o in grant.obligations) == duties
        and (grant.rule == "four-eyes" or rule == "one")
    ):
        return Answer("permit", "permitted", approval=grant.id, obligations=duties, spent=spent)
    return Answer("deny", "approval-required", requestable=rule, obligations=duties)


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


def uid(ref: EntityRef) -> dict[str, str]:
    return {"type": ref.type, "id": ref.id}


def entities(case: Case) -> list[dict[str, Any]]:
    """Every entity there is."""
    request, agent, tool = case.request, case.agent, tool_of(case)
    notes = tool.annotations if tool else None
    known = sensitivity(case) if (tool and tool.annotations.sensitivity) or class_of(case)[0] else None
    attributes: dict[str, Any] = {
        "sensitivity": known.value if known else "unknown", "sensitivityRank": (known or Confidentiality.INTERNAL).rank,
        "reach": notes.reach.value if notes and notes.reach else "unknown",
    }  # fmt: skip
    if request.action == "tool.call":
        attributes |= {
            "effect": notes.effect.value if notes and notes.effect else "unknown",
            "annotated": bool(notes and notes.effect and notes.reach), "outputTrusted": bool(notes and notes.output_trusted),
        }  # fmt: skip
    own = {}
    if agent is not None:
        owner = {"__entity": {"type": "User", "id": agent.owner}}
        own = {"owner": owner, "purpose": agent.purpose, "status": agent.status.value}
    above: dict[EntityRef, list[EntityRef]] = {ref: list(parents) for ref, parents in case.catalogue.parents.items()}
    above.setdefault(request.subject, []).extend(EntityRef("Group", group) for group in (agent.groups if agent else ()))
    above.setdefault(request.resource, []).extend(EntityRef("ToolGroup", group) for group in (tool.groups if tool else ()))
    for action in APPLIES_TO:
        above[EntityRef("Action", action)] = [EntityRef("Action", "file" if action == "file.read" else "any")]
    above[EntityRef("Action", "file")] = [EntityRef("Action", "any")]
    child, name = request.resource, request.resource.id
    while request.resource.type == "File" and name != "/":
        name = name.rpartition("/")[0] or "/"
        above.setdefault(child, []).append(EntityRef("Folder", name))
        child = EntityRef("Folder", name)
    while request.resource.type == "Host" and "." in name:
        name = name.partition(".")[2]
        above.setdefault(child, []).append(EntityRef("Domain", name))
        child = EntityRef("Domain", name)
    shown = {request.subject: own, request.resource: attributes}
    return [{"uid": uid(ref), "attrs": shown.get(ref, {}), "parents": [uid(parent) for parent in parents]} for ref, parents in above.items()]


def context(case: Case, approver: str | None) -> dict[str, Any]:
    """Everything a policy could read."""
    session, reached = case.session, case.session.reached if case.session else PUBLIC_TRUSTED
    properties = ((tool.schema or {}) if (tool := tool_of(case)) else {}).get("properties", {})
    arguments = {name: typed(value, properties.get(name, {}), drop=True) for name, value in case.request.arguments.values.items()}
    found = flows(case)
    whole: dict[str, Any] = {
        "args": {name: value for name, value in arguments.items() if value is not None},
        "tier": ("low", "moderate", "high", "critical")[tier(case)],
        "tierRank": tier(case),
        "session": {
            "confidentiality": reached.confidentiality.value, "confidentialityRank": reached.confidentiality.rank,
            "untrusted": reached.untrusted, "sources": list(reached.sources), "denials": session.denials if session else 0,
            "calls": sum(session.calls.values()) if session else 0, "used": sorted(session.calls) if session else [],
        },
        "flow": {name: [argument for argument, origin in found if origin == named] for name, named in FLOWS.items()},
        "approval": {"granted": approver is not None, "approver": approver or ""},
        "now": {"__extn": {"fn": "datetime", "arg": moment(case.now)}},
    }  # fmt: skip
    if case.chain:
        task = case.chain[0].task
        whole["task"] = {
            "id": task.id, "type": task.type, "purpose": task.purpose, "purposeTrusted": task.purpose_trusted, "depth": len(case.chain) - 1,
            "onBehalfOf": {"__entity": {"type": "User", "id": task.on_behalf_of}}, "opener": {"__entity": {"type": "User", "id": task.opener}},
        }  # fmt: skip
    return whole


def moment(now: int) -> str:
    from datetime import UTC, datetime, timedelta

    whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now // 1000)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole.microsecond // 1000:03d}Z"


class Unsayable(Exception):
    """A value that Cedar cannot say."""


def typed(value: Any, schema: Mapping[str, Any], drop: bool) -> Any:
    """An argument as Cedar's JSON; what cannot be said is dropped, or raises `Unsayable`."""
    try:
        if isinstance(value, dict):
            parts = {name: typed(item, {}, drop) for name, item in value.items() if item is not None}
            return {name: item for name, item in parts.items() if item is not None}
        if isinstance(value, list):
            return [said(item) for item in value]
        return said(value, schema.get("type", ""))
    except Unsayable:
        if drop:
            return None
        raise


def said(value: Any, kind: str = "") -> Any:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, list):
        return [said(item) for item in value]
    if isinstance(value, dict):
        return {name: said(item) for name, item in value.items() if item is not None}
    if value is None:
        raise Unsayable
    if isinstance(value, float) and kind == "integer" and value == int(value):
        value = int(value)
    if isinstance(value, int) and kind != "number":
        if -(2**63) <= value < 2**63:
            return value
        raise Unsayable
    exact = Fraction(repr(value)) * 10000
    if exact.denominator != 1 or not -(2**63) <= exact < 2**63:
        raise Unsayable
    return {"__extn": {"fn": "decimal", "arg": f"{Decimal(int(exact)).scaleb(-4):.4f}"}}


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
