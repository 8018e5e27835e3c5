"""The changes of one group, whichever store takes them: compared with what is stored, in order, and gathered to be written at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from remit.model.task import Session, Spent, Task
from remit.runtime.store import (
    ActivateBundle,
    ApproveDefinition,
    CloseTask,
    DeleteKill,
    DeletePermit,
    DestroyKey,
    HoldTask,
    InsertObservation,
    InsertPermit,
    InsertSession,
    InsertTask,
    OpenPermit,
    PutAgent,
    PutApproval,
    PutKill,
    PutSession,
    PutSpent,
    PutTask,
    SeeDefinition,
    Write,
)

encode = msgspec.msgpack.Encoder().encode
NOTHING_SPENT = encode(Spent())
ERASED = "(erased)"


class Staging(ABC):
    """Compare and set over a whole group: each change sees what the ones before it in the group have staged.

    A store says what is stored, takes administrative writes as they come, and writes the rest (`sessions`, `spent`, `closed`,
    `permits`, `reported`, `observations`) when the group ends.
    """

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.sessions: dict[str, Session] = {}
        self.spent: dict[str, Spent] = {}
        self.closed: set[str] = set()
        self.permits: dict[str, OpenPermit] = {}
        self.reported: list[str] = []
        self.observations: list[InsertObservation] = []

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
            case HoldTask(task) | CloseTask(task):
                return task not in self.closed and self.spent_version(task) is not None
            case PutTask(task):
                return task.id not in self.closed and self.spent_version(task.id) is not None
            case InsertPermit() | InsertObservation() | InsertSession() | InsertTask() | PutKill():
                return True
            case DeletePermit(decision):
                return decision not in self.reported and (decision in self.permits or self.is_open(decision))
            case PutAgent(agent):
                return self.agent_version(agent.id) == agent.version - 1
            case PutApproval(approval):
                return self.approval_version(approval.id) == approval.version - 1
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
                case HoldTask():
                    pass
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
    def is_open(self, decision: str) -> bool:
        """Whether a permit is stored."""

    @abstractmethod
    def agent_version(self, agent: str) -> int:
        """The stored version of an agent, 0 if there is none."""

    @abstractmethod
    def approval_version(self, approval: str) -> int:
        """The version of an access request, 0 if there is none."""

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


def purpose_erased(stored: bytes) -> bytes:
    """A stored task without its purpose, and without what approvers granted."""
    return encode(msgspec.structs.replace(msgspec.msgpack.decode(stored, type=Task), purpose=ERASED, flows=()))
