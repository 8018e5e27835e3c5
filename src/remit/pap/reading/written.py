"""What stands in a bundle's YAML where it differs from the nouns: amounts in whole units, entities as `Type::"id"`."""

import re
from typing import Any

import msgspec

from remit.model.identity import EntityRef
from remit.model.task import Amount, Budgets, Scope
from remit.model.tool import Tool
from remit.pap.contents import Link
from remit.pdp.compiled import EntityDocument, TaskType
from remit.pdp.effects import NotAnAmount, amount_of
from remit.pdp.facts.expressions import Expression, NoExpression
from remit.pdp.facts.fact import Fact

_REFERENCE = re.compile(r'((?:\w+::)*\w+)::"((?:[^"\\]|\\["\\])*)"', re.ASCII)
_ESCAPED = re.compile(r'\\(["\\])')

_FACT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_RESERVED = frozenset({"true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"})
"""Words of Cedar's grammar."""


class Malformed(Exception):
    """An entry that has the right fields, but says nothing that can be."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def entity_ref(text: str) -> EntityRef:
    """An entity as Cedar writes it, `Type::"id"`. Raises `Malformed`."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise Malformed(f"`{text}` names no entity", 'write `Type::"id"`')
    return EntityRef(found[1], _ESCAPED.sub(r"\1", found[2]))


def checked_tool(tool: Tool) -> Tool:
    """The tool, if its schema has the form of a JSON Schema where types are read from it. Raises `Malformed`."""
    if tool.schema is not None and (wrong := _schema_fault(tool.schema, "schema")):
        raise Malformed(f"tool `{tool.name}`: {wrong}", "write a JSON Schema of the tool's arguments")
    return tool


def _schema_fault(node: Any, path: str) -> str:
    if isinstance(node, bool):
        return ""
    if not isinstance(node, dict):
        return f"`{path}` is no schema"
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return f"`{path}.required` is no list of names"
    if not isinstance(node.get("$ref", ""), str):
        return f"`{path}.$ref` is no text"
    nested = [(f"{path}.{name}", node[name]) for name in ("items", "additionalProperties") if name in node]
    for union in ("anyOf", "oneOf"):
        if not isinstance(node.get(union, []), list):
            return f"`{path}.{union}` is no list"
        nested += [(f"{path}.{union}", option) for option in node.get(union, [])]
    for group in ("properties", "$defs"):
        if not isinstance(node.get(group, {}), dict):
            return f"`{path}.{group}` is no mapping"
        nested += [(f"{path}.{group}.{name}", value) for name, value in node.get(group, {}).items()]
    return next((fault for place, value in nested if (fault := _schema_fault(value, place))), "")


class BudgetsEntry(msgspec.Struct, frozen=True):
    """Budgets as they are written: `calls`, `tools` (calls for each), and `amounts`, sums of `tool.argument` in its own unit."""

    calls: int | None = None
    tools: dict[str, int] = {}
    amounts: dict[str, int | float | str] = {}

    def noun(self) -> Budgets:
        """Budgets with amounts in ten-thousandths. Raises `Malformed` for what is below zero or no number."""
        if any(count < 0 for count in (self.calls or 0, *self.tools.values())):
            raise Malformed("a budget is below zero", "write how many calls are allowed")
        return Budgets(self.calls, self.tools, {key: _amount(key, value) for key, value in self.amounts.items()})


def _amount(key: str, value: int | float | str) -> Amount:
    if "." not in key:
        raise Malformed(f"the amount `{key}` names no argument", "write `tool.argument`")
    try:
        return amount_of(value)
    except NotAnAmount:
        raise Malformed(f"the amount `{value}` of `{key}` is no number from zero to 10^15") from None


class TaskTypeEntry(msgspec.Struct, frozen=True):
    """One entry of `task_types.yaml`: the least privilege for one kind of work.

    `seconds` is the longest a task of this type may live; `agent_may_open` lets the agent itself open one.
    """

    name: str
    description: str = ""
    scope: Scope = Scope()
    budgets: BudgetsEntry = BudgetsEntry()
    seconds: int = 3600
    agent_may_open: bool = False

    def noun(self) -> TaskType:
        """The task type. Raises `Malformed`."""
        if self.seconds <= 0:
            raise Malformed(f"task type `{self.name}` may live for {self.seconds} s", "write a number above zero")
        budgets = self.budgets.noun()
        return TaskType(self.name, self.description, self.scope, budgets, self.seconds, self.agent_may_open)


class EntityEntry(msgspec.Struct, frozen=True):
    """One entry of `entities.yaml`: `attributes` in Cedar's JSON form, `parents` as `Type::"id"`."""

    type: str
    id: str
    attributes: dict[str, Any] = {}
    parents: tuple[str, ...] = ()

    def noun(self) -> EntityDocument:
        """The entity. Raises `Malformed`."""
        parents = tuple(entity_ref(parent) for parent in self.parents)
        return EntityDocument(EntityRef(self.type, self.id), self.attributes, parents)


class FactEntry(msgspec.Struct, frozen=True):
    """One entry of `facts.yaml`; `of` is one tool or several."""

    name: str
    value: str
    schema: dict[str, Any]
    description: str = ""
    of: str | tuple[str, ...] = ()
    each: str = ""
    records: str = ""
    where: dict[str, str] = {}
    changed_by: tuple[str, ...] | None = None
    refused: str = ""

    def noun(self) -> Fact:
        """The fact. Raises `Malformed` for what cannot be evaluated."""
        of = (self.of,) if isinstance(self.of, str) else self.of
        fact = Fact(
            self.name, self.value, self.schema, self.description, of, self.each, self.records, self.where, self.changed_by,
            self.refused,
        )  # fmt: skip
        if _FACT_NAME.fullmatch(self.name) is None or self.name in _RESERVED:
            raise Malformed(f"`{self.name}` is no name of a fact", "write a letter, then letters, digits and `_`")
        looks_back = {"each": self.each, "records": self.records, "where": self.where, "changed_by": self.changed_by is not None}
        looks_back["refused"] = self.refused
        if not of and (field := next((name for name, said in looks_back.items() if said), "")):
            raise Malformed(f"fact `{self.name}` has `{field}` and is of no tool", f"name the tools by `of`, or remove `{field}`")
        if wrong := _schema_fault(self.schema, "schema"):
            raise Malformed(f"fact `{self.name}`: {wrong}", "write a JSON Schema of the fact")
        for text in (self.value, self.each, self.records, self.refused, *self.where, *self.where.values()):
            try:
                text and Expression(text)
            except NoExpression as fault:
                raise Malformed(
                    f"fact `{self.name}`: `{text[:100]}` is no JMESPath: {fault}", "see https://jmespath.org"
                ) from None
        return fact


class LinkEntry(msgspec.Struct, frozen=True):
    """One entry of `links.yaml`: the template, the new policy's id, and `Type::"id"` for each of its slots."""

    template: str
    id: str
    principal: str | None = None
    resource: str | None = None

    def noun(self) -> Link:
        """The link. Raises `Malformed`."""
        principal = entity_ref(self.principal) if self.principal is not None else None
        resource = entity_ref(self.resource) if self.resource is not None else None
        return Link(self.template, self.id, principal, resource)
