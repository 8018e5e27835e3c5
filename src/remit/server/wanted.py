"""What a message should have been: the members and values that there are, where one was named that there is not."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import inspect

_PLACE = re.compile(r" - at `\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[[^\]]*\]")


def explained(error: msgspec.ValidationError, kind: Any) -> str:
    """What is wrong with a message of this kind, and what there is instead."""
    text = str(error)
    place = _PLACE.search(text)
    there: list[inspect.Type] = [_type_of(kind)]
    for step in _STEP.finditer(place[1] if place else ""):
        there = [inner for one in _each(there) for inner in _inside(one, step[1])]
    if text.startswith("Object contains unknown field"):
        names = [field.encode_name for one in _each(there) if isinstance(one, inspect.StructType) for field in one.fields]
        return f"{text}; {_listed(names, 'its members are', 'it has no members')}"
    if text.startswith("Invalid enum value"):
        return f"{text}; {_listed(_values(there), 'give one of', '')}".removesuffix("; ")
    return text


def _listed(names: Iterable[object], these: str, none: str) -> str:
    known = ", ".join(f"`{name}`" for name in names)
    return f"{these} {known}" if known else none


def _values(there: Iterable[inspect.Type]) -> Iterator[object]:
    for one in _each(there):
        if isinstance(one, inspect.EnumType):
            yield from (member.value for member in one.cls)
        elif isinstance(one, inspect.LiteralType):
            yield from one.values


def _each(there: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    """The alternatives, one by one."""
    for one in there:
        if isinstance(one, inspect.UnionType):
            yield from _each(one.types)
        elif isinstance(one, inspect.Metadata):
            yield from _each([one.type])
        else:
            yield one


def _inside(one: inspect.Type, member: str | None) -> Iterator[inspect.Type]:
    """What stands at a member; without a name, what the entries are."""
    match one:
        case inspect.StructType(fields=fields):
            yield from (field.type for field in fields if field.encode_name == member)
        case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner) | inspect.FrozenSetType(item_type=inner):
            yield inner
        case inspect.DictType(value_type=inner):
            yield inner


@lru_cache(256)
def _type_of(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)
