"""The embedded store: one SQLite file behind every protocol that the parts declare."""

from pathlib import Path

from remit.storage.sqlite.database import Database
from remit.storage.sqlite.groups import Groups
from remit.storage.sqlite.reading import Reading, SqliteLog, StateReader


class SqliteStore(StateReader):
    """State, log and groups of one process on one file.

    Raises `RemitError` (unavailable, corrupt) if the file cannot be opened as a durable store.
    """

    def __init__(self, path: Path, lock_seconds: float = 5.0) -> None:
        self._database = Database(path, lock_seconds)
        reading = Reading(self._database)
        super().__init__(reading)
        self.log = SqliteLog(reading)
        self.groups = Groups(self._database)

    @property
    def revision(self) -> int:
        """Administrative changes as last seen by this process."""
        return self.groups.revision

    def close(self) -> None:
        """Close the file."""
        self._database.close()
