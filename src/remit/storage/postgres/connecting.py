"""Connections to one PostgreSQL server: opened within seconds or not at all, refused where the server would lie about durability."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from remit.model.errors import STORE_FAILED, RemitError, corrupt, malformed, store_failed
from remit.storage.postgres.tables import SCHEMA

Connection: TypeAlias = psycopg.Connection[TupleRow]
T = TypeVar("T")
CONNECT_SECONDS = 3
OLDEST = 140000
"""PostgreSQL 14: the oldest that its makers still mend."""
_AGAIN_AFTER = 0.25
_ASKED = ("fsync", "synchronous_commit", "full_page_writes", "server_version_num", "server_encoding", "transaction_read_only")


class Address:
    """Where a store is; shown without its password."""

    def __init__(self, url: str, seconds: float) -> None:
        """`seconds`: how long a statement or a lock may take. Raises `RemitError` (malformed)."""
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # its text repeats the address, with the password
            raise malformed("`store` is no PostgreSQL address: use `postgresql://user@host/database`") from None
        self.seconds = seconds
        milliseconds = max(1, int(seconds * 1000))
        limits = (
            f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout=10000"
        )
        keepalive = "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 -c tcp_user_timeout=5000"
        given: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": "remit", **parts}
        options = f"{parts.get('options') or ''} {limits} {keepalive}".strip()
        ours = {
            "options": options,
            "client_encoding": "UTF8",
            "tcp_user_timeout": 5000,
            "keepalives_idle": 2,
            "keepalives_interval": 1,
        }
        self._conninfo = make_conninfo(**{**given, **ours, "keepalives_count": 3})
        self._shown = f"postgresql://{parts.get('host') or ''}/{parts.get('dbname') or ''}"

    def __str__(self) -> str:
        return self._shown

    def connect(self, autocommit: bool = True) -> Connection:
        """A new connection. Raises `psycopg.Error`."""
        return psycopg.connect(self._conninfo, autocommit=autocommit, prepare_threshold=1)


class Link:
    """One connection of this process, opened again when it was lost. One thread at a time uses it; any may `cut` it.

    `prepare` makes a new connection ready. What was not answered within `seconds` and a half is cut by the store's watcher.
    """

    def __init__(self, address: Address, prepare: Callable[[Connection], None]) -> None:
        self.address = address
        self._prepare = prepare
        self._connection: Connection | None = None
        self._asked: float | None = None
        self._closed = False
        self._failed = (0.0, "")
        self.opened = 0
        """How often it was opened."""

    def connection(self) -> Connection:
        """The connection, opened if it must be. Raises `psycopg.Error`, or `RemitError` (unavailable, corrupt)."""
        known = self._connection
        if known is not None and not known.closed:
            return known
        if self._closed:
            raise store_failed(f"store `{self.address}` was closed: open it again")
        until, why = self._failed
        if time.monotonic() < until:
            raise store_failed(why)  # whoever asks a dead server again at once would only wait again
        try:
            made = self.address.connect()
            try:
                check_server(made, self.address)
                self._prepare(made)
            except BaseException:  # nobody has it yet who could close it
                made.close()
                raise
        except (psycopg.Error, RemitError) as error:
            reason = explain(error, self.address) if isinstance(error, psycopg.Error) else error
            self._failed = (time.monotonic() + _AGAIN_AFTER, reason.message)
            raise reason from None
        self._connection = made
        self.opened += 1
        return made

    def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer to what may be asked twice: once more if the connection turns out to be lost. Raises as `connection` does."""
        for last in (False, True):
            connection = self.connection()
            try:
                with self.asking():
                    return question(connection)
            except psycopg.Error:
                if usable(connection):
                    raise
                self.drop()
                if last:
                    raise
        raise AssertionError("a loop of two rounds ends in its second")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While the server is asked something: it is cut if that takes too long."""
        self._asked = time.monotonic()
        try:
            yield
        finally:
            self._asked = None

    def cut_if_late(self) -> None:
        """Cut the connection if the server has not answered in time; who waits gets an error."""
        asked, known = self._asked, self._connection
        if asked is None or known is None or time.monotonic() - asked <= self.address.seconds + 0.5:
            return
        self._asked = None
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(known.pgconn.socket)) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        """Give the connection up; the next use opens another."""
        known, self._connection = self._connection, None
        if known is not None:
            with suppress(psycopg.Error):
                known.close()

    def close(self) -> None:
        """Close it for good."""
        self._closed = True
        self.drop()


def usable(connection: Connection) -> bool:
    """Whether a connection can be used again after an error, the transaction rolled back."""
    if connection.closed or connection.pgconn.status != pq.ConnStatus.OK:
        return False
    try:
        if connection.info.transaction_status != pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        return False
    return True


def check_server(connection: Connection, address: Address) -> None:
    """Refuse a server that would say durable of what is not, or cannot be written. Raises `RemitError` (unavailable)."""
    row = connection.execute(
        "SELECT pg_is_in_recovery(), " + ", ".join(f"current_setting('{name}')" for name in _ASKED)
    ).fetchone()
    assert row is not None
    standby, fsync, commit, pages, version, encoding, read_only = row
    if int(version) < OLDEST:
        raise store_failed(f"store `{address}` is PostgreSQL {int(version) // 10000}: use 14 or newer")
    # INVARIANT (durable before permit): a server that does not wait for its disk cannot say that something is durable.
    for name, value in (("fsync", fsync), ("synchronous_commit", commit), ("full_page_writes", pages)):
        if value == "off":
            raise store_failed(f"store `{address}` has `{name} = off`, so a commit may be lost: set it to `on`")
    if standby or read_only == "on":
        raise store_failed(f"store `{address}` is a standby or read-only: name the primary")
    if encoding != "UTF8":
        raise store_failed(f"store `{address}` has encoding {encoding}: create the database with `ENCODING 'UTF8'`")


def check_schema(connection: Connection, address: Address) -> None:
    """Refuse another schema than this Remit's. Raises `RemitError`: unavailable, or corrupt if it is newer."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except errors.UndefinedTable:
        row = None
    if row is None:
        raise store_failed(f"there is no Remit store in `{address}`: run `remit init`")
    if row[0] != SCHEMA:
        if row[0] > SCHEMA:
            raise corrupt(f"store `{address}` was written by a newer Remit (schema {row[0]}): upgrade Remit", STORE_FAILED)
        raise store_failed(f"store `{address}` has schema {row[0]}, this Remit needs {SCHEMA}: run `remit store migrate`")


def explain(error: psycopg.Error, address: Address) -> RemitError:
    """A database error in words that say what to do; never with the address's password, nor with what a statement carried."""
    text = (error.diag.message_primary or str(error).strip().split("\n")[0] or type(error).__name__).strip()
    if "too many" in text or "connection slots" in text:  # while connecting, the driver tells no code
        return store_failed(f"store `{address}` has no connection left ({text}): raise its limit, or close others")
    match error:
        case errors.DiskFull():
            return store_failed(f"the disk under store `{address}` is full ({text}): free some space")
        case errors.LockNotAvailable() | errors.QueryCanceled() | errors.DeadlockDetected():
            return store_failed(f"store `{address}` is busy ({text}): try again")
        case errors.InsufficientPrivilege():
            return store_failed(f"store `{address}` does not let this user ({text}): grant what docs/storage.md lists")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return corrupt(f"store `{address}` is damaged ({text}): restore a backup", STORE_FAILED)
        case errors.ReadOnlySqlTransaction():
            return store_failed(f"store `{address}` is a standby or read-only ({text}): name the primary")
    return store_failed(f"store `{address}` failed ({text}): is the server there?")


@contextmanager
def explained(address: Address) -> Iterator[None]:
    """Database errors as `RemitError`."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error, address) from None
