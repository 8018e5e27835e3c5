"""The log followed from its beginning: agents, tasks, sessions and kills as they were when each decision was made."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from remit.decision_log.entry import (
    AgentChanged,
    DecisionMade,
    EntryBody,
    FlowGranted,
    KillReleased,
    KillSet,
    MemoryRaised,
    OutcomeSeen,
    SessionJoined,
    SessionOpened,
    TaskClosed,
    TaskOpened,
    ToolApproved,
    ToolSeen,
)
from remit.decision_log.sealed import report_of
from remit.decision_log.sealing import SealKey
from remit.model.definition import KnownDefinition
from remit.model.history import NO_HISTORY
from remit.model.history import History as TaskHistory
from remit.model.identity import Agent, AgentId, AgentStatus, ApprovalId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.kill import Kill, KillKind
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.memory import MEMORY, Memory
from remit.model.rate import Rate
from remit.model.request import SESSION_DECLASSIFY, TOOL_CALL, EvaluationRequest
from remit.model.task import NOTHING_SPENT, Budgets, Scope, Session, Spent, Task, TaskState, TaskStatus
from remit.pdp.compiled import CompiledBundle
from remit.pdp.effects import NotAnAmount, counted_as, flows_used, spend, with_pending
from remit.pdp.facts.fact import FactSet
from remit.pdp.history import added_by, adding, with_history
from remit.pdp.inputs import Grant
from remit.pdp.memory import memory_of, under_way
from remit.pdp.outside import Opa, Said
from remit.pdp.provenance.seen import NOTHING_OBSERVED, Observed, observe
from remit.pdp.rates import account_after, spend_rates
from remit.pdp.tier import output_label
from remit.reviews.calls import Calls

MAX_KEYS = 4096
MAX_HELD = 32 << 20
"""So many characters of what sessions had seen are kept; beyond that they are read again when they are asked for."""
TASK_FREE = TaskId("task-free")
_UNBOUNDED = Budgets()
_REMEMBERED = 50_000


class Observation(Protocol):
    """What a session saw come back, sealed under its task's key."""

    @property
    def decision(self) -> DecisionId:
        """The decision that permitted the call."""
        ...

    @property
    def source(self) -> str:
        """The tool."""
        ...

    @property
    def untrusted(self) -> bool:
        """Whether it may steer."""
        ...

    @property
    def sealed(self) -> bytes:
        """The text, empty where nobody saw it."""
        ...


class Archive(Protocol):
    """What the log alone does not have: keys, what sessions saw, bundles, and approvals with what their approver was shown."""

    def secret(self, task: TaskId) -> bytes | None:
        """The secret of a task's data key, None once destroyed."""
        ...

    def observations(self, session: SessionId) -> Sequence[Observation]:
        """What a session has seen, oldest first."""
        ...

    def bundle(self, digest: str) -> CompiledBundle | None:
        """A bundle that was published."""
        ...

    def grant(self, approval: ApprovalId, key: SealKey) -> Grant | None:
        """An approval that was used, as the decision could use it."""
        ...

    def ask(self, opa: Opa, document: bytes) -> Said:
        """Ask an engine outside of this process, where the log does not have its answer."""
        ...


class _Run:
    """A session as it was: its label without and with the calls under way, its counters, and what of its observations it had by then."""

    __slots__ = (
        "agent",
        "calls",
        "denials",
        "id",
        "kept",
        "label",
        "observed",
        "pending",
        "reached",
        "seen",
        "task",
        "told",
        "waiting",
    )

    def __init__(self, opened: SessionOpened, reached: Label, seen: set[str], told: Calls) -> None:
        self.id, self.task, self.agent = SessionId(opened.session), TaskId(opened.task), AgentId(opened.agent)
        self.label = self.reached = reached
        self.calls: dict[str, int] = {}
        self.denials = 0
        self.pending: dict[DecisionId, Label] = {}
        self.seen = seen
        self.told = told
        self.kept: set[str] = set()
        self.observed = NOTHING_OBSERVED
        self.waiting: Sequence[Observation] | None = None


def _counts_nothing(task: Task) -> bool:
    return task.budgets == _UNBOUNDED and not task.scope.flows and not task.flows


class Bounds(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A chain of tasks as checks meet it: whose it is, until when it carries authority, and what it declared.

    One object for each state of a chain: it is compared by what it is, not by what it holds.
    """

    agent: AgentId
    until: int
    plain: bool
    scopes: tuple[Scope, ...]
    chain: tuple[TaskState, ...]

    def holds(self, agent: str, now: int) -> bool:
        """Whether its checks pass for this agent, whatever was done before."""
        return self.plain and agent == self.agent and now < self.until


class Wanted(NamedTuple):
    """What of the past will be asked for: what sessions had seen (`flows`), what was done under tasks (`deeds`), the `rates` of agents, and
    `facts`."""

    flows: bool = True
    deeds: bool = True
    rates: Sequence[Rate] = ()
    facts: tuple[FactSet, ...] = ()


EVERYTHING = Wanted()


class History:
    """State as the log tells it. `take` moves it past one entry."""

    def __init__(self, archive: Archive, wanted: Wanted = EVERYTHING) -> None:
        self._archive = archive
        self._flows, self._deeds, self._rates, self._facts = wanted
        self._agents: dict[tuple[str, int], Agent] = {}
        self._latest: dict[str, Agent] = {}
        self._tasks: dict[str, Task] = {}
        self._spent: dict[str, Spent] = {}
        self._chains: dict[str, tuple[TaskState, ...] | None] = {}
        self._bounds: dict[str, Bounds] = {}
        self._held = 0
        self._linked_to: dict[str, set[str]] = {}
        self._runs: dict[str, _Run] = {}
        self._kills: dict[tuple[str, str], Kill] = {}
        self._keys: dict[str, SealKey | None] = {}
        self._of_task: dict[str, list[_Run]] = {}
        self._labels: dict[tuple[str, tuple[str, ...]], Label] = {}
        self._worst_of: dict[tuple[Hashable, ...], Label] = {}
        self._memories: dict[str, Label] = {}
        self._accounts: dict[str, Spent] = {}
        self._memory_of: dict[tuple[str, str, str, str], str] = {}
        self._adds_of: dict[tuple[Hashable, ...], TaskHistory] = {}
        self._definitions: dict[tuple[str, str], KnownDefinition] = {}
        self.kills: tuple[Kill, ...] = ()

    def key(self, task: str | None) -> SealKey | None:
        """The data key of a task (without one, the store's); None if it was destroyed, or the task is unknown."""
        name = task or TASK_FREE
        if name not in self._keys:
            if len(self._keys) >= MAX_KEYS:
                self._keys.clear()
            secret = self._archive.secret(TaskId(name))
            self._keys[name] = SealKey(secret) if secret is not None else None
        return self._keys[name]

    def definition(self, upstream: str, tool: str) -> KnownDefinition | None:
        """The definition of a tool that counts by now, without its text; None if none was seen yet."""
        return self._definitions.get((upstream, tool))

    def agent(self, name: str, version: int) -> Agent | None:
        """An agent at one version; None if the log does not have it."""
        return self._agents.get((name, version))

    def latest(self, name: str) -> Agent | None:
        """An agent as it is by now."""
        return self._latest.get(name)

    def chain(self, task: str | None) -> tuple[TaskState, ...] | None:
        """A task and those it was delegated from, leaf first; None where the log lacks one of them."""
        if task is None:
            return ()
        if task not in self._chains:
            found = self._chains[task] = self._linked(task)
            for link in found or ():
                self._linked_to.setdefault(link.task.id, set()).add(task)
        return self._chains[task]

    def _linked(self, task: str) -> tuple[TaskState, ...] | None:
        links, wanted = [], TaskId(task)
        while True:
            found = self._tasks.get(wanted)
            if found is None:
                return None
            links.append(TaskState(found, self._spent.get(found.id, Spent())))
            if found.parent is None:
                return tuple(links)
            wanted = found.parent

    def bounds(self, task: str | None) -> Bounds | None:
        """What checks meet of a task and those above it, None where the log lacks one, or without a task."""
        known = self._bounds.get(task or "")
        if known is not None:
            return known
        chain = self.chain(task)
        if not chain or task is None:
            return None
        until = min(link.task.expires if link.task.status is TaskStatus.OPEN else 0 for link in chain)
        plain = len(chain) == 1 and _counts_nothing(chain[0].task)
        found = Bounds(chain[0].task.agent, until, plain, tuple([link.task.scope for link in chain]), chain)
        return self._bounds.setdefault(task, found)

    def reached(self, session: str | None, agent: str, task: str | None) -> Label | None:
        """What a session of this agent and task has touched by now; None if it is not theirs, or there is none."""
        run = self._runs.get(session or "")
        return run.reached if run is not None and run.agent == agent and run.task == task else None

    def session(self, session: str | None) -> Session | None:
        """A session as it is by now, None if the log has not opened it. What it counts goes on counting: read it before the next `take`."""
        run = self._runs.get(session or "")
        if run is None:
            return None
        return Session(run.id, run.task, run.agent, run.reached, run.pending, run.calls, run.denials)

    def observed(self, session: str | None) -> Observed:
        """What a session has seen by now."""
        run = self._runs.get(session or "")
        if run is None:
            return NOTHING_OBSERVED
        if run.waiting is None:
            run.waiting = self._archive.observations(run.id)
        ready = [one for one in run.waiting if one.decision in run.seen]
        if ready:
            key = self.key(run.task)
            run.waiting = [one for one in run.waiting if one.decision not in run.seen]
            before = run.observed.held
            reports = (report_of(key, one.sealed, one.decision, one.source, one.untrusted) for one in ready)
            filled = [run.told.fill(one.decision, report) for one, report in zip(ready, reports, strict=True)]
            run.kept.update(one.decision for one in ready)
            run.observed = observe(run.observed, filled)
            self._held += run.observed.held - before
            if self._held > MAX_HELD:
                self._let_go(run)
        unseen = run.told.unseen(run.kept.union(one.decision for one in run.waiting))
        if not unseen:
            return run.observed
        return replace(run.observed, told=tuple(sorted([*run.observed.told, *unseen], key=lambda told: told.reported)))

    def _let_go(self, but: _Run) -> None:
        """Forget what other sessions had seen, until they are asked of again."""
        for run in self._runs.values():
            if run is not but:
                run.observed, run.waiting = NOTHING_OBSERVED, None
                run.kept.clear()
        self._held = but.observed.held

    def memory(self, name: str) -> Memory | None:
        """A memory as it is by now, None for no name."""
        return Memory(name, self._memories.get(name, PUBLIC_TRUSTED)) if name else None

    def _memory(self, body: DecisionMade) -> Memory | None:
        """The memory that a decision's bundle says its action writes or reads."""
        place = body.bundle, body.action, body.resource_type, body.resource
        name = self._memory_of.get(place)
        if name is None:
            bundle = self._archive.bundle(body.bundle)
            name = memory_of(bundle, body.action, EntityRef(body.resource_type, body.resource)) if bundle else ""
            self._memory_of[place] = name
        return self.memory(name)

    def knows(self, task: str | None) -> bool:
        """Whether the log has opened a task, as far as this history was told."""
        return task in self._tasks

    def take(self, body: EntryBody, time: int) -> None:
        """Move past an entry that is no decision; `time` is its envelope's."""
        match body:
            case OutcomeSeen():
                self._outcome(body, time)
            case MemoryRaised():
                self._memories[body.memory] = self._label(body.label, body.sources)
            case SessionOpened():
                seen = set[str]().union(*(run.seen for run in self._of_task.get(body.task, ())))
                told = Calls(self._facts)
                for earlier in self._of_task.get(body.task, ()):
                    told.join(earlier.told)
                run = self._runs[body.session] = _Run(body, self._label(body.label, body.sources), seen, told)
                self._of_task.setdefault(body.task, []).append(run)
            case SessionJoined() if body.session in self._runs:
                run = self._runs[body.session]
                run.reached = self._label(body.label, body.sources)
                run.label = run.label.join(run.reached) if not run.pending else run.label
                if child := self._runs.get(body.child):
                    run.seen |= child.seen
                    run.told.join(child.told)
            case TaskOpened():
                self._open(body, time)
            case TaskClosed() if body.task in self._tasks:
                self._tasks[body.task] = replace(self._tasks[body.task], status=TaskStatus.CLOSED)
                self._unlink(body.task)
            case FlowGranted() if body.task in self._tasks:
                task, key = self._tasks[body.task], self.key(body.task)
                flow = key.open(body.sealed, body.approval).decode() if key is not None else ""
                self._tasks[body.task] = replace(task, flows=(*task.flows, flow)) if flow else task
                self._unlink(body.task)
            case _:
                self._administered(body, time)

    def _administered(self, body: EntryBody, time: int) -> None:
        match body:
            case AgentChanged():
                agent = Agent(AgentId(body.agent), body.owner, body.purpose, body.groups, AgentStatus(body.status), body.version)
                self._agents[body.agent, body.version] = self._latest[body.agent] = agent
            case ToolSeen():
                known = KnownDefinition(body.upstream, body.tool, body.digest, b"", time, body.decision)
                self._definitions.setdefault((body.upstream, body.tool), known)
            case ToolApproved():
                known = KnownDefinition(
                    body.upstream, body.tool, body.digest, b"", time, "", operator=body.operator, why=body.why
                )
                self._definitions[body.upstream, body.tool] = known
            case KillSet():
                self._kills[body.target, body.name] = Kill(KillKind(body.target), body.name, time, body.operator, body.why)
                self.kills = tuple(sorted(self._kills.values()))
            case KillReleased():
                self._kills.pop((body.target, body.name), None)
                self.kills = tuple(sorted(self._kills.values()))

    def take_decision(
        self, body: DecisionMade, subject: EntityRef, request: Callable[[DecisionMade, EntityRef], EvaluationRequest]
    ) -> None:
        """Move past a decision of `subject`, to the state it led to; `request` is asked for only where a budget counts or
        a fact needs it."""
        run = self._runs.get(body.session or "")
        permitted = body.effect == "permit"
        if run is not None and run.agent == subject.id and run.task == body.task:
            if permitted:
                name = counted_as(body.action, body.resource)
                run.calls[name] = run.calls.get(name, 0) + 1
                if run.told.wants(body):
                    run.told.made(body, request(body, subject))
                worst, memory = self._worst(body), self._memory(body)
                if memory is not None:
                    worst = under_way(worst, memory)
                if not worst.within(run.label):
                    run.pending = with_pending(run.pending, DecisionId(body.id), worst)
            else:
                run.denials += 1
            run.reached = self._label(body.label, body.sources)
            if body.action == SESSION_DECLASSIFY and permitted and body.enforced:
                run.label = run.reached
        if permitted and body.enforced:
            self._spend(body, subject, request)
            if self._rates:
                self._account(body, subject, request)
        if permitted and self._deeds and body.chain:
            self._remember(body)

    def _worst(self, body: DecisionMade) -> Label:
        place = body.bundle, body.action, body.resource_type, body.resource, body.hints
        known = self._worst_of.get(place)
        if known is None:
            bundle = self._archive.bundle(body.bundle)
            resource = EntityRef(body.resource_type, body.resource)
            known = output_label(bundle, body.action, resource, body.hints) if bundle else PUBLIC_TRUSTED
            self._worst_of[place] = known
        return known

    def _spend(
        self, body: DecisionMade, subject: EntityRef, request: Callable[[DecisionMade, EntityRef], EvaluationRequest]
    ) -> None:
        bounds = self.bounds(body.task)
        if bounds is None or (bounds.plain and not self._deeds):
            return
        for link in bounds.chain:
            after = flows_used(link, body.flows).spent
            if self._deeds or not _counts_nothing(link.task):
                try:
                    asked, budgets = request(body, subject), link.task.budgets
                    after = spend(after, asked, budgets.amounts, DecisionId(body.id))
                    if budgets.rates:
                        after, _ = spend_rates(after, budgets.rates, asked, self._groups(body), body.at)
                except NotAnAmount:
                    continue
            if after is link.spent:
                continue
            self._spent[link.task.id] = after
            self._unlink(link.task.id)

    def _remember(self, body: DecisionMade) -> None:
        """Add a call to the history of the first task it was made under."""
        chain = self.chain(body.task)
        if not chain:
            return
        after = with_history(chain, adding(self._adds(body), self._memory(body)))
        if after is not chain:
            root = after[-1]
            self._spent[root.task.id] = root.spent
            self._unlink(root.task.id)

    def _adds(self, body: DecisionMade) -> TaskHistory:
        place = body.bundle, body.action, body.resource_type, body.resource, body.hints
        known = self._adds_of.get(place)
        if known is None:
            bundle = self._archive.bundle(body.bundle)
            known = (
                added_by(bundle, body.action, EntityRef(body.resource_type, body.resource), body.hints) if bundle else NO_HISTORY
            )
            self._adds_of[place] = known
        return known

    def account(self, agent: str) -> Spent:
        """What an agent has spent by now over all its tasks, in the windows of the rates that are asked about."""
        return self._accounts.get(agent, NOTHING_SPENT)

    def _account(
        self, body: DecisionMade, subject: EntityRef, request: Callable[[DecisionMade, EntityRef], EvaluationRequest]
    ) -> None:
        try:
            after, _ = account_after(
                self.account(subject.id), self._rates, request(body, subject), self._groups(body), body.at, DecisionId(body.id)
            )
        except NotAnAmount:
            return
        self._accounts[subject.id] = after

    def _groups(self, body: DecisionMade) -> tuple[str, ...]:
        bundle = self._archive.bundle(body.bundle) if body.action == TOOL_CALL else None
        known = bundle.tools.get(body.resource) if bundle is not None else None
        return known.tool.groups if known is not None else ()

    def _unlink(self, task: str) -> None:
        """Forget the chains that this task is in."""
        for below in self._linked_to.pop(task, ()):
            self._chains.pop(below, None)
            self._bounds.pop(below, None)

    def _outcome(self, body: OutcomeSeen, time: int) -> None:
        run = self._runs.get(body.session or "")
        if run is None:
            return
        run.reached = self._label(body.label, body.sources)
        worst = run.pending.pop(DecisionId(body.decision), None)
        if not run.pending:
            run.label = run.reached
        elif worst is not None:  # of several under way, what this one touched is not told apart
            sources = tuple([one for one in worst.sources if not one.startswith(MEMORY) or one in run.reached.sources])
            touched = Label(worst.confidentiality, sources)
            run.label = run.label.join(touched) if touched.within(run.reached) else run.label
        if self._flows:
            run.seen.add(body.decision)
            run.told.reported(body, time)

    def _open(self, body: TaskOpened, time: int) -> None:
        key = self.key(body.task)
        purpose = key.open(body.sealed, body.task).decode() if key is not None else ""
        self._tasks[body.task] = Task(
            id=TaskId(body.task),
            agent=AgentId(body.agent),
            purpose=purpose,
            opener=body.opener,
            on_behalf_of=body.on_behalf_of,
            opened=time,
            expires=body.expires,
            type=body.type,
            parent=TaskId(body.parent) if body.parent else None,
            scope=msgspec.convert(body.scope, Scope),
            budgets=msgspec.convert(body.budgets, Budgets),
            purpose_trusted=body.purpose_trusted,
        )

    def _label(self, level: str, sources: tuple[str, ...]) -> Label:
        known = self._labels.get((level, sources))
        if known is None:
            if len(self._labels) > _REMEMBERED:
                self._labels.clear()
            known = self._labels[level, sources] = Label(Confidentiality(level), sources)
        return known
