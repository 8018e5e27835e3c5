"""People from CSV: a file read strictly, compared with what its source said before, refused where it is likely to be cut off."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from remit.inventory.people import checked_person, distinct, is_news, next_version, one_email, with_status
from remit.model.errors import RemitError, malformed, refused
from remit.model.person import Person, PersonId, PersonStatus, folded

MAX_FILE = 64 << 20
"""A longer file (bytes) is refused."""
MAX_PEOPLE = 200_000
COLUMNS = ("id", "user_name", "name", "email", "manager", "active", "groups", "names")
"""What a file may say of each person; it must have the first two. `groups` and `names` are parted by `;`."""
_NEEDED = COLUMNS[:2]
_TRUTHS = {"": True, "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


_FIELDS = {"name": "name", "email": "emails", "manager": "manager", "active": "status", "groups": "groups", "names": "also"}
"""What each column says of a person, but for the two that there must be."""


class Changes(msgspec.Struct, frozen=True):
    """What a file changes: people who are new, who are known and are now said otherwise, those who are gone, those as they were."""

    added: tuple[Person, ...] = ()
    changed: tuple[tuple[Person, Person], ...] = ()
    gone: tuple[tuple[Person, Person], ...] = ()
    same: tuple[PersonId, ...] = ()

    @property
    def people(self) -> tuple[Person, ...]:
        """Everybody of whom something is new."""
        return (*self.added, *[after for _, after in (*self.changed, *self.gone)])


def read_people(content: bytes, source: str) -> list[Person]:
    """The people of a file, without ids of ours. Raises `RemitError` (malformed), naming the line.

    UTF-8, with or without a byte order mark; lines may end either way; quotes as in RFC 4180.
    """
    rows = _rows(content)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or len(set(header)) < len(header) or not set(_NEEDED) <= set(header):
        stated = ", ".join(f"`{name}`" for name in COLUMNS)
        raise malformed(f"the first line must name columns of {stated}, each once, `id` and `user_name` among them")
    found: list[Person] = []
    for line, row in rows:
        if len(row) != len(header):
            raise malformed(f"line {line} has {len(row)} of {len(header)} values: the file may be cut off")
        try:
            found.append(_person(dict(zip(header, map(str.strip, row), strict=True)), source))
        except RemitError as error:
            raise malformed(f"line {line}: {error.message}") from None
        if len(found) > MAX_PEOPLE:
            raise malformed(f"the file has more than {MAX_PEOPLE} people: give them in parts")
    _check_keys(found)
    _check_managers(found)
    return found


def left_out(content: bytes) -> tuple[str, ...]:
    """What a file that can be read says of nobody, as the members of a person."""
    header = {name.strip() for name in next(_rows(content), (1, []))[1]}
    return tuple([field for column, field in _FIELDS.items() if column not in header])


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    if len(content) > MAX_FILE:
        raise malformed(f"the file is longer than {MAX_FILE} bytes: give it in parts")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(f"the file is not UTF-8 (byte {error.start}): save it as that") from None
    if text and text[-1] not in "\r\n":
        raise malformed("the file ends within a line: it is cut off, or lacks the end of its last line")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise malformed(f"line {reader.line_num} is no CSV ({error}): the file may be cut off") from None


def _person(values: Mapping[str, str], source: str) -> Person:
    """Raises `RemitError` (malformed)."""
    active = _TRUTHS.get(values.get("active", "").lower())
    if active is None:
        raise malformed(f"`active` is `{values['active'][:20]}`: write `true` or `false`")
    if not values["id"]:
        raise malformed("it has no `id`: what the directory calls a person for good is what they are known by here")
    return checked_person(
        Person(
            PersonId(""),
            source,
            values["user_name"],
            values["id"],
            distinct(values.get("names", "").split(";")),
            values.get("name", ""),
            one_email(values.get("email", "")),
            values.get("manager", ""),
            distinct(values.get("groups", "").split(";")),
            PersonStatus.ACTIVE if active else PersonStatus.INACTIVE,
        )
    )


def _check_keys(people: Sequence[Person]) -> None:
    for what, values in (
        ("id", [person.external_id for person in people]),
        ("user_name", [folded(person.user_name) for person in people]),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise malformed(
                f"the {what} `{twice[0][:80]}` stands in the file {Counter(values)[twice[0]]} times: give each person once"
            )


def _check_managers(people: Sequence[Person]) -> None:
    """Nobody manages themselves, by however many between. Raises `RemitError` (malformed)."""
    keys = _keys(people)
    above = {person.external_id: _manager(person, keys) for person in people}
    settled: set[str] = set()
    for start in above:
        path: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in settled:
            if at in path:
                around = list(path)[list(path).index(at) :]
                raise malformed(f"`{' -> '.join([*around[:8], at])}` manage each other in a circle: mend who manages whom")
            path[at] = None
            at = above.get(at)
        settled.update(path)


def _keys(people: Iterable[Person]) -> dict[str, str]:
    """The id of each person by every name that can mean them; ids go before user names, these before addresses."""
    found: dict[str, str] = {}
    names: tuple[Callable[[Person], str], ...] = (lambda p: p.external_id, lambda p: p.user_name, lambda p: p.email)
    for name in names:
        for person in people:
            found.setdefault(folded(name(person)), person.external_id)
    return found


def _manager(person: Person, keys: Mapping[str, str]) -> str | None:
    return keys.get(folded(person.manager)) if person.manager else None


def compared(said: Sequence[Person], known: Sequence[Person], *, whole: bool, now: int, unsaid: Sequence[str] = ()) -> Changes:
    """What a file changes of what its source said before; with `whole`, whoever it does not name is gone. A part leaves as it was what it
    says of nobody (`unsaid`).

    New people have no id yet. Raises `RemitError` (malformed) for a manager whom nobody knows.
    """
    before = {person.external_id: person for person in known if person.status is not PersonStatus.ERASED}
    _check_known(said, before.values())
    added, changed, gone, same = list[Person](), list[tuple[Person, Person]](), list[tuple[Person, Person]](), list[PersonId]()
    for person in said:
        old = before.pop(person.external_id, None)
        if old is None:
            added.append(next_version(None, person, now))
            continue
        told = person if whole else replace(person, **{name: getattr(old, name) for name in unsaid})
        if not is_news(old, told):
            same.append(old.id)
        elif old.status is PersonStatus.ACTIVE is not told.status:
            gone.append((old, next_version(old, told, now)))
        else:
            changed.append((old, next_version(old, told, now)))
    left = [person for person in before.values() if person.status is not PersonStatus.REMOVED] if whole else []
    gone += [(old, with_status(old, PersonStatus.REMOVED, now)) for old in left]
    return Changes(tuple(added), tuple(changed), tuple(gone), tuple(same))


def _check_known(said: Sequence[Person], known: Iterable[Person]) -> None:
    keys = _keys([*said, *known])
    unknown = [person for person in said if person.manager and _manager(person, keys) is None]
    if unknown:
        person = unknown[0]
        raise malformed(
            f"the manager `{person.manager[:80]}` of `{person.external_id}` is nobody in the file or before it"
            f" ({len(unknown)} such): the file may be cut off"
        )


def check_loss(changes: Changes, known: Iterable[Person], most: int) -> None:
    """Raises `RemitError` (refused) where more than `most` percent of those who were there, and more than one, would not be any more."""
    # INVARIANT (fail closed): half a file is no reason to think that half of the people have left.
    active = sum(person.status is PersonStatus.ACTIVE for person in known)
    lost = [old for old, new in (*changes.changed, *changes.gone) if old.status is PersonStatus.ACTIVE is not new.status]
    if len(lost) > 1 and len(lost) * 100 > most * active:
        raise refused(
            f"{len(lost)} of {active} people would be gone, more than {most} %: if the file is whole, say so with"
            f" `--most-gone {min(100, -(-len(lost) * 100 // active))}`"
        )


def shared_names(people: Iterable[Person]) -> list[tuple[str, int]]:
    """The names that several of these go by, and how many: they are taken for one person."""
    counts = Counter(name for person in people for name in person.names)
    return [(name, count) for name, count in counts.most_common() if count > 1]


def with_ids(changes: Changes, make: Callable[[], PersonId]) -> Changes:
    """The changes, with an id for everybody who is new."""
    return replace(changes, added=tuple([replace(person, id=make()) for person in changes.added]))
