"""The log followed from its beginning: agents, tasks, sessions and kills as they were when each decision was made."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from remit.decision_log.entry import (
    AgentChanged,
    BreakGlassAsked,
    BreakGlassStarted,
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
from remit.decision_log.sealing import SealKey
from remit.model.break_glass import BreakGlass, Stage
from remit.model.definition import KnownDefinition
from remit.model.identity import Agent, AgentId, AgentStatus, BreakGlassId, DecisionId, EntityRef, TaskId
from remit.model.kill import Kill, KillKind
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.memory import Memory
from remit.model.rate import Rate
from remit.model.task import NOTHING_SPENT, Spent
from remit.pdp.effects import NotAnAmount
from remit.pdp.facts.fact import FactSet
from remit.pdp.rates import account_after
from remit.reviews.actions import Actions
from remit.reviews.archive import Archive
from remit.reviews.past_sessions import PastSessions
from remit.reviews.past_tasks import Asked, PastTasks

MAX_KEYS = 4096
TASK_FREE = TaskId("task-free")


class Wanted(NamedTuple):
    """What of the past will be asked for: what sessions had seen (`flows`), what was done under tasks (`deeds`), the `rates` of agents, and
    `facts`."""

    flows: bool = True
    deeds: bool = True
    rates: Sequence[Rate] = ()
    facts: tuple[FactSet, ...] = ()


EVERYTHING = Wanted()


class LoggedState:
    """State as the log tells it. `take` moves it past one entry."""

    def __init__(self, archive: Archive, wanted: Wanted = EVERYTHING) -> None:
        self._archive, self._deeds, self._rates = archive, wanted.deeds, wanted.rates
        self._actions = Actions(archive)
        self._agents: dict[tuple[str, int], Agent] = {}
        self._latest: dict[str, Agent] = {}
        self._kills: dict[tuple[str, str], Kill] = {}
        self._keys: dict[str, SealKey | None] = {}
        self._memories: dict[str, Label] = {}
        self._accounts: dict[str, Spent] = {}
        self._definitions: dict[tuple[str, str], KnownDefinition] = {}
        self._glasses: dict[str, BreakGlass] = {}
        self.tasks = PastTasks(self._actions, wanted.deeds)
        self.sessions = PastSessions(archive, self._actions, self.key, wanted.flows, wanted.facts)
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

    def glass(self, name: str) -> BreakGlass | None:
        """What two people had opened by then; None if the log does not have it. Whether it was over, the decision itself says."""
        return self._glasses.get(name)

    def agent(self, name: str, version: int) -> Agent | None:
        """An agent at one version; None if the log does not have it."""
        return self._agents.get((name, version))

    def latest(self, name: str) -> Agent | None:
        """An agent as it is by now."""
        return self._latest.get(name)

    def memory(self, name: str) -> Memory | None:
        """A memory as it is by now, None for no name."""
        return Memory(name, self._memories.get(name, PUBLIC_TRUSTED)) if name else None

    def account(self, agent: str) -> Spent:
        """What an agent has spent by now over all its tasks, in the windows of the rates that are asked about."""
        return self._accounts.get(agent, NOTHING_SPENT)

    def take(self, body: EntryBody, time: int) -> None:
        """Move past an entry that is no decision; `time` is its envelope's."""
        match body:
            case OutcomeSeen():
                self.sessions.outcome(body, time)
            case MemoryRaised():
                self._memories[body.memory] = self.sessions.label(body.label, body.sources)
            case SessionOpened():
                self.sessions.open(body, [state.task.id for state in (self.tasks.chain(body.task) or ())[:0:-1]])
            case SessionJoined():
                self.sessions.join(body)
            case TaskOpened():
                self.tasks.open(body, time, self.key(body.task))
            case TaskClosed():
                self.tasks.close(body.task)
            case FlowGranted():
                self.tasks.grant(body, self.key(body.task))
            case _:
                self._administered(body, time)

    def _administered(self, body: EntryBody, time: int) -> None:
        match body:
            case AgentChanged():
                status = AgentStatus(body.status)
                about = body.owner, body.purpose, body.groups, status, body.version, body.identities
                agent = Agent(AgentId(body.agent), *about)
                self._agents[body.agent, body.version] = self._latest[body.agent] = agent
            case ToolSeen():
                known = KnownDefinition(body.upstream, body.tool, body.digest, b"", time, body.decision)
                self._definitions.setdefault((body.upstream, body.tool), known)
            case ToolApproved():
                known = KnownDefinition(
                    body.upstream, body.tool, body.digest, b"", time, "", operator=body.operator, why=body.why
                )
                self._definitions[body.upstream, body.tool] = known
            case BreakGlassAsked():
                self._glasses[body.id] = _glass_of(body)
            case BreakGlassStarted() if (asked := self._glasses.get(body.id)) is not None:
                self._glasses[body.id] = replace(
                    asked, stage=Stage.OPEN, confirmed_by=body.operator, started=body.at, until=body.until
                )
            case KillSet():
                self._kills[body.target, body.name] = Kill(KillKind(body.target), body.name, time, body.operator, body.why)
                self.kills = tuple(sorted(self._kills.values()))
            case KillReleased():
                self._kills.pop((body.target, body.name), None)
                self.kills = tuple(sorted(self._kills.values()))

    def take_decision(self, body: DecisionMade, subject: EntityRef, request: Asked) -> None:
        """Move past a decision of `subject`, to the state it led to; `request` is asked for only where a budget counts or
        a fact needs it."""
        permitted, memory = body.effect == "permit", self.memory(self._actions.memory(body))
        self.sessions.decision(body, subject, memory, request)
        if permitted and body.enforced:
            self.tasks.spend(body, subject, request)
            if self._rates:
                self._account(body, subject, request)
        if permitted and self._deeds and body.chain:
            self.tasks.remember(body, memory)

    def _account(self, body: DecisionMade, subject: EntityRef, request: Asked) -> None:
        try:
            after, _ = account_after(
                self.account(subject.id),
                self._rates,
                request(body, subject),
                self._actions.groups(body),
                body.at,
                DecisionId(body.id),
            )
        except NotAnAmount:
            return
        self._accounts[subject.id] = after


def _glass_of(body: BreakGlassAsked) -> BreakGlass:
    task = TaskId(body.task) if body.task is not None else None
    what = body.tools, body.resources, body.minutes, body.review_days, body.reason, body.incident
    return BreakGlass(
        BreakGlassId(body.id), AgentId(body.agent), task, *what, body.operator, body.verified_by, body.at, body.confirm_by
    )
