"""Sums in texts, in whatever notation: with a currency, grouped, with a decimal comma, in words."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from remit.pdp.provenance.searching import EDGE

_GROUPED = re.compile(r"\d{1,3}(?:[ ,.'’\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?")
_POWERS = re.compile(r"(?<![\w.])(?:0x([0-9a-f]{1,12})|\d{1,12}(?:\.\d{1,12})?e\d{1,2})(?!\w)")
_SCALE = re.compile(r"\s?(k|thousand|million|mio|m|bn|billion|hundred)\b")
_SCALES = {"k": 1e3, "thousand": 1e3, "million": 1e6, "mio": 1e6, "m": 1e6, "bn": 1e9, "billion": 1e9, "hundred": 1e2}
_LETTERS, _TRAILING = re.compile(r"[^\W\d_]+\Z"), re.compile(r"[^\W\d_]+")
_CURRENCIES = frozenset("eur usd gbp chf jpy cad aud nzd inr cny dkk sek nok pln czk brl mxn zar krw sgd hkd rs kr r us".split())  # noqa: SIM905
_PERCENT = re.compile(r"(?<![\w.,])(\d{1,3}(?:[.,]\d{1,3})?)\s?(?:%|percent\b)")
_DATE = re.compile(r"\d[-:/]\Z|\d\.\Z")
_ONES = {
    word: value
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
        nineteen""".split()  # noqa: SIM905 - words, to be read
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)  # noqa: SIM905
}
_SPOKEN = "|".join(sorted((*_ONES, *_TENS, "hundred", "thousand", "million", "and"), key=len, reverse=True))
_WORDS = re.compile(rf"\b(?:{_SPOKEN})\b(?:[ -]+(?:{_SPOKEN})\b)*")
MAX_LOOKED, MAX_PLACES, REMEMBERED = 20_000, 20, 1 << 14
"""So many numbers of a text are looked at, so many places of one; results for texts up to the third (characters) are remembered."""
LONGEST = 7
"""So many digits without any mark are an account or an identifier rather than a sum."""


class TooMany(Exception):
    """There are more numbers in a text than are looked at."""


class Sum:
    """One number in a text: where it stands, and each value that a reader could take it for."""

    __slots__ = ("start", "stop", "values")

    def __init__(self, start: int, stop: int, values: tuple[float, ...]) -> None:
        self.start, self.stop, self.values = start, stop, values


def found_in(text: str) -> Iterator[Sum]:
    """The numbers of a text that may be sums; none that is part of a date, a time or a name. Raises `TooMany`."""
    for looked, found in enumerate(_GROUPED.finditer(text)):
        if looked >= MAX_LOOKED:
            raise TooMany
        start, stop = found.span()
        if _is_part(text, start, stop):
            continue
        scale = _SCALE.match(text, stop)
        times = _SCALES[scale[1]] if scale else 1.0
        yield Sum(start, stop, tuple({times * value for value in _values(found[0])} | set(_values(found[0]))))
    for found in _POWERS.finditer(text):
        head, mark, tail = found[0].partition("e") if found[1] is None else ("", "x", found[1])
        yield Sum(*found.span(), (float(int(tail, 16)) if mark == "x" else float(f"{head}e{tail}"),))
    for found in _WORDS.finditer(text):
        value = _spoken(found[0])
        if value:
            yield Sum(*found.span(), (value,))


class Sums(NamedTuple):
    """The numbers of one text by value, where each stands; `more` says that there are more than are looked at."""

    by_value: Mapping[float, tuple[Sum, ...]]
    more: bool


def sums_of(text: str) -> Sums:
    """The numbers of a text that may be sums. Of texts that are not long it is remembered."""
    return _sums_of(text) if len(text) <= REMEMBERED else _sums_of.__wrapped__(text)


@lru_cache(2048)
def _sums_of(text: str) -> Sums:
    by_value: dict[float, tuple[Sum, ...]] = {}
    try:
        for found in found_in(text):
            for value in found.values:
                by_value[value] = (*by_value.get(value, ())[:MAX_PLACES], found)
    except TooMany:
        return Sums(by_value, True)
    return Sums(by_value, False)


def sums_in(text: str) -> Iterator[float]:
    """All values of the numbers of a text that may be sums, but for long ones without a mark."""
    with suppress(TooMany):
        for one in found_in(text):
            if one.stop - one.start <= LONGEST or not text[one.start : one.stop].isdigit():
                yield from one.values


def shares_in(text: str) -> Iterator[float]:
    """The percentages of a text: no sums, but what sums are worked out with."""
    return (float(found[1].replace(",", ".")) for found in _PERCENT.finditer(text))


def _is_part(text: str, start: int, stop: int) -> bool:
    before, behind = text[max(0, start - 12) : start], text[stop : stop + 12]
    letters, trailing = _LETTERS.search(before), _TRAILING.match(behind)
    if letters is not None and letters[0] not in _CURRENCIES:
        return True
    if trailing is not None and trailing[0] not in _CURRENCIES and _SCALE.match(text, stop) is None:
        return True
    if before[-1:] == "_" or behind[:1] in ("_", "%"):
        return True
    return _DATE.search(before) is not None or (behind[:1] in ("-", ":", "/", ".") and behind[1:2].isdigit())


def _values(text: str) -> tuple[float, ...]:
    """What a number as it is written can mean: `9.999` is nine thousand here and ten there."""
    plain = re.sub("[ '’\u00a0\u202f]", "", text)
    digits, mark = re.sub("[.,]", "", plain), max(plain.rfind("."), plain.rfind(","))
    if mark < 0:
        return (float(digits),)
    decimal = float(re.sub("[.,]", "", plain[:mark]) + "." + plain[mark + 1 :])
    return (decimal, float(digits)) if len(plain) - mark == 4 else (decimal,)


def _spoken(text: str) -> float:
    total, group = 0, 0
    for word in re.findall("[a-z]+", text):
        if word in _ONES:
            group += _ONES[word]
        elif word in _TENS:
            group += _TENS[word]
        elif word == "hundred":
            group = max(group, 1) * 100
        elif word in ("thousand", "million"):
            total += max(group, 1) * (1000 if word == "thousand" else 1_000_000)
            group = 0
    return float(total + group)


def number_of(text: str) -> float | None:
    """The number that an argument is, None if it is none."""
    try:
        return float(text.replace(",", "")) if EDGE not in text else None
    except ValueError:
        return None


MAX_GIVEN, MAX_COUNT = 48, 100


class Reckoning:
    """The sums that follow from given numbers as people reckon: some of two, so many times, a share, or a share and more."""

    def __init__(self, given: Iterable[float]) -> None:
        known = sorted(set(islice((abs(one) for one in given if one), MAX_GIVEN)))
        shares = {one * part for one in known for part in (2, 1 / 2, 1 / 3, 1 / 4)}
        shares |= {one * percent / 100 for one in known for percent in known if percent <= 100 and percent != one}
        counts = [one for one in known if one <= MAX_COUNT and one.is_integer()]
        plain = {*known, *shares, *(one * count for one in known for count in counts if count != one)}
        self._known, self._reached = known, {round(value, 2) for value in plain}

    def reaches(self, number: float) -> bool:
        """Whether a sum follows from them."""
        if round(number, 2) in self._reached:
            return True
        return any(round(abs(number - one), 2) in self._reached or round(number + one, 2) in self._reached for one in self._known)
