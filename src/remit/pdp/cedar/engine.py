"""The boundary to the Cedar engine: parsed handles in, answers out, every fault of the engine a denial."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from cedarpy import _internal, pst

from remit.model.errors import malformed
from remit.model.identity import EntityRef
from remit.pdp.answer import EngineAnswer
from remit.pdp.cedar.scopes import ACTION

__all__ = [
    "END_OF_INPUT",
    "CompiledPolicies",
    "Entities",
    "RequestUids",
    "Schema",
    "Uid",
    "compile_policies",
    "entities_handle",
    "evaluate",
    "parse_complaint",
    "parse_schema",
    "pst",
    "read_answer",
    "request_uids",
    "syntax_trees",
    "validation_errors",
]

Entities: TypeAlias = _internal.Entities
Schema: TypeAlias = _internal.Schema
Uid: TypeAlias = Mapping[str, str]
RequestUids: TypeAlias = tuple[Uid, Uid, Uid]
"""Principal, action and resource as `{"type", "id"}`: the one form in which an id may hold any character."""

POSITIONAL = "policy"
"""The engine names the n-th policy of a text `policy<n>`, from 0, templates counted."""

END_OF_INPUT = "unexpected end of input"

MAX_BRACKETS = 64
MAX_OPERATORS = 500
_OPERATORS = ("&&", "||", "-", "+", "*", ".", "[", "if", "when", "unless")
_SHAPE = re.compile(
    r'//[^\n\r]*|"(?:\\.|[^"\\])*"|(?P<operator>&&|\|\||[-+*.[]|\b(?:if|when|unless)\b)|(?P<open>[({])|(?P<close>[)\]}])|;',
    re.DOTALL,
)

MAX_PARTS = 10_000
_QUIET = re.compile(r'//[^\n\r]*|"(?:\\.|[^"\\])*"', re.DOTALL)
_ANGLE = re.compile("[<>]")
_ALIAS = re.compile(r"\btype\s+(\w+)\s*=([^;]*);")
_WORD = re.compile(r"\w+")

_ERROR = re.compile(r"error while evaluating policy `policy(\d+)`: (.*)", re.DOTALL)


class CompiledPolicies(msgspec.Struct, frozen=True):
    """Policies parsed once; `ids[n]` is ours for the engine's `policy<n>`."""

    ids: tuple[str, ...]
    handle: _internal.PolicySet


class _Diagnostics(msgspec.Struct):
    reason: list[str] = []
    errors: list[str] = []


class _Answer(msgspec.Struct):
    decision: str
    diagnostics: _Diagnostics


_decode = msgspec.json.Decoder(_Answer).decode


def compile_policies(ids: Sequence[str], texts: Sequence[str]) -> CompiledPolicies:
    """Parse statements, one per id and none of them a template, into a handle.

    Text beats `PolicySet.from_pst` and `from_json_str` by a factor of two to three. Raises `RemitError`
    (malformed) if the texts do not parse into as many policies.
    """
    try:
        handle = _parse(texts)
    except ValueError as error:
        raise malformed(f"policies do not parse: {error}") from None
    if not len(handle) == len(ids) == len(texts):
        raise malformed(f"{len(texts)} statements parse into {len(handle)} policies: link templates first")
    return CompiledPolicies(tuple(ids), handle)


def request_uids(principal: EntityRef, action: str, resource: EntityRef) -> RequestUids:
    """The entity part of a request, worth keeping for as long as it repeats."""
    return (
        {"type": principal.type, "id": principal.id},
        {"type": ACTION, "id": action},
        {"type": resource.type, "id": resource.id},
    )


def evaluate(policies: CompiledPolicies, uids: RequestUids, context_json: str | bytes, entities: Entities) -> EngineAnswer:
    """Ask Cedar; never raises for anything the engine or its input does wrong.

    `context_json` is a JSON object in Cedar's form, UTF-8 if bytes. This calls the extension below cedarpy's
    public functions, which spend as long again on writing and reading JSON; cedarpy is pinned, and a test
    holds both to the same answers.
    """
    # INVARIANT (fail closed): whatever is not a well-formed answer is a denial with an error.
    try:
        context = context_json if isinstance(context_json, str) else context_json.decode()
        principal, action, resource = uids
        request = {"principal": principal, "action": action, "resource": resource, "context": context}
        [text] = _internal.is_authorized_batch([request], policies.handle, entities, None, False)
        return read_answer(text, policies.ids)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as fault:  # a panic in the engine (pyo3's PanicException) is no Exception
        return _failed(f"the engine failed: {type(fault).__name__}: {fault}")


def _failed(*errors: str) -> EngineAnswer:
    return EngineAnswer(False, (), errors)


def read_answer(text: str, ids: tuple[str, ...]) -> EngineAnswer:
    """The engine's answer, a JSON text, with our ids in place of its own.

    Raises `ValueError` or `IndexError` if it has another shape or names a policy that is not there.
    """
    answer = _decode(text)
    found = answer.diagnostics
    if answer.decision not in ("Allow", "Deny"):
        return _failed(*(found.errors or [f"the engine decided `{answer.decision}`"]))
    # Sorted, because the engine's own order is that of a hash map.
    reasons = tuple(sorted([_restore(name, ids) for name in found.reason]))
    allowed = answer.decision == "Allow"
    if not found.errors:
        return EngineAnswer(allowed, reasons, ())
    faults = [_restore_error(error, ids) for error in found.errors]
    errors = tuple(sorted([error for error, _ in faults]))
    policies = tuple(sorted([name for _, name in faults if name is not None]))
    return EngineAnswer(allowed, reasons, errors, policies)


def _restore(name: str, ids: tuple[str, ...]) -> str:
    return ids[int(name.removeprefix(POSITIONAL))]


def _restore_error(error: str, ids: tuple[str, ...]) -> tuple[str, str | None]:
    known = _ERROR.fullmatch(error)
    if known is None:
        return error, None
    name = ids[int(known[1])]
    return f"error while evaluating policy `{name}`: {known[2]}", name


def _parse(statements: Sequence[str]) -> _internal.PolicySet:
    for statement in statements:
        _refuse_deep(statement)
    return _internal.PolicySet.from_str("\n".join(statements))


def _refuse_deep(text: str) -> None:
    """Raise `ValueError` for brackets or operators in numbers that may overflow the engine's stack.

    That kills the process: cedarpy 4.12.2 does it at 700 nested brackets or 1,500 chained operators on 8 MB.
    """
    if sum(map(text.count, "([{")) <= MAX_BRACKETS and sum(map(text.count, _OPERATORS)) <= MAX_OPERATORS:
        return
    depth = operators = 0
    for found in _SHAPE.finditer(text):
        match found.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth = max(depth - 1, 0)
            case "operator":  # an index chains like a dot, and opens a bracket
                operators += 1
                depth += found[0] == "["
            case _ if found[0] == ";":
                operators = 0
        if depth > MAX_BRACKETS:
            raise ValueError(f"brackets nest deeper than {MAX_BRACKETS} levels: split the policy")
        if operators > MAX_OPERATORS:
            raise ValueError(f"one statement has more than {MAX_OPERATORS} operators: split the policy")


def _refuse_large_types(text: str) -> None:
    """Raise `ValueError` for types of a schema that nest or grow without bound: `Set<Set<…`, or names that each stand for two others."""
    depth = 0
    for found in _ANGLE.finditer(text):
        depth = max(depth + (1 if found[0] == "<" else -1), 0)
        if depth > MAX_BRACKETS:
            raise ValueError(f"types nest deeper than {MAX_BRACKETS} levels: declare entities")
    named = {name: _WORD.findall(body) for name, body in _ALIAS.findall(text)}
    sizes: dict[str, int] = {}
    for name in named:
        if _type_size(name, named, sizes, 0) > MAX_PARTS:
            raise ValueError(f"type `{name}` has more than {MAX_PARTS} parts, or stands for itself: declare entities")


def _type_size(name: str, named: Mapping[str, Sequence[str]], sizes: dict[str, int], depth: int) -> int:
    """How many names a type comes to once every name in it is replaced by what it stands for."""
    if name not in sizes:
        parts = named.get(name, ())
        deeper = depth <= MAX_BRACKETS
        sizes[name] = 1 + sum(_type_size(part, named, sizes, depth + 1) for part in parts) if deeper else MAX_PARTS + 1
    return sizes[name]


def entities_handle(documents: Sequence[Mapping[str, Any]]) -> Entities:
    """Parse entities: each `{"uid": {"type", "id"}, "attrs": {…}, "parents": [uid, …]}`, and `tags` if any.

    Costs 3 to 30 µs per entity, so keep the handle for as long as its content repeats. Raises `RemitError`
    (malformed) for what Cedar cannot hold: null, floats, integers beyond 64 bits, two different entities with
    one uid, a cycle of parents.
    """
    try:
        return _internal.Entities.from_json_str(msgspec.json.encode(documents).decode())
    except (TypeError, ValueError, RecursionError) as error:
        raise malformed(f"entities do not parse: {error}") from None


def parse_schema(text: str, source: str) -> Schema:
    """Parse a schema in Cedar's own syntax. Raises `RemitError` (malformed) naming `source`."""
    try:
        _refuse_deep(text)
        _refuse_large_types(_QUIET.sub(" ", text))
        return Schema.from_str(text)
    except ValueError as error:
        raise malformed(f"schema `{source}` does not parse: {error}") from None


def syntax_trees(statements: Sequence[str]) -> list[pst.Template]:
    """The policies and templates of some statements as typed trees, in their order.

    Raises `ValueError` with the engine's words, which say what but never where.
    """
    trees = _parse(statements).to_pst()
    found = {**trees.static_policies, **trees.templates}
    return [found[f"{POSITIONAL}{position}"] for position in range(len(found))]


def parse_complaint(text: str) -> str:
    """What the engine says against a text: empty if it parses, `END_OF_INPUT` if more could make it right."""
    try:
        _parse([text])
    except ValueError as error:
        return str(error)
    return ""


def validation_errors(texts: Sequence[str], schema: Schema) -> list[tuple[int, str]]:
    """What the schema says against policies or templates, each as (position in `texts`, message).

    Raises `RemitError` (malformed) if they do not parse.
    """
    raw = _internal.validate_policies("\n".join(texts), schema)
    found: list[tuple[int, str]] = []
    for error in msgspec.json.decode(raw)["errors"]:
        name, message = error["policy_id"], error["error"]
        if not name:
            raise malformed(f"policies cannot be validated: {message}")
        found.append((int(name.removeprefix(POSITIONAL)), message.removeprefix(f"for policy `{name}`, ")))
    return found
