"""Policies as a bundle holds them: Cedar statements with an id, a place, their scope and what they read."""

import dataclasses
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Literal, TypeAlias

import msgspec

from remit.model.errors import ErrorKind, RemitError, malformed
from remit.model.identity import EntityRef
from remit.pdp.cedar.engine import (
    END_OF_INPUT,
    Schema,
    parse_complaint,
    pst,
    syntax_trees,
    validation_errors,
)
from remit.pdp.cedar.reads import ReadSet, entity_ref, reads_of
from remit.pdp.cedar.scopes import ANY, Constraint, PolicyScope, Relation

# Cedar's own lexical rules: cedar-policy/cedar, cedar-policy-core/src/parser/grammar.lalrpop.
_STRING_COMMENT_END = re.compile(r'//[^\n\r]*|"(?:\\.|[^"\\])*"|;', re.DOTALL)
_STRING_COMMENT_SLOT = re.compile(r'//[^\n\r]*|"(?:\\.|[^"\\])*"|\?principal|\?resource', re.DOTALL)
_TRIVIA = re.compile(r"(?:\s|//[^\n\r]*)*")
_TOKEN = re.compile(r'\s+|//[^\n\r]*|"(?:\\.|[^"\\])*"|\w+|&&|\|\||[=!<>]=|::|.', re.DOTALL)
_AT_ONCE = 100
_NAMED = re.compile(r"`([^`]+)`|: (\S+)$")

_Party: TypeAlias = pst.PrincipalOrResourceConstraint


class Policy(msgspec.Struct, frozen=True, gc=False):
    """One statement: `source` and `line` (from 1) say where it starts, `text` leaves out comments around it.

    A template decides nothing until it is linked; its scope has `ANY` where a slot is.
    """

    id: str
    source: str
    line: int
    effect: Literal["permit", "forbid"]
    annotations: Mapping[str, str]
    is_template: bool
    scope: PolicyScope
    reads: ReadSet
    text: str

    @property
    def place(self) -> str:
        """Where the policy stands, for messages."""
        return f"`{self.source}` line {self.line}"


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a file of policies; `line` counts from 1."""

    source: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"`{self.source}` line {self.line}: {self.problem}"


class PolicyError(RemitError):
    """Policies that cannot be used, and every reason why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(ErrorKind.MALFORMED, "\n".join(map(str, faults)))
        self.faults = tuple(faults)


class _Statement(msgspec.Struct, frozen=True, gc=False):
    line: int
    text: str


def parse_policies(text: str, source: str) -> tuple[Policy, ...]:
    """Read the policies and templates of one file.

    A policy is named by its `@id`, or else `<source stem>.<n>` with n its number in the file, from 1. Raises
    `PolicyError` for what does not parse, an empty `@id`, an id used twice.
    """
    statements = list(_statements(text))
    stem = PurePath(source).stem
    policies = [
        _policy(tree, statement, source, tree.annotations.get("id", f"{stem}.{number}"))
        for number, (tree, statement) in enumerate(zip(_trees(statements, source), statements, strict=True), 1)
    ]
    check_ids(policies)
    return tuple(policies)


def check_ids(policies: Iterable[Policy]) -> None:
    """Raise `PolicyError` where an id is empty or names two policies, saying both places."""
    first: dict[str, Policy] = {}
    faults = []
    for policy in policies:
        other = first.setdefault(policy.id, policy)
        if not policy.id:
            problem = "`@id` is empty: give the policy a name or remove it"
        elif other is not policy:
            problem = f"policy id `{policy.id}` is used by {other.place} too: give one of them another `@id`"
        else:
            continue
        faults.append(Fault(policy.source, policy.line, problem))
    if faults:
        raise PolicyError(faults)


def link(template: Policy, new_id: str, principal: EntityRef | None = None, resource: EntityRef | None = None) -> Policy:
    """The policy that a template becomes with its slots filled; Cedar has slots in scopes only.

    It keeps the template's place and annotations. Raises `RemitError` (malformed) if a slot is left open, a
    value has no slot, or a type is no Cedar name.
    """
    if not template.is_template:
        raise malformed(f"policy `{template.id}` at {template.place} has no slot: only a template can be linked")
    if not new_id:
        raise malformed(f"a link of template `{template.id}` has no id: name it")
    [tree] = syntax_trees([template.text])
    filled = dataclasses.replace(
        tree,
        principal=_fill(template, "principal", tree.principal, principal),
        resource=_fill(template, "resource", tree.resource, resource),
    )
    values = {"?principal": principal, "?resource": resource}
    text = _STRING_COMMENT_SLOT.sub(lambda found: str(values.get(found[0], found[0])), template.text)
    # INVARIANT (one parser decides): the text means the filled tree, whatever a type or an id holds.
    if parse_complaint(text) or syntax_trees([text]) != [filled]:
        named = " and ".join(f"`{value}`" for value in values.values() if value)
        raise malformed(f"template `{template.id}` cannot be linked to {named}: give types as Cedar names them")
    return _policy(filled, _Statement(template.line, text), template.source, new_id)


def validate(policies: Sequence[Policy], schema: Schema) -> list[tuple[str, str]]:
    """What a schema says against policies and templates, as (policy id, message); empty if it accepts."""
    found = validation_errors([policy.text for policy in policies], schema)
    return [(policies[position].id, message) for position, message in found]


def _statements(text: str) -> Iterator[_Statement]:
    """Cut at every `;` outside strings and comments: Cedar has it nowhere but at the end of a statement."""
    line, counted = 1, 0
    start = _skip(text, 0)
    for found in _STRING_COMMENT_END.finditer(text):
        if found[0] == ";":
            line, counted = line + text.count("\n", counted, start), start
            yield _Statement(line, text[start : found.end()])
            start = _skip(text, found.end())
    if start < len(text):
        yield _Statement(line + text.count("\n", counted, start), text[start:])


def _trees(statements: Sequence[_Statement], source: str) -> Iterator[pst.Template]:
    """The trees of statements, a few at a time: trees of 10,000 policies at once take 200 MB."""
    for first in range(0, len(statements), _AT_ONCE):
        some = statements[first : first + _AT_ONCE]
        try:
            trees = syntax_trees([statement.text for statement in some])
        except ValueError as error:
            raise PolicyError(_faults(statements, source, str(error))) from None
        # INVARIANT (one parser decides): our cut and the engine's must be the same statements.
        if len(trees) != len(some):
            raise malformed(f"`{source}` has {len(some)} statements, the engine sees {len(trees)}: check its strings")
        yield from trees


def _skip(text: str, start: int) -> int:
    found = _TRIVIA.match(text, start)
    return found.end() if found else start


def _policy(tree: pst.Template, statement: _Statement, source: str, name: str) -> Policy:
    return Policy(
        id=name,
        source=source,
        line=statement.line,
        effect=tree.effect,
        annotations=dict(tree.annotations),
        is_template=isinstance(_entity(tree.principal), pst.Slot) or isinstance(_entity(tree.resource), pst.Slot),
        scope=_scope(tree),
        reads=reads_of(tree.clauses),
        text=statement.text,
    )


def _scope(tree: pst.Template) -> PolicyScope:
    actions: tuple[Constraint, ...]
    match tree.action:
        case pst.ActionEq(entity=uid):
            actions = (Constraint(Relation.EQUAL, "", entity_ref(uid)),)
        case pst.ActionIn(entities=uids):
            actions = tuple(Constraint(Relation.IN, "", entity_ref(uid)) for uid in uids)
        case _:
            actions = (ANY,)
    return PolicyScope(_constraint(tree.principal), actions, _constraint(tree.resource))


def _constraint(constraint: _Party) -> Constraint:
    match constraint:
        case pst.ScopeEq(entity=pst.EntityUid() as uid):
            return Constraint(Relation.EQUAL, "", entity_ref(uid))
        case pst.ScopeIn(entity=pst.EntityUid() as uid):
            return Constraint(Relation.IN, "", entity_ref(uid))
        case pst.ScopeIsIn(entity_type=entity_type, entity=pst.EntityUid() as uid):
            return Constraint(Relation.IS_IN, str(entity_type), entity_ref(uid))
        case pst.ScopeIs(entity_type=entity_type):
            return Constraint(Relation.IS, str(entity_type))
        case _:
            return ANY


def _entity(constraint: _Party) -> pst.EntityOrSlot | None:
    return None if isinstance(constraint, pst.ScopeAny | pst.ScopeIs) else constraint.entity


def _fill(template: Policy, slot: str, constraint: _Party, value: EntityRef | None) -> _Party:
    has_slot = isinstance(_entity(constraint), pst.Slot)
    if has_slot != (value is not None):
        wrong = "needs a value" if has_slot else "takes no value"
        raise malformed(f"`?{slot}` of template `{template.id}` at {template.place} {wrong}: give exactly its slots")
    if value is None or isinstance(constraint, pst.ScopeAny | pst.ScopeIs):
        return constraint
    *namespace, basename = value.type.split("::")
    uid = pst.EntityUid(pst.EntityType(basename, tuple(namespace)), value.id)
    return dataclasses.replace(constraint, entity=uid)


def _faults(statements: Sequence[_Statement], source: str, whole: str) -> list[Fault]:
    """Which statements are wrong, and where in them: the engine's messages have no positions."""
    faults = []
    for statement in statements:
        problem = parse_complaint(statement.text) or _tree_complaint(statement.text)
        if problem == END_OF_INPUT:
            faults.append(Fault(source, statement.line, f"{problem}: close its brackets and end it with `;`"))
        elif problem:
            line = statement.line + statement.text.count("\n", 0, _offset(statement.text, problem))
            faults.append(Fault(source, line, problem))
    return faults or [Fault(source, 1, whole)]


def _tree_complaint(text: str) -> str:
    try:
        syntax_trees([text])
    except ValueError as error:
        return f"{error}: split the policy, or compare with a set by `contains`"
    return ""


def _offset(statement: str, problem: str) -> int:
    """Where in a statement a problem is.

    At the first token with which the beginning is no longer merely unfinished; for a problem that the engine
    finds only in the complete statement, at the text its message quotes.
    """
    tokens = list(_TOKEN.finditer(statement))
    ends = [token.end() for token in tokens]
    broken = bisect_left(ends, True, key=lambda end: parse_complaint(statement[:end]) != END_OF_INPUT)
    if broken < len(ends) - 1:
        return tokens[broken].start()
    named = _NAMED.search(problem)
    name = (named[1] or named[2]) if named else ""
    whole_token = next((token.start() for token in tokens if token[0] == name), -1)
    return whole_token if whole_token >= 0 else max(statement.find(name), 0)
