"""Marks that stand for names once whoever went by them is erased: they say nothing to whoever does not know the name. Pure."""

from collections.abc import Callable, Collection, Iterable

import msgspec

from remit.model.person import Left, Person, SaidGone

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
        keys = [("user", name) for name in sorted(person.user_names)] + [("id", id) for id in sorted(person.external_ids)]
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
        # INVARIANT (fail closed): each record for itself, so that nobody is let in by a colleague's return.
        said = {SaidGone(one.source, tuple(self.back(one))) for one in saying}.union(*[one.records for one in earlier])
        records = tuple(sorted(said, key=lambda one: (one.source, one.marks)))
        since = min([one.since for one in saying] + [one.since for one in earlier])
        return Left(_sources(records), since, tuple(sorted(marks)), records)


def let_in(left: Left, marks: Collection[str]) -> Left | None:
    """What is kept once sources have those again, as active, whom these marks stand for; None if nobody else says that they are gone."""
    records = tuple([one for one in left.records if not set(one.marks) & set(marks)])
    return msgspec.structs.replace(left, sources=_sources(records), records=records) if records else None


def _sources(records: Iterable[SaidGone]) -> tuple[str, ...]:
    return tuple(sorted({one.source for one in records}))
