"""One line of the log: its JSON, read strictly, and the envelope that every kind of entry has."""

import json
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from .notes import Wrong
from .report import shown

KNOWN_KINDS = frozenset(
    [
        "writer.opened",
        "bundle.published",
        "agent.changed",
        "task.opened",
        "task.closed",
        "session.opened",
        "decision",
        "outcome",
        "approval.requested",
        "approval",
        "key.destroyed",
    ]
)
VERSION = 1
MAX_TIME = 253_402_300_800_000_000
"""The year 10000, in microseconds since the epoch: no entry is from then."""

Entry = dict[str, Any]

envelope = itemgetter("kind", "v", "writer", "seq", "time", "prev")
"""The fields every entry has."""


def read_entry(line: bytes) -> Entry:
    """An entry whose envelope is in order. Raises `Wrong`."""
    try:
        entry: Entry = _decode(line.decode())
        kind, v, writer, seq, time, prev = envelope(entry)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"it cannot be read as JSON ({shown(error)})") from None
    except (KeyError, TypeError):
        raise Wrong("it lacks a field of the envelope: kind, v, writer, seq, time, prev") from None
    if type(v) is not int or v != VERSION:
        raise Wrong(f"it is of version `{shown(v)}`, this verifier knows {VERSION}")
    if not (type(kind) is type(writer) is type(prev) is str and type(seq) is type(time) is int):
        raise Wrong("a field of its envelope has the wrong type")
    if seq < 0 or not 0 <= time < MAX_TIME:
        raise Wrong("its seq or time is out of range")
    return entry


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Entry:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text} is no finite number")
    return number


_decode: Callable[[str], Any] = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_finite, parse_constant=_finite
).decode
