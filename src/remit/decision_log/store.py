"""What the log needs of a store: one transaction that takes entries and the state they go with, and reading back."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from remit.decision_log.entry import Entry
from remit.decision_log.tiles import Tile

W_contra = TypeVar("W_contra", contravariant=True)


class CommitFailed(Exception):
    """The store did not commit.

    `poisons`: what is on disk is unknown and stays so. `doubtful`: it may have committed, and the next transaction will tell.
    """

    def __init__(self, message: str, poisons: bool, doubtful: bool = False) -> None:
        super().__init__(message)
        self.poisons = poisons
        self.doubtful = doubtful


class Record(NamedTuple):
    """One body to append, encoded, and what it can be found by."""

    body: bytes
    kind: str
    decision: str | None = None
    task: str | None = None


class Line(NamedTuple):
    """One sealed entry on its way into the store."""

    writer: str
    seq: int
    time: int
    leaf: bytes
    line: bytes
    kind: str
    decision: str | None
    task: str | None


class GroupTransaction(Protocol[W_contra]):
    """An open transaction; it commits durably when its context ends without an error.

    `reopened`: the store was reached anew since the last one, so it may be another that lacks what was committed to the first.
    """

    reopened: bool

    def apply(self, changes: Sequence[tuple[Sequence[W_contra], int]]) -> list[bool]:
        """Apply each change whose expected versions and revision still hold; say which were applied."""
        ...

    def last(self, writer: str) -> tuple[int, str]:
        """How many entries a writer has, and the leaf hash (hex) of the last (`NO_ENTRY` if none)."""
        ...

    def append(self, lines: Sequence[Line]) -> None:
        """Append entries at the end of the log."""
        ...


class GroupStore(Protocol[W_contra]):
    """Where groups are committed."""

    def transaction(self) -> AbstractContextManager[GroupTransaction[W_contra]]:
        """Begin. Raises `CommitFailed` where the store is locked, gone, full or its fsync fails."""
        ...


class LogReader(Protocol):
    """Reading the log back."""

    def size(self) -> int:
        """How many entries the log has."""
        ...

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The stored lines from `start` to before `stop`, in order."""
        ...

    def leaves(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The leaf hashes from `start` to before `stop`, in order."""
        ...

    def tiles(self, places: Collection[tuple[int, int]]) -> Iterable[Tile]:
        """The stored tiles at these levels and numbers; see `TileReader`."""
        ...

    def by_decision(self, decision: str) -> list[Entry]:
        """The entries about one decision, in order."""
        ...

    def by_task(self, task: str) -> list[Entry]:
        """The entries under one task, in order."""
        ...

    def by_kind(self, kind: str, limit: int, before: int | None = None, task: str = "") -> list[Entry]:
        """The newest entries of one kind, newest first; of those before an index, and of one task, if these are named."""
        ...
