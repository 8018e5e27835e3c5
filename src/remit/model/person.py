"""People as a directory knows them: by which names, whether they are there, and who manages them."""

from enum import StrEnum
from typing import NewType
from unicodedata import normalize

import msgspec
from msgspec.structs import replace

PersonId = NewType("PersonId", str)
GroupId = NewType("GroupId", str)
LOGIN = "login:"
"""What the source of people is called that an issuer's tokens tell of, before the issuer's name: it says who somebody is, never that they
have gone."""
_OWN = 2


class PersonStatus(StrEnum):
    """What a source says of a person."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    """They are known and may not act."""
    REMOVED = "removed"
    """The source has them no more."""
    ERASED = "erased"
    """Nothing is kept of them but that they were."""


GONE = frozenset({PersonStatus.INACTIVE, PersonStatus.REMOVED})
"""What a source says of somebody who is gone."""


class OwnerState(StrEnum):
    """What the directory knows of whoever owns an agent, for policies."""

    ACTIVE = "active"
    GONE = "gone"
    UNKNOWN = "unknown"
    """No directory was ever told of them, so nothing follows."""


class Email(msgspec.Struct, frozen=True):
    """An address, what it is for (`work`), and whether it is the one to write to, if that was said."""

    value: str
    type: str = ""
    primary: bool | None = None


class SaidGone(msgspec.Struct, frozen=True):
    """One record that says of somebody erased that they are gone: of which source it is, and `marks` of whom the source means by it, by
    which it lets them in again."""

    source: str
    marks: tuple[str, ...]


class Left(msgspec.Struct, frozen=True):
    """What is kept of somebody who was erased once they had gone, so that nobody serves them again: no name.

    `marks` stand for the names that they went by, and those in `records` for whom `sources`, which say that they are gone, mean by that:
    HMACs under a key of the store's (`remit.inventory.marking`). `since` is when they went (µs).
    """

    sources: tuple[str, ...]
    since: int
    marks: tuple[str, ...]
    records: tuple[SaidGone, ...] = ()


class Former(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a source called somebody before they were gone, and does not any more: their user names, its own ids of them, other names."""

    user_names: tuple[str, ...] = ()
    external_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Person(msgspec.Struct, frozen=True):
    """A person, as one source knows them.

    `source` is who said so: an import, a provisioning service, an issuer's tokens. `external_id` is what the source itself calls them;
    `also` are further names which it says are theirs, `ISSUER#SUBJECT` among them. `manager` is one of their manager's names, or an id of
    this directory. `since` is when they came to be there, or gone: from one way of being gone to another it stays. `seen` is when the
    source last spoke of them (µs), 0 for one who is there by a backup alone that was restored. `version` grows by one with each change.
    `left` is of those who were erased once they had gone, `former` of those who are gone and were called otherwise.
    """

    id: PersonId
    source: str
    user_name: str
    external_id: str = ""
    also: tuple[str, ...] = ()
    name: str = ""
    emails: tuple[Email, ...] = ()
    manager: str = ""
    groups: tuple[str, ...] = ()
    status: PersonStatus = PersonStatus.ACTIVE
    since: int = 0
    seen: int = 0
    version: int = 1
    left: Left | None = None
    former: Former = Former()

    @property
    def email(self) -> str:
        """The address to write to, empty if none is known."""
        return next((one.value for one in self.emails if one.primary), self.emails[0].value if self.emails else "")

    @property
    def names(self) -> frozenset[str]:
        """Every name they go by, as names are compared."""
        return self.joining.union(map(folded, self.external_ids))

    @property
    def found_by(self) -> frozenset[str]:
        """What a store finds them by: every name that they go by, or what is kept of those once they are erased."""
        if self.left is None:
            return self.names
        return self.names.union(self.left.marks, *[one.marks for one in self.left.records])

    @property
    def joining(self) -> frozenset[str]:
        """The names that join this record to another's: all but what the source itself calls them, which another may call somebody else."""
        given = (self.user_name, *self.also, *[one.value for one in self.emails], *self.former.user_names, *self.former.names)
        return frozenset([folded(name) for name in given if name.strip()])

    def is_called_no_more(self, name: str) -> bool:
        """Whether a name (folded) is one of before they were gone alone."""
        return name in self.names and self.former != Former() and name not in replace(self, former=Former()).names

    @property
    def user_names(self) -> frozenset[str]:
        """What they log in as, and did before they were gone, as names are compared."""
        return frozenset(map(folded, (self.user_name, *self.former.user_names)))

    @property
    def external_ids(self) -> frozenset[str]:
        """What the source itself calls them, and did before they were gone."""
        return frozenset([id for id in (self.external_id, *self.former.external_ids) if id.strip()])

    @property
    def own(self) -> frozenset[str]:
        """The names that whoever logged in has by themselves, as names are compared: of a login the token's subject and what Remit calls
        them, which come first. The others they claim."""
        return frozenset() if self.attests else frozenset(map(folded, self.also[:_OWN]))

    @property
    def attests(self) -> bool:
        """Whether the source knows who is there and who is not. That somebody logged in once says neither."""
        return not self.source.startswith(LOGIN)


class PeopleGroup(msgspec.Struct, frozen=True):
    """A group of people, as a provisioning service keeps it; `version` is 0 once it is gone."""

    id: GroupId
    source: str
    name: str
    external_id: str = ""
    members: tuple[PersonId, ...] = ()
    changed: int = 0
    version: int = 1


class Standing(msgspec.Struct, frozen=True):
    """What all sources together say of whoever goes by a name; of those who are gone, since when (µs). `unconfirmed`: a backup that was
    restored has them, and their source has not spoken of them since."""

    state: OwnerState = OwnerState.UNKNOWN
    since: int = 0
    unconfirmed: bool = False


def folded(name: str) -> str:
    """A name as names are compared: case, space around it, and the ways to write one character (NFKC) aside."""
    if name.isascii():
        return name.strip().lower()
    return normalize("NFKC", normalize("NFKC", name).casefold()).strip()
