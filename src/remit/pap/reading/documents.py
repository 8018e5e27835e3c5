"""YAML read strictly and with positions: one reading of every value, no tags, no duplicates, every fault at its line."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
import yaml

from remit.pap.problems import BundleError, Problem, error

MAX_DEPTH = 64
"""Deeper files are refused; the parser itself would overflow the stack at some ten thousand levels."""

_STRING = "tag:yaml.org,2002:str"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_resolve: Callable[[Any, str, tuple[bool, bool]], str] = yaml.SafeLoader("").resolve
"""What YAML 1.1 takes a plain text for."""

Positions: TypeAlias = "dict[str | int, tuple[int, Positions]]"
"""For each key or position of a mapping or list the line, from 1, and the same of what stands there."""


class Document(msgspec.Struct, frozen=True):
    """One file: the data it holds, and where each part of it stands; `first` is the line of the first of it."""

    file: str
    first: int
    data: Any
    positions: Positions

    def line(self, *path: str | int) -> int:
        """The line, from 1, of what stands at a path of keys and positions, or of the last part of the path that is there."""
        line, here = self.first, self.positions
        for step in path:
            if step not in here:
                break
            line, here = here[step]
        return line


def read_document(text: str, file: str) -> Document:
    """Read one file.

    Plain `true`, `false`, `null`, `~`, nothing and JSON numbers are themselves, quoted text is text, any other
    plain text is text. Raises `BundleError` with a problem for each: what YAML 1.1 would take for something else
    (`no`, `010`, `1:30`, `2026-01-01`, `<<`), tags, aliases, keys that are no text or stand twice, a second
    document, an empty file, more than 64 levels.
    """
    reader = _Reader(file, text)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as fault:
        raise BundleError([*reader.problems, _syntax(file, text, fault)]) from None
    except yaml.YAMLError as fault:
        words = " ".join(str(fault).split())[:200]
        hint = "save the file as UTF-8 text without control characters"
        raise BundleError([error((file, 1), "yaml", f"this is no YAML ({words})", hint)]) from None


def _syntax(file: str, text: str, fault: yaml.MarkedYAMLError) -> Problem:
    mark = fault.problem_mark or fault.context_mark
    words = ", ".join(part for part in (fault.context, fault.problem) if part)
    hint = "correct it; is the file complete?"
    line = min(mark.line + 1 if mark else 1, max(len(text.splitlines()), 1))
    return error((file, line), "yaml", f"this is no YAML ({words})", hint)


class _Reader:
    """Reads the events of one file into data and positions, and collects what is wrong."""

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def document(self) -> Document:
        next(self._events)
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            raise BundleError([error((self._file, 1), "empty", "the file is empty", "write its content, or remove the file")])
        first = next(self._events)
        data, positions = self._value(first, 1)
        next(self._events)
        if not isinstance(second := next(self._events), yaml.StreamEndEvent):
            self._fault(second, "documents", "a second document begins", "keep one for each file")
        if self.problems:
            raise BundleError(self.problems)
        return Document(self._file, _line(first), data, positions)

    def _value(self, event: Any, depth: int) -> tuple[Any, Positions]:
        if depth > MAX_DEPTH:
            self._fault(event, "depth", f"this is nested deeper than {MAX_DEPTH} levels", "flatten it")
            raise BundleError(self.problems)
        if isinstance(event, yaml.AliasEvent):
            self._fault(event, "alias", f"the alias `*{event.anchor}` repeats what stands elsewhere", "write it out")
        elif event.tag is not None:
            self._fault(event, "tag", f"the tag `{event.tag}` is not understood", "remove it, and quote text")
        match event:
            case yaml.MappingStartEvent():
                return self._mapping(depth)
            case yaml.SequenceStartEvent():
                return self._sequence(depth)
            case yaml.ScalarEvent():
                return self._scalar(event), {}
            case _:
                return None, {}

    def _mapping(self, depth: int) -> tuple[dict[str, Any], Positions]:
        data: dict[str, Any] = {}
        positions: Positions = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            before = len(self.problems)
            name, _ = self._value(key, depth + 1)
            value, inner = self._value(next(self._events), depth + 1)
            if isinstance(name, str) and name in data:
                self._fault(key, "duplicate-key", f"the key `{name}` stands twice", "keep one")
            elif isinstance(name, str):
                data[name] = value
                positions[name] = (_line(key), inner)
            elif len(self.problems) == before:
                shown = f"`{key.value}`" if isinstance(key, yaml.ScalarEvent) else "here"
                self._fault(key, "key", f"the key {shown} is no text", "quote it")
        return data, positions

    def _sequence(self, depth: int) -> tuple[list[Any], Positions]:
        data: list[Any] = []
        positions: Positions = {}
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            value, inner = self._value(item, depth + 1)
            positions[len(data)] = (_line(item), inner)
            data.append(value)
        return data, positions

    def _scalar(self, event: Any) -> Any:
        value: str = event.value
        if not event.implicit[0]:
            return value
        if value in _WORDS:
            return _WORDS[value]
        if _NUMBER.fullmatch(value):
            short = value[:400]
            number = int(short) if _INTEGER.fullmatch(value) else float(short)
            if len(value) < 400 and math.isfinite(number):
                return number
            self._fault(
                event,
                "number",
                f"the number `{value[:20]}…` is too large",
                "quote it, or write a smaller one",
            )
        elif _resolve(yaml.ScalarNode, value, (True, False)) != _STRING:
            hint = f'write `"{value}"` for text, else `true`, `false` or a plain number'
            self._fault(event, "ambiguous", f"readers of YAML disagree on what `{value}` is", hint)
        return value

    def _fault(self, event: Any, code: str, message: str, hint: str) -> None:
        self.problems.append(error((self._file, _line(event)), code, message, hint))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
