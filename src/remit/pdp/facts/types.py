"""The types of facts: declared as JSON Schema, and held: a value of another type is no fact."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from msgspec.structs import replace

from remit.pdp.arguments import ArgumentType, ArgumentTypes, CedarValue, Unrepresentable, argument_types, to_cedar

DATETIME, DATE = "datetime", "date"
_FORMATS = {"date-time": DATETIME, "date": DATE}


class Misfit(Exception):
    """A value that is not of its fact's type."""


def type_of(schema: Mapping[str, Any]) -> ArgumentType:
    """The type that a JSON Schema declares; text of `format: date-time` or `date` is a time."""
    whole = argument_types({"type": "object", "properties": {"it": schema}, "$defs": schema.get("$defs", {})})
    return _timed(whole.root.fields["it"], schema)


def _timed(node: ArgumentType, schema: Any) -> ArgumentType:
    if not isinstance(schema, Mapping):
        return node
    if node.kind == "string" and schema.get("format") in _FORMATS:
        return replace(node, kind=_FORMATS[str(schema["format"])])
    if node.kind == "array" and node.items is not None:
        return replace(node, items=_timed(node.items, schema.get("items")))
    if node.kind == "object":
        said = schema.get("properties") or {}
        return replace(node, fields={name: _timed(field, said.get(name)) for name, field in node.fields.items()})
    return node


def cedar_type(known: ArgumentType) -> str:
    """What Cedar calls it."""
    record = ArgumentTypes(ArgumentType("object", {"it": known}, frozenset({"it"}))).cedar_type()
    return record.removeprefix('{"it": ').removeprefix('{"it"?: ').removesuffix("}")


def untyped(known: ArgumentType, path: str = "schema") -> str:
    """The first part that has no one type, or nothing."""
    if known.kind == "array":
        return untyped(known.items, f"{path}.items") if known.items is not None else f"{path}.items"
    if known.kind == "object":
        if not known.fields:
            return f"{path}.properties"
        return next((wrong for name, field in known.fields.items() if (wrong := untyped(field, f"{path}.{name}"))), "")
    return path if known.kind == "any" else ""


def typed(value: Any, expected: ArgumentType) -> CedarValue:
    """A value in Cedar's JSON form, cut to what is declared. Raises `Misfit`."""
    try:
        return _typed(value, expected)
    except Unrepresentable as problem:
        raise Misfit(str(problem)) from None


def _typed(value: Any, expected: ArgumentType) -> CedarValue:
    # INVARIANT (fail closed): what is not as declared is no fact, never a guess at one.
    match expected.kind:
        case "object" if isinstance(value, dict):
            return {name: _typed(value[name], field) for name, field in _there(value, expected)}
        case "array" if isinstance(value, list) and expected.items is not None:
            return [_typed(item, expected.items) for item in value]
        case "string" if isinstance(value, str):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            if not isinstance(value, bool):
                return to_cedar(int(value), expected)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return to_cedar(value, expected)
        case "datetime" | "date" if isinstance(value, str):
            return _moment(value, expected.kind)
    raise Misfit(f"is no {expected.kind}")


def _there(value: dict[str, Any], expected: ArgumentType) -> list[tuple[str, ArgumentType]]:
    """The declared fields that have a value. A null is an absent one."""
    there = []
    for name, field in expected.fields.items():
        if value.get(name) is not None:
            there.append((name, field))
        elif name in expected.required and not field.nullable:
            raise Misfit(f"lacks `{name}`")
    return there


def _moment(text: str, kind: str) -> CedarValue:
    """A time with its zone (RFC 3339), or a day, as Cedar's datetime in UTC; a day begins at its midnight in UTC."""
    try:
        moment = (
            datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) if kind == DATE else datetime.fromisoformat(text)
        )
        if moment.tzinfo is None:
            raise Misfit("is a time without its zone")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Misfit(f"is no {kind}") from None
    return {"__extn": {"fn": "datetime", "arg": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"}}
