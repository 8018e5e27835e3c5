"""One SQLite file: opened safely, migrated, and refused where it would lie about durability."""

import os
import sqlite3
import stat
from pathlib import Path

from remit.model.errors import STORE_FAILED, RemitError, corrupt, store_failed
from remit.storage.sqlite.tree import grow_tree

SPAN = 256
"""`task_spans` says of so many entries at once, by the number of their span, whether some are of a task."""
MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('revision', 0);
    CREATE TABLE entries (
        idx INTEGER PRIMARY KEY, writer TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,
        decision TEXT, task TEXT, leaf BLOB NOT NULL, line BLOB NOT NULL
    );
    CREATE INDEX entries_decision ON entries (decision) WHERE decision IS NOT NULL;
    CREATE INDEX entries_task ON entries (task, idx) WHERE task IS NOT NULL;
    CREATE TABLE tasks (
        id TEXT PRIMARY KEY, status TEXT NOT NULL, opened INTEGER NOT NULL, task BLOB NOT NULL,
        spent_version INTEGER NOT NULL DEFAULT 0, spent BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE data_keys (task TEXT PRIMARY KEY, secret BLOB) WITHOUT ROWID;
    INSERT INTO data_keys VALUES ('task-free', randomblob(32));
    CREATE TABLE sessions (id TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE agents (id TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE permits (decision TEXT PRIMARY KEY, writer TEXT NOT NULL, permit BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE approvals (
        id TEXT PRIMARY KEY, version INTEGER NOT NULL, state TEXT NOT NULL, digest TEXT NOT NULL, approval BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX approvals_digest ON approvals (digest, state);
    CREATE TABLE observations (
        n INTEGER PRIMARY KEY, session TEXT NOT NULL, decision TEXT NOT NULL, source TEXT NOT NULL,
        untrusted INTEGER NOT NULL, sealed BLOB NOT NULL
    );
    CREATE INDEX observations_session ON observations (session, n);
    CREATE TABLE bundles (digest TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE activations (
        n INTEGER PRIMARY KEY, digest TEXT NOT NULL, previous TEXT NOT NULL, time INTEGER NOT NULL, operator TEXT NOT NULL
    );
    """,
    "CREATE TABLE kills (kind TEXT NOT NULL, name TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;",
    "CREATE TABLE tiles (level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, n));",
    """
    CREATE TABLE memories (name TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('memories', 0);
    ALTER TABLE agents ADD spent_version INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE agents ADD spent BLOB NOT NULL DEFAULT x'80';
    """,
    """
    CREATE TABLE definitions (id TEXT PRIMARY KEY, digest TEXT NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
    INSERT OR REPLACE INTO meta VALUES ('definitions', 0);
    """,
    # What a commit writes is pages: an index by task has one for each task that acts, and rows that are kept in the order of their ids are
    # moved about whenever a page is full.
    f"""
    CREATE TABLE IF NOT EXISTS task_spans (task TEXT NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (task, span)) WITHOUT ROWID;
    INSERT OR IGNORE INTO task_spans SELECT DISTINCT task, idx / {SPAN} FROM entries WHERE task IS NOT NULL;
    DROP INDEX IF EXISTS entries_task;
    CREATE INDEX IF NOT EXISTS entries_sessions ON entries (task, idx) WHERE kind = 'session.opened';
    ALTER TABLE permits RENAME TO permits_before;
    CREATE TABLE permits (n INTEGER PRIMARY KEY, decision TEXT NOT NULL UNIQUE, writer TEXT NOT NULL, permit BLOB NOT NULL);
    INSERT INTO permits (decision, writer, permit) SELECT decision, writer, permit FROM permits_before;
    DROP TABLE permits_before;
    """,  # noqa: S608 - a number
    "CREATE TABLE break_glass (id TEXT PRIMARY KEY, version INTEGER NOT NULL, stage TEXT NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;",
    """
    CREATE TABLE people (
        id TEXT PRIMARY KEY, source TEXT NOT NULL, version INTEGER NOT NULL, seen INTEGER NOT NULL, state BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX people_source ON people (source, id);
    CREATE TABLE person_names (name TEXT NOT NULL, person TEXT NOT NULL, PRIMARY KEY (name, person)) WITHOUT ROWID;
    CREATE INDEX person_names_person ON person_names (person);
    CREATE TABLE people_groups (id TEXT PRIMARY KEY, source TEXT NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX people_groups_source ON people_groups (source, id);
    """,
    "CREATE INDEX people_unconfirmed ON people (source) WHERE seen = 0;",
    "CREATE INDEX IF NOT EXISTS approvals_state ON approvals (state, id);",
)
"""Each step brings the schema one version on; `PRAGMA user_version` counts the steps done."""


_ABANDONED: list[tuple[sqlite3.Connection, sqlite3.Connection]] = []


class Database:
    """The file of one embedded store and the two connections a process has to it: one that writes, one that reads.

    The folder and the file are readable by their owner alone: they hold the agents' arguments.
    """

    def __init__(self, path: Path, lock_seconds: float = 5.0) -> None:
        self.path = path
        self._lock_seconds = lock_seconds
        try:
            self._prepare_file()
            self.writer = self._connect()
            self._migrate()
            self.reader = self._connect()
            self.reader.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise explain(error, path) from None
        except OSError as error:
            raise store_failed(f"store `{path}` cannot be opened ({error.strerror}): check the folder's permissions") from None
        # The shared-memory file holds the locks of the write-ahead log: who opens a new one does not see who else writes.
        self._files = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
        self._held = [_hold(file) for file in self._files]
        self._identity = [self._inode(file) for file in self._files]

    def _prepare_file(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            mode = self.path.stat().st_mode
            if mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise store_failed(f"store `{self.path}` can be changed or read by others: run `chmod 600 {self.path}`") from None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._lock_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        # INVARIANT (durable before permit): every commit waits for its fsync.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")  # whoever commits next waits for as many pages to be copied back
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
        if mode != "wal" or level != 2:
            connection.close()
            raise store_failed(f"store `{self.path}` is on a file system without WAL and FULL sync: use a local disk")
        return connection

    def _migrate(self) -> None:
        version = self.writer.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise corrupt(f"store `{self.path}` was written by a newer Remit (schema {version}): upgrade Remit", STORE_FAILED)
        if version == len(MIGRATIONS):
            return
        self.writer.execute("BEGIN IMMEDIATE")
        try:
            version = self.writer.execute("PRAGMA user_version").fetchone()[0]
            for step, statements in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in statements.split(";"):
                    if statement.strip():
                        self.writer.execute(statement)
                self.writer.execute(f"PRAGMA user_version = {step}")
            grow_tree(self.writer, self.writer.execute("SELECT coalesce(max(idx) + 1, 0) FROM entries").fetchone()[0])
            self.writer.execute("COMMIT")
        except BaseException:  # interrupted, too: the schema is the one from before, or the new one
            self.writer.execute("ROLLBACK")
            raise

    @staticmethod
    def _inode(file: Path) -> tuple[int, int]:
        found = os.stat(file)
        return found.st_dev, found.st_ino

    def check_present(self) -> None:
        """Raise `RemitError` (unavailable) if the files were deleted or replaced: what is written there would be lost."""
        try:
            present = [self._inode(file) for file in self._files]
        except OSError:
            present = []
        if present != self._identity:
            raise store_failed(f"store `{self.path}` was deleted or replaced while in use: restart and restore it")

    def close(self) -> None:
        """Close both connections; leave them to the end of the process if the files under them are no longer theirs."""
        try:
            self.check_present()
        except RemitError:
            # Closing the last connection empties the write-ahead log, and now others write to the one that lies there.
            _ABANDONED.append((self.reader, self.writer))
            return
        self.reader.close()
        self.writer.close()
        for held in self._held:
            if held is not None:
                os.close(held)
        self._held = []


def _hold(file: Path) -> int | None:
    """Keep a file's inode from being given to another while we compare it. A path descriptor, for closing any other would drop the
    locks that SQLite holds on the file (fcntl(2)); None where there are none."""
    flags = getattr(os, "O_PATH", None)
    return os.open(file, flags | os.O_CLOEXEC) if flags is not None else None


def explain(error: sqlite3.Error, path: Path) -> RemitError:
    """A store error in words that say what to do."""
    text = str(error)
    if isinstance(error, sqlite3.DatabaseError) and ("not a database" in text or "malformed" in text):
        return corrupt(f"store `{path}` is not a Remit store or is damaged ({text}): restore a backup", STORE_FAILED)
    if "locked" in text or "busy" in text:
        return store_failed(f"store `{path}` is locked by another process ({text}): try again")
    if "readonly" in text:
        return store_failed(f"store `{path}` is read-only: make it writable")
    if "full" in text:
        return store_failed(f"the disk under store `{path}` is full: free some space")
    return store_failed(f"store `{path}` failed ({text})")
