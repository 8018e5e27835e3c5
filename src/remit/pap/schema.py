"""The Cedar schema that policies are checked against: ours, what a bundle adds to it, and one tool's arguments."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from remit.model.request import (
    AGENT_DELEGATE,
    FILE_DELETE,
    FILE_READ,
    FILE_WRITE,
    MODEL_INVOKE,
    NET_REQUEST,
    SESSION_DECLASSIFY,
    TOOL_CALL,
)
from remit.pdp.cedar.engine import Entities, Schema, parse_schema
from remit.pdp.compiled import EntityDocument

SCHEMA_FILE = "schema.cedarschema"
NO_ARGUMENTS = NO_FACTS = "{}"

_TYPES = {
    "Group": "entity Group in [Group];",
    "User": "entity User in [Group];",
    "ToolGroup": "entity ToolGroup in [ToolGroup];",
    "Folder": "entity Folder in [Folder];",
    "Domain": "entity Domain in [Domain];",
}
"""The types whose entities only a bundle knows: its schema may declare them itself, with attributes."""

_BASE = """
type SessionContext = {
  confidentiality: String, confidentialityRank: Long, untrusted: Bool, sources: Set<String>,
  calls: Long, denials: Long, used: Set<String>, firstUse: Bool
};
type HistoryContext = {
  calls: Long, callsOfTool: Long, used: Set<String>, effects: Set<String>, groups: Set<String>,
  confidentiality: String, confidentialityRank: Long, untrusted: Bool
};
type TaskContext = {
  id: String, type: String, purpose: String, purposeTrusted: Bool, onBehalfOf: User, opener: User, depth: Long,
  history: HistoryContext
};
type FlowContext = {
  intended: Set<String>, known: Set<String>, trusted: Set<String>, granted: Set<String>, named: Set<String>, records: Set<String>,
  linked: Set<String>, documents: Set<String>, steered: Set<String>, unknown: Set<String>,
  receivers: Set<String>, objects: Set<String>, credentials: Set<String>, amounts: Set<String>, asked: Bool, links: Set<String>
};
type ApprovalContext = { granted: Bool, approver: String };

entity Agent in [Group] { owner: User, purpose: String, status: String };
entity Tool in [ToolGroup] {
  effect: String, reach: String, sensitivity: String, sensitivityRank: Long, annotated: Bool, outputTrusted: Bool
};
entity File in [Folder] { sensitivity: String, sensitivityRank: Long, reach: String };
entity Host in [Domain] { sensitivity: String, sensitivityRank: Long, reach: String };
entity Session;
entity Model { sensitivity: String, sensitivityRank: Long, reach: String };

action "any";
action "file" in ["any"];
"""

_CONTEXT = """tier: String, tierRank: Long, ownerState: String, session: SessionContext, task?: TaskContext,
    flow: FlowContext, approval: ApprovalContext, now: datetime, facts: FactsContext"""

_ACTIONS = (
    (FILE_READ, "file", "File", "{ path: String, size?: Long }"),
    (FILE_WRITE, "file", "File", "{ path: String, size?: Long }"),
    (FILE_DELETE, "file", "File", "{ path: String, size?: Long }"),
    (NET_REQUEST, "any", "Host", "{ url: String, method: String, size?: Long }"),
    (MODEL_INVOKE, "any", "Model", "{ model: String, tokens?: Long }"),
    (AGENT_DELEGATE, "any", "Agent", "{ purpose: String }"),
    (SESSION_DECLASSIFY, "any", "Session", "{ confidentiality?: String, sources?: Set<String>, why: String, by?: String }"),
)

_QUIET = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"')
_INNERMOST = re.compile(r"\{[^{}]*\}")
_DECLARED = re.compile(r"\bentity\s+(\w+(?:\s*,\s*\w+)*)")
_ACTION = re.compile(
    r'^action "([^"\\]*)"(?: in \[(.*)\])?(?:;$| appliesTo \{\n  principal: \[(.*)\],\n  resource: \[(.*)\],$)', re.MULTILINE
)
_GROUP = re.compile(r'Action::"([^"\\]*)"')
_NAMESPACE = re.compile(r"^namespace ([\w:]+) \{$|^( *)entity (\w+)|^\}$", re.MULTILINE)


def schema_text(own: str, arguments: str | None = NO_ARGUMENTS, others: bool = True, facts: str = NO_FACTS) -> str:
    """The whole schema: ours without the types that `own` declares itself, then `own`; `facts` is the record of facts.

    `arguments` is the record of `tool.call`; None leaves that action known, but applicable to nothing, as
    `others=False` does with all our other actions: policies are then checked against the rest alone, and the
    schema is read in a fraction of the time.
    """
    declared = _declared(own)
    types = [text for name, text in _TYPES.items() if name not in declared]
    actions = [_tool_call(arguments), *(_action(*parts, applies=others) for parts in _ACTIONS)]
    return "\n".join([*types, _BASE, f"type FactsContext = {facts};", *actions, own])


def _tool_call(arguments: str | None) -> str:
    return _action(TOOL_CALL, "any", "Tool", arguments or NO_ARGUMENTS, applies=arguments is not None)


def _action(name: str, group: str, resource: str, arguments: str, applies: bool) -> str:
    head = f'action "{name}" in ["{group}"]'
    if not applies:
        return f"{head};"
    context = f"args: {arguments}, {_CONTEXT}"
    return f"{head} appliesTo {{ principal: [Agent], resource: [{resource}], context: {{ {context} }} }};"


def _declared(own: str) -> frozenset[str]:
    """The entity types declared outside of namespaces."""
    text = _QUIET.sub("", own)
    while (outer := _INNERMOST.sub(";", text)) != text:
        text = outer
    return frozenset(name for names in _DECLARED.findall(text) for name in re.split(r"\s*,\s*", names))


def parse(own: str, arguments: str | None = NO_ARGUMENTS, others: bool = True, facts: str = NO_FACTS) -> Schema:
    """`schema_text`, parsed. Raises `RemitError` (malformed) if `own`, or it and ours together, cannot be."""
    return parse_schema(schema_text(own, arguments, others, facts), SCHEMA_FILE)


class Vocabulary(msgspec.Struct, frozen=True):
    """The names a schema defines.

    `actions` can be asked for, `groups` only hold other actions; each with every action above it. `resources` are the types that each
    action is asked for on, `principals` those that ask for it, `types` all entity types.
    """

    actions: Mapping[str, tuple[str, ...]]
    resources: Mapping[str, tuple[str, ...]]
    principals: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    types: frozenset[str]


def vocabulary(schema: Schema) -> Vocabulary:
    """What a schema defines, read from the engine's own rendering of it.

    Actions of a namespace cannot be asked for and are left out.
    """
    text = str(schema)
    parents: dict[str, list[str]] = {}
    asked: dict[str, tuple[str, ...]] = {}
    askers: dict[str, tuple[str, ...]] = {}
    for name, groups, principals, resources in _ACTION.findall(text):
        parents[name] = _GROUP.findall(groups)
        if resources:
            asked[name], askers[name] = tuple(resources.split(", ")), tuple(principals.split(", "))
    above = {name: _above(name, parents) for name in parents}
    return Vocabulary(
        {name: above[name] for name in sorted(asked)},
        asked,
        askers,
        {name: above[name] for name in sorted(above.keys() - asked.keys())},
        _types(text),
    )


def _above(name: str, parents: Mapping[str, list[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting = list(parents.get(name, ()))
    while waiting:
        group = waiting.pop(0)
        if group not in found:
            found[group] = None
            waiting.extend(parents.get(group, ()))
    return tuple(found)


def _types(text: str) -> frozenset[str]:
    types, namespace = set(), ""
    for found in _NAMESPACE.finditer(text):
        if found[1]:
            namespace = f"{found[1]}::"
        elif found[3]:
            types.add(f"{namespace if found[2] else ''}{found[3]}")
        else:
            namespace = ""
    return frozenset(types)


_STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "Tool": {
        "effect": "",
        "reach": "",
        "sensitivity": "",
        "sensitivityRank": 0,
        "annotated": True,
        "outputTrusted": True,
    },
    **{name: {"sensitivity": "", "sensitivityRank": 0, "reach": ""} for name in ("File", "Host", "Model")},
    "Agent": {"owner": {"__entity": {"type": "User", "id": ""}}, "purpose": "", "status": ""},
}


def entity_problem(schema: Schema, entity: EntityDocument) -> str:
    """What the schema has against an entity of `entities.yaml`, or nothing; computed attributes are taken as there."""
    attributes = {**_STAND_INS.get(entity.ref.type, {}), **entity.attributes}
    document = {
        "uid": {"type": entity.ref.type, "id": entity.ref.id},
        "attrs": attributes,
        "parents": [{"type": parent.type, "id": parent.id} for parent in entity.parents],
    }
    try:
        Entities.from_json_str(json.dumps([document]), schema)
    except ValueError as fault:
        return f"entity `{entity.ref}` does not fit the schema: {fault}"
    return ""
