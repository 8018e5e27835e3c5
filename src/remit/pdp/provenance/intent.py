"""What a person asked for, in their words: the values, things and documents that they named."""

import operator
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache

from remit.pdp.provenance.asking import stems_of
from remit.pdp.provenance.folding import exact
from remit.pdp.provenance.naming import is_alone, is_folder, is_led_to, is_name, is_receiver, is_thing, is_wanted
from remit.pdp.provenance.roles import ADDRESS, DATE, NUMBER, Role
from remit.pdp.provenance.searching import Place, holds, is_introduced, segment, whole
from remit.pdp.provenance.sums import sums_in
from remit.pdp.provenance.words import singular

_ENDING = re.compile(r"\.\w{2,5}\Z|/")
_ACCOUNT = re.compile(r"(?=(?:.*\d){4})[a-z0-9]{10,40}")
_QUOTES = ("''", '""', "``", "“”", "‘’")
_SLASHES = re.compile(r"/(?:\.?/)+|/\.(?![^\s/])")
MAX_SAID = 120
MAX_STEPS = 64
"""So many steps of a path are looked for as one."""


class Intent:
    """The trusted purposes of a task and of those it was delegated from."""

    def __init__(self, text: str) -> None:
        self.text = exact(text)
        self.written = " ".join(text.split())

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words of three letters or more, in the singular."""
        return frozenset(singular(word) for word in re.findall(r"\w{3,}", self.text))

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of its words."""
        return stems_of(self.text)

    @cached_property
    def sums(self) -> frozenset[float]:
        """The numbers that may be sums: no dates, no accounts."""
        return frozenset(sums_in(self.text))

    @cached_property
    def _addresses(self) -> frozenset[str]:
        return frozenset(url_key(url) for url in URLS.findall(self.text))

    @cached_property
    def _spoken(self) -> str:
        return " " + " ".join(re.findall(r"\w+", self.text)) + " "

    def has(self, value: str, role: Role, part: bool = False, nouns: frozenset[str] = frozenset()) -> bool:
        """Whether the value stands there: a short name must be called one or stand behind one of the `nouns`, a number may be written
        otherwise. A `part` of a path may be part of one there, too."""
        wanted = exact(value)
        if not wanted:
            return True
        short = sum(map(str.isalnum, wanted)) < 3
        if NUMBER.fullmatch(wanted) and role not in (Role.OBJECT, Role.RECEIVER):
            return float(wanted.replace(",", ".")) in self.sums
        if short or (role is Role.OBJECT and (NUMBER.fullmatch(wanted) or len(wanted) < 4)):
            return holds(self.text, wanted, exhausted=False, counts=is_introduced(nouns))
        if holds(self.text, wanted, exhausted=False, counts=self._place(role, part)):
            return True
        if _ACCOUNT.fullmatch(wanted):  # written in groups
            return re.search(r"(?<![a-z0-9])" + "[ .-]?".join(wanted) + r"(?![a-z0-9])", self.text) is not None
        return URL.fullmatch(wanted) is not None and url_key(wanted) in self._addresses

    def _place(self, role: Role, part: bool) -> Place:
        if part:
            return segment
        if role is Role.RECEIVER:
            return is_receiver(self.written)
        return is_thing if role is Role.OBJECT else is_wanted

    def leads_to(self, path: str) -> bool:
        """Whether a path is above one that stands there, or the end of one that is."""
        return f"{_collapsed(exact(path)).rstrip('/')}/" in self._collapsed

    @cached_property
    def _collapsed(self) -> str:
        return _collapsed(self.text)

    def composes(self, path: str, chosen: Sequence[bool]) -> bool:
        """Whether a path is put together from what stands there: things by themselves, behind a path or the folder of one. `chosen` says
        of each part whether something else gives it."""
        # INVARIANT (words narrow, never widen): whoever named a path named no other that its parts could make.
        steps = steps_of(path)
        root = "/" if exact(path).startswith("/") else ""
        if any(step in (".", "..") for step in steps) or len(steps) != len(chosen):
            return False
        for stop in range(min(len(steps), MAX_STEPS), 0, -1):
            head = root + "/".join(steps[:stop])
            if self._stands(head, is_alone):
                rest = [*map(self._stands, steps[stop:-1]), self._stands(steps[-1], is_led_to)] if stop < len(steps) else []
                return all(map(operator.or_, rest, chosen[stop:]))
            if stop < len(steps) and self._stands(head, is_folder):
                return all(map(operator.or_, map(self._stands, steps[stop:]), chosen[stop:]))
        alone = len(steps) > 1 or not root
        return all(map(operator.or_, (alone and self._stands(step) for step in steps), chosen))

    def _stands(self, wanted: str, counts: Place = is_alone) -> bool:
        return holds(self._collapsed, wanted, exhausted=False, counts=counts)

    def says(self, text: str) -> bool:
        """Whether these words stand there as a name, in quotes or with a capital: two or more, or one of six letters; a date or a
        number says nothing."""
        # INVARIANT (words narrow, never widen): the request's own words are nobody's name, whoever calls a thing so.
        if len(text) > MAX_SAID or DATE.fullmatch(text) or NUMBER.fullmatch(text):
            return False
        words = re.findall(r"\w+", re.sub(r"\.\w{2,5}\Z", "", exact(text)))
        long = bool(words) and (sum(map(len, words)) >= 6 if len(words) > 1 else len(words[0]) >= 6)
        return long and f" {' '.join(words)} " in self._spoken and is_name(self.written, words)

    def names(self, text: str) -> bool:
        """Whether somebody wrote just this as a name: an address, a document, or something in quotes."""
        wanted = exact(text)
        if len(wanted) < 6 or not holds(self.text, wanted, exhausted=False, counts=whole):
            return False
        quoted = any(f"{mark}{wanted}{mark}" in self.text for mark in _QUOTES)
        return (
            quoted
            or f"“{wanted}”" in self.text
            or f"‘{wanted}’" in self.text
            or bool(ADDRESS.fullmatch(wanted))
            or self.names_document(text)
        )

    def names_document(self, text: str) -> bool:
        """Whether it names a document: a file, a path or an address on the web."""
        wanted = exact(text)
        return len(wanted) >= 6 and _ENDING.search(wanted) is not None and holds(self.text, wanted, False, whole)

    def names_place(self, text: str) -> bool:
        """Whether it names a document, or a folder or path that leads to it."""
        parts = exact(text).split("/")
        above = ("/".join(parts[:count]) for count in range(2, len(parts)))
        return self.names_document(text) or any(len(path) >= 5 and holds(self.text, path, False, whole) for path in above)


def _collapsed(text: str) -> str:
    """Text with one slash where a path has several, or steps that go nowhere."""
    return _SLASHES.sub("/", text)


def steps_of(path: str) -> list[str]:
    """The steps of a path, as they are compared."""
    return [step for step in _collapsed(exact(path)).split("/") if step]


URL = re.compile(r"(?:https?://)?((?:[\w-]+\.)+[a-z]{2,})(?::\d+)?(/\S*)?", re.IGNORECASE)
URLS = re.compile(r"(?:https?://|www\.)[^\s'\"<>)\x00]+", re.IGNORECASE)


def url_key(url: str) -> str:
    """An address without what may be left out of it."""
    return re.sub(r"^www\.", "", re.sub(r"^[a-z]+://", "", exact(url))).rstrip("/.,;")


@lru_cache(256)
def intent_of(text: str) -> Intent:
    """The intent of these words, remembered."""
    return Intent(text)
