"""One order over the chains of all writers: what is committed gets consecutive indexes, by one process at a time."""

import threading

from remit.storage.postgres.connecting import Address, Connection, Link, check_schema, explained

BATCH = 5000
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('remit integration', 0))"
_NEW = """
SELECT e.writer, e.seq FROM chains c JOIN LATERAL (
    SELECT writer, seq FROM entries WHERE writer = c.writer AND seq >= c.taken ORDER BY seq LIMIT %s
) e ON true WHERE NOT c.ended ORDER BY e.writer, e.seq LIMIT %s
"""
_PLACE = "INSERT INTO positions (idx, writer, seq) SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[])"
_TAKEN = (
    "UPDATE chains c SET taken = n.taken FROM unnest(%b::text[], %b::bigint[]) AS n (writer, taken) WHERE c.writer = n.writer"
)
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

    def __call__(self) -> int:
        """Integrate everything that is committed now; how many entries that were. Raises `RemitError` (unavailable)."""
        total = 0
        with self._lock, explained(self.link.address):
            while True:
                done = self.link.ask(self._batch)
                total += done
                if done < BATCH:
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
            found = connection.execute("SELECT value FROM meta WHERE name = 'integrated'").fetchone()
            assert found is not None
            start = found[0]
            new = connection.execute(_NEW, (BATCH, BATCH)).fetchall()
            if not new:
                return 0
            writers, numbers = [row[0] for row in new], [row[1] for row in new]
            taken = {writer: seq + 1 for writer, seq in new}
            with connection.pipeline():
                connection.execute(_PLACE, (list(range(start, start + len(new))), writers, numbers))
                connection.execute(_TAKEN, (list(taken), list(taken.values())))
                connection.execute("UPDATE meta SET value = %s WHERE name = 'integrated'", (start + len(new),))
        return len(new)
