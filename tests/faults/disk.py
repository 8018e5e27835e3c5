"""A connection that fails or pauses where a disk would: the smallest seam under the store that Python can reach."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from tests.runtime.world import World


def disk_error(text: str, code: int) -> sqlite3.OperationalError:
    """What sqlite3 raises for an error of the file system."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


FSYNC_FAILED = disk_error("disk I/O error", sqlite3.SQLITE_IOERR_FSYNC)
WRITE_FAILED = disk_error("disk I/O error", sqlite3.SQLITE_IOERR_WRITE)
DISK_FULL = disk_error("database or disk is full", sqlite3.SQLITE_FULL)


class FaultyConnection:
    """The writing connection of a store, which calls `before` with each statement; what that raises is the disk's error."""

    def __init__(self, world: World, before: Callable[[str], None]) -> None:
        self._real: sqlite3.Connection = world.store.groups._connection
        self._before = before
        self._world = world
        world.store.groups._connection = self  # type: ignore[assignment]

    def mend(self) -> None:
        """The disk works again."""
        self._world.store.groups._connection = self._real

    @property
    def in_transaction(self) -> bool:
        return self._real.in_transaction

    def execute(self, query: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        self._before(query)
        return self._real.execute(query, parameters)  # type: ignore[arg-type]

    def executemany(self, query: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
        self._before(query)
        return self._real.executemany(query, parameters)  # type: ignore[arg-type]


def failing_at(world: World, start: str, error: sqlite3.Error, times: int = 1) -> FaultyConnection:
    """Fail the next statements that begin with `start`, so many times."""
    left = [times]

    def before(query: str) -> None:
        if left[0] and query.startswith(start):
            left[0] -= 1
            raise error

    return FaultyConnection(world, before)
