"""The changes that runtime authorization commits to a store, each with what must still be so for it."""

from typing import TypeAlias

import msgspec

from remit.model.break_glass import BreakGlass
from remit.model.definition import KnownDefinition
from remit.model.identity import Agent, AgentId, DecisionId, SessionId, TaskId
from remit.model.kill import Kill, KillKind
from remit.model.memory import Memory
from remit.model.person import PeopleGroup, Person, PersonId
from remit.model.task import Session, Spent, Task
from remit.runtime.store import Approval, OpenPermit


class InsertTask(msgspec.Struct, frozen=True):
    """A new task with the secret of its data key."""

    task: Task
    secret: bytes


class PutTask(msgspec.Struct, frozen=True):
    """A task with what it was granted since it was opened; it must still be open."""

    task: Task


class CloseTask(msgspec.Struct, frozen=True):
    """The task carries no authority from now on; it must be open."""

    task: TaskId


class HoldTask(msgspec.Struct, frozen=True, gc=False):
    """What is committed with this was decided on a task that must still be open."""

    task: TaskId


class InsertSession(msgspec.Struct, frozen=True):
    """A new session."""

    session: Session


class PutSession(msgspec.Struct, frozen=True, gc=False):
    """A session's new state; `base` is the version it was decided on, which the stored one must be."""

    session: Session
    base: int


class PutSpent(msgspec.Struct, frozen=True, gc=False):
    """What a task has spent; `base` is the version it was decided on, which the stored one must be, and the task still open."""

    task: TaskId
    spent: Spent
    base: int


class PutAccount(msgspec.Struct, frozen=True, gc=False):
    """What an agent has spent over all its tasks; `base` is the version it was decided on, which the stored one must be."""

    agent: AgentId
    account: Spent
    base: int


class PutAgent(msgspec.Struct, frozen=True):
    """An agent's new state; the stored version must be one less (none for version 1)."""

    agent: Agent


class InsertPermit(msgspec.Struct, frozen=True, gc=False):
    """A permit was given."""

    permit: OpenPermit


class DeletePermit(msgspec.Struct, frozen=True, gc=False):
    """A permit's outcome is known; it must still be open."""

    decision: DecisionId


class PutApproval(msgspec.Struct, frozen=True):
    """An approval's new state; the stored version must be one less (none for version 1)."""

    approval: Approval


class InsertObservation(msgspec.Struct, frozen=True, gc=False):
    """What a session saw come back from a tool, sealed under the task's key; empty where nobody saw what came back."""

    session: SessionId
    decision: DecisionId
    source: str
    untrusted: bool
    sealed: bytes


class PutMemory(msgspec.Struct, frozen=True, gc=False):
    """A memory's new state; `base` is the version it was decided on, which the stored one must be."""

    memory: Memory
    base: int


class HoldMemory(msgspec.Struct, frozen=True, gc=False):
    """What is committed with this was decided on this version of a memory, which the stored one must be."""

    name: str
    base: int


class ProveWritable(msgspec.Struct, frozen=True):
    """Something is written under this name, and taken away again: what a store that has no room does not commit."""

    name: str


class ActivateBundle(msgspec.Struct, frozen=True):
    """A bundle becomes the active one if `previous` still is; those of its `memories` that are new are there from now on."""

    digest: str
    previous: str
    document: bytes
    time: int
    operator: str
    memories: tuple[str, ...] = ()


class DestroyKey(msgspec.Struct, frozen=True):
    """The data key of a task is overwritten."""

    task: TaskId


class PutPerson(msgspec.Struct, frozen=True):
    """A person's new state, with the secret of their data key for version 1; the stored version must be one less (none for version 1)."""

    person: Person
    secret: bytes = b""


class SeePeople(msgspec.Struct, frozen=True):
    """The sources of these people have spoken of them again, and said nothing new."""

    people: tuple[PersonId, ...]
    at: int


class ConfirmPeople(msgspec.Struct, frozen=True):
    """The same of people some of whom were there by a backup alone that was restored: what rests on them is asked anew."""

    people: tuple[PersonId, ...]
    at: int


class ErasePerson(msgspec.Struct, frozen=True):
    """Nothing is kept of a person but `left`, and their data key is overwritten."""

    left: Person


class PutGroup(msgspec.Struct, frozen=True):
    """A group's new state; the stored version must be one less (none for version 1). Version 0 of one that is stored ends it."""

    group: PeopleGroup
    base: int


class PutKill(msgspec.Struct, frozen=True):
    """A kill is in force; one of the same kind and name is replaced."""

    kill: Kill


class DeleteKill(msgspec.Struct, frozen=True):
    """A kill is lifted; it must be in force."""

    kind: KillKind
    name: str


class SeeDefinition(msgspec.Struct, frozen=True):
    """A tool's definition was reported: the first, or another than the one that counts. The one that is stored, if any, must count."""

    known: KnownDefinition


class ApproveDefinition(msgspec.Struct, frozen=True):
    """Another definition counts from now on; the stored version must be one less."""

    known: KnownDefinition


class PutBreakGlass(msgspec.Struct, frozen=True):
    """A break-glass's new state; the stored version must be one less (none for version 1)."""

    glass: BreakGlass


Write: TypeAlias = (
    InsertTask
    | PutTask
    | CloseTask
    | HoldTask
    | InsertSession
    | PutSession
    | PutSpent
    | PutAgent
    | InsertPermit
    | DeletePermit
    | PutApproval
    | InsertObservation
    | PutAccount
    | PutMemory
    | HoldMemory
    | ProveWritable
    | ActivateBundle
    | DestroyKey
    | PutPerson
    | SeePeople
    | ConfirmPeople
    | ErasePerson
    | PutGroup
    | PutKill
    | DeleteKill
    | SeeDefinition
    | ApproveDefinition
    | PutBreakGlass
)
