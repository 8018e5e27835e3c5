"""Who is who: the people behind a name, all names they go by, whether they are gone, who manages them. Pure; who reads is passed in."""

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from remit.model.identity import Agent
from remit.model.person import OwnerState, Person, PersonId, PersonStatus, Standing, folded

MAX_LINKED = 64
"""So many records may be joined by names that they share; beyond, nobody can say who is who."""
GONE = frozenset({PersonStatus.INACTIVE, PersonStatus.REMOVED})
Find = Callable[[str], Sequence[Person]]
"""The people who go by a name (folded)."""
Get = Callable[[PersonId], Person | None]


class CorrelatedIdentity(msgspec.Struct, frozen=True):
    """Whoever goes by a name: all their names (folded), the records that say so, whether these are all there are, and what they say."""

    names: frozenset[str]
    people: tuple[Person, ...] = ()
    whole: bool = True
    standing: Standing = Standing()

    def is_one_of(self, names: Iterable[str]) -> bool:
        """Whether any of these names can be theirs."""
        # INVARIANT (fail closed): where too many records are joined to tell who is who, everybody can be.
        return not self.whole or not self.names.isdisjoint(map(folded, names))

    @property
    def gone(self) -> bool:
        """Whether they are gone."""
        return self.standing.state is OwnerState.GONE


class OwnedAgent(Agent, frozen=True, kw_only=True):
    """An agent, with what is known of who owns it: whether they are there, and if they are gone, since when (µs, else 0)."""

    owner_state: OwnerState
    owner_since: int


class Directory:
    """Names looked up in the records of all sources, each once: it is thrown away when these change."""

    def __init__(self, find: Find, get: Get) -> None:
        self._get = get
        self._asked = find
        self._found: dict[str, Sequence[Person]] = {}
        self._known: dict[str, CorrelatedIdentity] = {}

    def _find(self, name: str) -> Sequence[Person]:
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._asked(name)
        return found

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
                    return CorrelatedIdentity(frozenset(names), tuple(people.values()), False, self._standing(name))
                people[person.id] = person
                names |= person.names
                waiting += [(one, one in person.joining) for one in person.names]
        return CorrelatedIdentity(frozenset(names), tuple(people.values()), standing=self._standing(name))

    def _standing(self, name: str) -> Standing:
        """Whether whoever goes by a name (folded) is there, as sources say who know that."""
        if attested := self._attested(name):
            return _worst([_said(attested)])
        # INVARIANT (fail closed, and for nobody else): what a token says of its holder can show that they are gone, and nobody besides.
        logins = [person for person in self._find(name) if name in person.own]
        said = [(one, login) for login in logins for one in sorted(login.names - {name})]
        return _worst([_said(self._attested(one, joins=one in login.joining)) for one, login in said])

    def _attested(self, name: str, joins: bool = True) -> tuple[Person, ...]:
        """The records of whoever goes by a name (folded), in the sources that know who is there: without what logins join.

        Two records of one source are two people, whatever name they share, unless both are whom it means by the name.
        """
        group = {one.id: one for one in self._find(name) if _counts(one) and (joins or name in one.joining)}
        new = list(group.values())
        while new and len(group) <= MAX_LINKED:
            sources = {person.source for person in group.values()}
            reached: dict[PersonId, Person] = {}
            for person in new:
                for one in sorted(person.names):
                    for other in self._find(one):
                        joined = is_same(person, other) if other.source in sources else one in person.joining & other.joining
                        if _counts(other) and other.id not in group and joined:
                            reached[other.id] = other
            group |= reached
            new = list(reached.values())
        return tuple(group.values())

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
        """Who manages whoever goes by a name; None if nobody says, or not everybody says the same."""
        known = self.known_as(name)
        found: dict[PersonId, Person] = {}
        for person in known.people:
            if person.manager and person.status not in (PersonStatus.REMOVED, PersonStatus.ERASED):
                stated = self._get(PersonId(person.manager))
                for one in (stated,) if stated is not None else self._find(folded(person.manager)):
                    if one.source == person.source and not known.is_one_of(one.names):
                        found[one.id] = one
        return next(iter(found.values())) if len(found) == 1 else None


def _counts(person: Person) -> bool:
    return person.attests and person.status is not PersonStatus.ERASED


def is_same(one: Person, other: Person) -> bool:
    """Whether a source means one person by both records: of somebody who left and came back, it has an old one and a new one."""
    if one.source != other.source:
        return False
    return folded(one.user_name) == folded(other.user_name) or (one.external_id == other.external_id != "")


def _said(people: Collection[Person]) -> Standing:
    """What the sources say, the worst of any: they are gone if one that knew them has them no more, and has not let them in again."""
    since: list[int] = []
    for person in people:
        same = [one for one in people if is_same(person, one)]
        if all(one.status in GONE for one in same):
            since.append(max(one.since for one in same))
    if since:
        return Standing(OwnerState.GONE, min(since))
    return Standing(OwnerState.ACTIVE if people else OwnerState.UNKNOWN)


def _worst(said: Iterable[Standing]) -> Standing:
    """What is said by several together: they are gone since the first who says so."""
    found = [*said, Standing()]
    gone = [one for one in found if one.state is OwnerState.GONE]
    return min(gone, key=lambda one: one.since) if gone else max(found, key=lambda one: one.state is OwnerState.ACTIVE)


def worst(states: Iterable[OwnerState]) -> OwnerState:
    """What is said of several owners together: gone if one is, active only if all are."""
    found = set(states)
    if OwnerState.GONE in found:
        return OwnerState.GONE
    return OwnerState.ACTIVE if found == {OwnerState.ACTIVE} else OwnerState.UNKNOWN
