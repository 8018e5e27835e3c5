"""What sources say of people, committed: each change an entry, what it says sealed under a key of the person's own."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import GroupChanged, PeopleImported, PersonChanged, PersonErased
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.inventory.directory import CorrelatedIdentity, Directory
from remit.inventory.people import erased
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import Stage
from remit.model.errors import conflict, not_found
from remit.model.identity import ApprovalId, Operator, TaskId
from remit.model.person import GroupId, PeopleGroup, Person, PersonId, PersonStatus
from remit.model.task import TaskStatus
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.store import Approval, RuntimeStore
from remit.runtime.writes import ErasePerson, PutGroup, PutPerson, SeePeople, Write

_seal = msgspec.json.Encoder().encode


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
            writes.append(SeePeople(said.seen, runtime.clock()))
        return records, writes

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

    Whoever owns an agent by one of these names is unknown from then on. Raises `RemitError`: not-found, conflict while something that they
    approved before they left could be used, and unavailable if they are
    erased but another process keeps remains in the write-ahead log for now: repeat it then.
    """
    return Driven(lambda: _erase_person(runtime, person, operator))


def _erase_person(runtime: Runtime, person: PersonId, operator: Operator) -> Steps[None]:
    def prepare() -> Change:
        known = runtime.view.store.person(person)
        if known is None:
            raise not_found(f"there is no person `{person}`: see `remit people list`")
        _check_nothing_left(runtime, known)
        body = PersonErased(person, operator.id, operator.verified_by)
        return [Record(encode_body(body), "person.erased")], [ErasePerson(erased(known, runtime.clock()))]

    known = runtime.view.store.person(person)
    if known is None or known.status is not PersonStatus.ERASED:
        yield from administer(runtime, prepare)
    runtime.view.forget_all()
    runtime.appender.alone(runtime.view.store.scrub)


def _check_nothing_left(runtime: Runtime, person: Person) -> None:
    """Raises `RemitError` (conflict) while somebody who is gone has approved what was not used, or holds open what policy denies."""
    # INVARIANT (fail closed): whoever is erased is unknown, and what they had approved would count again.
    store, now = runtime.view.store, runtime.clock()
    directory = Directory(store.people_named, store.person)
    known = [directory.known_as(name) for name in sorted(person.names)]
    if not any(one.gone for one in known):
        return
    left: list[tuple[str, int]] = [
        (one.id, one.expires) for one in _approved(store, now) if _by(known, [one.resolver, *[by.operator for by in one.given]])
    ]
    for glass in store.break_glasses([Stage.ASKED, Stage.OPEN]):
        if glass.at(now) in (Stage.ASKED, Stage.OPEN) and _by(known, [glass.asked_by, glass.confirmed_by]):
            left.append((glass.id, glass.until or glass.confirm_by))
    if left:
        until = datetime.fromtimestamp(max(end for _, end in left) // 1_000_000, UTC).isoformat()
        raise conflict(
            f"`{person.id}` is gone, and what they approved would count again without them (`{left[0][0]}`, {len(left)} such):"
            f" close the task, end the break-glass, or erase them after {until}"
        )


def _approved(store: RuntimeStore, now: int) -> Iterator[Approval]:
    """What somebody has approved and can still be used."""
    for state in (ApprovalState.APPROVED, ApprovalState.PENDING):
        before: ApprovalId | None = None
        while page := store.approvals(state, 1000, before):
            before = page[-1].id
            for one in page:
                task = store.task(one.task) if one.task is not None and now < one.expires else None
                if now < one.expires and (one.task is None or (task is not None and task.task.status is TaskStatus.OPEN)):
                    yield one


def _by(known: Iterable[CorrelatedIdentity], names: Iterable[str]) -> bool:
    given = [name for name in names if name]
    return any(one.is_one_of(given) for one in known)


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
