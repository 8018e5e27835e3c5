"""What a group locks in PostgreSQL, and in which order: who commits beside it, and the rows that it was decided on."""

from collections.abc import Iterator, Sequence

from remit.runtime.writes import (
    ActivateBundle,
    ApproveDefinition,
    CloseTask,
    DeleteKill,
    DeletePermit,
    DestroyKey,
    ErasePerson,
    HoldMemory,
    HoldTask,
    PutAccount,
    PutAgent,
    PutApproval,
    PutBreakGlass,
    PutGroup,
    PutKill,
    PutMemory,
    PutPerson,
    PutSession,
    PutSpent,
    PutTask,
    SeeDefinition,
    Write,
)

_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended('remit administration', 0))"
ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('remit administration', 0))"
_DEFINING = "SELECT pg_advisory_xact_lock(hashtextextended('remit definitions', 0))"
"""Held by whoever sees a definition first: there is no row yet that two could wait for."""
TAKE_TURN = "SELECT pg_advisory_lock(hashtextextended('remit administration', 0))"
END_TURN = "SELECT pg_advisory_unlock(hashtextextended('remit administration', 0))"
_ADMINISTRATIVE = (
    PutAgent,
    PutTask,
    ActivateBundle,
    DestroyKey,
    PutKill,
    DeleteKill,
    ApproveDefinition,
    PutBreakGlass,
    PutPerson,
    ErasePerson,
    PutGroup,
)
_LOCKING = (
    "SELECT 0, id, version FROM (SELECT id, version FROM sessions WHERE id = ANY(%b) ORDER BY id FOR UPDATE) s",
    """SELECT 1, id, spent_version FROM
       (SELECT id, spent_version FROM tasks WHERE id = ANY(%b) AND status = 'open' ORDER BY id FOR UPDATE) t""",
    "SELECT 2, decision, 1 FROM (SELECT decision FROM permits WHERE decision = ANY(%b) ORDER BY decision FOR UPDATE) p",
    "SELECT 3, id, version FROM (SELECT id, version FROM approvals WHERE id = ANY(%b) ORDER BY id FOR UPDATE) a",
    "SELECT 4, name, version FROM (SELECT name, version FROM memories WHERE name = ANY(%b) ORDER BY name FOR UPDATE) m",
    "SELECT 5, id, spent_version FROM (SELECT id, spent_version FROM agents WHERE id = ANY(%b) ORDER BY id FOR UPDATE) g",
    "SELECT 6, id, version FROM (SELECT id, version FROM people WHERE id = ANY(%b) ORDER BY id FOR UPDATE) h",
)
"""Joined by UNION ALL, whose parts are executed one after the other: every group locks in this order, so that none waits in a circle."""
KINDS = SESSIONS, SPENT, PERMITS, APPROVALS, MEMORIES, ACCOUNTS, PEOPLE = range(7)
"""What is locked, in this order."""


def turns(writes: Sequence[Write]) -> Iterator[str]:
    """What makes a group wait for those that must not commit beside it."""
    yield ALONE if any(isinstance(write, _ADMINISTRATIVE) for write in writes) else _SHARED
    if any(isinstance(write, SeeDefinition) for write in writes):
        yield _DEFINING


def locking(writes: Sequence[Write]) -> tuple[str, list[list[str]]]:
    """What locks the rows that the writes touch and reads their versions, as kind, id and version; and its parameters. Empty for none."""
    parts = [(query, sorted(ids)) for query, ids in zip(_LOCKING, _touched(writes), strict=True) if ids]
    return " UNION ALL ".join(part for part, _ in parts), [ids for _, ids in parts]


def _touched(writes: Sequence[Write]) -> tuple[set[str], ...]:
    """The ids of sessions, tasks, permits, approvals, memories, agents and people that must not move meanwhile."""
    sessions, tasks, permits, approvals, memories, agents, people = wanted = tuple([set[str]() for _ in _LOCKING])
    for write in writes:
        match write:
            case PutSession(session):
                sessions.add(session.id)
            case PutSpent(task) | HoldTask(task) | CloseTask(task):
                tasks.add(task)
            case PutTask(held):
                tasks.add(held.id)
            case DeletePermit(decision):
                permits.add(decision)
            case PutApproval(approval):
                approvals.add(approval.id)
            case PutMemory(memory):
                memories.add(memory.name)
            case HoldMemory(name):
                memories.add(name)
            case PutAccount(agent):
                agents.add(agent)
            case PutPerson(person) | ErasePerson(person):
                people.add(person.id)
    return wanted
