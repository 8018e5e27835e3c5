"""This process's working view of tasks, sessions and agents: read once, moved by each decision, checked again at commit."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from remit.decision_log.sealed import report_of
from remit.decision_log.sealing import SealKey
from remit.inventory.directory import Directory
from remit.model.break_glass import BreakGlass, Stage
from remit.model.clock import MINUTE, Clock
from remit.model.definition import KnownDefinition
from remit.model.errors import corrupt
from remit.model.identity import Agent, AgentId, ApprovalId, BreakGlassId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.kill import Kill
from remit.model.memory import Memory
from remit.model.task import NOTHING_SPENT, Session, Spent, Task, TaskState
from remit.pdp.compiled import CompiledBundle, Mode
from remit.pdp.provenance.seen import Observed, Report, observe
from remit.runtime.asked import Asked, AskedBy, asked_by
from remit.runtime.directory import directory_of
from remit.runtime.store import TASK_FREE, Approval, OpenPermit, RuntimeStore

MAX_HELD = 128 << 20
"""So many characters of outputs a process holds for all its sessions; beyond that they are read again when they are asked for."""
_log = logging.getLogger("remit")
_LIMIT = 20_000
_DEFINITIONS = 1000
"""So many are held; each may have a text of 256 KiB."""
_MAX_CHAIN = 32

Compile = Callable[[bytes], CompiledBundle]


def steady() -> int:
    """Microseconds since some moment: nobody sets them back."""
    return time.monotonic_ns() // 1000


class Live(NamedTuple):
    """A permit that may be used before `until` (µs), as long as what it was decided on, and the break-glass it rests on, still stands.
    `caller` and `session` are as in the request that it was given to."""

    until: int
    revision: int
    agent: AgentId
    resource: EntityRef
    tasks: tuple[TaskId, ...]
    bundle: str
    caller: str = ""
    session: SessionId | None = None
    glass: BreakGlassId | None = None


class View:
    """Caches over a store. Whoever reads or moves it holds `lock`.

    What was read under one `revision` is dropped when the store has seen another; a commit decided on the old one conflicts.
    """

    def __init__(self, store: RuntimeStore, compile_bundle: Compile, steady: Clock = steady) -> None:
        self.lock = threading.RLock()
        self.store = store
        self.revision = self._looked = -1
        self.latest = store.latest_time()
        """The time (µs) of the latest decision this process knows of."""
        self.acted: set[DecisionId] = set()
        """The permits of this process that were used and are not yet reported."""
        self.live: dict[DecisionId, Live] = {}
        """The permits that were given and not yet used."""
        self.permits: dict[DecisionId, OpenPermit] = {}
        """The permits of this process whose outcome is not reported."""
        self.underway: dict[ApprovalId, Approval] = {}
        """The access requests that decisions on their way to the disk open or use."""
        self.asked = Asked(store)
        self.caught_up: dict[SessionId, int] = {}
        """How often sessions of its tasks had touched more when a session last took over what they know."""
        self.compile = compile_bundle
        self._bundle: CompiledBundle | None = None
        self._bundle_read = False
        self._kills: tuple[Kill, ...] | None = None
        self._glass: tuple[BreakGlass, ...] | None = None
        self.steady = steady
        self._shut: dict[BreakGlassId, int] = {}
        self._agents: dict[AgentId, Agent] = {}
        self._directory: Directory | None = None
        self._tasks: dict[TaskId, Task] = {}
        self._spent: dict[TaskId, Spent] = {}
        self._sessions: dict[SessionId, Session] = {}
        self._observed: dict[SessionId, Observed] = {}
        self._known: dict[SessionId, set[DecisionId]] = {}
        self._held = 0
        self._keys: dict[TaskId, SealKey] = {}
        self._memories: dict[str, Memory] = {}
        self._accounts: dict[AgentId, Spent] = {}
        self._definitions: dict[tuple[str, str], KnownDefinition] = {}
        self.defining: dict[tuple[str, str], KnownDefinition] = {}
        """The definitions that decisions on their way to the disk saw first, by upstream and tool."""

    def refresh(self) -> int:
        """Drop what administrative changes may have touched; the revision that everything read from now on has at least."""
        revision = self.store.revision
        if revision != self.revision:
            self._forget_administration()
            self.revision = revision
        if len(self._definitions) > _DEFINITIONS:
            self._definitions.clear()
        if len(self._tasks) > _LIMIT or len(self._keys) > _LIMIT:
            self._tasks.clear()
            self._keys.clear()
        if len(self._sessions) > _LIMIT or len(self._spent) > _LIMIT or self._held > MAX_HELD:
            self.forget_all()
        return revision

    def look(self) -> bool:
        """Drop what others have changed since this process last committed, and whether they did: for answers that are not committed, and so
        never conflict."""
        standing = self.store.standing(())[0]
        # Whatever is held was read after it was last dropped, so at that revision or a later one.
        stale = standing not in (self.revision, self._looked)
        if stale:
            self._looked = standing
            self._forget_administration()
        return stale

    def catch_up(self, task: TaskId | None, session: SessionId | None) -> None:
        """The same of what others have decided, which no administrative change is: where this session stands, what this task and those that
        it was delegated from have spent, and memories and accounts. What this process itself has moved further stays as it has it."""
        stored = self.store.session(session) if session is not None else None
        if stored is not None and self.newest(stored) is stored:
            self._forget_session(stored.id)
        for known in self.chain(task)[0]:
            found = self.store.task(known.task.id)
            if found is not None and found.task.status is not known.task.status:
                self._tasks.pop(known.task.id, None)
            if found is not None and found.spent.version >> 32 > known.spent.version >> 32:
                self._spent.pop(known.task.id, None)
        self._memories.clear()
        self._accounts.clear()

    def _forget_administration(self) -> None:
        self._kills = None
        self._glass = None
        self._directory = None
        self._definitions.clear()
        self._agents.clear()
        self._tasks.clear()
        self._keys.clear()
        self._memories.clear()
        self._accounts.clear()
        self._bundle_read = False

    def _load_bundle(self) -> CompiledBundle | None:
        active = self.store.active_bundle()
        if active is None:
            return None
        digest, document = active
        if self._bundle is not None and self._bundle.digest == digest:
            return self._bundle
        compiled = self.compile(document)
        if compiled.digest != digest:
            raise corrupt("the stored bundle is not the one that was activated: publish it again")
        if compiled.mode is Mode.SHADOW:
            _log.warning("SHADOW MODE: bundle `%s` decides and logs, but nothing is enforced", compiled.name)
        return compiled

    @property
    def bundle(self) -> CompiledBundle | None:
        """The active bundle, compiled. Raises `RemitError` (corrupt) if it is not what was published."""
        if not self._bundle_read:
            self._bundle = self._load_bundle()
            self._bundle_read = True
        return self._bundle

    @property
    def kills(self) -> tuple[Kill, ...]:
        """The kills in force."""
        if self._kills is None:
            self._kills = tuple(self.store.kills())
        return self._kills

    def open_glass(self, now: int) -> tuple[BreakGlass, ...]:
        """What two people have opened and is not over, at this time (µs)."""
        if self._glass is None:
            self._glass = tuple(self.store.break_glasses([Stage.OPEN]))
            for glass in self._glass:
                self._meet(glass, now)
        return tuple([glass for glass in self._glass if now < glass.until and self.is_open(glass.id)]) if self._glass else ()

    def _meet(self, glass: BreakGlass, now: int) -> None:
        """Remember of one that is seen first when it will be over, by a clock that nobody sets back."""
        if glass.id not in self._shut:
            left = min(glass.until - now, glass.minutes * MINUTE)
            self._shut[glass.id] = self.steady() + left
            if left > 0:
                _log.warning("BREAK-GLASS %s is open for another %d s: policy does not hold there", glass, left // 1_000_000)

    def is_open(self, glass: BreakGlassId) -> bool:
        """Whether what this process has seen open can still be, however its clock was set since."""
        # INVARIANT (fail closed): a clock that is set back gives nobody more time.
        return self.steady() < self._shut.get(glass, 0)

    def definition(self, upstream: str, tool: str) -> KnownDefinition | None:
        """The definition of a tool that counts, committed or on its way; None if none was reported yet."""
        known = self._definitions.get((upstream, tool)) or self.store.definition(upstream, tool)
        if known is not None:
            self._definitions[upstream, tool] = known
        return known

    def define(self, known: KnownDefinition, first: bool) -> None:
        """Take over what is known of a definition before it is durable; of the first, that it is not."""
        self._definitions[known.upstream, known.tool] = known
        if first:
            self.defining[known.upstream, known.tool] = known

    def agent(self, agent: AgentId) -> Agent | None:
        """An agent, if registered."""
        known = self._agents.get(agent) or self.store.agent(agent)
        if known is not None:
            self._agents[agent] = known
        return known

    @property
    def directory(self) -> Directory:
        """Who is who, by what all sources say."""
        if self._directory is None:
            self._directory = directory_of(self.store)
        return self._directory

    def chain(self, task: TaskId | None) -> tuple[tuple[TaskState, ...], bool]:
        """A task and those it was delegated from, leaf first, and whether every link was found."""
        links: list[TaskState] = []
        wanted = task
        while wanted is not None:
            link = self._task(wanted)
            if link is None or len(links) >= _MAX_CHAIN:
                return tuple(links), False
            links.append(link)
            wanted = link.task.parent
        return tuple(links), True

    def delegators(self, chain: tuple[TaskState, ...]) -> tuple[Agent | None, ...]:
        """The agents of the tasks that a chain's first was delegated from, None for one that is not registered."""
        return tuple([self.agent(state.task.agent) for state in chain[1:]])

    def loaded_chain(self, task: TaskId | None) -> list[Task]:
        """The links of a chain that are in the view, without reading any."""
        links: list[Task] = []
        while task is not None and (link := self._tasks.get(task)) is not None and len(links) < _MAX_CHAIN:
            links.append(link)
            task = link.parent
        return links

    def _task(self, task: TaskId) -> TaskState | None:
        noun, spent = self._tasks.get(task), self._spent.get(task)
        if noun is None or spent is None:
            stored = self.store.task(task)
            if stored is None:
                return None
            noun = self._tasks[task] = stored.task
            spent = self._spent.setdefault(task, stored.spent)
        return TaskState(noun, spent)

    def session(self, session: SessionId | None) -> Session | None:
        """A session's state with every decision of this process in it, committed or on its way."""
        if session is None:
            return None
        known = self._sessions.get(session) or self.store.session(session)
        if known is not None:
            self._sessions[session] = known
        return known

    def newest(self, stored: Session) -> Session:
        """A session as another process may have left it, or as this one has moved it since."""
        known = self._sessions.get(stored.id)
        return known if known is not None and known.version >> 32 >= stored.version >> 32 else stored

    def memory(self, name: str) -> Memory:
        """A memory with every decision of this process in its label. Raises `RemitError` (corrupt) for one whose label is lost."""
        # INVARIANT (fail closed): each memory is stored from the moment a bundle names it; one that is not there is not a clean one.
        known = self._memories.get(name) or self.store.memory(name)
        if known is None:
            raise corrupt(f"the label of memory `{name}` is lost: restore a backup")
        self._memories[name] = known
        return known

    def account(self, agent: AgentId) -> Spent:
        """What an agent has spent over all its tasks, with every decision of this process in it."""
        known = self._accounts.get(agent) or self.store.account(agent) or NOTHING_SPENT
        self._accounts[agent] = known
        return known

    def key(self, task: TaskId | None) -> SealKey | None:
        """The data key of a task (without a task, the store's); None for an unknown task, or once it was destroyed."""
        task = task or TASK_FREE
        known = self._keys.get(task)
        if known is None:
            secret = self.store.secret(task)
            if secret is None:
                return None
            known = self._keys[task] = SealKey(secret)
        return known

    def sealing_key(self, task: TaskId | None) -> SealKey:
        """The key to seal with. Once a task's was destroyed, one that is thrown away: what comes late is never readable."""
        return self.key(task) or SealKey.generate()

    def observed(self, session: SessionId, task: TaskId | None) -> Observed:
        """What a session has seen come back, oldest first."""
        known = self._observed.get(session)
        if known is None:
            known = self._observed[session] = self._read_observed(session, task)
            self._held += known.held
        return known

    def known(self, session: SessionId, task: TaskId | None) -> Collection[DecisionId]:
        """The calls of which a session has seen what came back, those on their way among them."""
        self.observed(session, task)
        return self._known[session]

    def _read_observed(self, session: SessionId, task: TaskId | None) -> Observed:
        key = self.key(task)
        stored = self.store.observations(session)
        self._known[session] = {one.decision for one in stored}
        return observe(Observed(), (report_of(key, one.sealed, one.decision, one.source, one.untrusted) for one in stored))

    def observe(self, session: Session, report: Report, decision: DecisionId) -> None:
        """Add what a tool returned to what the session has seen, before it is durable."""
        before = self.observed(session.id, session.task)
        self._known[session.id].add(decision)
        self._observed[session.id] = observe(before, [report])
        self._held += len(report.text or "")

    def approvals_for(self, digest: str) -> list[Approval]:
        """The access requests for one exact action, newest first, with those that decisions on their way open or use."""
        known = {approval.id: approval for approval in self.store.approvals_for(digest)}
        known |= {approval.id: approval for approval in self.underway.values() if approval.digest == digest}
        return sorted(known.values(), key=lambda approval: approval.id, reverse=True)

    def unanswered_since(self, first: ApprovalId) -> list[AskedBy]:
        """Whose the access requests from this id on are that no person has answered, with those that decisions on their way open."""
        known = {one.id: one for one, _ in self.asked.since(first)}
        # A later version is one that was there before, and is used.
        opened = [one for one in self.underway.values() if one.version == 1 and one.id not in known]
        return [*known.values(), *map(asked_by, opened)]

    def move_account(self, agent: AgentId, account: Spent) -> None:
        """Take over what an agent is about to have spent."""
        self._accounts[agent] = account

    def move(self, session: Session | None, tasks: Iterable[TaskState], memory: Memory | None = None) -> None:
        """Take over the states that a decision leads to, before they are durable: what follows is decided on them."""
        if memory is not None:
            self._memories[memory.name] = memory
        if session is not None:
            self._sessions[session.id] = session
        for state in tasks:
            self._spent[state.task.id] = state.spent

    def forget(self, session: SessionId | None, tasks: Iterable[TaskId]) -> None:
        """Drop states whose commit did not succeed, and what is known of memories; they are read again."""
        self._memories.clear()
        self._accounts.clear()
        if session is not None:
            self._forget_session(session)
        for task in tasks:
            self._spent.pop(task, None)
            self._tasks.pop(task, None)

    def _forget_session(self, session: SessionId) -> None:
        # INVARIANT (labels come from what was touched): a session goes with what it saw; neither is ever newer than the other.
        self._sessions.pop(session, None)
        self._observed.pop(session, None)
        self._known.pop(session, None)
        self.caught_up.pop(session, None)

    def forget_definition(self, upstream: str, tool: str) -> None:
        """Drop what is known of a definition; it is read again."""
        self._definitions.pop((upstream, tool), None)
        self.defining.pop((upstream, tool), None)

    def forget_tasks(self) -> None:
        """Drop what is known of tasks: one of them is no longer open."""
        self._tasks.clear()

    def forget_all(self) -> None:
        """Drop every session, spending and key; what is on its way and was decided on them conflicts and is decided again."""
        self._keys.clear()
        self._sessions.clear()
        self._observed.clear()
        self._known.clear()
        self.caught_up.clear()
        self._held = 0
        self._spent.clear()
        self._memories.clear()
        self._accounts.clear()
