"""Filters and paths (RFC 7644, sections 3.4.2.2 and 3.5.2): read strictly, of bounded length and depth, and asked of resources."""

import json
import re
from typing import Any, TypeAlias

import msgspec

from remit.server.scim.errors import Kind, ScimError
from remit.server.scim.schemas import Attribute, ResourceType, attribute_of, sub_of
from remit.server.scim.values import Resource, place_of

MAX_FILTER = 2000
MAX_TERMS = 50
"""So many comparisons may one filter have."""
MAX_DEPTH = 16
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+(?:\.\d+)?)(?![\w.])
      | (?P<sign>[()\[\]])
      | (?P<name>(?:urn:[\w.:-]+:)?\$?[A-Za-z][\w-]*(?:\.\$?[A-Za-z][\w-]*)?)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_PATH = re.compile(r"(?:(?P<schema>urn:[\w.:-]+):)?(?P<name>\$?[A-Za-z][\w-]*)(?:\.(?P<sub>\$?[A-Za-z][\w-]*))?", re.IGNORECASE)
_ORDERING = ("gt", "ge", "lt", "le")
_COMPARING = ("eq", "ne", "co", "sw", "ew", *_ORDERING)


class Name(msgspec.Struct, frozen=True):
    """An attribute, under its schema (empty for the core's), and one of its sub-attributes if that is named."""

    schema: str
    name: str
    sub: str = ""


class Compared(msgspec.Struct, frozen=True):
    """A value compared with a constant; `pr` with none."""

    what: Name
    operator: str
    value: Any = None


class Within(msgspec.Struct, frozen=True):
    """Some value of an attribute for which all of this holds."""

    what: Name
    inner: "Filter"


class Both(msgspec.Struct, frozen=True):
    """Two that both hold, or (`either`) one of which does."""

    first: "Filter"
    second: "Filter"
    either: bool = False


class Not(msgspec.Struct, frozen=True):
    """What does not hold."""

    inner: "Filter"


Filter: TypeAlias = Compared | Within | Both | Not


class Path(msgspec.Struct, frozen=True):
    """What a change is about: an attribute, those of its values that a filter picks, and one of their sub-attributes."""

    what: Name
    picked: Filter | None = None


def read_filter(text: str) -> Filter:
    """Raises `ScimError` (invalidFilter)."""
    reader = _Reader(text, Kind.INVALID_FILTER)
    found = reader.either(0)
    reader.end()
    return found


def read_path(text: str, kind: Kind = Kind.INVALID_PATH) -> Path:
    """Raises `ScimError` of this kind; invalidFilter for a filter in it."""
    reader = _Reader(text, kind)
    what = reader.name()
    picked = None
    if reader.take("["):
        reader.kind = Kind.INVALID_FILTER if kind is Kind.INVALID_PATH else kind
        picked = reader.either(1)
        reader.kind = kind
        reader.need("]")
        if reader.rest.startswith("."):
            found = _PATH.fullmatch(reader.rest[1:])
            if found is None or found["schema"] or found["sub"]:
                raise reader.wrong()
            return Path(Name(what.schema, what.name, found["name"]), picked)
    reader.end()
    return Path(what, picked)


class _Reader:
    """One text, read from the left."""

    def __init__(self, text: str, kind: Kind) -> None:
        self._text, self._at, self.kind, self._terms = text, 0, kind, 0
        if len(text) > MAX_FILTER:
            raise self.wrong(f"it is longer than {MAX_FILTER} characters")

    def wrong(self, why: str = "") -> ScimError:
        """What is told of a text that cannot be read."""
        return ScimError(self.kind, f"`{self._text[:80]}` cannot be read at character {self._at}{': ' + why if why else ''}")

    @property
    def rest(self) -> str:
        """What is left of it."""
        return self._text[self._at :]

    def end(self) -> None:
        """Nothing is left."""
        if self.rest.strip():
            raise self.wrong()

    def _next(self) -> re.Match[str] | None:
        return _TOKEN.match(self._text, self._at)

    def take(self, word: str) -> bool:
        """Whether this word or sign comes now; then it is read."""
        found = self._next()
        if found is None or (found["name"] or found["sign"] or "").lower() != word:
            return False
        self._at = found.end()
        return True

    def need(self, word: str) -> None:
        """This word or sign comes now."""
        if not self.take(word):
            raise self.wrong(f"`{word}` is missing")

    def name(self) -> Name:
        """An attribute."""
        found = self._next()
        if found is None or found["name"] is None:
            raise self.wrong("the name of an attribute is missing")
        self._at = found.end()
        parts = _PATH.fullmatch(found["name"])
        if parts is None:
            raise self.wrong()
        return Name(parts["schema"] or "", parts["name"], parts["sub"] or "")

    def either(self, depth: int) -> Filter:
        """What holds if one of several does."""
        found = self._both(depth)
        while self.take("or"):
            found = Both(found, self._both(depth), either=True)
        return found

    def _both(self, depth: int) -> Filter:
        found = self._single(depth)
        while self.take("and"):
            found = Both(found, self._single(depth))
        return found

    def _single(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise self.wrong(f"it is nested more than {MAX_DEPTH} times")
        if self.take("not"):
            self.need("(")
            inner = self.either(depth + 1)
            self.need(")")
            return Not(inner)
        if self.take("("):
            inner = self.either(depth + 1)
            self.need(")")
            return inner
        what = self.name()
        if self.take("["):
            inner = self.either(depth + 1)
            self.need("]")
            return Within(what, inner)
        return self._compared(what)

    def _compared(self, what: Name) -> Compared:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self.wrong(f"it compares more than {MAX_TERMS} times: ask in parts")
        found = self._next()
        operator = (found["name"] or "").lower() if found is not None else ""
        if found is None or operator not in (*_COMPARING, "pr"):
            raise self.wrong(f"an operator is missing: {', '.join(_COMPARING)}, pr")
        self._at = found.end()
        return Compared(what, operator) if operator == "pr" else Compared(what, operator, self._value())

    def _value(self) -> Any:
        found = self._next()
        if found is None or found["sign"] is not None:
            raise self.wrong("a value is missing")
        self._at = found.end()
        text = found["text"] or found["number"] or found["name"].lower()
        try:
            return json.loads(text)
        except ValueError:
            raise self.wrong("a text stands in quotes") from None


def terms_of(asked: Filter | None) -> int:
    """How many comparisons a filter has: how long it takes to ask it of one value."""
    match asked:
        case None:
            return 0
        case Compared():
            return 1
        case Both(first, second):
            return terms_of(first) + terms_of(second)
        case Within(_, inner) | Not(inner):
            return terms_of(inner)


def is_about(asked: Filter | None, name: str) -> bool:
    """Whether a filter asks anything of the attribute of this name."""
    match asked:
        case None:
            return False
        case Compared(what) | Within(what):
            return what.name.lower() == name.lower()
        case Both(first, second):
            return is_about(first, name) or is_about(second, name)
        case Not(inner):
            return is_about(inner, name)


def simple(one: Filter | None) -> tuple[str, Any] | None:
    """The attribute and value of a filter that asks for nothing but that they are equal."""
    if isinstance(one, Compared) and one.operator == "eq" and not one.what.sub and not one.what.schema:
        return one.what.name, one.value
    return None


def holds(asked: Filter, kind: ResourceType, resource: Resource) -> bool:
    """Whether a resource is one that is asked for."""
    match asked:
        case Not(inner):
            return not holds(inner, kind, resource)
        case Both(first, second, either):
            one = holds(first, kind, resource)
            return one if one is either else holds(second, kind, resource)
        case Within(what, inner):
            attribute = attribute_of(kind, what.schema, what.name)
            value = None if attribute is None else place_of(resource, kind, what.schema).get(attribute.name)
            return attribute is not None and any(holds_of(inner, attribute, one) for one in _values(value))
        case Compared(what, operator, value):
            attribute = attribute_of(kind, what.schema, what.name)
            if attribute is None:
                return _compares(operator, value, [], exact=True)
            found = place_of(resource, kind, what.schema).get(attribute.name)
            return _of_attribute(attribute, what.sub, operator, value, _values(found))


def holds_of(asked: Filter, attribute: Attribute, value: Any) -> bool:
    """Whether one value of an attribute is one that is asked for."""
    match asked:
        case Not(inner):
            return not holds_of(inner, attribute, value)
        case Both(first, second, either):
            one = holds_of(first, attribute, value)
            return one if one is either else holds_of(second, attribute, value)
        case Within():
            return False
        case Compared(what, operator, constant):
            return _of_attribute(attribute, what.name, operator, constant, [value])


def _of_attribute(attribute: Attribute, sub: str, operator: str, constant: Any, values: list[Any]) -> bool:
    asked = attribute
    if attribute.type == "complex":
        inner = sub_of(attribute, sub or "value")
        if inner is None:
            return _compares(operator, constant, [], exact=True)
        asked, values = inner, [value[inner.name] for value in values if isinstance(value, dict) and inner.name in value]
    if asked.type == "boolean" and operator in _ORDERING:
        raise ScimError(Kind.INVALID_FILTER, f"`{asked.name}` is true or false, which has no order: ask by `eq` or `ne`")
    return _compares(operator, constant, values, exact=asked.exact)


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _compares(operator: str, constant: Any, values: list[Any], *, exact: bool) -> bool:
    if operator == "pr":
        return any(value not in ("", {}) for value in values)
    if operator == "ne":
        return not _compares("eq", constant, values, exact=exact)
    if operator == "eq" and constant is None:
        return not values
    return any(_one(operator, value, constant, exact=exact) for value in values)


def _one(operator: str, value: Any, constant: Any, *, exact: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, str) or not isinstance(constant, str):
        if isinstance(value, bool) and isinstance(constant, str):
            constant = {"true": True, "false": False}.get(constant.lower())
        return operator == "eq" and type(value) is type(constant) and bool(value == constant)
    left, right = (value, constant) if exact else (value.casefold(), constant.casefold())
    match operator:
        case "eq":
            return left == right
        case "co":
            return right in left
        case "sw":
            return left.startswith(right)
        case "ew":
            return left.endswith(right)
        case "gt":
            return left > right
        case "ge":
            return left >= right
        case "lt":
            return left < right
        case _:
            return left <= right
