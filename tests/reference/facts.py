"""What a case looks like to policies, put together naively: tier, labels, where values come from, entities, context."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from remit.model.identity import EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.request import EvaluationRequest
from remit.model.task import TaskState
from remit.model.tool import Tool
from remit.pdp.arguments import ANY, argument_types
from remit.pdp.provenance.roles import Role, is_number, parts_of, role_of, text_of, typed_parts
from remit.pdp.provenance.sums import Reckoning
from tests.reference.case import Case

ACTIONS = {"tool.call": "Tool", "file.read": "File", "net.request": "Host"}
"""What each action is asked for on."""
OF_ACTION = {"file.read": ("read", "internal"), "net.request": ("send", "external")}
ORIGINS = ("intent", "directory", "trusted", "nowhere", "untrusted")
"""From best to worst."""
FLOWS = {"intended": "intent", "known": "directory", "trusted": "trusted", "unknown": "nowhere", "steered": "untrusted"}


def matches(pattern: str, text: str) -> bool:
    """`*` is any text; the pool has no other wildcards."""
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL))


def tool_of(case: Case) -> Tool | None:
    return case.catalogue.tools.get(case.request.resource.id) if case.request.action == "tool.call" else None


def counted(request: EvaluationRequest) -> str:
    return request.resource.id if request.action == "tool.call" else request.action


def class_of(case: Case) -> tuple[Confidentiality | None, bool]:
    found = (
        known[1:]
        for known in case.catalogue.classes
        if case.request.resource.type == "File" and matches(known[0], case.request.resource.id)
    )
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


def authority(case: Case) -> list[tuple[str, list[tuple[str, Role]]]]:
    """The arguments that choose something, each with its parts and what they choose; when, how much and whether choose nothing."""
    if case.request.action != "tool.call":
        role = Role.RECEIVER if case.request.action in ("net.request", "agent.delegate") else Role.OBJECT
        return [("resource", [(case.request.resource.id, role)])]
    tool, values = tool_of(case), case.request.arguments.values
    notes = tool.annotations if tool else None
    complete = notes is not None and notes.effect is not None and notes.reach is not None
    names = list(notes.destinations) if notes else []
    if notes is None or not complete or notes.effect != "read":
        names += [name for name in values if name not in names and not (notes and name in notes.content)]
    types = argument_types(tool.schema).root.fields if tool else {}
    found = []
    for name in names:
        value = values.get(name)
        parts = []
        typed = typed_parts(name, value, types.get(name, ANY)) if complete else ((*two, ANY) for two in parts_of(name, value))
        for part, one, expected in typed:
            role = role_of(part, one, expected) if complete else Role.RECEIVER
            spends = notes is not None and notes.effect == "spend" and is_number(one)
            if isinstance(one, bool) or (role in (Role.PARAMETER, Role.PROOF) and complete and not spends):
                continue
            parts.append((text_of(one), Role.AMOUNT if role is Role.PARAMETER else role))
        if parts:
            found.append((name, parts))
    return found


def plain(text: str) -> str:
    return " ".join(re.sub("[A-Z]", lambda found: found[0].lower(), text).split())


def listed(value: str, names: tuple[str, ...]) -> bool:
    """A known principal, or a plain address of a known `@domain`."""
    value = plain(value)
    return any(
        value == plain(name) or (name.startswith("@") and bool(re.fullmatch(r"[\w.+-]+" + re.escape(plain(name)), value)))
        for name in names
    )


def flows(case: Case) -> list[tuple[str, str]]:
    """Each argument that chooses something, with the origin of its worst part."""
    intent = [plain(state.task.purpose) for state in case.chain if state.task.purpose_trusted]
    waiting = case.session and (case.session.tainting or any(label.untrusted for label in case.session.pending.values()))
    unknown = "untrusted" if waiting else "nowhere"

    def origin(part: str, role: Role) -> str:
        number = re.fullmatch(r"[-+]?\d+([.,]\d+)?", part.strip())
        if role is Role.AMOUNT:
            return amount(part)
        short = number is not None or len(re.sub(r"\W", "", part)) < 3 or (role is Role.OBJECT and len(part.strip()) < 4)
        if not part.strip() or (not short and any(names(text, plain(part)) for text in intent)):
            return "intent"
        if role is not Role.OBJECT and listed(part, case.catalogue.directory):
            return "directory"
        for _, untrusted, text in case.seen:
            if untrusted and number is None and holds(" ".join(text.casefold().split()), " ".join(part.casefold().split())):
                return "untrusted"
            if not untrusted and not short and names(plain(text), plain(part)):
                return "trusted"
        return unknown

    def amount(part: str) -> str:
        wanted = float(part)
        for text, untrusted in [(text, None) for text in intent] + [(text, untrusted) for _, untrusted, text in case.seen]:
            if wanted and any(float(number) == wanted for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text)):
                return {None: "intent", True: "untrusted", False: "trusted"}[untrusted]
        given = list(intent) + [text for _, untrusted, text in case.seen if not untrusted]
        numbers = [float(number) for text in given for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text)]
        told = any(untrusted for _, untrusted, _ in case.seen) or unknown == "untrusted"
        if not wanted or not told or Reckoning(numbers).reaches(wanted):
            return "intent"
        return unknown

    return [(name, max([origin(*part) for part in parts], key=ORIGINS.index)) for name, parts in authority(case)]


def names(text: str, part: str) -> bool:
    """Whether it is there as a name of its own, with no mark that joins it to more."""
    return bool(re.search(rf"(?<![^\W_])(?<![^\W_][-.@+%_/]){re.escape(part)}(?![^\W_])(?![-.@+%_/][^\W_])", text))


def holds(text: str, part: str) -> bool:
    """Whether a text has a part as a whole word."""
    ahead = r"(?<![^\W_])" if part[0].isalnum() else ""
    behind = r"(?![^\W_])" if part[-1].isalnum() else ""
    return bool(re.search(f"{ahead}{re.escape(part)}{behind}", text))


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
    for action in ACTIONS:
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
    return [
        {"uid": uid(ref), "attrs": shown.get(ref, {}), "parents": [uid(parent) for parent in parents]}
        for ref, parents in above.items()
    ]


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
            "firstUse": False,
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
            "history": past(case),
        }  # fmt: skip
    return whole


def past(case: Case) -> dict[str, Any]:
    """What the first task of the chain knows of all that was permitted under it."""
    spent = case.chain[-1].spent
    touched = spent.history.touched
    return {
        "calls": spent.calls, "callsOfTool": spent.tools.get(counted(case.request), 0),
        "used": list(spent.history.used), "effects": list(spent.history.effects), "groups": list(spent.history.groups),
        "confidentiality": touched.confidentiality.value, "confidentialityRank": touched.confidentiality.rank,
        "untrusted": touched.untrusted,
    }  # fmt: skip


def remembered(chain: tuple[TaskState, ...]) -> tuple[set[str], set[str], set[str], Label] | None:
    """The history that a chain has."""
    past = chain[-1].spent.history if chain else None
    return (set(past.used), set(past.effects), set(past.groups), past.touched) if past is not None else None


def after(case: Case, done: bool) -> tuple[set[str], set[str], set[str], Label] | None:
    """The history that a chain has once the call was permitted, whether or not anybody enforced what was decided."""
    before = remembered(case.chain)
    if before is None or not done:
        return before
    tool, action = tool_of(case), case.request.action
    effect, reach = OF_ACTION.get(action, (None, None))
    if tool is not None:
        effect, reach = tool.annotations.effect, tool.annotations.reach
    does = effect or "unknown"
    return (
        before[0] | {counted(case.request)},
        before[1] | {str(does), f"{does}-{reach or 'unknown'}"},
        before[2] | set(tool.groups if tool else ()),
        before[3].join(worst(case)),
    )


def moment(now: int) -> str:
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
