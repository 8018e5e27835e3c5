"""The embedded store: one SQLite file behind every protocol that the parts declare."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from remit.model.errors import unavailable
from remit.storage.sqlite.database import Database, explain
from remit.storage.sqlite.groups import Groups
from remit.storage.sqlite.reading import Reading, SqliteLog, SqliteState
from remit.storage.sqlite.writers import Writers

if TYPE_CHECKING:
    from remit.storage.copying import Snapshot  # whoever decides does without


class SqliteStore(SqliteState):
    """State, log and groups of one process on one file.

    Raises `RemitError` (unavailable, corrupt) if the file cannot be opened as a durable store.
    """

    def __init__(self, path: Path, lock_seconds: float = 5.0) -> None:
        self._database = Database(path, lock_seconds)
        reading = Reading(self._database)
        super().__init__(reading)
        self.log = SqliteLog(reading, "entries")
        self.groups = Groups(self._database)
        self._writers = Writers(path.parent / "writers")

    @property
    def revision(self) -> int:
        """Administrative changes as last seen by this process."""
        return self.groups.revision

    def take_turn(self) -> None:
        """Nothing: a commit takes so little time here that everybody gets one."""

    def end_turn(self) -> None:
        """Nothing."""

    def hold(self, writer: str) -> None:
        """Say that this process writes as `writer`. Raises `RemitError` (unavailable)."""
        self._writers.hold(writer)

    def gone(self) -> list[str]:
        """The writers that have open permits and no process."""
        return self._writers.gone(self.writers())

    def scrub(self) -> None:
        """Bring what was overwritten out of the write-ahead log. Raises `RemitError` (unavailable) while another process reads it."""
        try:
            busy = self._database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise explain(error, self._database.path) from None
        if busy:
            raise unavailable(
                "the data is erased, but another process keeps remains of it in the write-ahead log: close it, then repeat"
            )

    @contextmanager
    def snapshot(self) -> "Iterator[Snapshot]":
        """The whole store as it is now, while others go on. Raises `RemitError` (unavailable, corrupt)."""
        from remit.storage.sqlite.copying import snapshot

        with snapshot(self._database) as taken:
            yield taken

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        self._writers.close()
