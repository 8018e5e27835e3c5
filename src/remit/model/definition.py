"""A tool's definition as a server lists it: one canonical form, one digest, and what differs between two."""

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgspec

from remit.model.errors import malformed
from remit.model.hints import Hints, hints_of

MAX_BYTES = 1 << 18
"""A longer definition (canonical form) is refused: no model should be told so much of one tool, and no reviewer reads it."""
MAX_DEPTH = 64
MAX_CHANGES = 100
MEMBERS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""The members of MCP's `Tool` that are its definition; others (`icons`, `_meta`) are not what a model is told of it."""
_TEXTS, _OBJECTS = MEMBERS[:3], MEMBERS[3:]
_HEX = frozenset("0123456789abcdef")


class Definition(msgspec.Struct, frozen=True, dict=True):
    """A definition that can be used: `members` are those of `MEMBERS` that are there, `canonical` their JSON by RFC 8785.

    Sorted names, no blanks, numbers as ECMAScript writes them; a member that is null counts as absent.
    """

    members: dict[str, Any]
    canonical: bytes

    @property
    def name(self) -> str:
        """The tool's name."""
        return str(self.members["name"])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hex: what `definition` pins in `tools.yaml`, and what a door reports."""
        return hashlib.sha256(self.canonical).hexdigest()

    @cached_property
    def hints(self) -> Hints:
        """What the server says of the tool."""
        return hints_of(self.members.get("annotations"))


def definition_of(tool: Any) -> Definition:
    """The definition in one member of MCP's `tools/list`. Raises `RemitError` (malformed) for what is none, or too large."""
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not tool["name"]:
        raise malformed("a tool's definition is no JSON object with a `name`: have its server corrected")
    members = {name: tool[name] for name in MEMBERS if tool.get(name) is not None}
    for name, value in members.items():
        if not isinstance(value, str if name in _TEXTS else dict):
            kind = "text" if name in _TEXTS else "JSON object"
            raise malformed(f"`{name}` of tool `{tool['name'][:100]}` is no {kind}: have its server corrected")
    try:
        canonical = "".join(_written(members, 0)).encode()
    except (UnicodeEncodeError, TypeError, ValueError) as problem:
        raise malformed(
            f"the definition of tool `{ascii(tool['name'])[1:101]}` is no JSON ({problem}): have it corrected"
        ) from None
    if len(canonical) > MAX_BYTES:
        size = f"{len(canonical)} bytes, more than {MAX_BYTES}"
        raise malformed(f"the definition of tool `{tool['name'][:100]}` takes {size}: have its server shorten it")
    made = Definition(members, canonical)
    assert made.hints is not None  # malformed ones are refused here
    return made


def is_digest(text: str) -> bool:
    """Whether this names a definition: SHA-256 in 64 lower-case hex digits."""
    return len(text) == 64 and _HEX.issuperset(text)


def _written(value: Any, depth: int) -> Iterator[str]:
    """JSON by RFC 8785; whole numbers of any size are exact, where the RFC has none beyond 2^53."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, str | bool):
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, float):
        yield _number(value)
    elif isinstance(value, dict):
        yield "{"
        for number, name in enumerate(sorted(value, key=lambda name: name.encode("utf-16-be"))):
            yield f"{',' if number else ''}{json.dumps(name, ensure_ascii=False)}:"
            yield from _written(value[name], depth + 1)
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for number, item in enumerate(value):
            yield "," if number else ""
            yield from _written(item, depth + 1)
        yield "]"
    else:
        raise TypeError(f"a {type(value).__name__}")


def _number(value: float) -> str:
    """A double as ECMAScript writes it. Raises `ValueError` for infinities and NaN."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("a number that is not finite")
    text = "".join(map(str, digits)).rstrip("0")
    if not text:
        return "0"
    point = len(digits) + exponent  # where the decimal point stands, counted from the first digit
    if len(text) <= point <= 21:
        shown = text + "0" * (point - len(text))
    elif 0 < point <= 21:
        shown = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        shown = f"0.{'0' * -point}{text}"
    else:
        shown = f"{text[0]}{'.' if text[1:] else ''}{text[1:]}e{point - 1:+d}"
    return f"-{shown}" if sign else shown


class KnownDefinition(msgspec.Struct, frozen=True, gc=False):
    """The definition of an upstream's tool that counts where the catalogue pins none: the first that a door reported, until somebody
    approves another.

    `text` is its canonical form, empty where no door had it; `decision` is the one that saw it first, at `since` (µs). `operator`
    approved it, empty for the first. `offered` is the latest other definition that was reported, and denied; `version` is compared
    and set by approvals.
    """

    upstream: str
    tool: str
    digest: str
    text: bytes
    since: int
    decision: str
    version: int = 1
    operator: str = ""
    why: str = ""
    offered: str = ""
    offered_text: bytes = b""
    offered_at: int = 0

    @property
    def id(self) -> str:
        """What names it in a store, whatever the names are made of."""
        return definition_id(self.upstream, self.tool)


def definition_id(upstream: str, tool: str) -> str:
    """SHA-256, in hex, over the names of an upstream and of its tool."""
    return hashlib.sha256(json.dumps([upstream, tool]).encode()).hexdigest()


class DefinitionChange(msgspec.Struct, frozen=True):
    """One place (`inputSchema.properties.to.description`) where two definitions differ, as JSON text; empty where it is not there."""

    place: str
    before: str
    after: str


def changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[DefinitionChange, ...]:
    """Where two definitions, or parts of them, differ; at most `MAX_CHANGES`."""
    found = []
    for change in _changes(before, after, ""):
        found.append(change)
        if len(found) == MAX_CHANGES:
            break
    return tuple(found)


def changes_in(before: bytes, after: bytes) -> tuple[DefinitionChange, ...] | None:
    """Where two canonical forms differ; None where one of them is not known."""
    try:
        one, other = (json.loads(before), json.loads(after)) if before and after else (None, None)
        return changes(one, other) if isinstance(one, dict) and isinstance(other, dict) else None
    except (ValueError, TypeError, RecursionError):
        return None  # a door made something else of it


def _changes(before: Any, after: Any, place: str) -> Iterator[DefinitionChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            here = f"{place}.{name}" if place else name
            if name not in before or name not in after:
                yield DefinitionChange(here, _json(before, name), _json(after, name))
            else:
                yield from _changes(before[name], after[name], here)
    elif (one := "".join(_written(before, 0))) != (other := "".join(_written(after, 0))):
        yield DefinitionChange(place, one, other)


def _json(members: dict[str, Any], name: str) -> str:
    return "".join(_written(members[name], 0)) if name in members else ""
