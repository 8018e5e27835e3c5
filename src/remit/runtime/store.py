"""What runtime authorization needs of a store: reading state back; what it commits to one are `writes`."""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from remit.model.authorizer import ApprovalState
from remit.model.break_glass import BreakGlass, Stage
from remit.model.decision import ApproverRule
from remit.model.definition import KnownDefinition
from remit.model.identity import Agent, AgentId, ApprovalId, BreakGlassId, DecisionId, SessionId, TaskId
from remit.model.kill import Kill
from remit.model.labels import Label
from remit.model.memory import Memory
from remit.model.person import GroupId, PeopleGroup, Person, PersonId
from remit.model.task import Session, Spent, TaskState

TASK_FREE = TaskId("task-free")
"""Names the data key of what belongs to no task: the store's own."""


class Given(msgspec.Struct, frozen=True):
    """One person's approval; `flows` says that they would grant the data flows that were offered, too, to `uses` calls each (None: as many
    as there are until the task ends)."""

    operator: str
    verified_by: str
    flows: bool = False
    uses: int | None = None


class Approval(msgspec.Struct, frozen=True):
    """An access request for one exact action, and what became of it.

    `digest` binds everything that would run (invariant 3); `shown` is sealed: what the approver saw, labels and flows included.
    `resolver` answered it; `version` is compared and set. `submitted` is what was said for it, sealed, once somebody submitted it; `caller`
    is who asked over a network, as the decision has them. `given` are the approvals so far, where more than one person must approve or data
    flows are granted. `escalated` is when it was told to further people (µs), who are `told`; 0 if it was not. `why` is what whoever denied
    it says, sealed.
    """

    id: ApprovalId
    decision: DecisionId
    digest: str
    task: TaskId | None
    session: SessionId | None
    agent: AgentId
    tool: str
    rule: ApproverRule
    opened: int
    expires: int
    shown: bytes
    state: ApprovalState = ApprovalState.PENDING
    resolver: str = ""
    version: int = 1
    submitted: bytes = b""
    caller: str = ""
    given: tuple[Given, ...] = ()
    escalated: int = 0
    told: tuple[str, ...] = ()
    why: bytes = b""


class OpenPermit(msgspec.Struct, frozen=True, gc=False):
    """A permit whose outcome has not been reported; `worst` is the label its call can have added, `query` what it was asked with, sealed
    under the task's key, `records` whether the fields of what comes back are the platform's, `memory` what it writes or reads, `counted`
    whether its session counts it (permits of older stores are not)."""

    decision: DecisionId
    writer: str
    session: SessionId | None
    task: TaskId | None
    tool: str
    until: int
    worst: Label
    query: bytes = b""
    records: bool = False
    memory: str = ""
    counted: bool = False


class Observation(msgspec.Struct, frozen=True):
    """A stored observation, still sealed; empty where nobody saw what came back."""

    decision: DecisionId
    source: str
    untrusted: bool
    sealed: bytes


class RuntimeStore(Protocol):
    """Reading state back; every call raises `RemitError` (unavailable) if the store cannot answer."""

    @property
    def revision(self) -> int:
        """Administrative changes as last seen by this process."""
        ...

    def scrub(self) -> None:
        """Remove what was overwritten from the files too. Raises `RemitError` (unavailable) while another process keeps it there."""
        ...

    def standing(self, tasks: Sequence[TaskId]) -> tuple[int, bool]:
        """Administrative changes as the store has them now, those of other processes included, and whether all these tasks are open."""
        ...

    def task(self, task: TaskId) -> TaskState | None:
        """A task and what it has spent."""
        ...

    def tasks(self, limit: int, before: tuple[int, str] | None = None) -> list[TaskState]:
        """The newest tasks, of those that come behind this time of opening (µs) and id."""
        ...

    def secret(self, task: TaskId) -> bytes | None:
        """The secret of a task's data key; None once it is destroyed."""
        ...

    def sessions_of(self, task: TaskId) -> list[Session]:
        """The sessions of a task, oldest first."""
        ...

    def session(self, session: SessionId) -> Session | None:
        """A session's latest state."""
        ...

    def agent(self, agent: AgentId) -> Agent | None:
        """An agent's latest state."""
        ...

    def agents(self) -> list[Agent]:
        """All agents, by name."""
        ...

    def person(self, person: PersonId) -> Person | None:
        """A person, as their source last had them."""
        ...

    def people(self, limit: int, after: str = "", source: str = "") -> list[Person]:
        """People by id, of one source or all, behind this id."""
        ...

    def people_named(self, *names: str) -> list[Person]:
        """The people who go by one of these names (folded), or of whom these marks are kept, by id."""
        ...

    def unconfirmed(self) -> dict[str, int]:
        """How many people of each source are there by a backup alone that was restored."""
        ...

    def people_group(self, group: GroupId) -> PeopleGroup | None:
        """A group of people."""
        ...

    def people_groups(self, source: str) -> list[PeopleGroup]:
        """The groups of one source, by id."""
        ...

    def kills(self) -> list[Kill]:
        """The kills in force."""
        ...

    def break_glass(self, glass: BreakGlassId) -> BreakGlass | None:
        """One break-glass."""
        ...

    def break_glasses(self, stages: Collection[Stage] = tuple(Stage)) -> list[BreakGlass]:
        """All that are stored in one of these stages, newest first."""
        ...

    def definition(self, upstream: str, tool: str) -> KnownDefinition | None:
        """The definition of an upstream's tool that counts, None if none was reported yet."""
        ...

    def definitions(self) -> list[KnownDefinition]:
        """All of them, by tool and upstream."""
        ...

    def active_bundle(self) -> tuple[str, bytes] | None:
        """Digest and document of the active bundle."""
        ...

    def latest_time(self) -> int:
        """The time (µs) of the newest entry of the log, 0 if there is none."""
        ...

    def observations(self, session: SessionId) -> list[Observation]:
        """What a session has seen, oldest first."""
        ...

    def account(self, agent: AgentId) -> Spent | None:
        """What a registered agent has spent over all its tasks."""
        ...

    def memory(self, name: str) -> Memory | None:
        """A memory that a bundle has named."""
        ...

    def approval(self, approval: ApprovalId) -> Approval | None:
        """One access request."""
        ...

    def approvals_named(self, names: Sequence[ApprovalId]) -> list[Approval]:
        """Those of these access requests that there are."""
        ...

    def approvals(self, state: ApprovalState | None, limit: int, before: ApprovalId | None = None) -> list[Approval]:
        """The newest access requests (older than `before`), of one state or all."""
        ...

    def waiting_before(self, end: ApprovalId) -> list[ApprovalId]:
        """The access requests before this id that nobody has answered yet, oldest first."""
        ...

    def approval_states(self, names: Sequence[ApprovalId]) -> dict[ApprovalId, ApprovalState]:
        """Where those of these access requests stand that there are; what they show, which can be long, is not read."""
        ...

    def unanswered_since(self, first: ApprovalId) -> list[tuple[ApprovalId, int, ApprovalState]]:
        """The access requests from this id on that no person has answered, their versions, and whether they wait, were taken back or are
        over; oldest first."""
        ...

    def approvals_for(self, digest: str) -> list[Approval]:
        """The access requests for this exact action that are pending or approved, newest first."""
        ...

    def denied_for(self, digest: str) -> Approval | None:
        """The newest access request for this exact action that was denied."""
        ...

    def permit(self, decision: DecisionId) -> OpenPermit | None:
        """A permit whose outcome is not known."""
        ...

    def permits_of(self, writer: str) -> list[OpenPermit]:
        """The open permits of one writer."""
        ...

    def open_permits(self) -> int:
        """How many permits there are whose outcome is not known, of all writers."""
        ...

    def writers(self) -> list[str]:
        """The writers that have open permits."""
        ...

    def take_turn(self) -> None:
        """From now on no other process commits, until as many times `end_turn` was called, or this process is gone."""
        ...

    def end_turn(self) -> None:
        """Let others commit again."""
        ...

    def hold(self, writer: str) -> None:
        """Say that this process writes as `writer`, as long as it lives."""
        ...

    def gone(self) -> list[str]:
        """The writers that have open permits and no process."""
        ...
