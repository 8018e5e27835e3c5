"""Checks of facts: where they come from, what they read, their types, and whether policies know them."""

import re
from collections.abc import Collection, Iterator

from remit.model.request import TOOL_CALL
from remit.pap.checks.context import Checking
from remit.pap.checks.types import unknown_fact
from remit.pap.problems import Problem, did_you_mean, error, warning
from remit.pap.reading.files import FACTS_FILE
from remit.pdp.arguments import ArgumentType
from remit.pdp.cedar.reads import Node
from remit.pdp.facts.expressions import Expression
from remit.pdp.facts.fact import Fact
from remit.pdp.facts.types import type_of, untyped
from remit.pdp.flow import keeps_records

_OVER_ARGUMENTS = ("args", "facts")
_OVER_ONE = ("args", "facts", "call", "output", "record")
_OVER_EACH = ("args", "facts", "found")
_OVER_RECORD = ("call", "output", "record")


def fact_problems(checking: Checking) -> Iterator[Problem]:
    """What is wrong with `facts.yaml`, and with what policies read of it."""
    facts = checking.contents.facts
    for position, fact in enumerate(facts):
        place = checking.place(FACTS_FILE, position)
        above = [other.name for other in facts[:position]]
        if fact.name in above:
            yield error(place, "duplicate", f"fact `{fact.name}` stands twice", "keep one")
        if wrong := untyped(type_of(fact.schema)):
            message = f"`{wrong}` of fact `{fact.name}` has no one type"
            yield error(place, "fact-schema", message, "declare every part of it by `type`, `properties`, `items`")
        for tool in (*fact.of, *(fact.changed_by or ())):
            yield from _tool(checking, fact, tool, position)
        for text, known in _expressions(fact):
            expression = Expression(text)
            for fault in expression.faults:
                message = f"`{text[:100]}` of fact `{fact.name}` never has a value: {fault}"
                yield error(place, "fact-function", message, "see https://jmespath.org/specification.html#built-in-functions")
            yield from _names(checking, fact, expression, known, above, place)
    yield from _read(checking)
    yield from _fails_open(checking)


def _tool(checking: Checking, fact: Fact, name: str, position: int) -> Iterator[Problem]:
    place = checking.place(FACTS_FILE, position)
    known = {tool.name: tool for tool in checking.contents.tools}
    if name not in known:
        yield error(
            place, "unknown-tool", f"fact `{fact.name}` names tool `{name}`, which there is not", did_you_mean(name, known)
        )
    elif name in fact.of and not (known[name].annotations.output_trusted or keeps_records(checking.compiled, TOOL_CALL, name)):
        message = f"fact `{fact.name}` is taken from tool `{name}`, whose output somebody outside may have written"
        hint = "if nobody can, say `output_trusted: true`, or `output_records: true` if its platform keeps the fields, in `tools.yaml`"
        if known[name].annotations.output_records:
            hint = "records are not believed where an argument names a path or an address, or the tool reaches outside"
        yield error(place, "fact-untrusted", message, hint)


def _expressions(fact: Fact) -> Iterator[tuple[str, Collection[str]]]:
    """Each expression, and what it is given."""
    if not fact.of:
        yield fact.value, _OVER_ARGUMENTS
        return
    yield fact.value, _OVER_EACH if fact.each else _OVER_ONE
    if fact.each:
        yield fact.each, _OVER_ARGUMENTS
    if fact.records:
        yield fact.records, ("call", "output")
    if fact.refused:
        yield fact.refused, ("error",)
    for left, right in fact.where.items():
        yield left, _OVER_RECORD
        yield right, (*_OVER_ARGUMENTS, "item") if fact.each else _OVER_ARGUMENTS


def _names(
    checking: Checking, fact: Fact, expression: Expression, known: Collection[str], above: list[str], place: tuple[str, int]
) -> Iterator[Problem]:
    """What an expression reads that is nowhere: it would always be null, and the fact absent."""
    tools = checking.compiled.tools
    arguments = {name for tool in tools.values() for name in tool.types.root.fields}
    called = {name for tool in fact.of if tool in tools for name in tools[tool].types.root.fields}
    for path in sorted(expression.paths):
        said = f"fact `{fact.name}` reads `{'.'.join(path[:2])}`"
        if path[0] not in known:
            message = f"fact `{fact.name}` reads `{path[0]}` in `{expression.text[:100]}`, which is not given there"
            yield error(place, "fact-path", message, did_you_mean(path[0], known) or f"there is {', '.join(known)}")
        elif path[0] == "facts" and len(path) > 1 and path[1] not in above:
            yield error(place, "unknown-fact", f"{said}, which does not stand above it", did_you_mean(path[1], above))
        elif path[0] == "args" and len(path) > 1 and arguments and path[1] not in arguments:
            yield error(place, "fact-path", f"{said}, which no tool of the catalogue has", did_you_mean(path[1], arguments))
        elif path[0] == "call" and len(path) > 1 and called and path[1] not in called:
            yield error(place, "fact-path", f"{said}, which none of its tools has", did_you_mean(path[1], called))


def _read(checking: Checking) -> Iterator[Problem]:
    """Facts that policies read and nobody declared, and the other way round."""
    contents, used = checking.contents, set[str]()
    types = {fact.name: type_of(fact.schema) for fact in contents.facts}
    root = ArgumentType("object", types)
    read = [((policy.source, policy.line), f"policy `{policy.id}`", policy.reads.context) for policy in contents.policies]
    if contents.rego is not None:
        read.append(((contents.rego.modules[0], 1), "a Rego policy", contents.rego.reads.at("context")))
    for place, who, context in read:
        below = context.at("facts")
        used |= set(types) if below.whole else set(below.children)
        for path in _missing(below, root, ()):
            message = f"{who} asks for `context.facts.{'.'.join(path)}`, which no fact has: it would never be there"
            yield error(place, "unknown-fact", message, unknown_fact(".".join(path), contents.facts))
    used |= {path[1] for fact in contents.facts for text, _ in _expressions(fact) for path in _facts_in(text)}
    for position, fact in enumerate(contents.facts):
        if fact.name not in used:
            message = f"no policy reads fact `{fact.name}`"
            yield warning(checking.place(FACTS_FILE, position), "fact-unused", message, "remove it, or correct its name")


def _facts_in(text: str) -> Iterator[tuple[str, ...]]:
    yield from (path for path in Expression(text).paths if path[0] == "facts" and len(path) > 1)


def _missing(read: Node, known: ArgumentType, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths that are read, whether guarded or not, and that no declared type has."""
    if known.kind != "object":
        return
    for name, child in read.children.items():
        if name not in known.fields:
            yield (*path, name)
        else:
            yield from _missing(child, known.fields[name], (*path, name))


_QUIET = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"')
_CLAUSE = re.compile(r"\b(when|unless)\s*\{")
_HAS = re.compile(r"(!\s*\(?\s*)?\bcontext\s*\.\s*facts\s+has\s+(\w+)")


def _fails_open(checking: Checking) -> Iterator[Problem]:
    """Prohibitions that hold only where a fact is there, while nothing denies its absence: what cannot be told would be permitted."""
    forbids = [policy for policy in checking.contents.policies if policy.effect == "forbid"]
    asked = {policy.id: list(_guards(policy.text)) for policy in forbids}
    denied = {name for guards in asked.values() for name, present in guards if not present}
    for policy in forbids:
        for name in dict.fromkeys(name for name, present in asked[policy.id] if present and name not in denied):
            message = f"policy `{policy.id}` forbids only where fact `{name}` is there, and nothing denies its absence"
            hint = f"write `unless {{ context.facts has {name} && … }}` with what must hold, or forbid what lacks it by a policy of its own"
            yield warning((policy.source, policy.line), "fact-guard", message, hint)


def _guards(text: str) -> Iterator[tuple[str, bool]]:
    """The facts that a prohibition asks for by `has`, and whether it then forbids where they are (or else where they are not)."""
    quiet = _QUIET.sub(" ", text)
    clauses = list(_CLAUSE.finditer(quiet))
    ends = [clause.start() for clause in clauses[1:]] + [len(quiet)]
    for clause, end in zip(clauses, ends, strict=False):
        for found in _HAS.finditer(quiet, clause.end(), end):
            yield found[2], (clause[1] == "when") is not bool(found[1])
