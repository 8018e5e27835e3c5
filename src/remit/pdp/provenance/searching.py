"""Whether a value stands in a text as a whole word, looked for at a bounded number of places."""

import re
from collections.abc import Callable
from functools import lru_cache

TRIES = 1000
"""A value is looked for at so many places of one text."""
CHEAP, DEAR = 256, 2048
"""What one place costs where a value is looked for, in characters that could be gone through instead: by itself, or with what is around."""
EDGE = "\x00"
"""Stands between the fields of an output in its prose, and at both ends."""


class Exhausted(Exception):
    """A call would cost more than it may."""


class Work:
    """What the rest of a call may cost, in characters gone through."""

    __slots__ = ("_left",)

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, amount: int) -> None:
        """Count work. Raises `Exhausted` where that is more than is left, now and from then on."""
        self._left -= amount
        if self._left < 0:
            raise Exhausted


Place = Callable[[str, int, int], bool]
"""Whether a value that stands in a text from one place to before another counts there."""


def anywhere(_text: str, _start: int, _stop: int) -> bool:
    """It counts wherever it stands."""
    return True


_MARKS = "-.@+%_/\\"
"""Marks within a name: what stands on both sides of one is one name, and no part of it is the whole."""
_ROOTS = ("/", "\\")
_GOES_ON = re.compile(r"[-.@+%_]*[^\W_]|\.\.[/\\]")
MAX_NAME = 200


def whole(text: str, start: int, stop: int) -> bool:
    """It counts as a name of its own, not as a part of a longer one: not `corp.co` in `corp.co.uk`, nor `/srv` in `/srv/work`."""
    # INVARIANT (words narrow, never widen): whoever named something longer did not name this.
    return _is_apart(text, start, stop, slashes="/" not in text[start:stop] and not _is_path(text, start))


def segment(text: str, start: int, stop: int) -> bool:
    """It counts also as one whole part of a path."""
    return _is_apart(text, start, stop, slashes=True)


def apart(text: str, start: int, stop: int) -> bool:
    """It counts where it is no part of a path."""
    return _is_apart(text, start, stop, slashes=False)


def folder(text: str, start: int, stop: int) -> bool:
    """It counts where a path begins with it."""
    before = text[start - 1 : start] if start else ""
    return text[stop : stop + 1] == "/" and not before.isalnum() and not (before and before in _MARKS)


def _is_apart(text: str, start: int, stop: int, slashes: bool) -> bool:
    """Whether no mark joins it to more; a slash may, where `slashes` says so."""
    before, after = text[start - 1 : start] if start else "", text[stop : stop + 1]
    if text[start : start + 1] in _ROOTS and (before.isalnum() or (before and before in _MARKS)):
        return False  # the end of a path, which from the root is another one
    if text[stop - 1] in _ROOTS and (_GOES_ON.match(text, stop) or (after and after in _ROOTS)):
        return False  # a folder, on the way to something else
    if after and after in _MARKS and text[stop + 1 : stop + 2].isalnum() and not (after == "/" and slashes):
        return False
    return not (before and before in _MARKS and start > 1 and text[start - 2].isalnum() and not (before == "/" and slashes))


def _is_path(text: str, start: int) -> bool:
    """Whether what stands there is part of a path from a root."""
    first = start
    while first > max(0, start - MAX_NAME) and (
        text[first - 1].isalnum() or text[first - 1] in _MARKS or text[first - 1] in "~:"
    ):
        first -= 1
    return text[first : first + 1] in ("/", "~", "\\") or text[first : first + 2] in ("./", "..")


def within(text: str, start: int, stop: int) -> bool:
    """It does not fill a whole field."""
    return not (text[start - 1 : start] == EDGE and text[stop : stop + 1] == EDGE)


def holds(text: str, wanted: str, exhausted: bool, counts: Place = anywhere, work: Work | None = None) -> bool:
    """Whether the whole word is there. `exhausted` is the answer where the text has more near-matches than are looked at.

    Raises `Exhausted` where it costs more than is left of `work`.
    """
    # INVARIANT (fail closed): a text built to exhaust the search counts as a source only where that is the stricter answer.
    if not wanted:
        return False
    start, tried, found = text.find(wanted), 0, False
    while start >= 0 and tried < TRIES:
        tried += 1
        stop = start + len(wanted)
        joined = (start and _joins(text[start - 1], wanted[0])) or (stop < len(text) and _joins(text[stop], wanted[-1]))
        if not joined and counts(text, start, stop):
            found = True
            break
        start = text.find(wanted, start + 1)
    if work is not None:
        work.spend((start if start >= 0 else len(text)) + tried * (CHEAP if counts is within else 2 * DEAR))
    return found or (exhausted and start >= 0)


def _joins(outside: str, edge: str) -> bool:
    return outside.isalnum() and edge.isalnum()


def contains(text: str, wanted: str, work: Work) -> bool:
    """Whether the characters are there at all, not as a whole field; also where there are more near-matches than are looked at. For texts
    without spaces and marks. Raises `Exhausted`."""
    start, tried = text.find(wanted), 0
    while start >= 0 and tried < TRIES and not within(text, start, start + len(wanted)):
        tried += 1
        start = text.find(wanted, start + 1)
    work.spend((start if start >= 0 else len(text)) + tried * CHEAP)
    return start >= 0


_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_AFTER_MONTH = re.compile(_MONTH + r"\.?\s+\Z")
_UNIT = re.compile(
    r"\s*(?:st|nd|rd|th|am|pm|a\.m|p\.m|%|percent|hours?|hrs?|minutes?|mins?|days?|weeks?|months?|years?|of\s+"
    + _MONTH
    + "|"
    + _MONTH
    + r")\b"
)
_CALLED = re.compile(r"\b(?:ids?|identifiers?|no|nr|number|numbered)\b\.?:?|#")
_QUOTES = frozenset({"''", '""', "``", "()", "[]"})


def is_quantity(text: str, start: int, stop: int) -> bool:
    """Whether a number there is part of a date, a time, a price or a decimal: a quantity, and no name."""
    before, after = text[max(0, start - 12) : start], text[stop : stop + 12]
    if before[-1:] and before[-1] in "$€£":
        return True
    if before[-1:] and before[-1] in ".:-/,+" and before[-2:-1].isdigit():
        return True
    if after[:1] and after[0] in ".:-/," and after[1:2].isdigit():
        return True
    return after[:1] == "%" or _AFTER_MONTH.search(before) is not None or _UNIT.match(after) is not None


def is_called(text: str, start: int, stop: int) -> bool:
    """Whether a number there names a thing by the word before it: `no. 5`, `#5`, `id 5`, or stands in quotes."""
    if is_quantity(text, start, stop):
        return False
    if text[start - 1 : start] + text[stop : stop + 1] in _QUOTES:
        return True
    return _CALLED.search(text[max(0, start - 12) : start].rpartition("\x00")[2]) is not None


@lru_cache(1024)
def is_introduced(nouns: frozenset[str]) -> Place:
    """Counts where a number names a thing: called so, or soon after the noun that it would name."""
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(nouns))) + r")s?\b[^.]{0,12}\Z") if nouns else None

    def counts(text: str, start: int, stop: int) -> bool:
        if not within(text, start, stop) or is_quantity(text, start, stop):
            return False
        if is_called(text, start, stop):
            return True
        clause = re.split(r"[.\x00\n;!?]", text[max(0, start - 48) : start])[-1]
        return _CALLED.search(clause[-24:]) is not None or (pattern is not None and pattern.search(clause) is not None)

    return counts


def names_something(text: str, start: int, stop: int) -> bool:
    """Counts where a longer number is no quantity and fills no field of its own."""
    return within(text, start, stop) and not is_quantity(text, start, stop)
