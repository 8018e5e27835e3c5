"""Reading state and log back from SQLite; rows never leave this module, nouns do."""

import sqlite3
import threading
from typing import Any

from remit.decision_log.encoding import decode
from remit.decision_log.entry import Entry
from remit.model.errors import malformed
from remit.model.identity import TaskId
from remit.model.task import Session
from remit.storage.reading import StateReader, StoredLog, read
from remit.storage.sqlite.database import SPAN, Database, explain


class Reading:
    """The reading connection of one process; calls are serialised."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows of a query. Raises `RemitError` (unavailable, corrupt)."""
        try:
            with self._lock:
                return self._database.reader.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self._database.path) from None
        except (UnicodeEncodeError, OverflowError):
            raise malformed("a name that was asked for is no valid Unicode text: correct it") from None

    def row(self, query: str, *parameters: Any) -> Any:
        """The first row of a query, or None."""
        found = self.rows(query, *parameters)
        return found[0] if found else None


class SqliteState(StateReader):
    """State as nouns, where the log is the only index of a task's sessions."""

    def sessions_of(self, task: TaskId) -> list[Session]:
        """The sessions of a task, oldest first."""
        query = (
            "SELECT s.state FROM entries e JOIN sessions s ON s.id = json_extract(CAST(e.line AS TEXT), '$.session')"
            " WHERE e.task = ? AND e.kind = 'session.opened' ORDER BY e.idx"
        )
        return [read(Session, row[0]) for row in self._rows(query, task)]

    def latest_time(self) -> int:
        """The time (µs) of the newest entry of the log, 0 if there is none."""
        row = self._row("SELECT idx, line FROM entries ORDER BY idx DESC LIMIT 1")
        return 0 if row is None else decode(*row).time


class SqliteLog(StoredLog):
    """The log, where a task is found by the spans that have entries of it."""

    def by_task(self, task: str) -> list[Entry]:
        """The entries under one task, in order."""
        return self._of_task(task, "", (), "s.span, e.idx")

    def by_kind(self, kind: str, limit: int, before: int | None = None, task: str = "") -> list[Entry]:
        """The newest entries of one kind, newest first; of those before an index, and of one task, if these are named."""
        if not task:
            return super().by_kind(kind, limit, before)
        bound, known = ("", ()) if before is None else (" AND e.idx < ?", (before,))
        return self._of_task(task, f" AND e.kind = ?{bound}", (kind, *known), "s.span DESC, e.idx DESC LIMIT ?", (limit,))

    def _of_task(
        self, task: str, more: str, parameters: tuple[str | int, ...], order: str, last: tuple[int, ...] = ()
    ) -> list[Entry]:
        within = f"e.idx >= s.span * {SPAN} AND e.idx < (s.span + 1) * {SPAN}"
        query = f"SELECT e.idx, e.line FROM task_spans s JOIN entries e ON {within} WHERE s.task = ? AND e.task = s.task{more}"  # noqa: S608
        return [decode(index, line) for index, line in self._rows(f"{query} ORDER BY {order}", task, *parameters, *last)]
