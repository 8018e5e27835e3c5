"""Checks of what a bundle says beside its policies: the manifest, tools, task types, resources, entities."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remit.model.definition import is_digest
from remit.model.obligations import KNOWN_OBLIGATIONS
from remit.model.tool import Tool
from remit.pap.annotating import as_line, proposed
from remit.pap.checks.context import Checking
from remit.pap.problems import Problem, did_you_mean, error, warning
from remit.pap.reading.files import (
    ENTITIES_FILE,
    MANIFEST_FILE,
    RESOURCES_FILE,
    TASK_TYPES_FILE,
    TOOLS_FILE,
)
from remit.pap.schema import SCHEMA_FILE, entity_problem
from remit.pap.scopes import rate_faults, scope_faults
from remit.pdp.cedar.scopes import ACTION
from remit.pdp.compiled import EntityDocument, Mode
from remit.pdp.destinations import may_choose, undeclared
from remit.pdp.entities import ancestors
from remit.pdp.hints import counted
from remit.pdp.tier import tier_of_annotations

COMPUTED: Mapping[str, str] = {
    "Tool": TOOLS_FILE,
    "File": RESOURCES_FILE,
    "Host": RESOURCES_FILE,
    "Model": RESOURCES_FILE,
    "Agent": "remit agent register",
}
"""The entity types whose attributes come from elsewhere."""


def catalogue_problems(checking: Checking) -> Iterator[Problem]:
    """What is wrong with each of the YAML files."""
    yield from _manifest(checking)
    yield from _tools(checking)
    yield from _task_types(checking)
    yield from _classes(checking)
    yield from _entities(checking)


def _manifest(checking: Checking) -> Iterator[Problem]:
    manifest = checking.contents.manifest
    if not manifest.name.isprintable():
        yield error(checking.place(MANIFEST_FILE, "name"), "no-name", f"`{manifest.name!r}` is no name", "write printable text")
    for position, name in enumerate(manifest.obligations or ()):
        if name not in KNOWN_OBLIGATIONS:
            place = checking.place(MANIFEST_FILE, "obligations", position)
            message = f"no enforcement point understands obligation `{name}`"
            yield error(place, "unknown-obligation", message, did_you_mean(name, KNOWN_OBLIGATIONS))
    for position, free in enumerate(manifest.task_free):
        action = free.split(" ", 1)[0]
        if not any(mark in action for mark in "*?[") and action not in checking.names.actions:
            place = checking.place(MANIFEST_FILE, "task_free", position)
            hint = did_you_mean(action, checking.names.actions)
            yield error(place, "unknown-action", f"`{free}` names no known action", hint)
    for position, name in enumerate(manifest.request_attributed):
        if name not in checking.names.types:
            place = checking.place(MANIFEST_FILE, "request_attributed", position)
            hint = did_you_mean(name, checking.names.types)
            yield error(place, "unknown-entity-type", f"there is no entity type `{name}`", hint)
    for position, known in enumerate(manifest.directory):
        if len(known.strip()) < 2:
            place = checking.place(MANIFEST_FILE, "directory", position)
            yield error(place, "directory", f"`{known}` names no destination", "write a value, or `@domain`")
        elif known.startswith("@") and "*" in known:
            place = checking.place(MANIFEST_FILE, "directory", position)
            message = f"`{known}` never matches anything: a domain is taken as it is written, and nothing below it"
            yield warning(place, "directory", message, "write each domain out, as in `@mail.example`")
    tools = checking.compiled.tools
    groups = {group for known in tools.values() for group in known.tool.groups}
    for message, hint, path in rate_faults(tools, groups, checking.compiled.agent_rates):
        yield error(checking.place(MANIFEST_FILE, "agent_rates", path[-1]), "task-type", message, hint)
    if manifest.mode is Mode.SHADOW:
        message = "the bundle is in shadow mode: its denials are logged and not enforced"
        yield warning(checking.place(MANIFEST_FILE, "mode"), "shadow", message)


def _tools(checking: Checking) -> Iterator[Problem]:
    names = [tool.name for tool in checking.contents.tools]
    yield from _twice(checking, TOOLS_FILE, "tool", names)
    for position, tool in enumerate(checking.contents.tools):
        place = checking.place
        if not tool.name.strip() or not tool.name.isprintable():
            message = f"`{tool.name!r}` is no name of a tool"
            yield error(place(TOOLS_FILE, position), "tool-name", message, "write printable text")
        if not tool.annotations.complete:
            tier = tier_of_annotations(counted(tool)).value
            message = f"tool `{tool.name}` is not fully annotated: it is taken as {tier}, its arguments as destinations"
            yield warning(place(TOOLS_FILE, position), "unannotated", message, _annotating(tool))
        if tool.definition and not is_digest(tool.definition):
            message = f"the pinned definition of tool `{tool.name}` is no SHA-256 in 64 hex digits: no server's will be that"
            yield warning(place(TOOLS_FILE, position, "definition"), "tool-definition", message, "pin it with `remit policy pin`")
        yield from _tool_schema(checking, position, tool)


def _annotating(tool: Tool) -> str:
    found = proposed(tool)
    if found is None:
        return "say its `effect` and its `reach`; neither its name nor its description says what it does"
    told = "a proposal, from what it says of itself and to be read before it is used"
    return f"say its `effect` and its `reach` ({told}: `{as_line(found)}`)"


def _tool_schema(checking: Checking, position: int, tool: Tool) -> Iterator[Problem]:
    schema = tool.schema
    if schema is None:
        return
    if schema.get("type", "object") != "object":
        place = checking.place(TOOLS_FILE, position, "schema")
        message = f"the schema of tool `{tool.name}` does not describe an object"
        yield error(place, "tool-schema", message, "write `type: object` and `properties`")
        return
    for path, said in unknown_types(schema):
        place = checking.place(TOOLS_FILE, position, "schema", *path)
        message = (
            f"`{'.'.join(map(str, ('schema', *path)))}` of tool `{tool.name}` has type `{said}`, which JSON Schema does not know"
        )
        yield error(place, "tool-schema", message, did_you_mean(said, SCHEMA_TYPES))
    fields = checking.compiled.tools[tool.name].types.root.fields
    for kind, arguments in (
        ("destinations", tool.annotations.destinations),
        ("content", tool.annotations.content),
    ):
        for number, argument in enumerate(arguments):
            if argument.split(".")[0] not in fields and argument not in fields:
                place = checking.place(TOOLS_FILE, position, "annotations", kind, number)
                message = f"`{argument}` is no argument in the schema of tool `{tool.name}`"
                yield error(place, "unknown-argument", message, did_you_mean(argument, fields))
    if tool.annotations.complete and may_choose(tool.annotations):
        for argument in undeclared({name: {} for name in fields}, tool.annotations):
            place = checking.place(TOOLS_FILE, position, "annotations")
            message = f"argument `{argument}` of tool `{tool.name}` is declared neither destination nor content: it counts as a destination"
            yield warning(place, "argument-role", message, "add it to `destinations` or to `content`")


SCHEMA_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


def unknown_types(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The names that a JSON Schema gives types and that there are not, each with the place of its subschema."""
    if not isinstance(schema, dict):
        return
    said = schema.get("type", [])
    for one in said if isinstance(said, list) else [said]:
        if one not in SCHEMA_TYPES:
            yield path, str(one)[:60]
    for name in ("items", "additionalProperties"):
        yield from unknown_types(schema.get(name), (*path, name))
    for union in ("anyOf", "oneOf"):
        for number, option in enumerate(schema.get(union, [])):
            yield from unknown_types(option, (*path, union, number))
    for group in ("properties", "$defs"):
        for name, below in schema.get(group, {}).items():
            yield from unknown_types(below, (*path, group, name))


def _task_types(checking: Checking) -> Iterator[Problem]:
    kinds = checking.contents.task_types
    yield from _twice(checking, TASK_TYPES_FILE, "task type", [kind.name for kind in kinds])
    for position, kind in enumerate(kinds):
        for message, hint, path in scope_faults(checking.compiled.tools, kind.scope, kind.budgets):
            place = checking.place(TASK_TYPES_FILE, position, *path)
            yield error(place, "task-type", f"task type `{kind.name}`: {message}", hint)


def _classes(checking: Checking) -> Iterator[Problem]:
    for position, known in enumerate(checking.contents.classes):
        if known.type not in checking.names.types:
            place = checking.place(RESOURCES_FILE, position, "type")
            hint = did_you_mean(known.type, checking.names.types)
            yield error(place, "unknown-entity-type", f"there is no entity type `{known.type}`", hint)


def _entities(checking: Checking) -> Iterator[Problem]:
    entities = checking.contents.entities
    yield from _twice(checking, ENTITIES_FILE, "entity", [str(entity.ref) for entity in entities])
    for position, entity in enumerate(entities):
        problem = _entity(checking, entity)
        if problem:
            yield error(checking.place(ENTITIES_FILE, position), "entity", *problem)


def _entity(checking: Checking, entity: EntityDocument) -> tuple[str, str] | None:
    types = checking.names.types
    for kind in (entity.ref.type, *(parent.type for parent in entity.parents)):
        if kind not in types and kind != ACTION:
            return f"there is no entity type `{kind}`", did_you_mean(kind, types)
        if kind == ACTION:
            return "actions are declared in the schema, not as entities", f"write them to `{SCHEMA_FILE}`"
    if entity.ref.type in COMPUTED and entity.attributes:
        return f"the attributes of `{entity.ref}` come from `{COMPUTED[entity.ref.type]}`", "remove them here"
    if entity.ref.type == "Agent" and entity.parents:
        return f"the groups of `{entity.ref}` come from `{COMPUTED['Agent']}`", "remove them here"
    if entity.ref in ancestors(checking.compiled, entity.parents):
        return f"`{entity.ref}` is above itself", "remove one of the `parents` on the way"
    problem = entity_problem(checking.schema, entity)
    return (problem, "") if problem else None


def _twice(checking: Checking, file: str, what: str, names: Sequence[str]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if first.setdefault(name, position) != position:
            line = checking.place(file, first[name])[1]
            message = f"{what} `{name}` stands on line {line} too"
            yield error(checking.place(file, position), "duplicate", message, "keep one")
