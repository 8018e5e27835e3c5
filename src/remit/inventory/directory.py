"""Who is who: the people behind a name, all names they go by, whether they are gone, who manages them. Pure; who reads is passed in."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from remit.inventory.marking import Digest, Marker
from remit.model.identity import Agent
from remit.model.person import GONE, Left, OwnerState, Person, PersonId, PersonStatus, Standing, folded

MAX_LINKED = 64
"""So many records may be joined by names that they share; beyond, nobody can say who is who."""
Get = Callable[[PersonId], Person | None]


class Find(Protocol):
    """Finds the people who go by one of these names (folded), or of whom these marks are kept."""

    def __call__(self, *names: str) -> Sequence[Person]:
        """Those people, each once."""
        ...


class CorrelatedIdentity(msgspec.Struct, frozen=True):
    """Whoever goes by a name: all their names (folded), the records that say so, whether these are all there are, and what they say.
    `erased` are those who went by the name, and were erased once they had gone."""

    names: frozenset[str]
    people: tuple[Person, ...] = ()
    whole: bool = True
    standing: Standing = Standing()
    erased: tuple[Person, ...] = ()

    def is_one_of(self, names: Iterable[str]) -> bool:
        """Whether any of these names can be theirs."""
        # INVARIANT (fail closed): where too many records are joined to tell who is who, everybody can be.
        return not self.whole or not self.names.isdisjoint(map(folded, names))

    @property
    def gone(self) -> bool:
        """Whether they are gone."""
        return self.standing.state is OwnerState.GONE

    @property
    def unconfirmed(self) -> bool:
        """Whether they are there by a backup alone that was restored."""
        return self.standing.unconfirmed


class _Told(NamedTuple):
    """What sources that know who is there tell of somebody: their records, and those who were erased once they had gone."""

    people: tuple[Person, ...]
    erased: tuple[Person, ...]

    @property
    def standing(self) -> Standing:
        left = [Standing(OwnerState.GONE, one.left.since) for one in self.erased if one.left is not None]
        return _worst([_said(self.people), *left])


class OwnedAgent(Agent, frozen=True, kw_only=True):
    """An agent, with what is known of who owns it: whether they are there, and if they are gone, since when (µs, else 0)."""

    owner_state: OwnerState
    owner_since: int


class Directory:
    """Names looked up in the records of all sources, each once: it is thrown away when these change."""

    def __init__(self, find: Find, get: Get, digest: Digest) -> None:
        self._get = get
        self._asked = find
        self._marker = Marker(digest)
        self._found: dict[str, _Told] = {}
        self._known: dict[str, CorrelatedIdentity] = {}

    def _look_up(self, name: str) -> _Told:
        found = self._found.get(name)
        if found is None:
            marks = self._marker.name(name), self._marker.called(name)
            asked = self._asked(name, *marks)
            people = tuple([one for one in asked if name in one.names and not _given_on(name, one, asked)])
            erased = tuple([one for one in asked if one.left is not None and not set(marks).isdisjoint(one.left.marks)])
            found = self._found[name] = _Told(people, erased)
        return found

    def _find(self, name: str) -> Sequence[Person]:
        return self._look_up(name).people

    def known_as(self, name: str) -> CorrelatedIdentity:
        """Whoever goes by a name. Records that share a name, however long the chain, are taken for one person's."""
        # INVARIANT (an approval is for one exact action): two who cannot be told apart are one, for whom four eyes are two.
        wanted = folded(name)
        found = self._known.get(wanted)
        if found is None:
            found = self._known[wanted] = self._joined(wanted)
        return found

    def _joined(self, name: str) -> CorrelatedIdentity:
        people: dict[PersonId, Person] = {}
        names, asked, waiting = {name}, set[tuple[str, bool]](), [(name, True)]
        while waiting:
            wanted, joins = waiting.pop()
            if (wanted, joins) in asked:
                continue
            asked.add((wanted, joins))
            for person in self._find(wanted):
                # Two sources may both call somebody `17`, and mean two people.
                if person.id in people or not (joins or wanted in person.joining):
                    continue
                if len(people) >= MAX_LINKED:
                    return self._identity(name, names, people.values(), False)
                people[person.id] = person
                names |= person.names
                waiting += [(one, one in person.joining) for one in person.names]
        return self._identity(name, names, people.values(), True)

    def _identity(self, name: str, names: Iterable[str], people: Iterable[Person], whole: bool) -> CorrelatedIdentity:
        told = self._told(name)
        erased = {person.id: person for one in told for person in one.erased}
        return CorrelatedIdentity(
            frozenset(names), tuple(people), whole, _worst([one.standing for one in told]), tuple(erased.values())
        )

    def _told(self, name: str) -> list[_Told]:
        """What sources tell that know who is there of whoever goes by a name (folded)."""
        told = [self._told_by(name)]
        # INVARIANT (fail closed, and for nobody else): what a token says of its holder can show that they are gone, and nobody besides.
        # That a source has somebody by the holder's name does not bring the holder back, who acted by it: the worst counts.
        logins = [person for person in self._find(name) if name in person.own]
        return told + [self._told_by(one, one in login.joining) for login in logins for one in sorted(login.names - {name})]

    def _told_by(self, name: str, joins: bool = True) -> _Told:
        start = self._named(name, joins)
        told, mark = self._joined_to(start), self._marker.name(name)
        # As of records that are not erased: whom a source has by that very name, as active, is not who it says is gone by others.
        there = {one.source for one in start.values() if one.status is PersonStatus.ACTIVE}
        erased = {
            one.id: one
            for one in self._look_up(name).erased
            if one.left is not None
            and (joins or mark in one.left.marks)
            and (not one.attests or one.source in one.left.sources or not there.issuperset(one.left.sources))
        }
        return told._replace(erased=tuple((erased | {one.id: one for one in told.erased}).values()))

    def left_by(self, person: Person) -> Left | None:
        """What must be kept of somebody who is erased now, so that they stay gone; None for one who is not gone."""
        if person.attests:
            told = [self._joined_to({person.id: person})]
        else:
            told = [one for name in sorted(person.own) for one in self._told(name)]
        gone = {one.id: one for each in told for one in _gone(each.people)}
        before = [one.left for each in told for one in each.erased if one.left is not None]
        return self._marker.left(person, gone.values(), before) if gone or before else None

    def _attested(self, name: str) -> tuple[Person, ...]:
        """The records of whoever goes by a name (folded), in the sources that know who is there: without what logins join."""
        return self._joined_to(self._named(name, True)).people

    def _named(self, name: str, joins: bool) -> dict[PersonId, Person]:
        """The records of those sources that have a name (folded) themselves."""
        return {one.id: one for one in self._find(name) if _counts(one) and (joins or name in one.joining)}

    def _joined_to(self, group: dict[PersonId, Person]) -> _Told:
        """These records, and all that are joined to them by names; and who was erased once they had gone, and would have been joined.

        Two records of one source are two people, whatever name they share, unless both are whom it means by the name.
        """
        new, erased = list(group.values()), dict[PersonId, Person]()
        while new and len(group) <= MAX_LINKED:
            # INVARIANT (fail closed): only a source that has somebody by now tells them from who is met next, not one that comes later.
            sources = {person.source for person in group.values()}
            reached: dict[PersonId, Person] = {}
            for person in new:
                for one in sorted(person.names):
                    for other in self._find(one):
                        joined = is_same(person, other) if other.source in sources else one in person.joining & other.joining
                        if _counts(other) and other.id not in group and joined:
                            reached[other.id] = other
                    if one in person.joining:
                        erased |= self._erased(one, sources)
            group = group | reached  # not in place: who asked goes on with those that it began with
            new = list(reached.values())
        return _Told(tuple(group.values()), tuple(erased.values()))

    def _erased(self, name: str, sources: Collection[str]) -> dict[PersonId, Person]:
        """Those who went by a name (folded), and were erased once they had gone, as none of these sources told them from others."""
        mark = self._marker.name(name)
        return {
            one.id: one
            for one in self._look_up(name).erased
            if one.left is not None
            and mark in one.left.marks
            and one.attests
            and one.source not in sources
            and not set(one.left.sources) <= set(sources)
        }

    def are_two(self, names: Iterable[str], other: str) -> bool:
        """Whether `other` is surely another person's than these names: one source has them both, and joins them by nothing."""
        these = {person.id: person for name in names for person in self._attested(folded(name))}
        those = {person.id: person for person in self._attested(folded(other))}
        shared = {person.source for person in these.values()} & {person.source for person in those.values()}
        return bool(shared) and these.keys().isdisjoint(those)

    def owned(self, agent: Agent) -> OwnedAgent:
        """An agent, with what is known of who owns it."""
        said = self.known_as(agent.owner).standing
        given = {name: getattr(agent, name) for name in agent.__struct_fields__}
        return OwnedAgent(**given, owner_state=said.state, owner_since=said.since)

    def manager_of(self, name: str) -> Person | None:
        """Who manages whoever goes by a name, or did where every source that said so has them no more; None if nobody says, or not
        everybody says the same."""
        known = self.known_as(name)
        saying = [one for one in known.people if one.manager and one.status is not PersonStatus.ERASED]
        found: dict[PersonId, Person] = {}
        for person in [one for one in saying if one.status is not PersonStatus.REMOVED] or saying:
            stated = self._get(PersonId(person.manager))
            for one in (stated,) if stated is not None else self._find(folded(person.manager)):
                if one.source == person.source and not known.is_one_of(one.names):
                    found[one.id] = one
        return next(iter(found.values())) if len(found) == 1 else None


def _given_on(name: str, person: Person, people: Iterable[Person]) -> bool:
    """Whether a source has taken a name (folded) off somebody who is gone, and has somebody else by it who is there."""
    if not person.is_called_no_more(name):
        return False
    others = [one for one in people if one.source == person.source and one.status is PersonStatus.ACTIVE]
    return any(name in one.names for one in others)


def _counts(person: Person) -> bool:
    return person.attests and person.status is not PersonStatus.ERASED


def _gone(people: Collection[Person]) -> list[Person]:
    """The records that say that somebody is gone: their source has not let them in again by another."""
    return [one for one in people if all(other.status in GONE for other in people if is_same(one, other))]


def is_same(one: Person, other: Person) -> bool:
    """Whether a source means one person by both records: of somebody who left and came back, it has an old one and a new one."""
    if one.source != other.source:
        return False
    return not (one.user_names.isdisjoint(other.user_names) and one.external_ids.isdisjoint(other.external_ids))


def _said(people: Collection[Person]) -> Standing:
    """What the sources say, the worst of any: they are gone if one that knew them has them no more, and has not let them in again."""
    gone = _gone(people)
    # INVARIANT (fail closed): that they were there when a backup was taken does not say that they still are.
    waits = not all(
        any(one.seen and one.status is PersonStatus.ACTIVE for one in people if is_same(person, one))
        for person in people
        if person not in gone
    )
    if gone:
        since = min(max(one.since for one in people if is_same(person, one)) for person in gone)
        return Standing(OwnerState.GONE, since, waits)
    if waits:
        return Standing(unconfirmed=True)
    return Standing(OwnerState.ACTIVE if people else OwnerState.UNKNOWN)


def _worst(said: Iterable[Standing]) -> Standing:
    """What is said by several together: they are gone since the first who says so."""
    found = [*said, Standing()]
    gone = [one for one in found if one.state is OwnerState.GONE]
    if gone:
        return Standing(OwnerState.GONE, min(one.since for one in gone), any(one.unconfirmed for one in found))
    return max(found, key=lambda one: (one.unconfirmed, one.state is OwnerState.ACTIVE))


def worst(states: Iterable[OwnerState]) -> OwnerState:
    """What is said of several owners together: gone if one is, active only if all are."""
    found = set(states)
    if OwnerState.GONE in found:
        return OwnerState.GONE
    return OwnerState.ACTIVE if found == {OwnerState.ACTIVE} else OwnerState.UNKNOWN
