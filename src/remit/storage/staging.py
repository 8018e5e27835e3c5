"""The changes of one group, whichever store takes them: compared with what is stored, in order, and gathered to be written at once."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import msgspec

from remit.model.errors import corrupt
from remit.model.memory import Memory
from remit.model.task import Session, Spent, Task
from remit.runtime.store import OpenPermit
from remit.runtime.writes import (
    ActivateBundle,
    ApproveDefinition,
    CloseTask,
    ConfirmPeople,
    DeleteKill,
    DeletePermit,
    DestroyKey,
    ErasePerson,
    HoldMemory,
    HoldTask,
    InsertObservation,
    InsertPermit,
    InsertSession,
    InsertTask,
    ProveWritable,
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
    SeePeople,
    Write,
)

encode = msgspec.msgpack.Encoder().encode
NOTHING_SPENT = encode(Spent())
ERASED = "(erased)"


class Staging(ABC):
    """Compare and set over a whole group: each change sees what the ones before it in the group have staged.

    A store says what is stored, takes administrative writes as they come, and writes the rest (`sessions`, `spent`, `closed`,
    `permits`, `reported`, `observations`, `memories`, `accounts`, `proofs`) when the group ends.
    """

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.sessions: dict[str, Session] = {}
        self.spent: dict[str, Spent] = {}
        self.closed: set[str] = set()
        self.permits: dict[str, OpenPermit] = {}
        self.reported: list[str] = []
        self.observations: list[InsertObservation] = []
        self.memories: dict[str, Memory] = {}
        self.accounts: dict[str, Spent] = {}
        self.proofs: set[str] = set()

    def apply(self, changes: Sequence[tuple[Sequence[Write], int]]) -> list[bool]:
        """Apply, in order, each change decided on the present revision whose versions all fit."""
        return [self._fits(writes, revision) and self._stage(writes) for writes, revision in changes]

    def _fits(self, writes: Sequence[Write], revision: int) -> bool:
        # INVARIANT (one commit): compare and set, so that what was decided on stale state is decided again.
        return revision == self.revision and all(map(self._fits_one, writes))

    def _fits_one(self, write: Write) -> bool:
        match write:
            case PutSession(session, base):
                staged = self.sessions.get(session.id)
                return (self.session_version(session.id) if staged is None else staged.version) == base
            case PutSpent(task, _, base):
                spent = self.spent.get(task)
                return task not in self.closed and (self.spent_version(task) if spent is None else spent.version) == base
            case PutAccount(agent, _, base):
                account = self.accounts.get(agent)
                return (self.account_version(agent) if account is None else account.version) == base
            case PutMemory(memory, base):
                return self._memory_is_at(memory.name, base)
            case HoldMemory(name, base):
                return self._memory_is_at(name, base)
            case HoldTask(task) | CloseTask(task):
                return self._is_open_task(task)
            case PutTask(task):
                return self._is_open_task(task.id)
            case (
                InsertPermit() | InsertObservation() | InsertSession() | InsertTask() | PutKill() | SeePeople() | ConfirmPeople()
            ):
                return True
            case ProveWritable():
                return True
            case DeletePermit(decision):
                return decision not in self.reported and (decision in self.permits or self.is_open(decision))
            case _:
                return self._fits_administration(write)

    def _fits_administration(
        self,
        write: PutAgent
        | PutApproval
        | PutBreakGlass
        | ActivateBundle
        | DestroyKey
        | DeleteKill
        | SeeDefinition
        | ApproveDefinition
        | PutPerson
        | ErasePerson
        | PutGroup,
    ) -> bool:
        match write:
            case PutAgent(agent):
                return self.agent_version(agent.id) == agent.version - 1
            case PutApproval(approval):
                return self.approval_version(approval.id) == approval.version - 1
            case PutBreakGlass(glass):
                return self.break_glass_version(glass.id) == glass.version - 1
            case PutPerson(person) | ErasePerson(person):
                return self.person_version(person.id) == person.version - 1
            case PutGroup(group, base):
                return self.group_version(group.id) == base
            case ActivateBundle():
                return self.active_bundle() == write.previous
            case DestroyKey() | DeleteKill():
                return self.can(write)
            case SeeDefinition(known):
                stored = self.definition(known.id)
                return stored is None or stored[0] == known.digest
            case ApproveDefinition(known):
                stored = self.definition(known.id)
                return stored is not None and stored[1] == known.version - 1

    def _is_open_task(self, task: str) -> bool:
        return task not in self.closed and self.spent_version(task) is not None

    def _memory_is_at(self, name: str, base: int) -> bool:
        staged = self.memories.get(name)
        return (self.memory_version(name) if staged is None else staged.version) == base

    def _stage(self, writes: Sequence[Write]) -> bool:
        for write in writes:
            match write:
                case PutSession(session) | InsertSession(session):
                    self.sessions[session.id] = session
                case PutSpent(task, spent):
                    self.spent[task] = spent
                case InsertPermit(permit):
                    self.permits[permit.decision] = permit
                case DeletePermit(decision):
                    if self.permits.pop(decision, None) is None:
                        self.reported.append(decision)
                case InsertObservation():
                    self.observations.append(write)
                case CloseTask(task):
                    self.closed.add(task)
                case PutAccount(agent, account):
                    self.accounts[agent] = account
                case PutMemory(memory):
                    self.memories[memory.name] = memory
                case HoldTask() | HoldMemory():
                    pass
                case ProveWritable(name):
                    self.proofs.add(name)
                case SeeDefinition(known) if not known.offered and self.definition(known.id) is not None:
                    pass  # another decision brought it along
                case _:
                    self.administer(write)
        return True

    @abstractmethod
    def session_version(self, session: str) -> int | None:
        """The stored version of a session, None if there is none."""

    @abstractmethod
    def spent_version(self, task: str) -> int | None:
        """The stored version of what a task has spent, None unless it is open."""

    @abstractmethod
    def account_version(self, agent: str) -> int | None:
        """The stored version of what an agent has spent, None if it is not registered."""

    @abstractmethod
    def memory_version(self, name: str) -> int | None:
        """The stored version of a memory, None if there is none."""

    @abstractmethod
    def is_open(self, decision: str) -> bool:
        """Whether a permit is stored."""

    @abstractmethod
    def agent_version(self, agent: str) -> int:
        """The stored version of an agent, 0 if there is none."""

    @abstractmethod
    def person_version(self, person: str) -> int:
        """The stored version of a person, 0 if there is none."""

    @abstractmethod
    def group_version(self, group: str) -> int:
        """The stored version of a group of people, 0 if there is none."""

    @abstractmethod
    def approval_version(self, approval: str) -> int:
        """The version of an access request, 0 if there is none."""

    @abstractmethod
    def break_glass_version(self, glass: str) -> int:
        """The version of a break-glass, 0 if there is none."""

    @abstractmethod
    def definition(self, id: str) -> tuple[str, int] | None:
        """The digest and the version of a known definition, None if none is stored."""

    @abstractmethod
    def active_bundle(self) -> str:
        """The digest of the active bundle, empty if there is none."""

    @abstractmethod
    def can(self, write: DestroyKey | DeleteKill) -> bool:
        """Whether what it would end is still there."""

    @abstractmethod
    def administer(self, write: Write) -> None:
        """Write an administrative change, or an access request, now."""


def new_memories(named: Iterable[str], stored: Iterable[str], count: int | None) -> list[Memory]:
    """The memories that a bundle names first. Raises `RemitError` (corrupt) where one of the `count` that there must be is gone."""
    known = set(stored)
    # INVARIANT (fail closed): a memory whose label was lost must not come back as a clean one.
    if len(known) != count:
        raise corrupt(f"the store has labels of {len(known)} memories and must have {count or 0}: restore a backup")
    return [Memory(name) for name in sorted(set(named) - known)]


def purpose_erased(stored: bytes) -> bytes:
    """A stored task without its purpose, and without what approvers granted."""
    return encode(msgspec.structs.replace(msgspec.msgpack.decode(stored, type=Task), purpose=ERASED, flows=()))
