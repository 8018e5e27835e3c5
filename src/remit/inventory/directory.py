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


class Known(msgspec.Struct, frozen=True):
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
        self._find, self._get = find, get
        self._known: dict[str, Known] = {}

    def known_as(self, name: str) -> Known:
        """Whoever goes by a name. Records that share a name, however long the chain, are taken for one person's."""
        # INVARIANT (an approval is for one exact action): two who cannot be told apart are one, for whom four eyes are two.
        wanted = folded(name)
        found = self._known.get(wanted)
        if found is None:
            found = self._known[wanted] = self._joined(wanted)
        return found

    def _joined(self, name: str) -> Known:
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
                    return Known(frozenset(names), tuple(people.values()), False, _standing(people.values()))
                people[person.id] = person
                names |= person.names
                waiting += [(one, one in person.joining) for one in person.names]
        return Known(frozenset(names), tuple(people.values()), standing=_standing(people.values()))

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


def _standing(people: Collection[Person]) -> Standing:
    """What the sources say, the worst of any that has an opinion: they are gone if one that knows them has them no more."""
    since: list[int] = []
    knowing = [person for person in people if person.attests and person.status is not PersonStatus.ERASED]
    for source in {person.source for person in knowing}:
        said = [person for person in knowing if person.source == source]
        # Of somebody who left and came back, a source has an old record and a new one.
        if all(person.status in GONE for person in said):
            since.append(max(person.since for person in said))
    if since:
        return Standing(OwnerState.GONE, min(since))
    return Standing(OwnerState.ACTIVE if knowing else OwnerState.UNKNOWN)


def worst(states: Iterable[OwnerState]) -> OwnerState:
    """What is said of several owners together: gone if one is, active only if all are."""
    found = set(states)
    if OwnerState.GONE in found:
        return OwnerState.GONE
    return OwnerState.ACTIVE if found == {OwnerState.ACTIVE} else OwnerState.UNKNOWN
