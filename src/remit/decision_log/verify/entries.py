"""One line of the log: its JSON, read strictly, and the envelope that every kind of entry has."""

import json
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
        "flow.granted",
        "session.opened",
        "session.joined",
        "decision",
        "outcome",
        "memory.raised",
        "approval.requested",
        "approval.submitted",
        "approval.given",
        "approval.escalated",
        "approval",
        "token.issued",
        "issuer.rotated",
        "key.destroyed",
        "person.changed",
        "person.erased",
        "person.readmitted",
        "people.imported",
        "people.confirmed",
        "group.changed",
        "kill.set",
        "tool.seen",
        "tool.approved",
        "kill.released",
        "backup.taken",
        "log.restored",
        "break-glass.asked",
        "break-glass.started",
        "break-glass.used",
        "break-glass.ended",
        "break-glass.reviewed",
    ]
)
VERSION = 1
MAX_SEQ = 2**63
MAX_TIME = 253_402_300_800_000_000
"""The year 10000, in microseconds since the epoch: no entry is from then."""

Entry = dict[str, Any]

Envelope = tuple[str, int, str, int, int, str]
"""What every entry has: kind, v, writer, seq, time (microseconds) and prev (hex)."""


def read_entry(line: bytes) -> tuple[Envelope, Entry]:
    """An entry, and its envelope once more, which is in order. Raises `Wrong`."""
    try:
        text = line.decode()
        entry, end = _decode(text)
        envelope = _envelope(entry)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"it cannot be read as JSON ({shown(error)})") from None
    except (KeyError, TypeError):
        raise Wrong("it lacks a field of the envelope: kind, v, writer, seq, time, prev") from None
    kind, v, writer, seq, time, prev = envelope
    if end != len(text):
        raise Wrong("something follows the object")
    if type(v) is not int or v != VERSION:
        raise Wrong(f"it is of version `{shown(v)}`, this verifier knows {VERSION}")
    if not (type(kind) is type(writer) is type(prev) is str and type(seq) is type(time) is int):
        raise Wrong("a field of its envelope has the wrong type")
    if not 0 <= seq < MAX_SEQ or not 0 <= time < MAX_TIME:
        raise Wrong("its seq or time is out of range")
    return envelope, entry


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


_envelope = itemgetter("kind", "v", "writer", "seq", "time", "prev")
_decode = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_float=_finite, parse_constant=_finite).raw_decode
