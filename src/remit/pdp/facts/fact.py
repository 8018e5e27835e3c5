"""The noun: a fact as a bundle declares it, and made ready to be stated."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from remit.model.request import FILE_READ
from remit.model.tool import Tool, ToolEffect
from remit.pdp.arguments import ArgumentType
from remit.pdp.facts.expressions import Expression
from remit.pdp.facts.types import cedar_type, type_of, untyped

ANY = "*"
"""Stands for all facts above one, where it cannot be told which it uses."""


class Fact(msgspec.Struct, frozen=True):
    """One entry of `facts.yaml`: what `value` makes of the arguments of a call and, with `of`, of what an earlier call returned.

    `value`, `each`, `records` and both sides of `where` are JMESPath. `of` are tools; the latest output of theirs counts whose record
    has, for each left side of `where`, the value of the right side. `records` are those of an output, itself if left out; with `each`,
    one is looked for for every item. `changed_by` are the tools whose call makes an output before it out of date: if left out,
    all that do more than read and are called with a value of `where`. `refused` is asked of `error`, the words that a
    failed call ended with: where it is true, the tool refused and changed nothing.
    """

    name: str
    value: str
    schema: dict[str, Any]
    description: str = ""
    of: tuple[str, ...] = ()
    each: str = ""
    records: str = ""
    where: Mapping[str, str] = {}
    changed_by: tuple[str, ...] | None = None
    refused: str = ""


class CompiledFact(msgspec.Struct, frozen=True):
    """A fact made ready. `where` has the expressions of both sides, `of` is None for a fact over the arguments
    alone, `uses` the names of facts that it is made of."""

    name: str
    value: Expression
    type: ArgumentType
    of: frozenset[str] | None
    each: Expression | None
    records: Expression | None
    where: tuple[tuple[Expression, Expression], ...]
    changed_by: frozenset[str] | None
    refused: Expression | None
    uses: frozenset[str]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All of it that is given the arguments and other facts."""
        parts = (self.value, self.each, *(wanted for _, wanted in self.where))
        return tuple(part for part in parts if part is not None)


class FactSet(msgspec.Struct, frozen=True):
    """The facts of a bundle, in their order: one can use those above it. `readers` are the tools that only read."""

    facts: tuple[CompiledFact, ...] = ()
    declared: tuple[Fact, ...] = ()
    readers: frozenset[str] = frozenset()

    def changes(self, fact: CompiledFact, tool: str) -> bool:
        """Whether calls of a tool may make what was known out of date."""
        return tool not in self.readers if fact.changed_by is None else tool in fact.changed_by

    def needs(self, tool: str) -> bool:
        """Whether calls of a tool have a part in any fact."""
        return any(fact.of is not None and (tool in fact.of or self.changes(fact, tool)) for fact in self.facts)

    def same(self, other: "FactSet") -> bool:
        """Whether both state the same of every call: declared alike, of tools that are trusted alike."""
        sources = [fact.of for fact in self.facts] == [fact.of for fact in other.facts]
        return sources and self.declared == other.declared and self.readers == other.readers

    def gives(self, tool: str) -> bool:
        """Whether any fact is taken from what a tool returns, or asks how a call of it failed."""
        return any(
            fact.of is not None and (tool in fact.of or (fact.refused is not None and self.changes(fact, tool)))
            for fact in self.facts
        )


NO_FACTS = FactSet()


def gives_facts(tool: Tool) -> bool:
    """Whether nobody outside writes what a tool returns, or its platform keeps the fields apart."""
    return tool.annotations.output_trusted or tool.annotations.output_records


def fact_set(declared: tuple[Fact, ...], tools: Iterable[Tool]) -> FactSet:
    """The facts of a bundle made ready. Raises `NoExpression`."""
    if not declared:
        return NO_FACTS
    by_name = {tool.name: tool for tool in tools}
    # INVARIANT (fail closed): what somebody outside may have written gives no fact.
    trusted = frozenset(name for name, tool in by_name.items() if gives_facts(tool))
    ready = tuple(replace(fact, of=fact.of & trusted) if fact.of is not None else fact for fact in map(compiled, declared))
    readers = frozenset(name for name, tool in by_name.items() if tool.annotations.effect is ToolEffect.READ)
    return FactSet(ready, declared, readers | {FILE_READ})


def compiled(fact: Fact) -> CompiledFact:
    """A fact made ready. Raises `NoExpression`."""
    each = Expression(fact.each) if fact.each else None
    where = tuple((Expression(key), Expression(wanted)) for key, wanted in fact.where.items())
    value = Expression(fact.value)
    parts = [value, *([each] if each else []), *(wanted for _, wanted in where)]
    uses = frozenset(path[1] if len(path) > 1 else ANY for part in parts for path in part.paths if path[0] == "facts")
    return CompiledFact(
        fact.name,
        value,
        type_of(fact.schema),
        frozenset(fact.of) if fact.of else None,
        each,
        Expression(fact.records) if fact.records else None,
        where,
        frozenset(fact.changed_by) if fact.changed_by is not None else None,
        Expression(fact.refused) if fact.refused else None,
        uses,
    )


def facts_type(facts: Iterable[Fact]) -> str:
    """The Cedar record of what can be stated: every fact may be absent. Those without one type, which no bundle may have, are left out."""
    types = [(fact.name, type_of(fact.schema)) for fact in facts]
    return "{" + ", ".join(f"{name}?: {cedar_type(known)}" for name, known in types if not untyped(known)) + "}"
