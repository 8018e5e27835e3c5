"""Which writers are alive: each holds a lock of its own as long as its process is connected."""

from remit.storage.postgres.connecting import Connection
from remit.storage.reading import Rows

_HOLD = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_WAIT = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_FREE = """
SELECT writer FROM (SELECT DISTINCT writer FROM permits) w WHERE NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(writer, 0)
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


def gone(reading: Rows) -> list[str]:
    """The writers that have open permits and no process. Raises `RemitError` (unavailable)."""
    return [row[0] for row in reading.rows(_FREE)]
