"""Argument values as policies see them: typed from each tool's JSON Schema, and refused where Cedar cannot say them."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

CedarValue: TypeAlias = Any
"""A value in Cedar's JSON form (`{"__extn": …}` for decimals)."""

MAX_LONG = 2**63 - 1
MIN_LONG = -(2**63)
MAX_DECIMAL = Decimal(MAX_LONG) / 10000
MIN_DECIMAL = Decimal(MIN_LONG) / 10000


class Unrepresentable(Exception):
    """A value that a policy wants to read and that Cedar cannot say exactly."""


class ArgumentType(msgspec.Struct, frozen=True):
    """One node of a tool's argument types, reduced from JSON Schema to what changes the mapping.

    `kind` is `string`, `integer`, `number`, `boolean`, `array`, `object` or `any` (the value's own type counts); a fact may also be a
    `datetime` or a `date`. `nullable` makes an
    argument optional to policies: a null is an absent attribute. `choices` are the values that the schema lists, if it does; `about` is
    the beginning of its description, in lower case; `default` what it is if nobody says.
    """

    kind: str = "any"
    fields: Mapping[str, "ArgumentType"] = {}
    required: frozenset[str] = frozenset()
    items: "ArgumentType | None" = None
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    about: str = ""
    default: Any = None


ANY = ArgumentType()


class ArgumentTypes(msgspec.Struct, frozen=True):
    """The arguments of one tool.

    `closed` says that the schema allows no other arguments than its own.
    """

    root: ArgumentType = ANY
    closed: bool = False

    def unknown(self, values: Mapping[str, Any]) -> str | None:
        """The first argument that a closed schema does not know, or None."""
        if not self.closed or values.keys() <= self.root.fields.keys():
            return None
        return next(name for name in values if name not in self.root.fields)

    def cedar_type(self) -> str:
        """The Cedar schema record of these arguments; what has no one Cedar type is left out."""
        return _cedar_type(self.root) or "{}"


UNTYPED = ArgumentTypes()


MAX_ABOUT = 300
MAX_NODES = 10_000
"""So many parts of a schema are read, references followed; of what comes after, no type is known."""


def argument_types(schema: Mapping[str, Any] | None) -> ArgumentTypes:
    """Reduce a JSON Schema (draft 2020-12 subset: type, properties, required, items, anyOf/oneOf with null, $ref within it)."""
    if not schema:
        return UNTYPED
    root = _reduce(schema, schema, 0, iter(range(MAX_NODES)))
    return ArgumentTypes(root, schema.get("additionalProperties") is False)


def _reduce(node: Any, document: Mapping[str, Any], depth: int, left: Iterator[int]) -> ArgumentType:
    shape = _shape(node, document, depth, left)
    if not isinstance(node, Mapping):
        return shape
    about = node.get("description")
    told = about.lower()[:MAX_ABOUT] if isinstance(about, str) else shape.about
    return replace(shape, choices=_choices(node) or shape.choices, about=told, default=node.get("default", shape.default))


def _choices(node: Mapping[str, Any]) -> tuple[Any, ...]:
    listed = node.get("enum")
    return tuple(listed) if isinstance(listed, list | tuple) else (node["const"],) if "const" in node else ()


def _shape(node: Any, document: Mapping[str, Any], depth: int, left: Iterator[int]) -> ArgumentType:
    if not isinstance(node, Mapping) or depth > 16 or next(left, None) is None:
        return ANY
    reference = node.get("$ref")
    if isinstance(reference, str):
        return _reduce(_resolve(reference, document), document, depth + 1, left)
    for union in ("anyOf", "oneOf"):
        if union in node:
            options = [o for o in node[union] if not (isinstance(o, Mapping) and o.get("type") == "null")]
            only = _reduce(options[0], document, depth + 1, left) if len(options) == 1 else ANY
            return replace(only, nullable=True) if len(options) < len(node[union]) else only
    kind = node.get("type")
    if isinstance(kind, list):
        kinds = [k for k in kind if k != "null"]
        only = _reduce({**node, "type": kinds[0]}, document, depth + 1, left) if len(kinds) == 1 else ANY
        return replace(only, nullable=True) if len(kinds) < len(kind) else only
    if kind in ("string", "integer", "number", "boolean"):
        return ArgumentType(kind)
    if kind == "array":
        return ArgumentType("array", items=_reduce(node.get("items"), document, depth + 1, left))
    if kind == "object" or "properties" in node:
        properties = node.get("properties") or {}
        fields = {name: _reduce(value, document, depth + 1, left) for name, value in properties.items()}
        return ArgumentType("object", fields, frozenset(node.get("required") or ()))
    return ANY


def _resolve(reference: str, document: Mapping[str, Any]) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    return node


def _cedar_type(node: ArgumentType) -> str | None:
    match node.kind:
        case "string":
            return "String"
        case "integer":
            return "Long"
        case "number":
            return "decimal"
        case "boolean":
            return "Bool"
        case "datetime" | "date":
            return "datetime"
        case "array":
            inner = _cedar_type(node.items) if node.items else None
            return f"Set<{inner}>" if inner else None
        case "object":
            parts = []
            for name, field in node.fields.items():
                inner = _cedar_type(field)
                if inner:
                    parts.append(f"{_quote(name)}{'' if name in node.required and not field.nullable else '?'}: {inner}")
            return "{" + ", ".join(parts) + "}"
        case _:
            return None


def _quote(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def to_cedar(value: Any, expected: ArgumentType) -> CedarValue:
    """One argument as Cedar's JSON: text and booleans as they are, integers as Long, numbers as decimal, arrays as sets, objects as
    records.

    `null` in an object is an absent attribute. Raises `Unrepresentable` for an integer beyond 64 bits, a number that four decimal
    digits cannot say exactly, and `null` elsewhere: a policy that reads such a value denies, one that does not is not affected.
    """
    kind = type(value)
    if kind is str or kind is bool:
        return value
    if kind is int:
        if expected.kind == "number":
            return _decimal(Decimal(value))
        if MIN_LONG <= value <= MAX_LONG:
            return value
        raise Unrepresentable("is an integer beyond 64 bits")
    if kind is float:
        if expected.kind == "integer" and value.is_integer():
            return to_cedar(int(value), expected)
        return _decimal(Decimal(repr(value)))
    if kind is dict:
        fields = expected.fields
        return {name: to_cedar(item, fields.get(name, ANY)) for name, item in value.items() if item is not None}
    if kind is list:
        inner = expected.items or ANY
        return [to_cedar(item, inner) for item in value]
    raise Unrepresentable("is null")


def _decimal(value: Decimal) -> CedarValue:
    if not MIN_DECIMAL <= value <= MAX_DECIMAL:
        raise Unrepresentable("is a number beyond Cedar's decimal range")
    digits = value.quantize(Decimal("0.0001")) if value == round(value, 4) else None
    if digits is None:
        raise Unrepresentable("is a number with more than four decimal digits")
    return {"__extn": {"fn": "decimal", "arg": f"{digits:f}"}}
