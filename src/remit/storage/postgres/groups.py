"""Committing a group to PostgreSQL: two round trips, the rows of its sessions and tasks locked in one order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from remit.decision_log.entry import NO_ENTRY
from remit.decision_log.store import CommitFailed, Line
from remit.model.errors import ErrorKind, RemitError, corrupt
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
from remit.storage.postgres.connecting import Address, Connection, Link, check_schema, explain, explained, usable
from remit.storage.postgres.locks import ACCOUNTS, APPROVALS, KINDS, MEMORIES, PEOPLE, PERMITS, SESSIONS, SPENT, locking, turns
from remit.storage.postgres.writers import hold
from remit.storage.staging import NOTHING_SPENT, Staging, encode, new_memories, purpose_erased

CHANNEL = "remit_revision"
_REVISION = """
SELECT value, current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off' FROM meta WHERE name = 'revision'
"""
_ENTRIES = """
INSERT INTO entries (writer, seq, time, kind, decision, task, leaf, line)
SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::bytea[], %b::bytea[])
"""
_PUT_SESSIONS = """
INSERT INTO sessions (id, task, version, state) SELECT * FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bytea[])
ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state
"""
_PUT_SPENT = """
UPDATE tasks t SET spent_version = n.version, spent = n.spent
FROM unnest(%b::text[], %b::bigint[], %b::bytea[]) AS n (id, version, spent) WHERE t.id = n.id
"""
_PUT_ACCOUNTS = """
UPDATE agents a SET spent_version = n.version, spent = n.spent
FROM unnest(%b::text[], %b::bigint[], %b::bytea[]) AS n (id, version, spent) WHERE a.id = n.id
"""
_PUT_MEMORIES = """
UPDATE memories m SET version = n.version, state = n.state
FROM unnest(%b::text[], %b::bigint[], %b::bytea[]) AS n (name, version, state) WHERE m.name = n.name
"""
_PUT_PERMITS = "INSERT INTO permits (decision, writer, permit) SELECT * FROM unnest(%b::text[], %b::text[], %b::bytea[])"
_PUT_APPROVAL = """
INSERT INTO approvals (id, version, state, digest, approval) VALUES (%s, %s, %s, %s, %b)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state, approval = excluded.approval
"""
_PUT_AGENT = """
INSERT INTO agents (id, version, state) VALUES (%s, %s, %b)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state
"""
_PUT_PEOPLE = """
INSERT INTO people (id, source, version, seen, state)
SELECT * FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bytea[])
ON CONFLICT (id) DO UPDATE SET version = excluded.version, seen = excluded.seen, state = excluded.state
"""
_PUT_NAMES = "INSERT INTO person_names (name, person) SELECT * FROM unnest(%b::text[], %b::text[])"
_PUT_SECRETS = "INSERT INTO data_keys (task, secret) SELECT * FROM unnest(%b::text[], %b::bytea[])"
_PUT_GROUP = """
INSERT INTO people_groups (id, source, version, state) VALUES (%s, %s, %s, %b)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state
"""
_PUT_KILL = """
INSERT INTO kills (kind, name, state) VALUES (%s, %s, %b) ON CONFLICT (kind, name) DO UPDATE SET state = excluded.state
"""
_PUT_DEFINITION = """
INSERT INTO definitions (id, digest, version, state) VALUES (%s, %s, %s, %b)
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, version = excluded.version, state = excluded.state
"""
_PUT_BREAK_GLASS = """
INSERT INTO break_glass (id, version, stage, state) VALUES (%s, %s, %s, %b)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, stage = excluded.stage, state = excluded.state
"""
_SEEN = """
INSERT INTO observations (session, decision, source, untrusted, sealed)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::boolean[], %b::bytea[])
"""


class Groups:
    """The writing side of a store, over a connection of its own. One thread at a time, the appender's leader, uses it."""

    def __init__(self, address: Address) -> None:
        self.link = Link(address, self._prepare)
        self.revision = 0
        self.writers: list[str] = []
        self._backend: int | None = None
        self._checked = 0
        with explained(address):
            self.revision, _ = revision_of(self.link.ask(lambda connection: connection.execute(_REVISION).fetchone()), address)

    def _prepare(self, connection: Connection) -> None:
        check_schema(connection, self.link.address)
        for writer in self.writers:
            hold(connection, writer, self._backend)
        self._backend = connection.info.backend_pid

    def hold(self, writer: str) -> None:
        """Say that this process writes as `writer`. Raises `RemitError` (unavailable)."""
        with explained(self.link.address):
            self.link.ask(lambda connection: hold(connection, writer, None))
        self.writers.append(writer)

    def ask(self, statement: str) -> None:
        """Execute a statement that may be executed twice, outside of any group. Raises `RemitError` (unavailable)."""
        with explained(self.link.address):
            self.link.ask(lambda connection: connection.execute(statement))

    @contextmanager
    def transaction(self) -> Iterator["_Transaction"]:
        """One group. Raises `CommitFailed`: `doubtful` where the connection was lost while it was committed, else nothing was."""
        group = _Transaction(self)
        try:
            with self.link.asking():
                yield group
                group.finish()
            self.revision = group.revision  # not before others can read what it stands for
            self._checked = self.link.opened
        except psycopg.Error as error:
            # INVARIANT (durable before permit): of a COMMIT whose answer is lost nobody knows.
            lost = not self._rolled_back(group)
            raise CommitFailed(explain(error, self.link.address).message, False, doubtful=lost and group.committing) from error
        except RemitError as error:
            self._rolled_back(group)
            raise CommitFailed(error.message, poisons=error.kind is ErrorKind.CORRUPT) from error
        except BaseException:  # a fault of ours, or interrupted: the connection must not stay in the middle of a transaction
            self._rolled_back(group)
            raise

    @property
    def reopened(self) -> bool:
        """Whether nothing was committed since the connection was opened, whoever opened it."""
        return self._checked != self.link.opened

    def _rolled_back(self, group: "_Transaction") -> bool:
        connection = group.connection
        if connection is not None and usable(connection):
            return True
        self.link.drop()
        return False


class _Transaction(Staging):
    def __init__(self, groups: Groups) -> None:
        super().__init__(groups.revision)
        self._groups = groups
        self._link = groups.link
        self._stored: list[dict[str, int]] = []
        self._lines: Sequence[Line] = ()
        self._parts: list[tuple[str, list[list[Any]]]] = []
        self.connection: Connection | None = None
        self.reopened = False
        self.committing = False
        self._changed = False
        self._people: dict[str, Person] = {}
        self._secrets: list[tuple[str, bytes]] = []

    def apply(self, changes: Sequence[tuple[Sequence[Write], int]]) -> list[bool]:
        """Begin, lock and read what the changes touch, and apply those that fit."""
        writes = [write for one, _ in changes for write in one]
        try:
            self._begin(writes)
        except psycopg.Error:
            if self.connection is None or usable(self.connection):
                raise
            self._link.drop()  # it was lost while nobody used it: nothing was sent that could have been committed
            self._begin(writes)
        return super().apply(changes)

    def _begin(self, writes: Sequence[Write]) -> None:
        self.connection = connection = self._link.connection()
        self.reopened = self._groups.reopened
        query, ids = locking(writes)
        with connection.pipeline():
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            for turn in turns(writes):
                connection.execute(turn)
            found = connection.execute(_REVISION)
            locked = connection.execute(query, ids) if query else None
            row = found.fetchone()
            self._stored = [{} for _ in KINDS]
            for kind, key, version in locked.fetchall() if locked else ():
                self._stored[kind][key] = version
        self.revision, durable = revision_of(row, self._link.address)
        if not durable:
            raise CommitFailed(f"store `{self._link.address}` has `fsync` or `synchronous_commit` off now: set it to `on`", False)

    def last(self, writer: str) -> tuple[int, str]:
        """How many entries a writer has, and the leaf hash (hex) of the last."""
        row = self._one("SELECT seq, leaf FROM entries WHERE writer = %s ORDER BY seq DESC LIMIT 1", writer)
        return (row[0] + 1, row[1].hex()) if row else (0, NO_ENTRY)

    def append(self, lines: Sequence[Line]) -> None:
        """Append entries to their writer's chain."""
        self._lines = lines

    def _run(self, query: str, *parameters: Any) -> psycopg.Cursor[Any]:
        assert self.connection is not None
        return self.connection.execute(query, parameters)

    def _one(self, query: str, *parameters: Any) -> Any:
        return self._run(query, *parameters).fetchone()

    def session_version(self, session: str) -> int | None:
        """The stored version of a session, None if there is none."""
        return self._stored[SESSIONS].get(session)

    def spent_version(self, task: str) -> int | None:
        """The stored version of what a task has spent, None unless it is open."""
        return self._stored[SPENT].get(task)

    def account_version(self, agent: str) -> int | None:
        """The stored version of what an agent has spent, None if it is not registered."""
        return self._stored[ACCOUNTS].get(agent)

    def memory_version(self, name: str) -> int | None:
        """The stored version of a memory, None if there is none."""
        return self._stored[MEMORIES].get(name)

    def is_open(self, decision: str) -> bool:
        """Whether a permit is stored."""
        return decision in self._stored[PERMITS]

    def approval_version(self, approval: str) -> int:
        """The version of an access request, 0 if there is none."""
        return self._stored[APPROVALS].get(approval, 0)

    def agent_version(self, agent: str) -> int:
        """The stored version of an agent, 0 if there is none."""
        row = self._one("SELECT version FROM agents WHERE id = %s", agent)
        return row[0] if row else 0

    def break_glass_version(self, glass: str) -> int:
        """The version of a break-glass, 0 if there is none."""
        row = self._one("SELECT version FROM break_glass WHERE id = %s", glass)
        return 0 if row is None else row[0]

    def person_version(self, person: str) -> int:
        """The stored version of a person, 0 if there is none."""
        return self._stored[PEOPLE].get(person, 0)

    def group_version(self, group: str) -> int:
        """The stored version of a group of people, 0 if there is none."""
        row = self._one("SELECT version FROM people_groups WHERE id = %s", group)
        return row[0] if row else 0

    def definition(self, id: str) -> tuple[str, int] | None:
        """The digest and the version of a known definition, None if none is stored."""
        found: tuple[str, int] | None = self._one("SELECT digest, version FROM definitions WHERE id = %s", id)
        return found

    def active_bundle(self) -> str:
        """The digest of the active bundle, empty if there is none."""
        row = self._one("SELECT digest FROM activations ORDER BY n DESC LIMIT 1")
        return row[0] if row else ""

    def can(self, write: DestroyKey | DeleteKill) -> bool:
        """Whether what it would end is still there."""
        match write:
            case DestroyKey(task):
                return bool(self._one("SELECT 1 FROM data_keys WHERE task = %s AND secret IS NOT NULL", task))
            case DeleteKill(kind, name):
                return bool(self._one("SELECT 1 FROM kills WHERE kind = %s AND name = %s", kind.value, name))

    def administer(self, write: Write) -> None:
        """Write an administrative change, or an access request, now."""
        match write:
            case PutApproval(approval):
                row = (approval.id, approval.version, approval.state.value, approval.digest, encode(approval))
                self._run(_PUT_APPROVAL, *row)
                self._stored[APPROVALS][approval.id] = approval.version
                return
            case InsertTask(task, secret):
                columns = "INSERT INTO tasks (id, status, opened, task, spent_version, spent) VALUES (%s, %s, %s, %b, 0, %b)"
                self._run(columns, task.id, task.status.value, task.opened, encode(task), NOTHING_SPENT)
                self._run("INSERT INTO data_keys VALUES (%s, %b)", task.id, secret)
                return
            case SeeDefinition(known):
                if self.definition(known.id) is None:
                    self._run("UPDATE meta SET value = value + 1 WHERE name = 'definitions'")
                self._run(_PUT_DEFINITION, known.id, known.digest, known.version, encode(known))
                return
            case SeePeople(people, at) | ConfirmPeople(people, at):
                self._run("UPDATE people SET seen = %s WHERE id = ANY(%b)", at, sorted(people))
                if isinstance(write, SeePeople):
                    return
            case PutPerson() | ErasePerson() | PutGroup():
                self._put_people(write)
            case ApproveDefinition(known):
                self._run(_PUT_DEFINITION, known.id, known.digest, known.version, encode(known))
            case PutTask(task):
                self._run("UPDATE tasks SET task = %b WHERE id = %s", encode(task), task.id)
            case PutAgent(agent):
                self._run(_PUT_AGENT, agent.id, agent.version, encode(agent))
            case ActivateBundle(digest, previous, document, time, operator, memories):
                self._remember(memories)
                self._run("INSERT INTO bundles VALUES (%s, %b) ON CONFLICT DO NOTHING", digest, document)
                columns = "INSERT INTO activations (digest, previous, time, operator) VALUES (%s, %s, %s, %s)"
                self._run(columns, digest, previous, time, operator)
            case PutKill() | DeleteKill() | PutBreakGlass():
                self._put_exception(write)
            case DestroyKey(task_id):
                self._erase(task_id)
            case _:
                raise TypeError(f"no such write: {type(write).__name__}")
        self.revision += 1
        self._changed = True

    def _put_exception(self, write: PutKill | DeleteKill | PutBreakGlass) -> None:
        """What holds against policy for a while."""
        match write:
            case PutKill(kill):
                self._run(_PUT_KILL, kill.kind.value, kill.name, encode(kill))
            case DeleteKill(kind, name):
                self._run("DELETE FROM kills WHERE kind = %s AND name = %s", kind.value, name)
            case PutBreakGlass(glass):
                self._run(_PUT_BREAK_GLASS, glass.id, glass.version, glass.stage.value, encode(glass))

    def _remember(self, named: Sequence[str]) -> None:
        stored = [row[0] for row in self._run("SELECT name FROM memories").fetchall()]
        count = self._one("SELECT value FROM meta WHERE name = 'memories'")
        new = new_memories(named, stored, count[0] if count else None)
        for one in new:
            self._run("INSERT INTO memories (name, version, state) VALUES (%s, %s, %b)", one.name, one.version, encode(one))
        if new:
            self._run("UPDATE meta SET value = value + %s WHERE name = 'memories'", len(new))

    def _erase(self, task: str) -> None:
        erased = purpose_erased(self._one("SELECT task FROM tasks WHERE id = %s", task)[0])
        self._run("UPDATE tasks SET task = %b WHERE id = %s", erased, task)
        self._run("UPDATE data_keys SET secret = NULL WHERE task = %s", task)
        self._run("DELETE FROM observations WHERE session IN (SELECT id FROM sessions WHERE task = %s)", task)

    def _put_people(self, write: PutPerson | ErasePerson | PutGroup) -> None:
        match write:
            case PutGroup(group):
                self._put_group(group)
                return
            case PutPerson(person, secret):
                if secret:
                    self._secrets.append((person.id, secret))
            case ErasePerson(person):
                self._run("UPDATE data_keys SET secret = NULL WHERE task = %s", person.id)
        self._people[person.id] = person
        self._stored[PEOPLE][person.id] = person.version

    def _write_people(self) -> None:
        """Everybody of the group at once: a file has thousands, and nobody else commits meanwhile."""
        if not self._people:
            return
        people = list(self._people.values())
        rows = [(person.id, person.source, person.version, person.seen, encode(person)) for person in people]
        self._run(_PUT_PEOPLE, *map(list, zip(*rows, strict=True)))
        self._run("DELETE FROM person_names WHERE person = ANY(%b)", list(self._people))
        names = [(name, person.id) for person in people for name in sorted(person.found_by)]
        for statement, given in ((_PUT_NAMES, names), (_PUT_SECRETS, self._secrets)):
            if given:
                self._run(statement, *map(list, zip(*given, strict=True)))

    def _put_group(self, group: PeopleGroup) -> None:
        if group.version:
            self._run(_PUT_GROUP, group.id, group.source, group.version, encode(group))
        else:
            self._run("DELETE FROM people_groups WHERE id = %s", group.id)

    def finish(self) -> None:
        """Write what was staged: of states that moved several times in one group only the last. Then commit."""
        assert self.connection is not None
        with self.connection.pipeline():
            if self._changed:
                # INVARIANT (one commit): whatever was decided before an administrative change and is not yet committed is decided again.
                self._run("UPDATE meta SET value = %s WHERE name = 'revision'", self.revision)
                self._run("SELECT pg_notify(%s, %s)", CHANNEL, str(self.revision))
            self._write_people()
            self._append()
            self._bulk(_PUT_SESSIONS, [(s.id, s.task, s.version, encode(s)) for s in self.sessions.values()])
            self._bulk(_PUT_SPENT, [(task, spent.version, encode(spent)) for task, spent in self.spent.items()])
            if self.closed:
                self._run("UPDATE tasks SET status = 'closed' WHERE id = ANY(%b)", list(self.closed))
            self._bulk(_PUT_PERMITS, [(p.decision, p.writer, encode(p)) for p in self.permits.values()])
            self._bulk(_PUT_ACCOUNTS, [(agent, spent.version, encode(spent)) for agent, spent in self.accounts.items()])
            self._bulk(_PUT_MEMORIES, [(one.name, one.version, encode(one)) for one in self.memories.values()])
            self._bulk(_SEEN, [(o.session, o.decision, _text(o.source), o.untrusted, o.sealed) for o in self.observations])
            for name in self.proofs:
                self._run("INSERT INTO permits (decision, writer, permit) VALUES (%s, %s, '')", name, name)
                self._run("DELETE FROM permits WHERE decision = %s", name)
            if self.reported:
                self._parts.append(("DELETE FROM permits WHERE decision = ANY(%b)", [self.reported]))
            if self._parts:  # one statement: each costs a good part of what the whole transaction does
                names = ", ".join(f"w{n} AS ({part})" for n, (part, _) in enumerate(self._parts))
                self._run(f"WITH {names} SELECT 1", *[value for _, values in self._parts for value in values])
            self.committing = True
            self._run("COMMIT")

    def _append(self) -> None:
        for line in self._lines:
            if line.seq == 0:
                self._run("INSERT INTO chains (writer, taken, ended) VALUES (%s, 0, false)", line.writer)
        if self.reopened and self._lines:
            # While nobody held this writer's lock, another process may have taken its chain for ended.
            self._run("UPDATE chains SET ended = false WHERE writer = %s", self._lines[0].writer)
        rows = [
            (line.writer, line.seq, line.time, line.kind, _findable(line.decision), _findable(line.task), line.leaf, line.line)
            for line in self._lines
        ]
        self._bulk(_ENTRIES, rows)

    def _bulk(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._parts.append((statement, [list(column) for column in zip(*rows, strict=True)]))


def revision_of(row: Any, address: Address) -> tuple[int, bool]:
    """The revision, and whether commits are durable. Raises `RemitError` (corrupt) if the store has none."""
    if row is None:
        raise corrupt(f"store `{address}` has lost its revision: restore a backup")
    return row[0], row[1]


def _text(value: str) -> str:
    """PostgreSQL stores no NUL."""
    return value.replace("\0", "\ufffd")


def _findable(value: str | None) -> str | None:
    """A name that no text column can hold finds nothing; the entry has it all the same."""
    return None if value is None or "\0" in value else value
