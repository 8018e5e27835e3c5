"""One order over the chains of all writers: what is committed gets consecutive indexes, by one process at a time."""

import threading
from typing import Any

from remit.decision_log.tiles import WIDTH, grow, whole
from remit.storage.postgres.connecting import Address, Connection, Link, check_schema, explained
from remit.storage.reading import StoredLog

BATCH = 5000
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('remit integration', 0))"
# A group's places are given after its locks, so of two that touch the same task, agent or revision the later has the greater: where one
# built on the other, the log has them in that order.
_NEW = """
SELECT e.writer, e.seq FROM chains c JOIN LATERAL (
    SELECT writer, seq, place FROM entries WHERE writer = c.writer AND seq >= c.taken ORDER BY seq LIMIT %s
) e ON true WHERE NOT c.ended ORDER BY e.place LIMIT %s
"""
_PLACE = "INSERT INTO positions (idx, writer, seq) SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[])"
_TAKEN = (
    "UPDATE chains c SET taken = n.taken FROM unnest(%b::text[], %b::bigint[]) AS n (writer, taken) WHERE c.writer = n.writer"
)
_TREE = "SELECT value, (SELECT max(n) FROM tiles WHERE level = 0) FROM meta WHERE name = 'integrated'"
_TILE = """
INSERT INTO tiles (level, n, hashes) VALUES (%s, %s, %b) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes
"""
# A chain can get no more entries once its writer's lock is free, which is held here until the commit.
_END = """
UPDATE chains SET ended = true WHERE NOT ended AND pg_try_advisory_xact_lock(hashtextextended(writer, 0))
AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.writer = chains.writer AND e.seq >= chains.taken)
"""


class Integrator:
    """Integrates over a connection of its own; safe to use from any thread, and from many processes."""

    def __init__(self, address: Address) -> None:
        self.link = Link(address, lambda connection: check_schema(connection, address))
        self._lock = threading.Lock()
        self._grown = False

    def __call__(self) -> int:
        """Integrate everything that is committed now; how many entries that were. Raises `RemitError` (unavailable)."""
        total = 0
        with self._lock, explained(self.link.address):
            while True:
                done = self.link.ask(self._batch)
                total += done
                if done < BATCH:
                    break
            if not self._grown:  # a store of before there were tiles, or one that an older Remit integrated since
                self._grown = self.link.ask(self._catch_up)
            return total

    def end_chains(self) -> None:
        """Stop looking at the chains of writers that are gone. Raises `RemitError` (unavailable)."""
        with self._lock, explained(self.link.address):
            self.link.ask(lambda connection: connection.execute(_END))

    @staticmethod
    def _batch(connection: Connection) -> int:
        if not connection.execute(_NEW, (1, 1)).fetchone():
            return 0  # the usual answer, without waiting for whoever integrates now
        with connection.transaction():
            connection.execute(_LOCK)
            start, newest = _tree(connection)
            new = connection.execute(_NEW, (BATCH, BATCH)).fetchall()
            if not new:
                return 0
            writers, numbers = [row[0] for row in new], [row[1] for row in new]
            taken = {writer: seq + 1 for writer, seq in new}
            with connection.pipeline():
                connection.execute(_PLACE, (list(range(start, start + len(new))), writers, numbers))
                connection.execute(_TAKEN, (list(taken), list(taken.values())))
                connection.execute("UPDATE meta SET value = %s WHERE name = 'integrated'", (start + len(new),))
            _grow(connection, newest, start + len(new))
        return len(new)

    @staticmethod
    def _catch_up(connection: Connection) -> bool:
        with connection.transaction():
            connection.execute(_LOCK)
            size, newest = _tree(connection)
            _grow(connection, newest, size)
        return True


class TransactionRows:
    """A connection in the middle of its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows of a query, its parameters marked `?`."""
        return self._connection.execute(query.replace("?", "%s"), parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> Any:
        """The first row of a query, or None."""
        return self._connection.execute(query.replace("?", "%s"), parameters).fetchone()


def _tree(connection: Connection) -> tuple[int, int | None]:
    """How many entries are integrated, and the number of the newest full tile of leaves."""
    found = connection.execute(_TREE).fetchone()
    assert found is not None
    return found[0], found[1]


def _grow(connection: Connection, newest: int | None, size: int) -> None:
    start = 0 if newest is None else (newest + 1) * WIDTH
    if whole(size) > start:
        tiles = list(grow(StoredLog(TransactionRows(connection), "log"), start, whole(size)))
        with connection.pipeline():
            connection.cursor().executemany(_TILE, tiles)
