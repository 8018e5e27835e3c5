"""Committing a group: changes whose versions still hold, and their entries, in one durable transaction."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from remit.decision_log.entry import NO_ENTRY
from remit.decision_log.store import CommitFailed, Line
from remit.decision_log.tiles import whole
from remit.model.errors import RemitError
from remit.model.person import PeopleGroup, Person
from remit.runtime.writes import (
    ActivateBundle,
    ApproveDefinition,
    ConfirmPeople,
    DeleteKill,
    DestroyKey,
    ErasePerson,
    InsertTask,
    PutAgent,
    PutApproval,
    PutBreakGlass,
    PutGroup,
    PutKill,
    PutPerson,
    PutTask,
    SeeDefinition,
    SeePeople,
    Write,
)
from remit.storage.sqlite.database import SPAN, Database, explain
from remit.storage.sqlite.tree import grow_tree
from remit.storage.staging import NOTHING_SPENT, Staging, encode, new_memories, purpose_erased

_PUT_DEFINITION = "INSERT OR REPLACE INTO definitions VALUES (?, ?, ?, ?)"
_SESSION, _SPENT = "session", "spent"
_KNOWN_LIMIT = 50_000
_SELECT_VERSION = {
    _SESSION: "SELECT version FROM sessions WHERE id = ?",
    _SPENT: "SELECT spent_version FROM tasks WHERE id = ? AND status = 'open'",
}


class Groups:
    """The writing side of a store. One thread at a time, the appender's leader, uses it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.writer
        self.revision = self._read_revision()
        self._next = self._count()
        self._data_version = self._external()
        self._versions: dict[tuple[str, str], int] = {}
        self._spans: set[tuple[str, int]] = set()
        """Of the newest spans of the log: which are known to have entries of which task."""

    def _read_revision(self) -> int:
        found: int = self._connection.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()[0]
        return found

    def _count(self) -> int:
        found: int | None = self._connection.execute("SELECT max(idx) FROM entries").fetchone()[0]
        return 0 if found is None else found + 1

    def _external(self) -> int:
        found: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    @contextmanager
    def transaction(self) -> Iterator["_Transaction"]:
        """One group. Raises `CommitFailed`; a failure while committing poisons, one before it does not."""
        committing = False
        try:
            self._database.check_present()
            self._connection.execute("BEGIN IMMEDIATE")
            self._catch_up()
            group = _Transaction(self)
            yield group
            group.finish()
            self._database.check_present()
            committing = True
            self._connection.execute("COMMIT")
            self.revision = group.revision  # not before others can read what it stands for
        except sqlite3.Error as error:
            self._abandon()
            failure = explain(error, self._database.path)
            # INVARIANT (durable before permit): a COMMIT that failed in the disk may or may not be on it.
            raise CommitFailed(failure.message, poisons=committing and not _clean(error)) from error
        except RemitError as error:
            self._abandon()
            raise CommitFailed(error.message, poisons=True) from error
        except BaseException:  # a fault of ours, or interrupted: the connection must not stay in the middle of a transaction
            self._abandon()
            raise

    def _catch_up(self) -> None:
        """Forget what another process may have changed since the last commit."""
        external = self._external()
        if external != self._data_version or len(self._versions) > _KNOWN_LIMIT:
            self._data_version = external
            self._versions.clear()
            self.revision = self._read_revision()
            self._next = self._count()

    def _abandon(self) -> None:
        self._versions.clear()
        self._spans.clear()
        self._data_version = -1
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the transaction is already gone with the disk's error

    def version(self, kind: str, key: str) -> int | None:
        """The stored version of a session or of an open task's spending, None if there is none."""
        known = self._versions.get((kind, key))
        if known is None:
            row = self._connection.execute(_SELECT_VERSION[kind], (key,)).fetchone()
            if row is None:
                return None
            known = self._versions[kind, key] = row[0]
        return known


def _clean(error: sqlite3.Error) -> bool:
    """Errors of COMMIT after which SQLite guarantees that nothing was written."""
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)


_ROWS = 500
"""So many rows go into one statement. SQLite lets other threads run at each statement; one of many rows costs one such turn."""


class _Transaction(Staging):
    reopened = False

    def __init__(self, groups: Groups) -> None:
        super().__init__(groups.revision)
        self._groups = groups
        self._run = groups._connection.execute

    def _one(self, query: str, *parameters: str) -> Any:
        row = self._run(query, parameters).fetchone()
        return None if row is None else row[0]

    def session_version(self, session: str) -> int | None:
        """The stored version of a session, None if there is none."""
        return self._groups.version(_SESSION, session)

    def spent_version(self, task: str) -> int | None:
        """The stored version of what a task has spent, None unless it is open."""
        return self._groups.version(_SPENT, task)

    def account_version(self, agent: str) -> int | None:
        """The stored version of what an agent has spent, None if it is not registered."""
        found: int | None = self._one("SELECT spent_version FROM agents WHERE id = ?", agent)
        return found

    def memory_version(self, name: str) -> int | None:
        """The stored version of a memory, None if there is none."""
        found: int | None = self._one("SELECT version FROM memories WHERE name = ?", name)
        return found

    def is_open(self, decision: str) -> bool:
        """Whether a permit is stored."""
        return bool(self._one("SELECT 1 FROM permits WHERE decision = ?", decision))

    def agent_version(self, agent: str) -> int:
        """The stored version of an agent, 0 if there is none."""
        return self._one("SELECT version FROM agents WHERE id = ?", agent) or 0

    def person_version(self, person: str) -> int:
        """The stored version of a person, 0 if there is none."""
        return self._one("SELECT version FROM people WHERE id = ?", person) or 0

    def group_version(self, group: str) -> int:
        """The stored version of a group of people, 0 if there is none."""
        return self._one("SELECT version FROM people_groups WHERE id = ?", group) or 0

    def approval_version(self, approval: str) -> int:
        """The version of an access request, 0 if there is none."""
        return self._one("SELECT version FROM approvals WHERE id = ?", approval) or 0

    def break_glass_version(self, glass: str) -> int:
        """The version of a break-glass, 0 if there is none."""
        return self._one("SELECT version FROM break_glass WHERE id = ?", glass) or 0

    def definition(self, id: str) -> tuple[str, int] | None:
        """The digest and the version of a known definition, None if none is stored."""
        found: tuple[str, int] | None = self._run("SELECT digest, version FROM definitions WHERE id = ?", (id,)).fetchone()
        return found

    def active_bundle(self) -> str:
        """The digest of the active bundle, empty if there is none."""
        return self._one("SELECT digest FROM activations ORDER BY n DESC LIMIT 1") or ""

    def can(self, write: DestroyKey | DeleteKill) -> bool:
        """Whether what it would end is still there."""
        match write:
            case DestroyKey(task):
                return bool(self._one("SELECT 1 FROM data_keys WHERE task = ? AND secret IS NOT NULL", task))
            case DeleteKill(kind, name):
                return bool(self._one("SELECT 1 FROM kills WHERE kind = ? AND name = ?", kind.value, name))

    def administer(self, write: Write) -> None:
        """Write an administrative change, or an access request, now."""
        match write:
            case PutApproval(approval):
                state = (approval.id, approval.version, approval.state.value, approval.digest, encode(approval))
                self._run("INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?, ?)", state)
                return
            case InsertTask(task, secret):
                row = (task.id, task.status.value, task.opened, encode(task), NOTHING_SPENT)
                self._run("INSERT INTO tasks (id, status, opened, task, spent) VALUES (?, ?, ?, ?, ?)", row)
                self._run("INSERT INTO data_keys VALUES (?, ?)", (task.id, secret))
                return
            case SeeDefinition(known):
                if self.definition(known.id) is None:
                    self._run("UPDATE meta SET value = value + 1 WHERE name = 'definitions'")
                self._run(_PUT_DEFINITION, (known.id, known.digest, known.version, encode(known)))
                return
            case SeePeople(people, at) | ConfirmPeople(people, at):
                self._run(
                    "UPDATE people SET seen = ? WHERE id IN (SELECT value FROM json_each(?))",
                    (at, msgspec.json.encode(people).decode()),
                )
                if isinstance(write, SeePeople):
                    return
            case PutPerson() | ErasePerson() | PutGroup():
                self._put_people(write)
            case ApproveDefinition(known):
                self._run(_PUT_DEFINITION, (known.id, known.digest, known.version, encode(known)))
            case PutTask(task):
                self._run("UPDATE tasks SET task = ? WHERE id = ?", (encode(task), task.id))
            case PutAgent(agent):
                change = " ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state"
                self._insert(
                    "INSERT INTO agents (id, version, state) VALUES ", [(agent.id, agent.version, encode(agent))], change
                )
            case ActivateBundle(digest, previous, document, time, operator, memories):
                self._remember(memories)
                self._run("INSERT OR IGNORE INTO bundles VALUES (?, ?)", (digest, document))
                columns = "INSERT INTO activations (digest, previous, time, operator) VALUES (?, ?, ?, ?)"
                self._run(columns, (digest, previous, time, operator))
            case PutKill() | DeleteKill() | PutBreakGlass():
                self._put_exception(write)
            case DestroyKey(task_id):
                self._erase(task_id)
            case _:
                raise TypeError(f"no such write: {type(write).__name__}")
        self._bump()

    def _put_exception(self, write: PutKill | DeleteKill | PutBreakGlass) -> None:
        """What holds against policy for a while."""
        match write:
            case PutKill(kill):
                self._run("INSERT OR REPLACE INTO kills VALUES (?, ?, ?)", (kill.kind.value, kill.name, encode(kill)))
            case DeleteKill(kind, name):
                self._run("DELETE FROM kills WHERE kind = ? AND name = ?", (kind.value, name))
            case PutBreakGlass(glass):
                stored = (glass.id, glass.version, glass.stage.value, encode(glass))
                self._run("INSERT OR REPLACE INTO break_glass VALUES (?, ?, ?, ?)", stored)

    def _remember(self, named: Sequence[str]) -> None:
        stored = [row[0] for row in self._run("SELECT name FROM memories")]
        new = new_memories(named, stored, self._one("SELECT value FROM meta WHERE name = 'memories'"))
        if new:
            self._insert(
                "INSERT INTO memories (name, version, state) VALUES ", [(one.name, one.version, encode(one)) for one in new]
            )
            self._run("UPDATE meta SET value = value + ? WHERE name = 'memories'", (len(new),))

    def _erase(self, task: str) -> None:
        erased = purpose_erased(self._one("SELECT task FROM tasks WHERE id = ?", task))
        self._run("UPDATE tasks SET task = ? WHERE id = ?", (erased, task))
        self._destroy(task)
        self._run("DELETE FROM observations WHERE session IN (SELECT value FROM json_each(?))", (self._sessions_of(task),))

    def _destroy(self, key: str) -> None:
        self._run("UPDATE data_keys SET secret = zeroblob(length(secret)) WHERE task = ?", (key,))
        self._run("UPDATE data_keys SET secret = NULL WHERE task = ?", (key,))

    def _put_people(self, write: PutPerson | ErasePerson | PutGroup) -> None:
        match write:
            case PutPerson(person, secret):
                self._put_person(person)
                if secret:
                    self._run("INSERT INTO data_keys VALUES (?, ?)", (person.id, secret))
            case ErasePerson(person):
                self._put_person(person)
                self._destroy(person.id)
            case PutGroup(group):
                self._put_group(group)

    def _put_person(self, person: Person) -> None:
        row = (person.id, person.source, person.version, person.seen, encode(person))
        self._run("INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?, ?)", row)
        self._run("DELETE FROM person_names WHERE person = ?", (person.id,))
        self._insert("INSERT INTO person_names VALUES ", [(name, person.id) for name in sorted(person.found_by)])

    def _put_group(self, group: PeopleGroup) -> None:
        if not group.version:
            self._run("DELETE FROM people_groups WHERE id = ?", (group.id,))
            return
        row = (group.id, group.source, group.version, encode(group))
        self._run("INSERT OR REPLACE INTO people_groups VALUES (?, ?, ?, ?)", row)

    def _sessions_of(self, task: str) -> str:
        rows = self._run(
            "SELECT json_group_array(json_extract(line, '$.session')) FROM entries WHERE task = ? AND kind = 'session.opened'",
            (task,),
        ).fetchone()
        found: str = rows[0]
        return found

    def _bump(self) -> None:
        """Count an administrative change: whatever was decided before it and is not yet committed is decided again."""
        self.revision += 1
        self._run("UPDATE meta SET value = ? WHERE name = 'revision'", (self.revision,))

    def last(self, writer: str) -> tuple[int, str]:
        """How many entries a writer has, and the leaf hash (hex) of the last."""
        row = self._run("SELECT seq, leaf FROM entries WHERE writer = ? ORDER BY idx DESC LIMIT 1", (writer,)).fetchone()
        return (row[0] + 1, row[1].hex()) if row else (0, NO_ENTRY)

    def append(self, lines: Sequence[Line]) -> None:
        """Append entries at the end of the log."""
        start = self._groups._next
        rows = [
            (start + n, line.writer, line.seq, line.kind, line.decision, line.task, line.leaf, line.line)
            for n, line in enumerate(lines)
        ]
        self._insert("INSERT INTO entries (idx, writer, seq, kind, decision, task, leaf, line) VALUES ", rows)
        self._put_spans(start, lines)
        end = self._groups._next = start + len(lines)
        if whole(end) > whole(start):
            grow_tree(self._groups._connection, end)

    def _put_spans(self, start: int, lines: Sequence[Line]) -> None:
        known = self._groups._spans
        new = {(line.task, (start + n) // SPAN) for n, line in enumerate(lines) if line.task is not None} - known
        if len(known) > _KNOWN_LIMIT:
            known.clear()
        known |= new
        self._insert("INSERT OR IGNORE INTO task_spans VALUES ", sorted(new))

    def finish(self) -> None:
        """Write what was staged: of states that moved several times in one group only the last."""
        known = self._groups._versions
        sessions = [(key, session.version, encode(session)) for key, session in self.sessions.items()]
        change = " ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state"
        self._insert("INSERT INTO sessions (id, version, state) VALUES ", sessions, change)
        known.update(((_SESSION, key), session.version) for key, session in self.sessions.items())
        spent = [(key, "", 0, b"", spent.version, encode(spent)) for key, spent in self.spent.items()]
        change = " ON CONFLICT (id) DO UPDATE SET spent_version = excluded.spent_version, spent = excluded.spent"
        self._insert("INSERT INTO tasks (id, status, opened, task, spent_version, spent) VALUES ", spent, change)  # all are there
        known.update(((_SPENT, key), spent.version) for key, spent in self.spent.items())
        for task in self.closed:
            self._run("UPDATE tasks SET status = 'closed' WHERE id = ?", (task,))
            known.pop((_SPENT, task), None)
        permits = [(permit.decision, permit.writer, encode(permit)) for permit in self.permits.values()]
        self._insert("INSERT INTO permits (decision, writer, permit) VALUES ", permits)
        seen = [(one.session, one.decision, one.source, one.untrusted, one.sealed) for one in self.observations]
        self._insert("INSERT INTO observations (session, decision, source, untrusted, sealed) VALUES ", seen)
        for agent, account in self.accounts.items():
            self._run("UPDATE agents SET spent_version = ?, spent = ? WHERE id = ?", (account.version, encode(account), agent))
        for memory in self.memories.values():
            self._run("UPDATE memories SET version = ?, state = ? WHERE name = ?", (memory.version, encode(memory), memory.name))
        for name in self.proofs:
            self._insert("INSERT INTO permits (decision, writer, permit) VALUES ", [(name, name, b"")])
            self._run("DELETE FROM permits WHERE decision = ?", (name,))
        for start in range(0, len(self.reported), _ROWS):
            part = self.reported[start : start + _ROWS]
            self._run(f"DELETE FROM permits WHERE decision IN ({','.join('?' * len(part))})", part)  # noqa: S608 - only marks

    def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]], ending: str = "") -> None:
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            marks = f"({','.join('?' * len(part[0]))})"
            values = [value for row in part for value in row]
            self._run(f"{statement}{','.join([marks] * len(part))}{ending}", values)
