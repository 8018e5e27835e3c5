"""What sources say of people, committed: each change an entry, what it says sealed under a key of the person's own."""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import GroupChanged, PeopleConfirmed, PeopleImported, PersonChanged, PersonErased, PersonReadmitted
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.inventory.directory import Directory
from remit.inventory.marking import Marker, let_in
from remit.inventory.people import erased
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import Stage
from remit.model.errors import conflict, not_found
from remit.model.identity import ApprovalId, Operator, TaskId, floor_id
from remit.model.person import GroupId, Left, PeopleGroup, Person, PersonId, PersonStatus
from remit.runtime.acting import present
from remit.runtime.approving.approvals import REQUEST_LIFE, askers, shown_in
from remit.runtime.directory import digest_of, directory_of
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.store import Approval, RuntimeStore
from remit.runtime.writes import ConfirmPeople, ErasePerson, PutGroup, PutPerson, SeePeople, Write

_seal = msgspec.json.Encoder().encode
_AT_ONCE = 500
"""So many marks are asked for in one query."""


class PeopleUpdate(msgspec.Struct, frozen=True):
    """What a source says: people as they are from now on (each the version behind the stored one), and those of whom it says nothing new;
    `imported` is the file that it stands in, if it came as one."""

    people: tuple[Person, ...]
    seen: tuple[PersonId, ...] = ()
    imported: PeopleImported | None = None


def change_people(runtime: Runtime, say: Callable[[], PeopleUpdate], operator: Operator) -> Driven[PeopleUpdate]:
    """Commit what `say` makes of the people who are stored, all of it or nothing. Raises what it raises, and `RemitError` (conflict)."""
    return Driven(lambda: _change_people(runtime, say, operator))


def _change_people(runtime: Runtime, say: Callable[[], PeopleUpdate], operator: Operator) -> Steps[PeopleUpdate]:
    told: list[PeopleUpdate] = []

    def prepare() -> Change:
        said = say()
        told[:] = [said]
        records, writes = list[Record](), list[Write]()
        for person in said.people:
            key = SealKey.generate() if person.version == 1 else _key(runtime, person.id)
            records.append(_record(person, key, operator))
            writes.append(PutPerson(person, key.secret if person.version == 1 else b""))
        if said.imported is not None:
            records.append(Record(encode_body(said.imported), "people.imported"))
        if said.seen:
            # Once somebody waits to be confirmed, what rests on people is asked anew.
            see = ConfirmPeople if runtime.view.store.unconfirmed() else SeePeople
            writes.append(see(said.seen, runtime.clock()))
        back = _back(runtime, said.people, operator)
        return [*records, *back[0]], [*writes, *back[1]]

    yield from administer(runtime, prepare)
    return told[0]


def _record(person: Person, key: SealKey, operator: Operator) -> Record:
    # INVARIANT (the log convinces a stranger): personal data is erased by destroying its key, and the chain stays whole.
    sealed = key.seal(_seal(person), person.id)
    about = person.id, person.version, person.source, person.status.value, person.since
    return Record(encode_body(PersonChanged(*about, operator.id, operator.verified_by, key.commitment, sealed)), "person.changed")


def _key(runtime: Runtime, person: PersonId) -> SealKey:
    secret = runtime.view.store.secret(TaskId(person))
    if secret is None:
        raise conflict(f"person `{person}` was erased: nothing more is kept of them")
    return SealKey(secret)


def erase_person(runtime: Runtime, person: PersonId, operator: Operator) -> Driven[None]:
    """Destroy the data key of a person and forget their names: what entries say of them can never be read again.

    Whoever is gone stays gone by these names, of which marks are kept; of others nothing is. Raises `RemitError`: not-found, conflict for
    one of whom nobody knows that since a restore, or who is there and stands in an access request or break-glass that counts, and
    unavailable if they are erased but another process keeps remains in the write-ahead log for now: repeat it then.
    """
    return Driven(lambda: _erase_person(runtime, person, operator))


def _erase_person(runtime: Runtime, person: PersonId, operator: Operator) -> Steps[None]:
    def prepare() -> Change:
        known = _known(runtime, person)
        # INVARIANT (fail closed): whoever has left does not come back by being forgotten.
        directory = directory_of(runtime.view.store)
        if any(directory.known_as(name).unconfirmed for name in sorted(known.joining)):
            raise conflict(
                f"nobody has said since the store was restored whether `{person}` is gone, and must be kept out, or there: say it first"
                " (`remit people import`, or `remit people confirm`)"
            )
        left = directory.left_by(known)
        # INVARIANT (an approval is for one exact action): by another of their names they would be somebody else, and approve it too.
        if left is None and (stands := _stands_in(runtime, directory, known)):
            raise conflict(
                f"`{person}` stands in {stands}: one person would be two in it, so repeat this once it is used or over"
            )
        body = PersonErased(person, operator.id, operator.verified_by, left is not None)
        return [Record(encode_body(body), "person.erased")], [ErasePerson(erased(known, runtime.clock(), left))]

    if _known(runtime, person).status is not PersonStatus.ERASED:
        yield from administer(runtime, prepare)
    runtime.view.forget_all()
    runtime.appender.alone(runtime.view.store.scrub)


def _stands_in(runtime: Runtime, directory: Directory, person: Person) -> str:
    """What can still be used, or waits, that somebody asked for, approved or opened by one of their names; empty if nothing does."""
    who, now = [directory.known_as(name) for name in sorted(person.names)], runtime.clock()
    store, first = runtime.view.store, floor_id("apr", now - REQUEST_LIFE)
    for approval in (one for state in (ApprovalState.PENDING, ApprovalState.APPROVED) for one in _since(store, state, first)):
        if now < approval.expires:
            named = {approval.resolver, *[one.operator for one in approval.given], *_askers(runtime, approval)} - {""}
            if named and any(one.is_one_of(named) for one in who):
                return f"access request `{approval.id}`"
    for glass in store.break_glasses((Stage.ASKED, Stage.OPEN)):
        named = {glass.asked_by, glass.confirmed_by} - {""}
        if glass.at(now) in (Stage.ASKED, Stage.OPEN) and any(one.is_one_of(named) for one in who):
            return f"break-glass `{glass.id}`"
    return ""


def _since(store: RuntimeStore, state: ApprovalState, first: str) -> Iterator[Approval]:
    """The access requests from this id on that are in this state, newest first."""
    before: ApprovalId | None = None
    while page := store.approvals(state, _AT_ONCE, before):
        yield from (one for one in page if one.id >= first)
        if page[-1].id < first:
            return
        before = page[-1].id


def _askers(runtime: Runtime, approval: Approval) -> frozenset[str]:
    key = runtime.view.key(approval.task)
    return askers(approval, shown_in(approval, key), key) if key is not None else frozenset()


def readmit(runtime: Runtime, person: PersonId, operator: Operator) -> Driven[None]:
    """Forget of somebody who was erased that they had gone: whoever comes by their names is nobody that is known.

    Raises `RemitError`: not-found, conflict where nothing is kept of them, and refused for an operator who is gone, or is not confirmed.
    """
    return Driven(lambda: _readmit(runtime, person, operator))


def _readmit(runtime: Runtime, person: PersonId, operator: Operator) -> Steps[None]:
    def prepare() -> Change:
        # INVARIANT (the guard is guarded): nobody lets themselves in again.
        present(runtime, operator)
        known = _known(runtime, person)
        if known.left is None:
            raise conflict(f"nothing is kept of `{person}` that would keep them out: see `remit people list --gone`")
        return [_readmitted(known, "", None, operator)], [_kept(known, None)]

    yield from administer(runtime, prepare)
    runtime.appender.alone(runtime.view.store.scrub)


def _known(runtime: Runtime, person: PersonId) -> Person:
    known = runtime.view.store.person(person)
    if known is None:
        raise not_found(f"there is no person `{person}`: see `remit people list`")
    return known


def _readmitted(known: Person, source: str, left: Left | None, operator: Operator) -> Record:
    body = PersonReadmitted(known.id, source, left is None, operator.id, operator.verified_by)
    return Record(encode_body(body), "person.readmitted")


def _kept(known: Person, left: Left | None) -> Write:
    return ErasePerson(replace(known, left=left, version=known.version + 1))


def _back(runtime: Runtime, people: Sequence[Person], operator: Operator) -> Change:
    """Lets those in who were erased once they had gone, and whom a source that said so has again, as active."""
    there = [one for one in people if one.attests and one.status is PersonStatus.ACTIVE]
    if not there:
        return [], []
    marker = Marker(digest_of(runtime.view.store))
    sources = {mark: one.source for one in there for mark in marker.back(one)}
    marks, found = sorted(sources), dict[PersonId, Person]()
    for start in range(0, len(marks), _AT_ONCE):
        found |= {one.id: one for one in runtime.view.store.people_named(*marks[start : start + _AT_ONCE])}
    records, writes = list[Record](), list[Write]()
    for known in found.values():
        left = known.left
        said = left.records if left is not None else ()
        for source in sorted({sources[mark] for one in said for mark in one.marks if mark in sources}):
            if left is not None:
                left = let_in(left, [mark for mark, by in sources.items() if by == source])
                records.append(_readmitted(known, source, left, operator))
        if left is not known.left:
            writes.append(_kept(known, left))
    return records, writes


def confirm_people(runtime: Runtime, source: str, operator: Operator) -> Driven[int]:
    """Say that the people of a source, or of all if none is named, are as the store has them, which a backup was restored into. How many
    that nobody had spoken of since.

    Raises `RemitError`: conflict where there is nobody like that, and refused for an operator who is gone, or waits to be confirmed.
    """
    return Driven(lambda: _confirm_people(runtime, source, operator))


def _confirm_people(runtime: Runtime, source: str, operator: Operator) -> Steps[int]:
    confirmed: list[PersonId] = []

    def prepare() -> Change:
        present(runtime, operator)
        confirmed[:] = [one.id for one in all_people(runtime.view.store, source) if not one.seen]
        if not confirmed:
            raise conflict(f"nobody{f' of `{source}`' if source else ''} waits to be confirmed: see `remit people list`")
        body = PeopleConfirmed(source, len(confirmed), operator.id, operator.verified_by)
        return [Record(encode_body(body), "people.confirmed")], [ConfirmPeople(tuple(confirmed), runtime.clock())]

    yield from administer(runtime, prepare)
    return len(confirmed)


def change_group(
    runtime: Runtime, group: GroupId, change: Callable[[PeopleGroup | None], PeopleGroup], operator: Operator
) -> Driven[PeopleGroup]:
    """Commit what `change` makes of a group of people (None if there is none); version 0 ends it. Raises what `change` raises."""
    return Driven(lambda: _change_group(runtime, group, change, operator))


def _change_group(
    runtime: Runtime, group: GroupId, change: Callable[[PeopleGroup | None], PeopleGroup], operator: Operator
) -> Steps[PeopleGroup]:
    changed: list[PeopleGroup] = []

    def prepare() -> Change:
        before = runtime.view.store.people_group(group)
        after = change(before)
        changed[:] = [after]
        if after == before:
            return [], []
        base = before.version if before is not None else 0
        had = frozenset(before.members) if before is not None else frozenset()
        joined, left = (tuple(sorted(one)) for one in (frozenset(after.members) - had, had - frozenset(after.members)))
        about = after.id, after.version or base + 1, after.source, after.name, joined, left, not after.version
        body = GroupChanged(*about, operator.id, operator.verified_by)
        return [Record(encode_body(body), "group.changed")], [PutGroup(after, base)]

    yield from administer(runtime, prepare)
    return changed[0]


def all_people(store: RuntimeStore, source: str) -> list[Person]:
    """Everybody whom a source has told of, or all sources if none is named."""
    found: list[Person] = []
    while page := store.people(1000, found[-1].id if found else "", source):
        found += page
    return found
