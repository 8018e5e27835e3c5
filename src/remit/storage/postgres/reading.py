"""Reading state and log back from PostgreSQL."""

import threading
from typing import Any

from remit.model.errors import malformed
from remit.model.identity import TaskId
from remit.model.task import Session
from remit.storage.postgres.connecting import Address, Connection, Link, check_schema, explained
from remit.storage.postgres.integrating import Integrator
from remit.storage.reading import StateReader, StoredLog, read


class Reading:
    """The reading connection of one process; calls are serialised. A read whose connection was lost is asked once more."""

    def __init__(self, address: Address) -> None:
        self.link = Link(address, self._prepare)
        self._lock = threading.Lock()

    def _prepare(self, connection: Connection) -> None:
        check_schema(connection, self.link.address)
        connection.execute("SET default_transaction_read_only = on")

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows of a query, its parameters marked `?`. Raises `RemitError` (unavailable, corrupt)."""
        if any(type(value) is str and "\0" in value for value in parameters):
            return []  # PostgreSQL stores no such text, so nothing has it
        statement = query.replace("?", "%s")
        try:
            with self._lock, explained(self.link.address):
                return self.link.ask(lambda connection: connection.execute(statement, parameters, binary=True).fetchall())
        except (UnicodeEncodeError, OverflowError):
            raise malformed("a name that was asked for is no valid Unicode text: correct it") from None

    def row(self, query: str, *parameters: Any) -> Any:
        """The first row of a query, or None."""
        found = self.rows(query, *parameters)
        return found[0] if found else None


class PostgresState(StateReader):
    """State as nouns."""

    def sessions_of(self, task: TaskId) -> list[Session]:
        """The sessions of a task, oldest first."""
        return [read(Session, row[0]) for row in self._rows("SELECT state FROM sessions WHERE task = ? ORDER BY id", task)]

    def latest_time(self) -> int:
        """The time (µs) of the newest entry of the log, 0 if there is none."""
        return self._row("SELECT max(time) FROM entries")[0] or 0


class PostgresLog(StoredLog):
    """The log in the order of its tree. Asking for it integrates what is committed first, so that nothing that was acknowledged lacks."""

    def __init__(self, reading: Reading, integrate: Integrator) -> None:
        super().__init__(reading, "log")
        self._integrate = integrate

    def size(self) -> int:
        """How many entries the log has."""
        self._integrate()
        newest: int | None = self._row("SELECT max(idx) FROM positions")[0]
        return 0 if newest is None else newest + 1

    def _entries(self, where: str, *parameters: Any) -> list[Any]:
        self._integrate()
        return super()._entries(where, *parameters)
