"""Which writers are alive: each holds two locks of its own as long as its process is connected, by two connections.

One is that of the connection that writes, which may be idle for long, and be lost without anybody noticing; the other, `SHOW`, that of
the store's watcher, which is never idle, and back within a second. A process is gone that has neither.
"""

from collections.abc import Collection

from remit.storage.postgres.connecting import Connection
from remit.storage.reading import Rows

_HOLD = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_WAIT = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
SHOW = "SELECT pg_try_advisory_lock_shared(hashtextextended(%s, 1))"
"""Shared: that of a connection which was lost, and which the server still serves, is in nobody's way."""
_FREE = """
SELECT writer FROM (SELECT DISTINCT writer FROM permits) w WHERE NOT writer = ANY(%s) AND NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((l.classid::bigint << 32) | l.objid::bigint) = ANY(ARRAY[hashtextextended(writer, 0), hashtextextended(writer, 1)])
)
"""


def hold(connection: Connection, writer: str, before: int | None) -> None:
    """Take a writer's lock on a new connection.

    Where the server still serves the one that was lost (process `before`), that is ended first: it may be about to commit, and nobody
    may continue the chain until it has or never will. Raises `psycopg.Error`.
    """
    row = connection.execute(_HOLD, (writer,)).fetchone()
    if row is not None and row[0]:
        return
    if before is not None:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND application_name = 'remit'", (before,)
        )
    connection.execute(_WAIT, (writer,))


def gone(reading: Rows, own: Collection[str]) -> list[str]:
    """The writers that have open permits and no process; `own` are those of this one. Raises `RemitError` (unavailable)."""
    return [row[0] for row in reading.rows(_FREE, list(own))]
