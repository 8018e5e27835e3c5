"""Echoes: what calls can have put where a later one reads it. An output that only says what the agent was told to write gives no trust."""

import base64
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import quote

from remit.model.decision import Written
from remit.pdp.provenance.folding import decodings, folded
from remit.pdp.provenance.roles import text_of
from remit.pdp.provenance.searching import EDGE, Work
from remit.pdp.provenance.seen import Seen

MAX_WRITTEN = 1 << 18
"""So many characters of one call are looked at; one with more can have carried anything."""
MAX_CARRIED = 1 << 20
"""So many characters of what was written before an output are looked at; where there are more, it can say anything."""
MAX_VALUE = 4000
"""A longer value (characters) can always have been put together."""
MAX_TIMES = 16
"""So many different moments are looked back from for the values of one call."""
PLACE = 32
"""What it costs to look at one place, in characters that could be gone through."""
SHORT, LEAST_SPLIT = 6, 4
"""Shorter values are not looked for across words; even shorter ones not as split over several."""
LEAST_ENCODED = 16
"""Shorter words are not taken for Base64."""
_NESTED, _REMEMBERED = 2, 500
_EMPTY = ("", " ", "  ")
_BETWEEN = " \t\n\r\v\f\"'`<>()[]{},;:=|"
_WORDS = {code: " " if chr(code) in _BETWEEN else chr(code) if chr(code).isalnum() else None for code in range(128)}


def written_of(arguments: Mapping[str, Any], asked: int, counted: bool) -> Written:
    """What a call with these arguments can have written: every text in them, names of nested fields and what stands behind encodings."""
    # INVARIANT (fail closed): of what is not looked at, anything may have been written.
    parts: list[str] = []
    left = MAX_WRITTEN
    for text in _texts(arguments):
        for plain in _plain(text, _NESTED) if len(text) >= LEAST_ENCODED or "%" in text or "&" in text else (text,):
            left -= len(plain) + 1
            if left < 0:
                return Written(asked, cut=True, counted=counted)
            parts.append(" ".join(_spaced(plain).split()))
    return Written(asked, f"{EDGE} {f' {EDGE} '.join(dict.fromkeys(parts))} {EDGE}", counted=counted)


def _texts(value: Any) -> Iterator[str]:
    """The scalars of a value, and behind them the names in it."""
    names: list[str] = []
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            names += one
            rest.extend(reversed(one.values()))
        elif isinstance(one, list):
            rest.extend(reversed(one))
        elif one is not None and not isinstance(one, bool):
            yield text_of(one)
    yield from names


def _plain(text: str, depth: int) -> Iterator[str]:
    yield text
    if depth:
        for plain in decodings(text):
            yield from _plain(plain, depth - 1)


def _spaced(text: str) -> str:
    """Words with nothing in them but letters and digits, as `squashed` leaves them."""
    if text.isascii():
        return text.lower().translate(_WORDS)
    return "".join(char if char.isalnum() else " " if char in _BETWEEN else "" for char in folded(text))


class _Before(NamedTuple):
    """What was written: its words, in a row with gaps (`text`) and without (`run`), and those that texts begin with and, backwards, end
    with, in order; `tails` are the last two letters of these, `lengths` are those of words, `step` is what it costs to go on from a
    place by one of them."""

    words: frozenset[str]
    text: str
    run: str
    first: Sequence[str]
    last: Sequence[str]
    tails: frozenset[str]
    lengths: Sequence[int]
    step: int


class Echoes:
    """What a session had done before each of its outputs came back."""

    def __init__(self, outputs: Sequence[Seen], work: Work) -> None:
        self._outputs, self._work = outputs, work
        self._writes: list[tuple[int, Written]] | None = None
        self._known: dict[tuple[int, ...], _Before | None] = {}
        self._formed: dict[tuple[str, tuple[int, ...]], bool] = {}
        self._said: dict[str, int] = {}

    def may_say(self, position: int, text: str) -> bool:
        """Whether an output may have a value only because the agent, told what to write, wrote it somewhere before. Raises `Exhausted`."""
        # INVARIANT (labels come from what was touched): what an agent was told does not become trusted by being written and read.
        if self._outputs[position].before is None:
            return False  # nothing untrusted had been seen by then
        if self._said.get(text, position) < position:
            return True  # what an earlier one may only say, a later one may, too
        places = self._before(position)
        if places is not None and not self._forms(text, places):
            return False
        self._said[text] = position
        return True

    def _before(self, position: int) -> tuple[int, ...] | None:
        """The calls that had written before an output came; None where not all of them are known."""
        if self._writes is None:
            self._writes = [(place, one.words) for place, one in enumerate(self._outputs) if one.words is not None]
        self._work.spend(PLACE * len(self._writes))
        # What was permitted before an output was reported can have acted before it was read.
        output = self._outputs[position]
        found = [(place, one) for place, one in self._writes if place <= position or one.asked < output.reported]
        if sum([one.counted for _, one in found]) < (output.before or 0):
            return None
        places = tuple([place for place, _ in found])
        if places not in self._known:
            if len(self._known) >= MAX_TIMES:
                return None
            self._known[places] = _before([one for _, one in found], self._work)
        return places

    def _forms(self, text: str, places: tuple[int, ...]) -> bool:
        """Whether a value can have been made of what these calls wrote."""
        asked = text, places
        if asked not in self._formed:
            before = self._known[places]
            self._formed[asked] = before is None or _formed(text, before, self._work)
        return self._formed[asked]


def _before(writes: Sequence[Written], work: Work) -> _Before | None:
    size = sum([len(one.words) for one in writes])
    if any(one.cut for one in writes) or size > MAX_CARRIED:
        return None
    work.spend(PLACE * size)
    text = "".join(one.words for one in writes)
    parts = [part.split() for part in text.split(EDGE) if part not in _EMPTY]
    words = list(chain.from_iterable(parts))
    lengths = sorted(set(map(len, words)))
    return _Before(
        frozenset(words),
        text,
        "".join(words),
        sorted({part[0] for part in parts}),
        sorted({part[-1][::-1] for part in parts}),
        frozenset([part[-1][-2:] for part in parts]),
        lengths,
        PLACE * len(lengths) + sum(lengths) // 4,
    )


def _formed(text: str, before: _Before, work: Work) -> bool:
    """Whether a value can have been made of what was written: as it is, spaced apart, encoded, or put together from several texts."""
    if not before.text:
        return False
    if len(text) > MAX_VALUE:
        return True
    work.spend(PLACE * len(text))
    forms = _forms(text) if len(text) <= _REMEMBERED else _forms.__wrapped__(text)
    for one in forms:
        work.spend(len(before.text))
        if one in (before.text if len(one) < SHORT else before.run):
            return True
        if len(one) >= LEAST_SPLIT and _joined(one, before, work):
            return True
    return False


@lru_cache(1024)
def _forms(text: str) -> tuple[str, ...]:
    """A value as it is looked for, and in other clothes: what was encoded as a whole was decoded when it was written, these find what
    was split. The empty one is anywhere."""
    raw = text.encode("utf-8", "replace")
    forms = [_squeezed(text), _squeezed(quote(raw, safe="")), raw.hex()]
    for shift in range(3):  # where in a longer Base64 text it may begin; its last letters depend on what follows
        found = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
        forms.append(_squeezed(found[-(-shift * 8 // 6) : len(found) - 1]))
    return (forms[0], *dict.fromkeys(form for form in forms[1:] if len(form) >= SHORT and form != forms[0]))


def _squeezed(text: str) -> str:
    return _spaced(text).replace(" ", "")


def _joined(form: str, before: _Before, work: Work) -> bool:
    """Whether it is a row of whole words that were written, the first one the end and the last one the beginning of a text, maybe."""
    size, words = len(form), before.words
    longest = before.lengths[-1] if before.lengths else 0
    reach = min(size, longest + 1)
    work.spend(PLACE * reach + before.step)
    todo = [stop for stop in range(1, reach) if stop == 1 or form[stop - 2 : stop] in before.tails]
    work.spend(sum(todo))
    todo = [stop for stop in todo if _begins(before.last, form[stop - 1 :: -1])]
    todo += [stop for stop in before.lengths if stop < size and form[:stop] in words]
    reached = set(todo)
    while todo:
        start = todo.pop()
        rest = form[start : start + longest + 1]
        if len(rest) <= longest and (rest in words or _begins(before.first, rest)):
            return True
        work.spend(before.step)
        more = {start + length for length in before.lengths if start + length < size and rest[:length] in words} - reached
        reached |= more
        todo += more
    return False


def _begins(ordered: Sequence[str], start: str) -> bool:
    """Whether one of some words begins so; they are in order."""
    place = bisect_left(ordered, start)
    return place < len(ordered) and ordered[place].startswith(start)
