"""One line about something that happened, as text: whatever is in it, it is one line of printable ASCII, and bounded."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple, TypeAlias

from remit.model.clock import SECOND

Value: TypeAlias = str | int | float
LONGEST = 4096
"""No line has more bytes, so that those of several processes do not get mixed in one pipe."""
_CUT: Mapping[str, int] = {"message": 1100, "stack": 1600}
_CUT_OTHERS = 300
"""So many characters an encoded value has at most."""
_ESCAPED = 12
"""A character is at most so many when it is escaped."""
_PLAIN = re.compile(r"[A-Za-z0-9_.:/#@{}+-]+", re.ASCII)
_encode: Callable[[str], str] = encode_basestring_ascii


class Format(StrEnum):
    """How lines are written."""

    JSON = "json"
    TEXT = "text"


class Line(NamedTuple):
    """Something that happened: when (µs since the epoch), how grave, what, and its values, by names that are ours."""

    time: int
    level: str
    event: str
    values: Mapping[str, Value]


def as_json(line: Line) -> str:
    """The line as one JSON object."""
    parts = [f'"time":"{_when(line.time)}"', f'"level":{_text(line.level)}', f'"event":{_text(line.event)}']
    parts += [f'"{name}":{_value(value, _CUT.get(name, _CUT_OTHERS))}' for name, value in line.values.items()]
    return "{" + ",".join(parts) + "}\n"


def as_text(line: Line) -> str:
    """The line for people: `name=value`, in JSON's quotes where a value is not plain."""
    parts = [_when(line.time), line.level, _bare(line.event, _CUT_OTHERS)]
    parts += [f"{name}={_bare(value, _CUT.get(name, _CUT_OTHERS))}" for name, value in line.values.items()]
    return " ".join(parts) + "\n"


WRITE: Mapping[Format, Callable[[Line], str]] = {Format.JSON: as_json, Format.TEXT: as_text}


def _when(time: int) -> str:
    seconds, rest = divmod(time, SECOND)
    return f"{_second(seconds)}.{rest:06}Z"


@lru_cache(4)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _text(text: str, most: int = _CUT_OTHERS) -> str:
    # Every character beyond ASCII is escaped, and so are controls: none can end a line, colour it, or turn its direction.
    encoded = _encode(text).replace("\x7f", "\\u007f")
    return encoded if len(encoded) <= most else _encode(text[: most // _ESCAPED] + "…").replace("\x7f", "\\u007f")


def _value(value: Any, most: int) -> str:
    return _text(value, most) if isinstance(value, str) else repr(value)


def _bare(value: Any, most: int) -> str:
    if isinstance(value, str) and len(value) <= most and _PLAIN.fullmatch(value):
        return value
    return _value(value, most)
