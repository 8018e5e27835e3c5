"""Where the value of an authority-bearing argument came from: pure matching of values against what was seen."""

import unicodedata
from collections.abc import Iterable
from typing import Any

import msgspec

from remit.model.decision import Steering
from remit.pdp.destinations import exact, known, leaves

INTENDED, KNOWN, TRUSTED, STEERED, UNKNOWN = "intent", "directory", "trusted", "untrusted", "nowhere"
_BADNESS = {INTENDED: 0, KNOWN: 1, TRUSTED: 2, UNKNOWN: 3, STEERED: 4}
_TRIES = 1000
"""A value is looked for at so many places of one text; an untrusted text with more near-matches counts as containing it."""

MAX_OUTPUT = 1 << 20
"""So many characters of one output are kept for provenance; of what was longer, any value may have been part."""
MAX_OBSERVED = 16 << 20
"""So many characters in all are kept for one session."""
MAX_OUTPUTS = 1 << 14
"""So many outputs are kept for one session; later untrusted ones count as the source of any value."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One tool output as the session saw it; `text` is folded by `normalise` if untrusted, taken by `exact` if trusted."""

    source: str
    untrusted: bool
    text: str


class Observed(msgspec.Struct, frozen=True, gc=False):
    """What a session has seen, oldest first. `overflow`: more was seen than could be kept, so any value may be from there. `held` is
    how many characters there are in all."""

    outputs: tuple[Seen, ...] = ()
    overflow: bool = False
    held: int = 0


NOTHING_OBSERVED = Observed()


def normalise(text: str) -> str:
    """Fold what a reader would call the same: compatibility forms, case, white space, invisible characters."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return " ".join(text.casefold().split())


def seen(source: str, untrusted: bool, text: str) -> Seen:
    """An output, made ready to be searched: folding must find more of what is tainted, and no more of what is trusted."""
    return Seen(source, untrusted, normalise(text) if untrusted else exact(text))


def observe(observed: Observed, more: Iterable[tuple[str, bool, str | None]]) -> Observed:
    """What was seen, and more of it: source, whether it is untrusted, and the text, None where it could not be seen."""
    kept, overflow, held = list(observed.outputs), observed.overflow, observed.held
    for source, untrusted, text in more:
        fits = text is not None and held + len(text) <= MAX_OBSERVED and len(kept) < MAX_OUTPUTS
        # INVARIANT (fail closed): of what could not be kept, any value may have been part.
        overflow = overflow or (untrusted and (not fits or len(text or "") >= MAX_OUTPUT))
        if text is not None and fits and (untrusted or not overflow):  # else it may only echo what was not kept
            kept.append(seen(source, untrusted, text[:MAX_OUTPUT]))
            held += len(text)
    return Observed(tuple(kept), overflow, held)


def trace(name: str, values: Iterable[Any], intent: str, directory: Iterable[str], observed: Observed) -> Steering:
    """The origin of one argument: of its worst part, if it has several. `intent` is as `exact` gives it.

    A value counts as the intent's, the directory's or an output's if it stands there as a whole word; of several outputs the
    first that held it counts, so that a trusted tool that echoes does not launder. Found nowhere is an origin of its own.
    """
    worst = Steering(name, "", INTENDED)
    for part in (part for value in values for part in leaves(value)):
        found = _trace_one(name, part, intent, directory, observed)
        if _BADNESS[found.origin] > _BADNESS[worst.origin] or not worst.value:
            worst = found
    return worst


def _trace_one(name: str, part: str, intent: str, directory: Iterable[str], observed: Observed) -> Steering:
    folded, precise = normalise(part), exact(part)
    if not folded or _holds(intent, precise, exhausted=False):
        return Steering(name, part, INTENDED)
    if known(part, directory):
        return Steering(name, part, KNOWN)
    for output in observed.outputs:
        if _holds(output.text, folded if output.untrusted else precise, exhausted=output.untrusted):
            return Steering(name, part, STEERED if output.untrusted else TRUSTED, output.source)
    return Steering(name, part, STEERED if observed.overflow else UNKNOWN)


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
