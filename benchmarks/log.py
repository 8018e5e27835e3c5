"""`./run bench log [--json] [--quick]`: bringing entries into the tree, and proving from a log of ten million, on both stores."""

import argparse
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from statistics import median

import psycopg

from benchmarks import figures
from benchmarks.figures import Report, progress
from benchmarks.serving import ROW
from benchmarks.workplace import temporary_folder
from remit.decision_log.store import LogReader
from remit.local.head import Head
from remit.storage.postgres.connecting import Address
from remit.storage.postgres.integrating import Integrator
from remit.storage.postgres.store import PostgresStore, create
from remit.storage.sqlite.store import SqliteStore
from remit.storage.sqlite.tree import grow_tree
from tests.postgres import Server, served

ENTRIES, QUICK_ENTRIES = 10_000_000, 100_000
PROOFS = 500
SHORT = b"entry %d"
"""A proof reads one line; that the others are short keeps ten million of them on the disk."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0; a bar that does not hold is told, not an error."""
    parser = argparse.ArgumentParser(prog="./run bench log", description="Measure the tree of the log.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="a log of 100,000 entries: under a minute")
    given = parser.parse_args(arguments)
    entries = QUICK_ENTRIES if given.quick else ENTRIES
    report = Report()
    with temporary_folder() as folder:
        _embedded(report, folder / "embedded", entries)
        with served() as server:
            _integrated(report, server, 20_000 if given.quick else 200_000)
            _served(report, server, folder / "server", entries)
    print(report.to_json() if given.json else report.to_text())
    progress(f"{sum(figure.holds is False for figure in report.figures)} bars do not hold")
    return 0


def _embedded(report: Report, home: Path, entries: int) -> None:
    progress(f"log: SQLite, {entries:,} entries")
    with closing(SqliteStore(home / "remit.db")):
        pass
    with closing(sqlite3.connect(home / "remit.db", isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        database.executemany("INSERT INTO entries VALUES (?, 'w', ?, 'decision', NULL, NULL, ?, ?)", _rows(entries))
        begun = time.perf_counter()
        grow_tree(database, entries)
        report.tell("SQLite: entries brought into the tree", entries / (time.perf_counter() - begun), "1/s")
        database.execute("COMMIT")
    with closing(SqliteStore(home / "remit.db")) as store:
        _prove(report, "SQLite", figures.PROOF, home, store.log, entries)


def _rows(entries: int) -> Iterator[tuple[int, int, bytes, bytes]]:
    for number in range(entries):
        line = SHORT % number
        yield number, number, sha256(b"\0" + line).digest(), line


def _integrated(report: Report, server: Server, entries: int) -> None:
    progress("log: PostgreSQL, entries of 900 bytes by 4 writers")
    url = server.url(server.database(empty=True))
    create(url)
    leaf, line = "sha256('\\x00'::bytea || %b)", "%b"
    _insert(url, entries, leaf, line, ROW)
    integrator = Integrator(Address(url, 60.0))
    begun = time.perf_counter()
    done = integrator()
    report.judge(figures.INTEGRATED, done / (time.perf_counter() - begun))
    integrator.link.close()


def _served(report: Report, server: Server, home: Path, entries: int) -> None:
    progress(f"log: PostgreSQL, {entries:,} entries")
    url = server.url(server.database(empty=True))
    create(url)
    line = "('entry ' || n || '/' || s)::bytea"
    _insert(url, entries, f"sha256('\\x00'::bytea || {line})", line)
    home.mkdir()
    with closing(PostgresStore(url, 60.0)) as store:
        begun = time.perf_counter()
        store.log.size()
        report.tell(f"PostgreSQL: {entries:,} entries integrated", entries / (time.perf_counter() - begun), "1/s")
        _prove(report, "PostgreSQL", figures.PROOF_SERVED, home, store.log, entries)


def _insert(url: str, entries: int, leaf: str, line: str, row: bytes | None = None) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO chains SELECT 'wri_' || n, 0, false FROM generate_series(1, 4) n")
        connection.execute(
            f"INSERT INTO entries SELECT 'wri_' || n, s, s, 'decision', NULL, NULL, {leaf}, {line}"
            " FROM generate_series(1, 4) n, generate_series(0, %s) s",
            (*([row, row] if row else []), entries // 4 - 1),
        )
        connection.execute("VACUUM ANALYZE entries")


def _prove(report: Report, name: str, bar: str, home: Path, log: LogReader, entries: int) -> None:
    head = Head(home, "bench.local/log", log)
    begun = time.perf_counter()
    head.sign()
    report.tell(f"{name}: the first head of {entries:,} entries", (time.perf_counter() - begun) * 1000, "ms")
    places = random.Random(1)
    times = []
    for _ in range(PROOFS):
        index = places.randrange(entries)
        begun = time.perf_counter()
        head.prove_entry(index)
        times.append((time.perf_counter() - begun) * 1000)
    report.judge(bar, median(times))
    report.tell(f"{name}: the slowest of {PROOFS} proofs", max(times), "ms")


if __name__ == "__main__":
    raise SystemExit(main())
