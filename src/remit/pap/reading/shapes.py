"""Data into nouns: every field that is unknown, missing or of the wrong kind is named at its line."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from remit.pap.problems import Problem, did_you_mean, error
from remit.pap.reading.documents import Document

T = TypeVar("T")
MAX_WHOLE = 10**15
"""Larger whole numbers are no count and no time; no store could keep them."""
MOST = 100
"""So many faults of one entry are told: nobody reads more, and each asks for the nearest known name."""
_Path: TypeAlias = tuple[str | int, ...]

_WORDS: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "`true` or `false`",
    inspect.NoneType: "nothing",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.DictType: "a mapping",
    inspect.StructType: "a mapping",
}
_PYTHON: Mapping[type[inspect.Type], tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.BoolType: (bool,),
    inspect.NoneType: (type(None),),
    inspect.ListType: (list,),
    inspect.VarTupleType: (list,),
    inspect.DictType: (dict,),
    inspect.StructType: (dict,),
}


def read_as(document: Document, shape: type[T], problems: list[Problem]) -> T | None:
    """The whole document as one noun; None and problems if it is none."""
    return _convert(document, shape, document.data, (), problems)


def read_list(document: Document, shape: type[T], problems: list[Problem], *path: str | int) -> list[tuple[int, T]]:
    """The list at a path (the whole document, if left out) as nouns, each with its line.

    What is none is left out and a problem.
    """
    items = document.data
    for step in path:
        items = items[step]
    if not isinstance(items, list):
        what = _shown(items)
        problems.append(error((document.file, document.line(*path)), "shape", f"expected a list of entries, found {what}"))
        return []
    found = []
    for position, item in enumerate(items):
        noun = _convert(document, shape, item, (*path, position), problems)
        if noun is not None:
            found.append((document.line(*path, position), noun))
    return found


def _convert(document: Document, shape: type[T], data: Any, path: _Path, problems: list[Problem]) -> T | None:
    wrong = list(islice(_faults(document, _type_of(shape), data, path), MOST))
    problems.extend(wrong)
    if wrong:
        return None
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as fault:
        problems.append(error((document.file, document.line(*path)), "shape", f"this cannot be read: {fault}"))
        return None


_types: dict[Any, inspect.Type] = {}


def _type_of(shape: Any) -> inspect.Type:
    known = _types.get(shape)
    if known is None:
        known = _types[shape] = inspect.type_info(shape)
    return known


def _faults(document: Document, expected: inspect.Type, data: Any, path: _Path) -> Iterator[Problem]:
    match expected:
        case inspect.AnyType() | inspect.RawType():
            return
        case inspect.UnionType(types=types):
            yield from _union(document, types, data, path)
        case inspect.EnumType(cls=cls):
            values = [member.value for member in cls]
            if data not in values:
                yield _fault(document, path, "one of " + ", ".join(f"`{value}`" for value in values), data)
        case _ if not _fits(expected, data):
            yield _fault(document, path, _WORDS.get(type(expected), "something else"), data)
        case inspect.IntType() if abs(data) > MAX_WHOLE:
            yield _fault(document, path, "a number up to 10^15", data)
        case inspect.StructType(fields=fields):
            yield from _struct(document, fields, data, path)
        case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner):
            for position, item in enumerate(data):
                yield from _faults(document, inner, item, (*path, position))
        case inspect.DictType(value_type=inner):
            for name, item in data.items():
                yield from _faults(document, inner, item, (*path, name))


def _union(document: Document, types: tuple[inspect.Type, ...], data: Any, path: _Path) -> Iterator[Problem]:
    fitting = [option for option in types if isinstance(option, inspect.EnumType) or _fits(option, data)]
    if data is None and any(isinstance(option, inspect.NoneType) for option in types):
        return
    nested = [option for option in fitting if not _is_scalar(option)]
    if nested:
        yield from _faults(document, nested[0], data, path)
    elif not any(not list(_faults(document, option, data, path)) for option in fitting):
        named = [option for option in types if not isinstance(option, inspect.NoneType)]
        if len(named) == 1:
            yield from _faults(document, named[0], data, path)
        else:
            yield _fault(document, path, " or ".join(_words(option) for option in named), data)


def _words(expected: inspect.Type) -> str:
    if isinstance(expected, inspect.EnumType):
        return " or ".join(f"`{member.value}`" for member in expected.cls)
    return _WORDS.get(type(expected), "something else")


def _is_scalar(expected: inspect.Type) -> bool:
    return not isinstance(expected, inspect.StructType | inspect.DictType | inspect.ListType | inspect.VarTupleType)


def _fits(expected: inspect.Type, data: Any) -> bool:
    if isinstance(expected, inspect.AnyType):
        return True
    kinds = _PYTHON.get(type(expected), ())
    return isinstance(data, kinds) and (not isinstance(data, bool) or bool in kinds)


def _struct(document: Document, fields: tuple[inspect.Field, ...], data: dict[str, Any], path: _Path) -> Iterator[Problem]:
    known = {field.encode_name: field for field in fields}
    for name, value in data.items():
        if name in known:
            yield from _faults(document, known[name].type, value, (*path, name))
        else:
            place = document.file, document.line(*path, name)
            yield error(place, "unknown-field", f"there is no field `{name}` here", did_you_mean(name, known))
    for name, field in known.items():
        if field.required and name not in data:
            yield error((document.file, document.line(*path)), "missing-field", f"`{name}` is missing", "add it")


def _fault(document: Document, path: _Path, expected: str, data: Any) -> Problem:
    named = next((f"`{step}` must be " for step in reversed(path) if isinstance(step, str)), "expected ")
    return error((document.file, document.line(*path)), "shape", f"{named}{expected}, found {_shown(data)}")


def _shown(data: Any) -> str:
    match data:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return f"`{str(data).lower()}`"
        case _:
            return f"`{str(data)[:60]}`"
