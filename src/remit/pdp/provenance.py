"""Where the value of an authority-bearing argument came from: pure matching of values against what was seen."""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from remit.model.decision import Steering

INTENDED, KNOWN, TRUSTED, STEERED, UNKNOWN = "intent", "directory", "trusted", "untrusted", "nowhere"
_BADNESS = {INTENDED: 0, KNOWN: 1, TRUSTED: 2, UNKNOWN: 3, STEERED: 4}
_TRIES = 1000
"""A value is looked for at so many places of one text; an untrusted text with more near-matches counts as containing it."""


class Seen(msgspec.Struct, frozen=True):
    """One tool output as the session saw it; `text` is normalised by `normalise`."""

    source: str
    untrusted: bool
    text: str


class Observed(msgspec.Struct, frozen=True):
    """What a session has seen, oldest first. `overflow`: more was seen than could be kept, so any value may be from there."""

    outputs: tuple[Seen, ...] = ()
    overflow: bool = False


NOTHING_OBSERVED = Observed()


def normalise(text: str) -> str:
    """Fold what a reader would call the same: compatibility forms, case, white space, invisible characters."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return " ".join(text.casefold().split())


def trace(name: str, value: Any, intent: str, directory: Iterable[str], observed: Observed) -> Steering:
    """The origin of one argument: of its worst part, if it is a list or an object.

    A value counts as the intent's, the directory's or an output's if it stands there as a whole word; of several outputs the
    first that held it counts, so that a trusted tool that echoes does not launder. Found nowhere is an origin of its own.
    """
    worst = Steering(name, "", INTENDED)
    for part in leaves(value):
        found = _trace_one(name, part, intent, directory, observed)
        if _BADNESS[found.origin] > _BADNESS[worst.origin] or not worst.value:
            worst = found
    return worst


def leaves(value: Any) -> Iterator[str]:
    """The scalar parts of a value, as text; true, false and null carry no destination."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield repr(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    else:
        for item in value:
            yield from leaves(item)


def _trace_one(name: str, part: str, intent: str, directory: Iterable[str], observed: Observed) -> Steering:
    wanted = normalise(part)
    if not wanted:
        return Steering(name, part, INTENDED)
    if _holds(intent, wanted, exhausted=False):
        return Steering(name, part, INTENDED)
    if known_destination(wanted, directory):
        return Steering(name, part, KNOWN)
    for seen in observed.outputs:
        if _holds(seen.text, wanted, exhausted=seen.untrusted):
            return Steering(name, part, STEERED if seen.untrusted else TRUSTED, seen.source)
    return Steering(name, part, STEERED if observed.overflow else UNKNOWN)


def known_destination(wanted: str, directory: Iterable[str]) -> bool:
    """Whether a normalised value is one of the known principals: the same, or an address of a known `@domain`."""
    at = wanted.rfind("@")
    domain = wanted[at:] if at > 0 and wanted.count("@") == 1 else None
    return any(wanted == known or (domain is not None and domain == known) for known in map(normalise, directory))


def _holds(text: str, wanted: str, exhausted: bool) -> bool:
    # INVARIANT (fail closed): a text built to exhaust the search counts as a source only where that is the stricter answer.
    start = text.find(wanted)
    for _ in range(_TRIES):
        if start < 0:
            return False
        end = start + len(wanted)
        if not (start and _joins(text[start - 1], wanted[0])) and not (end < len(text) and _joins(text[end], wanted[-1])):
            return True
        start = text.find(wanted, start + 1)
    return exhausted


def _joins(outside: str, edge: str) -> bool:
    return outside.isalnum() and edge.isalnum()
