"""State and log as nouns, read from the tables that every store has; rows never leave this package."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol, TypeVar

import msgspec

from remit.decision_log.encoding import decode
from remit.decision_log.entry import Entry
from remit.decision_log.tiles import Tile
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import BreakGlass, Stage
from remit.model.definition import KnownDefinition, definition_id
from remit.model.errors import corrupt
from remit.model.identity import Agent, AgentId, ApprovalId, BreakGlassId, DecisionId, SessionId, TaskId
from remit.model.kill import Kill
from remit.model.memory import Memory
from remit.model.person import GroupId, PeopleGroup, Person, PersonId
from remit.model.task import Session, Spent, Task, TaskState, TaskStatus
from remit.runtime.store import Approval, Observation, OpenPermit

T = TypeVar("T")
PAGE = 2000
MAX_NAMESAKES = 1000
"""So many records of one name are read: more than can be told apart."""
_STATES = {state.value: state for state in ApprovalState}


class Rows(Protocol):
    """The reading connection of one process."""

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """All rows of a query, its parameters marked `?`. Raises `RemitError` (unavailable, corrupt)."""
        ...

    def row(self, query: str, *parameters: Any) -> Any:
        """The first row of a query, or None."""
        ...


def read(noun: type[T], stored: bytes) -> T:
    try:
        return msgspec.msgpack.decode(stored, type=noun)
    except msgspec.MsgspecError as error:
        raise corrupt(f"a stored {noun.__name__.lower()} cannot be read ({error}): restore a backup") from None


class StateReader:
    """State as nouns; a store adds what it asks in its own way."""

    def __init__(self, reading: Rows) -> None:
        self._rows, self._row = reading.rows, reading.row

    def standing(self, tasks: Sequence[TaskId]) -> tuple[int, bool]:
        """Administrative changes as the store has them now, those of other processes included, and whether all these tasks are open."""
        marks = ",".join("?" * len(tasks)) or "NULL"
        still = f"SELECT count(*) FROM tasks WHERE id IN ({marks}) AND status = 'open'"  # noqa: S608 - only marks
        revision, found = self._row(f"SELECT value, ({still}) FROM meta WHERE name = 'revision'", *tasks)  # noqa: S608 - only marks
        return revision, found == len(tasks)

    def task(self, task: TaskId) -> TaskState | None:
        """A task and what it has spent."""
        row = self._row("SELECT task, status, spent FROM tasks WHERE id = ?", task)
        return None if row is None else _task_state(*row)

    def tasks(self, limit: int, before: tuple[int, str] | None = None) -> list[TaskState]:
        """The newest tasks, of those that come behind this time of opening and id."""
        ordered = "ORDER BY opened DESC, id DESC LIMIT ?"
        if before is None:
            rows = self._rows(f"SELECT task, status, spent FROM tasks {ordered}", limit)  # noqa: S608 - a constant
        else:
            older = "opened < ? OR (opened = ? AND id < ?)"
            moment, task = before
            rows = self._rows(f"SELECT task, status, spent FROM tasks WHERE {older} {ordered}", moment, moment, task, limit)  # noqa: S608
        return [_task_state(*row) for row in rows]

    def secret(self, task: TaskId) -> bytes | None:
        """The secret of a task's data key, None once destroyed."""
        row = self._row("SELECT secret FROM data_keys WHERE task = ?", task)
        return None if row is None else row[0]

    def session(self, session: SessionId) -> Session | None:
        """A session's latest state."""
        row = self._row("SELECT state FROM sessions WHERE id = ?", session)
        return None if row is None else read(Session, row[0])

    def agent(self, agent: AgentId) -> Agent | None:
        """An agent's latest state."""
        row = self._row("SELECT state FROM agents WHERE id = ?", agent)
        return None if row is None else read(Agent, row[0])

    def agents(self) -> list[Agent]:
        """All agents, by name."""
        return [read(Agent, row[0]) for row in self._rows("SELECT state FROM agents ORDER BY id")]

    def person(self, person: PersonId) -> Person | None:
        """A person, as their source last had them."""
        row = self._row("SELECT state, seen FROM people WHERE id = ?", person)
        return None if row is None else _person(*row)

    def people(self, limit: int, after: str = "", source: str = "") -> list[Person]:
        """People by id, of one source or all, behind this id."""
        if source:
            query = "SELECT state, seen FROM people WHERE source = ? AND id > ? ORDER BY id LIMIT ?"
            return [_person(*row) for row in self._rows(query, source, after, limit)]
        return [
            _person(*row) for row in self._rows("SELECT state, seen FROM people WHERE id > ? ORDER BY id LIMIT ?", after, limit)
        ]

    def people_named(self, *names: str) -> list[Person]:
        """The people who go by one of these names (folded, or marks of those who were erased), by id: the oldest records."""
        marks = ", ".join("?" * len(names)) or "NULL"
        having = f"SELECT person FROM person_names WHERE name IN ({marks})"  # noqa: S608 - only marks
        query = f"SELECT state, seen FROM people WHERE id IN ({having}) ORDER BY id LIMIT ?"  # noqa: S608 - only marks
        return [_person(*row) for row in self._rows(query, *names, MAX_NAMESAKES)]

    def unconfirmed(self) -> dict[str, int]:
        """How many people of each source are there by a backup alone that was restored."""
        counts: dict[str, int] = dict(self._rows("SELECT source, count(*) FROM people WHERE seen = 0 GROUP BY source"))
        return counts

    def people_group(self, group: GroupId) -> PeopleGroup | None:
        """A group of people."""
        row = self._row("SELECT state FROM people_groups WHERE id = ?", group)
        return None if row is None else read(PeopleGroup, row[0])

    def people_groups(self, source: str) -> list[PeopleGroup]:
        """The groups of one source, by id."""
        return [
            read(PeopleGroup, row[0])
            for row in self._rows("SELECT state FROM people_groups WHERE source = ? ORDER BY id", source)
        ]

    def kills(self) -> list[Kill]:
        """The kills in force."""
        return [read(Kill, row[0]) for row in self._rows("SELECT state FROM kills ORDER BY kind, name")]

    def break_glass(self, glass: BreakGlassId) -> BreakGlass | None:
        """One break-glass."""
        row = self._row("SELECT state FROM break_glass WHERE id = ?", glass)
        return None if row is None else read(BreakGlass, row[0])

    def break_glasses(self, stages: Collection[Stage] = tuple(Stage)) -> list[BreakGlass]:
        """All that are stored in one of these stages, newest first."""
        marks = ",".join("?" * len(stages))
        query = f"SELECT state FROM break_glass WHERE stage IN ({marks}) ORDER BY id DESC"  # noqa: S608 - only marks
        return [read(BreakGlass, row[0]) for row in self._rows(query, *[stage.value for stage in stages])]

    def definition(self, upstream: str, tool: str) -> KnownDefinition | None:
        """The definition of an upstream's tool that counts, None if none was reported yet."""
        row = self._row("SELECT state FROM definitions WHERE id = ?", definition_id(upstream, tool))
        if row is not None:
            return read(KnownDefinition, row[0])
        # INVARIANT (fail closed): a definition that was lost must not be taken for one that nobody has seen yet.
        lost = self._row("SELECT value - (SELECT count(*) FROM definitions) FROM meta WHERE name = 'definitions'")
        if lost is None or lost[0]:
            raise corrupt("the store has lost definitions of tools: restore a backup, or pin the tools in the catalogue")
        return None

    def definitions(self) -> list[KnownDefinition]:
        """All of them, by tool and upstream."""
        found = [read(KnownDefinition, row[0]) for row in self._rows("SELECT state FROM definitions")]
        return sorted(found, key=lambda known: (known.tool, known.upstream))

    def active_bundle(self) -> tuple[str, bytes] | None:
        """Digest and document of the active bundle."""
        row = self._row(
            "SELECT a.digest, b.document FROM activations a JOIN bundles b ON b.digest = a.digest ORDER BY a.n DESC LIMIT 1"
        )
        return None if row is None else (row[0], row[1])

    def document(self, digest: str) -> bytes | None:
        """The document of a bundle that was published."""
        row = self._row("SELECT document FROM bundles WHERE digest = ?", digest)
        return None if row is None else row[0]

    def activations(self) -> list[tuple[str, str, int, str]]:
        """Digest, previous, time and operator of each activation, newest first."""
        return [tuple(row) for row in self._rows("SELECT digest, previous, time, operator FROM activations ORDER BY n DESC")]

    def observations(self, session: SessionId) -> list[Observation]:
        """What a session has seen, oldest first."""
        query = "SELECT decision, source, untrusted, sealed FROM observations WHERE session = ? ORDER BY n"
        return [Observation(DecisionId(d), source, bool(u), sealed) for d, source, u, sealed in self._rows(query, session)]

    def account(self, agent: AgentId) -> Spent | None:
        """What a registered agent has spent over all its tasks."""
        row = self._row("SELECT spent FROM agents WHERE id = ?", agent)
        return None if row is None else read(Spent, row[0])

    def memory(self, name: str) -> Memory | None:
        """A memory that a bundle has named."""
        row = self._row("SELECT state FROM memories WHERE name = ?", name)
        return None if row is None else read(Memory, row[0])

    def approval(self, approval: ApprovalId) -> Approval | None:
        """One access request."""
        row = self._row("SELECT approval FROM approvals WHERE id = ?", approval)
        return None if row is None else read(Approval, row[0])

    def approvals_named(self, names: Sequence[ApprovalId]) -> list[Approval]:
        """Those of these access requests that there are."""
        marks = ", ".join("?" * len(names))
        query = f"SELECT approval FROM approvals WHERE id IN ({marks})"  # noqa: S608 - only marks
        return [read(Approval, row[0]) for row in self._rows(query, *names)] if names else []

    def approvals(self, state: ApprovalState | None, limit: int, before: ApprovalId | None = None) -> list[Approval]:
        """The newest access requests (older than `before`), of one state or all."""
        asked = [("state = ?", state.value)] if state is not None else []
        asked += [("id < ?", before)] if before is not None else []
        where = f"WHERE {' AND '.join(condition for condition, _ in asked)} " if asked else ""
        query = f"SELECT approval FROM approvals {where}ORDER BY id DESC LIMIT ?"  # noqa: S608 - of conditions that stand above
        return [read(Approval, row[0]) for row in self._rows(query, *[value for _, value in asked], limit)]

    def waiting_before(self, end: ApprovalId) -> list[ApprovalId]:
        """The access requests before this id that nobody has answered yet, oldest first."""
        query = "SELECT id FROM approvals WHERE id < ? AND state = 'pending' ORDER BY id"
        return [ApprovalId(row[0]) for row in self._rows(query, end)]

    def approval_states(self, names: Sequence[ApprovalId]) -> dict[ApprovalId, ApprovalState]:
        """Where those of these access requests stand that there are; what they show, which can be long, is not read."""
        marks = ", ".join("?" * len(names))
        query = f"SELECT id, state FROM approvals WHERE id IN ({marks})"  # noqa: S608 - only marks
        return {ApprovalId(row[0]): ApprovalState(row[1]) for row in self._rows(query, *names)} if names else {}

    def unanswered_since(self, first: ApprovalId) -> list[tuple[ApprovalId, int, ApprovalState]]:
        """The access requests from this id on that no person has answered, their versions, and whether they wait, were taken back or are
        over; oldest first."""
        still = "state IN ('pending', 'cancelled', 'expired')"
        query = f"SELECT id, version, state FROM approvals WHERE id >= ? AND {still} ORDER BY id"  # noqa: S608 - a constant
        return [(ApprovalId(name), version, _STATES[state]) for name, version, state in self._rows(query, first)]

    def approvals_for(self, digest: str) -> list[Approval]:
        """The access requests for this exact action that are pending or approved, newest first."""
        query = "SELECT approval FROM approvals WHERE digest = ? AND state IN ('pending', 'approved') ORDER BY id DESC LIMIT 100"
        return [read(Approval, row[0]) for row in self._rows(query, digest)]

    def denied_for(self, digest: str) -> Approval | None:
        """The newest access request for this exact action that was denied."""
        query = "SELECT approval FROM approvals WHERE digest = ? AND state = 'denied' ORDER BY id DESC LIMIT 1"
        row = self._row(query, digest)
        return None if row is None else read(Approval, row[0])

    def permit(self, decision: DecisionId) -> OpenPermit | None:
        """A permit whose outcome is not known."""
        row = self._row("SELECT permit FROM permits WHERE decision = ?", decision)
        return None if row is None else read(OpenPermit, row[0])

    def permits_of(self, writer: str) -> list[OpenPermit]:
        """The open permits of one writer."""
        rows = self._rows("SELECT permit FROM permits WHERE writer = ? ORDER BY decision", writer)
        return [read(OpenPermit, row[0]) for row in rows]

    def open_permits(self) -> int:
        """How many permits there are whose outcome is not known."""
        found: int = self._row("SELECT count(*) FROM permits")[0]
        return found

    def writers(self) -> list[str]:
        """The writers that have open permits."""
        return [row[0] for row in self._rows("SELECT DISTINCT writer FROM permits")]


def _person(state: bytes, seen: int) -> Person:
    return msgspec.structs.replace(read(Person, state), seen=seen)


def _task_state(task: bytes, status: str, spent: bytes) -> TaskState:
    noun = read(Task, task)
    if noun.status.value != status:
        noun = msgspec.structs.replace(noun, status=TaskStatus(status))
    return TaskState(noun, read(Spent, spent))


class StoredLog:
    """The log as it is stored: `log` is what has its entries by `idx`."""

    def __init__(self, reading: Rows, log: str) -> None:
        self._rows, self._row = reading.rows, reading.row
        self._log = log

    def size(self) -> int:
        """How many entries the log has."""
        found = self._row(f"SELECT max(idx) FROM {self._log}")[0]  # noqa: S608 - a constant
        return 0 if found is None else int(found) + 1

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The stored lines from `start` to before `stop`, in order."""
        return self._column("line", start, stop)

    def leaves(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The leaf hashes from `start` to before `stop`, in order."""
        return self._column("leaf", start, stop)

    def tiles(self, places: Collection[tuple[int, int]]) -> list[Tile]:
        """The stored tiles at these levels and numbers."""
        wanted = " OR ".join(["(level = ? AND n = ?)"] * len(places))
        rows = self._rows(f"SELECT level, n, hashes FROM tiles WHERE {wanted}", *chain.from_iterable(places))  # noqa: S608 - only marks
        # A row that was changed by hand may have another type: it then has no hashes.
        return [Tile(level, n, hashes if type(hashes) is bytes else b"") for level, n, hashes in rows]

    def _column(self, column: str, start: int, stop: int | None) -> Iterator[bytes]:
        end = self.size() if stop is None else stop
        while start < end:
            query = f"SELECT {column} FROM {self._log} WHERE idx >= ? AND idx < ? ORDER BY idx"  # noqa: S608 - a constant
            page = self._rows(query, start, min(start + PAGE, end))
            if not page:
                raise corrupt(f"the log has no entry {start}: restore a backup")
            for row in page:
                # Whoever changed a row by hand may have changed its type; what is there now is for the verifier to judge.
                yield row[0] if type(row[0]) is bytes else str(row[0]).encode("utf-8", "replace")
            start += len(page)

    def _entries(self, where: str, *parameters: Any) -> list[Entry]:
        rows = self._rows(f"SELECT idx, line FROM {self._log} WHERE {where}", *parameters)  # noqa: S608 - constants
        return [decode(index, line) for index, line in rows]

    def by_decision(self, decision: str) -> list[Entry]:
        """The entries about one decision, in order."""
        return self._entries("decision = ? ORDER BY idx", decision)

    def by_task(self, task: str) -> list[Entry]:
        """The entries under one task, in order."""
        return self._entries("task = ? ORDER BY idx", task)

    def by_kind(self, kind: str, limit: int, before: int | None = None, task: str = "") -> list[Entry]:
        """The newest entries of one kind, newest first; of those before an index, and of one task, if these are named."""
        bounds = [("kind = ?", kind), ("idx < ?", before), ("task = ?", task or None)]
        asked = [(where, value) for where, value in bounds if value is not None]
        where = " AND ".join(where for where, _ in asked)
        return self._entries(f"{where} ORDER BY idx DESC LIMIT ?", *[value for _, value in asked], limit)
