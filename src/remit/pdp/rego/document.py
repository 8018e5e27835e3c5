"""The input document that Rego policies are shown: subject, action, resource and context, in AuthZEN's terms and plain JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from remit.model.identity import EntityRef
from remit.model.task import TaskState
from remit.pdp.arguments import UNTYPED, ArgumentType
from remit.pdp.cedar.reads import WHOLE, Node, project
from remit.pdp.compiled import CompiledBundle, CompiledTool, EntityDocument
from remit.pdp.entities import ancestors
from remit.pdp.flow import ORIGINS, ROLES
from remit.pdp.history import HISTORY

VOCABULARY: Mapping[str, Any] = {
    "subject": {"type": {}, "id": {}, "ancestors": None, "properties": {"owner": None, "purpose": {}, "status": {}}},
    "action": {"name": {}, "ancestors": None},
    "resource": {"type": {}, "id": {}, "ancestors": None, "properties": None},
    "context": {
        "args": None,
        "tier": {},
        "tierRank": {},
        "ownerState": {},
        "now": {},
        "session": {
            "confidentiality": {},
            "confidentialityRank": {},
            "untrusted": {},
            "sources": None,
            "calls": {},
            "denials": {},
            "used": None,
            "firstUse": {},
        },
        "task": {
            "id": {},
            "type": {},
            "purpose": {},
            "purposeTrusted": {},
            "onBehalfOf": {"type": {}, "id": {}, "ancestors": None, "properties": None},
            "opener": {"type": {}, "id": {}, "ancestors": None, "properties": None},
            "depth": {},
            "history": {**{name: {} for name in HISTORY}, **dict.fromkeys(("used", "effects", "groups"))},
        },
        "flow": {**dict.fromkeys((*ORIGINS, *ROLES)), "asked": {}, "links": None},
        "approval": {"granted": {}, "approver": {}},
        "facts": None,
    },
}
"""Every name that policies can read; below `None`, names are the deployment's own."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def view_of(bundle: CompiledBundle, document: EntityDocument) -> dict[str, Any]:
    """An entity as policies see it: `ancestors` are the ids of all entities it is in, by type; references have type and id alone."""
    above: dict[str, list[str]] = {}
    for ref in sorted(ancestors(bundle, document.parents)):
        above.setdefault(ref.type, []).append(ref.id)
    properties = {name: plain(value) for name, value in document.attributes.items()}
    return {"type": document.ref.type, "id": document.ref.id, "ancestors": above, "properties": properties}


def parties(
    bundle: CompiledBundle, principal: EntityDocument, action: EntityDocument, resource: EntityDocument
) -> dict[str, Any]:
    """Everything of a document but its context."""
    act = view_of(bundle, action)
    return {
        "subject": view_of(bundle, principal),
        "action": {"name": act["id"], "ancestors": act["ancestors"].get("Action", [])},
        "resource": view_of(bundle, resource),
    }


def document_bytes(tree: Node, document: Mapping[str, Any]) -> bytes:
    """The part of the document that policies can read, as canonical JSON: equal bytes mean that they see equal documents."""
    return _encode(project(tree, document))


def task_view(bundle: CompiledBundle, context: Mapping[str, Any], chain: tuple[TaskState, ...]) -> dict[str, Any]:
    """What the context says of the task, the people in it as whole entities."""
    people = {"onBehalfOf": chain[0].task.on_behalf_of, "opener": chain[0].task.opener}
    return {**context, **{name: _person(bundle, person) for name, person in people.items() if name in context}}


def _person(bundle: CompiledBundle, name: str) -> dict[str, Any]:
    ref = EntityRef("User", name)
    return view_of(bundle, bundle.entities.get(ref) or EntityDocument(ref))


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "any": lambda _value: True,
}


def ill_typed(read: Node, values: Mapping[str, Any], tool: CompiledTool | None) -> str | None:
    """The first argument that policies read and that is not as the tool's schema says: missing though required, or of another type.

    Rego takes what is missing for a rule that does not hold, and compares numbers with text without a word.
    """
    # INVARIANT (fail closed): where Cedar would err, so must this.
    types = (tool.types if tool else UNTYPED).root
    return _ill_typed(read, values, types, "")


def _ill_typed(read: Node, values: Mapping[str, Any], types: ArgumentType, within: str) -> str | None:
    for name, expected in types.fields.items():
        if not (read.whole or name in read.children):
            continue
        value, place = values.get(name), within + name
        if value is None:
            if name in types.required and not expected.nullable:
                return f"argument `{place}` is missing, and a policy reads it"
        elif wrong := _misfit(read.at(name), value, expected, place):
            return wrong
    return None


def _misfit(read: Node, value: Any, expected: ArgumentType, place: str) -> str | None:
    if not _FITS[expected.kind](value):
        if expected.kind == "integer" and isinstance(value, float) and value.is_integer():
            return None
        return f"argument `{place}` is no {expected.kind}, and a policy reads it"
    if expected.kind == "object":
        return _ill_typed(read, value, expected, f"{place}.")
    if expected.kind == "array" and expected.items is not None:
        items = (_misfit(WHOLE, item, expected.items, f"{place}[{number}]") for number, item in enumerate(value))
        return next((wrong for wrong in items if wrong), None)
    return None


def plain(value: Any) -> Any:
    """A value in Cedar's JSON form as Rego takes it: references by type and id, numbers as numbers, times and addresses as text."""
    if isinstance(value, dict):
        entity, extension = value.get("__entity"), value.get("__extn")
        if isinstance(entity, dict):
            return {"type": entity["type"], "id": entity["id"]}
        if isinstance(extension, dict):
            return _number(extension["arg"]) if extension["fn"] == "decimal" else extension["arg"]
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _number(text: str) -> float | int:
    whole, _, part = text.partition(".")
    return float(text) if part.strip("0") else int(whole)


def misordered(compared: Iterable[tuple[tuple[str, ...], str]], document: Mapping[str, Any]) -> str | None:
    """The first value whose order Rego in this process would get wrong: one that is not of the kind it is compared with."""
    # INVARIANT (fail closed): regopy puts text below numbers, OPA above; a limit must not hold for what is no number.
    for path, kind in compared:
        for value in _at(path, document):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number if kind == "number" else isinstance(value, str) and kind == "text"):
                return f"`input.{'.'.join(path)}` is compared with {kind or 'what has no order'} and is none"
    return None


def _at(path: Sequence[str], value: Any) -> Iterator[Any]:
    if not path:
        yield value
    elif path[0] == "*":
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _at(path[1:], item)
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(path[1:], value[path[0]])
