"""An embedded store as a snapshot, while others write; and a new one made of what was copied."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path

from msgspec.structs import astuple

from remit.decision_log.store import Line
from remit.model.errors import unavailable
from remit.storage.copying import AnyRow, Snapshot, fields_of, table_of
from remit.storage.sqlite.database import SPAN, Database, explain
from remit.storage.sqlite.tree import TransactionRows, grow_tree

_ROWS = 2000


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """The store as it is now, over a connection of its own: nobody waits for it. Raises `RemitError` (unavailable, corrupt)."""
    connection = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)
    try:
        database.check_present()
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")  # what it reads first fixes what it sees, of the write-ahead log too
        yield Snapshot(TransactionRows(connection), "entries", "entries")
        database.check_present()
    except sqlite3.Error as error:
        raise explain(error, database.path) from None
    finally:
        connection.close()


def fill(path: Path, rows: Iterable[AnyRow], lines: Iterable[Line]) -> None:
    """Make a store of copied rows and, once these are read, of the log's lines, in a file that must not be there yet.

    Raises `RemitError` (unavailable), what is wrong with the file, and whatever reading raises; then there is no file.
    """
    try:
        database = Database(path)
        try:
            _fill(database.writer, rows, lines)
        finally:
            database.close()  # the last connection: it empties the write-ahead log into the file
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except sqlite3.Error as error:
        remove(path)
        raise explain(error, path) from None
    except OSError as error:
        remove(path)
        raise unavailable(f"store `{path}` could not be made ({error.strerror}): free or mend the disk") from None
    except BaseException:  # interrupted, or a fault of ours: half a store must not be taken for one
        remove(path)
        raise


def files(path: Path) -> list[Path]:
    """All files that a store can consist of: what SQLite finds beside it is a part of it."""
    return [Path(f"{path}{end}") for end in ("", "-wal", "-shm", "-journal")]


def remove(path: Path) -> None:
    """Remove a store's files."""
    for file in files(path):
        file.unlink(missing_ok=True)


def _fill(connection: sqlite3.Connection, rows: Iterable[AnyRow], lines: Iterable[Line]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM data_keys")  # the one that every new store begins with
    connection.execute("DELETE FROM meta")
    for kind, group in groupby(rows, type):
        fields = fields_of(kind)
        statement = f"INSERT INTO {table_of(kind)} ({', '.join(fields)}) VALUES ({','.join('?' * len(fields))})"  # noqa: S608
        connection.executemany(statement, map(astuple, group))
    size = 0
    every = iter(lines)
    while page := list(islice(every, _ROWS)):
        values = [
            (n, line.writer, line.seq, line.kind, line.decision, line.task, line.leaf, line.line)
            for n, line in enumerate(page, size)
        ]
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        spans = {(line.task, n // SPAN) for n, line in enumerate(page, size) if line.task is not None}
        connection.executemany("INSERT OR IGNORE INTO task_spans VALUES (?, ?)", sorted(spans))
        size += len(page)
    grow_tree(connection, size)
    connection.execute("COMMIT")
