"""People: what a source says of one made into the next version of them. Pure steps; who commits them is above."""

from collections.abc import Iterable

from msgspec.structs import replace

from remit.model.errors import malformed
from remit.model.person import GONE, Email, Former, Left, Person, PersonStatus, folded

MAX_NAME = 256
"""Characters of a name, an address or an id of a person."""
MAX_NAMES = 32
MAX_FORMER = 256
"""So many names are kept that somebody who is gone went by before."""
MAX_GROUPS = 200
_SAME = ("user_name", "external_id", "also", "name", "emails", "manager", "groups", "status")


def checked_person(person: Person) -> Person:
    """A person whose texts are safe to keep, show and compare. Raises `RemitError` (malformed), naming what is wrong."""
    texts = {
        "user name": (person.user_name,),
        "external id": (person.external_id,),
        "name": (person.name,),
        "manager": (person.manager,),
        "further name": person.also,
        "email": tuple([text for one in person.emails for text in (one.value, one.type)]),
        "group": person.groups,
    }
    for what, given in texts.items():
        for text in given:
            if len(text) > MAX_NAME or not text.isprintable() or text != text.strip():
                raise malformed(
                    f"{what} `{ascii(text)[1:-1][:80]}` cannot be kept: use at most {MAX_NAME} printable characters, no space around"
                )
    if not person.user_name:
        raise malformed("a person has no user name: say what they are called where they log in")
    if len(person.also) + len(person.emails) > MAX_NAMES or len(person.groups) > MAX_GROUPS:
        raise malformed(f"`{person.user_name}` has more than {MAX_NAMES} names or {MAX_GROUPS} groups: give fewer")
    if not all(one.value for one in person.emails) or not all((*person.also, *person.groups)):
        raise malformed(f"`{person.user_name}` has an empty email, name or group: leave it out")
    return person


def is_news(before: Person, said: Person) -> bool:
    """Whether a source says something else than before."""
    return any(getattr(before, field) != getattr(said, field) for field in _SAME)


def next_version(before: Person | None, said: Person, now: int) -> Person:
    """What a source says now, as the version behind `before`. Raises `RemitError` (malformed)."""
    checked_person(said)
    if before is None:
        return replace(said, version=1, since=now, seen=now)
    same = before.status is said.status or {before.status, said.status} <= GONE
    since = before.since if same else now
    former = _former(before, said) if said.attests and said.status in GONE else Former()
    return replace(said, id=before.id, source=before.source, version=before.version + 1, since=since, seen=now, former=former)


def _former(before: Person, said: Person) -> Former:
    """What somebody was called who is gone, and is not any more. Raises `RemitError` (malformed) for too much."""
    # INVARIANT (fail closed): many sources empty or rename whom they let go, and nobody comes back by it.
    was, now = before.former, said.joining
    user_names = [name for name in (before.user_name, *was.user_names) if folded(name) != folded(said.user_name)]
    names = [name for name in (*before.also, *[one.value for one in before.emails], *was.names) if folded(name) not in now]
    ids = [id for id in (before.external_id, *was.external_ids) if id != said.external_id]
    former = Former(distinct(user_names), distinct(ids), distinct(names))
    if len(former.user_names) + len(former.external_ids) + len(former.names) > MAX_FORMER:
        raise malformed(
            f"`{said.user_name}` is gone and has gone by more than {MAX_FORMER} names: `remit people erase {before.id}`"
        )
    return former


def with_status(person: Person, status: PersonStatus, now: int) -> Person:
    """The person, of whom their source says this now."""
    return next_version(person, replace(person, status=status), now)


def erased(person: Person, now: int, left: Left | None) -> Person:
    """What is left of a person once they are erased: that there was somebody; of one who is gone, what keeps them out."""
    version = person.version + 1
    return Person(person.id, person.source, "", status=PersonStatus.ERASED, since=now, seen=now, version=version, left=left)


def without_marks(person: Person) -> Person:
    """A person as they are shown: marks are of use to nobody."""
    return person if person.left is None else replace(person, left=replace(person.left, marks=(), records=()))


def one_email(value: str) -> tuple[Email, ...]:
    """The addresses of somebody of whom one is known, or none."""
    return (Email(value, primary=True),) if value else ()


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts that are not empty, without space around them, each once."""
    return tuple(dict.fromkeys([text.strip() for text in texts if text.strip()]))
