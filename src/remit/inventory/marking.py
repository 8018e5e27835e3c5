"""Marks that stand for names once whoever went by them is erased: they say nothing to whoever does not know the name. Pure."""

from collections.abc import Callable, Iterable

import msgspec

from remit.model.person import Left, Person

Digest = Callable[[bytes], str]
"""HMAC under a key of the store's: equal only for equal data, and nobody makes it without the key."""
_encode = msgspec.json.Encoder().encode


class Marker:
    """Makes marks. What they stand for is kept apart: a name that joins records, what a source calls somebody, and by what it lets them in
    again."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest

    def name(self, name: str) -> str:
        """Stands for a name (folded) that joins records."""
        return f"name:{self._of('name', name)}"

    def called(self, name: str) -> str:
        """Stands for what a source itself calls somebody (folded)."""
        return f"called:{self._of('name', name)}"

    def back(self, person: Person) -> list[str]:
        """Stand for whom a source means by a record: who is so again has come back."""
        keys = [("user", name) for name in person.user_names] + [("id", id) for id in person.external_ids]
        return [f"back:{self._of(kind, person.source, key)}" for kind, key in keys if key]

    def _of(self, *parts: str) -> str:
        return self._digest(_encode(("gone", *parts)))

    def left(self, person: Person, gone: Iterable[Person], before: Iterable[Left]) -> Left:
        """What is kept of a person whom these records, and what was kept of these others `before`, say to be gone."""
        saying, earlier = list(gone), list(before)
        # INVARIANT (fail closed, and for nobody else): of a login only what is its holder's own, not what they claim.
        marks = {self.name(name) for name in (person.joining if person.attests else person.own)}
        if person.attests:
            marks.update(map(self.called, person.names - person.joining))
        marks.update(mark for one in saying for mark in self.back(one))
        marks.update(mark for one in earlier for mark in one.marks if mark.startswith("back:"))
        sources = {one.source for one in saying}.union(*[one.sources for one in earlier])
        since = min([one.since for one in saying] + [one.since for one in earlier])
        return Left(tuple(sorted(sources)), since, tuple(sorted(marks)))


def let_in(left: Left, source: str) -> Left | None:
    """What is kept once a source says that they are there again; None if nobody else says that they are gone."""
    others = tuple([one for one in left.sources if one != source])
    return msgspec.structs.replace(left, sources=others) if others else None
