"""Erasing whoever is gone, in any directory: nobody comes back by it, and nobody else goes. Pure; `test_erased` has it on every store."""

import hashlib
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from remit.inventory.directory import Directory
from remit.inventory.marking import Marker, let_in
from remit.inventory.people import erased
from remit.model.person import GONE, LOGIN, OwnerState, Person, PersonId, PersonStatus

NAMES = ("dora", "kim", "dora@corp.com", "team@corp.com", "00u7")
IDENTITY = "https://idp.example#1"
FEW = 3
"""Among so many records erasing changes nothing at all of who is gone."""
People = dict[PersonId, Person]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def directory(people: Mapping[PersonId, Person]) -> Directory:
    def find(*names: str) -> list[Person]:
        return [one for _, one in sorted(people.items()) if not one.found_by.isdisjoint(names)]

    return Directory(find, people.get, digest)


def told(people: Mapping[PersonId, Person], names: frozenset[str]) -> dict[str, OwnerState]:
    known = directory(people)
    return {name: known.known_as(name).standing.state for name in names}


def in_error(gone: dict[str, OwnerState], there: dict[str, OwnerState]) -> list[str]:
    """The names of whoever is gone as the one has it, and is not as the other does."""
    return [name for name in gone if gone[name] is OwnerState.GONE and there[name] is not OwnerState.GONE]


def names_of(people: Mapping[PersonId, Person]) -> frozenset[str]:
    return frozenset[str]().union(*[one.names for one in people.values()])


@st.composite
def records(draw: st.DrawFn) -> People:
    """A few records of two sources that know who is there, each user name once in each; and at most one login."""
    found: People = {}
    taken = set[tuple[str, str]]()
    for number in range(draw(st.integers(1, 5))):
        source, user = draw(st.sampled_from(("file:csv", "scim:okta"))), draw(st.sampled_from(NAMES))
        also = tuple(draw(st.lists(st.sampled_from((*NAMES, IDENTITY)), max_size=2, unique=True)))
        status = draw(st.sampled_from((PersonStatus.ACTIVE, PersonStatus.REMOVED)))
        if (source, user) not in taken:
            taken.add((source, user))
            one = PersonId(f"per_{number}")
            found[one] = Person(one, source, user, f"e{number}", also, status=status, since=number + 1, seen=1)
    if draw(st.booleans()):
        claimed, email = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
        one = PersonId("per_login")
        found[one] = Person(one, f"{LOGIN}idp", claimed, "x", (IDENTITY, "00u7", email), since=9, seen=1)
    return found


def without(people: People, who: list[Person]) -> People:
    """The people, once these were erased one after the other."""
    after = dict(people)
    for one in who:
        after[one.id] = erased(one, 100, directory(after).left_by(one))
    return after


def again(people: People, one: Person) -> People:
    """The people, once a source has one of them again."""
    there = replace(one, status=PersonStatus.ACTIVE, since=200)
    marks = Marker(digest).back(there)
    after = {who.id: replace(who, left=let_in(who.left, marks)) if who.left is not None else who for who in people.values()}
    return after | {one.id: there}


@settings(max_examples=300, deadline=None)
@given(people=records(), data=st.data())
def test_erasing_whoever_is_gone_lets_nobody_in_and_keeps_nobody_else_out(people: People, data: st.DataObject) -> None:
    names, known = names_of(people), directory(people)
    gone = [one for one in people.values() if known.left_by(one) is not None]
    who = data.draw(st.lists(st.sampled_from(gone), max_size=2, unique_by=lambda one: one.id)) if gone else []
    before, after = told(people, names), told(without(people, who), names)
    assert in_error(before, after) == []
    # Once that a source tells two apart is forgotten with one of them, a name that four records share can keep out the other.
    if len(people) <= FEW:
        assert in_error(after, before) == []
    # A colleague's return lets in nobody who was erased, and who would not be let in by it had they been kept.
    left = [one for one in people.values() if one.status in GONE and one not in who]
    if left:
        back = data.draw(st.sampled_from(left))
        kept, forgotten = told(again(people, back), names), told(again(without(people, who), back), names)
        assert in_error(kept, forgotten) == []


def test_whoever_is_gone_by_one_who_shares_a_name_stays_so_by_it() -> None:
    """Only a source that has somebody else by that very name tells them from who was erased, not one that is joined from there."""
    said: tuple[tuple[str, PersonStatus, tuple[str, ...]], ...] = (
        ("scim:okta", PersonStatus.ACTIVE, ("dora", "kim")),
        ("scim:okta", PersonStatus.REMOVED, ("00u7", "dora@corp.com", "dora")),
        ("file:csv", PersonStatus.ACTIVE, ("kim", "team@corp.com")),
        ("file:csv", PersonStatus.ACTIVE, ("00u7", "dora", "team@corp.com")),
    )
    people: People = {
        PersonId(f"per_{number}"): Person(
            PersonId(f"per_{number}"), source, user, f"e{number}", tuple(also), status=status, seen=1
        )
        for number, (source, status, (user, *also)) in enumerate(said)
    }
    names = frozenset({"team@corp.com"})
    assert told(people, names) == told(without(people, [people[PersonId("per_3")]]), names) == {"team@corp.com": OwnerState.GONE}
