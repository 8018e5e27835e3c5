"""The stored tree: grown in the commit that fills a tile, so that it never lacks what the log has."""

import sqlite3
from typing import Any

from remit.decision_log.tiles import WIDTH, grow, whole
from remit.storage.reading import StoredLog


class TransactionRows:
    """A connection in the middle of its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows of a query."""
        return self._connection.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> Any:
        """The first row of a query, or None."""
        return self._connection.execute(query, parameters).fetchone()


def grow_tree(connection: sqlite3.Connection, size: int) -> None:
    """Store what a log of `size` entries has in full tiles, and the tiles above. Raises `RemitError` (corrupt), `sqlite3.Error`."""
    newest = connection.execute("SELECT max(n) FROM tiles WHERE level = 0").fetchone()[0]
    start = 0 if newest is None else (newest + 1) * WIDTH
    for tile in grow(StoredLog(TransactionRows(connection), "entries"), start, whole(size)):
        connection.execute("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)", tile)
