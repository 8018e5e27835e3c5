"""A PostgreSQL store as a snapshot, while others write; and empty tables filled with what was copied."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby

import psycopg
from msgspec.structs import astuple

from remit.decision_log.store import Line
from remit.model.errors import conflict
from remit.model.task import Session
from remit.storage.copying import AnyRow, SessionRow, Snapshot, fields_of, table_of
from remit.storage.postgres.connecting import Address, Connection, check_schema, check_server, explained
from remit.storage.postgres.groups import Groups
from remit.storage.postgres.integrating import Integrator, TransactionRows
from remit.storage.postgres.locks import ALONE, END_TURN, TAKE_TURN
from remit.storage.reading import read

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_PATIENT = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0"
"""A copy writes to a disk between its questions, and asks longer ones than a decision may."""
_EMPTY = (
    "SELECT (SELECT count(*) FROM (SELECT 1 FROM entries LIMIT 1) e) + (SELECT count(*) FROM (SELECT 1 FROM tasks LIMIT 1) t)"
)


@contextmanager
def snapshot(groups: Groups, integrate: Integrator) -> Iterator[Snapshot]:
    """The store as it is now, over a connection of its own: others wait for the moment that it takes to bring the log into one order.

    Raises `RemitError` (unavailable, corrupt).
    """
    address = groups.link.address
    with explained(address), _connected(address) as connection:
        integrate()  # what there is already, while nobody waits
        groups.ask(TAKE_TURN)
        try:
            integrate()  # INVARIANT (the log convinces a stranger): what is copied has places that it keeps
            connection.execute(_BEGIN)
            taken = Snapshot(TransactionRows(connection), "log", "positions")  # what it asks first fixes what it sees
        finally:
            groups.ask(END_TURN)
        yield taken


def fill(url: str, seconds: float, rows: Iterable[AnyRow], lines: Iterable[Line]) -> None:
    """Fill the tables of an empty store with copied rows and, once these are read, with the log's lines, in one transaction.

    Raises `RemitError`: conflict where the store is not empty, unavailable, and whatever reading raises.
    """
    address = Address(url, seconds)
    with explained(address), _connected(address) as connection, connection.transaction():
        connection.execute(ALONE)
        found = connection.execute(_EMPTY).fetchone()
        if found is None or found[0]:
            raise conflict(f"store `{address}` is not empty: restore into a new database")
        connection.execute("DELETE FROM data_keys")
        connection.execute("DELETE FROM meta WHERE name <> 'integrated'")
        for kind, group in groupby(rows, type):
            fields = (*fields_of(kind), "task") if kind is SessionRow else fields_of(kind)
            _copy(connection, f"{table_of(kind)} ({', '.join(fields)})", map(_values, group))
        _fill_log(connection, lines)


def _values(row: AnyRow) -> tuple[object, ...]:
    values = astuple(row)
    return (*values, read(Session, row.state).task) if isinstance(row, SessionRow) else values


def _fill_log(connection: Connection, lines: Iterable[Line]) -> None:
    """The entries, in the order in which they stand in the log, the chains that they make up, and their places."""
    ends: dict[str, int] = {}
    size = 0

    def entries() -> Iterator[tuple[object, ...]]:
        nonlocal size
        for line in lines:
            ends[line.writer] = line.seq + 1
            size += 1
            yield line.writer, line.seq, line.time, line.kind, line.decision, line.task, line.leaf, line.line

    _copy(connection, "entries (writer, seq, time, kind, decision, task, leaf, line)", entries())
    connection.execute(
        "INSERT INTO positions (idx, writer, seq) SELECT row_number() OVER (ORDER BY place) - 1, writer, seq FROM entries"
    )
    _copy(connection, "chains (writer, taken, ended)", [(writer, taken, True) for writer, taken in ends.items()])
    connection.execute("UPDATE meta SET value = %s WHERE name = 'integrated'", (size,))


def _copy(connection: Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _connected(address: Address) -> Iterator[Connection]:
    connection = address.connect()
    try:
        check_server(connection, address)
        check_schema(connection, address)
        connection.execute(_PATIENT)
        yield connection
    finally:
        with suppress(psycopg.Error):
            connection.close()
