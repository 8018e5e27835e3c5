"""State against the log: what the entries say should be, beside what the store's tables say is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from remit.decision_log.encoding import decode
from remit.decision_log.entry import (
    AgentChanged,
    ApprovalGiven,
    ApprovalRequested,
    ApprovalResolved,
    BreakGlassAsked,
    BreakGlassEnded,
    BreakGlassReviewed,
    BreakGlassStarted,
    BundlePublished,
    DecisionMade,
    KillReleased,
    KillSet,
    LogRestored,
    MemoryRaised,
    OutcomeSeen,
    PersonChanged,
    PersonErased,
    PersonReadmitted,
    SessionJoined,
    SessionOpened,
    TaskClosed,
    TaskOpened,
    ToolApproved,
    ToolSeen,
)
from remit.decision_log.store import LogReader
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import Stage
from remit.model.identity import AgentId, ApprovalId, SessionId, TaskId
from remit.model.labels import MORE, PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.person import PersonStatus
from remit.runtime.store import Approval, RuntimeStore

_EVERY = 1 << 40
_ATTEMPTS = 5
_PAGE = 1000


class Difference(msgspec.Struct, frozen=True):
    """Something of which the log says one thing and the tables another."""

    what: str
    name: str
    log: str
    store: str

    def __str__(self) -> str:
        return f"{self.what} `{self.name}`: {self.store} in the store, {self.log} by the log"


class _Expected:
    """What the tables must hold, gathered from entries in order."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.bundle = ""
        self.agents: dict[str, AgentChanged] = {}
        self.kills: set[tuple[str, str]] = set()
        self.tasks: dict[str, str] = {}
        self.spent: Counter[str] = Counter()
        self.labels: dict[str, Label] = {}
        self.permits: Counter[str] = Counter()
        self.open: set[str] = set()
        self.approvals: dict[str, str] = {}
        self.memories: dict[str, Label] = {}
        self.definitions: dict[str, str] = {}
        self.glasses: dict[str, str] = {}
        self.people: dict[str, str] = {}
        for index, line in enumerate(lines):
            self._take(decode(index, line).body)

    def _take(self, body: object) -> None:
        match body:
            case DecisionMade():
                self._decision(body)
            case OutcomeSeen():
                self.open.discard(body.decision)
                self._label(body.session, Label(Confidentiality(body.label), body.sources))
            case MemoryRaised():
                self.memories[body.memory] = Label(Confidentiality(body.label), body.sources)
            case SessionOpened() | SessionJoined():
                self._label(body.session, Label(Confidentiality(body.label), body.sources))
            case TaskOpened():
                self.tasks[body.task] = "open"
            case TaskClosed():
                self.tasks[body.task] = "closed"
            case ApprovalRequested():
                self.approvals[body.id] = ApprovalState.PENDING.value
            case ApprovalGiven():
                self.approvals[body.id] = f"{ApprovalState.PENDING.value}, approved by {body.number}"
            case ApprovalResolved():
                self.approvals[body.id] = body.state
            case _:
                self._administered(body)

    def _administered(self, body: object) -> None:
        match body:
            case AgentChanged():
                self.agents[body.agent] = body
            case PersonChanged() | PersonErased() | PersonReadmitted():
                self._person(body)
            case BundlePublished():
                self.bundle = body.digest
            case KillSet():
                self.kills.add((body.target, body.name))
            case KillReleased():
                self.kills.discard((body.target, body.name))
            case BreakGlassAsked():
                self.glasses[body.id] = Stage.ASKED.value
            case BreakGlassStarted():
                self.glasses[body.id] = Stage.OPEN.value
            case BreakGlassEnded():
                self.glasses[body.id] = body.stage
            case BreakGlassReviewed():
                self.glasses[body.id] = Stage.REVIEWED.value
            case ToolSeen():
                self.definitions.setdefault(_named(body.upstream, body.tool), body.digest)
            case ToolApproved():
                self.definitions[_named(body.upstream, body.tool)] = body.digest
            case LogRestored():
                unused = (ApprovalState.PENDING.value, ApprovalState.APPROVED.value)
                ended = [name for name, state in self.approvals.items() if state.startswith(unused)]
                self.approvals.update(dict.fromkeys(ended, ApprovalState.EXPIRED.value))

    def _person(self, body: PersonChanged | PersonErased | PersonReadmitted) -> None:
        match body:
            case PersonChanged():
                self.people[body.person] = f"{body.status}, version {body.version}"
            case PersonErased():
                self.people[body.person] = _erased(body.gone)
            case PersonReadmitted():
                self.people[body.person] = _erased(not body.whole)

    def _decision(self, body: DecisionMade) -> None:
        self._label(body.session, Label(Confidentiality(body.label), body.sources))
        if body.effect == "permit":
            self.open.add(body.id)
            if body.approval is not None:
                self.approvals[body.approval] = ApprovalState.USED.value
            if body.session is not None:
                self.permits[body.session] += 1
                self.spent.update(body.chain if body.enforced else ())

    def _label(self, session: str | None, label: Label) -> None:
        if session is not None:
            self.labels[session] = label


def differences(log: LogReader, store: RuntimeStore) -> list[Difference]:
    """What the tables do not say as the log does. Sessions may have touched more than the log knows (in logs of before it recorded what was
    passed on to them), never less. Raises `RemitError` (corrupt) for a log that cannot be read.
    """
    found: list[Difference] = []
    for _ in range(_ATTEMPTS):
        size = log.size()
        found = list(_compared(_Expected(log.lines(0, size)), store))
        if not found or log.size() == size:
            break  # else another process went on meanwhile
    return found


def _compared(expected: _Expected, store: RuntimeStore) -> Iterator[Difference]:
    active = store.active_bundle()
    yield from _unequal("bundle", {"active": expected.bundle[:12]}, {"active": active[0][:12] if active else ""})
    agents = {agent.id: (agent.version, agent.owner, agent.purpose, agent.groups, agent.status.value) for agent in store.agents()}
    logged = {name: (a.version, a.owner, a.purpose, a.groups, a.status) for name, a in expected.agents.items()}
    yield from _unequal("agent", {n: _words(a) for n, a in logged.items()}, {AgentId(n): _words(a) for n, a in agents.items()})
    kills = {f"{kill.kind.value} {kill.name}".strip(): "in force" for kill in store.kills()}
    yield from _unequal("kill", {" ".join(kill).strip(): "in force" for kill in expected.kills}, kills)
    seen = {_named(known.upstream, known.tool): known.digest for known in store.definitions()}
    yield from _unequal("definition of", expected.definitions, seen)
    yield from _unequal("break-glass", expected.glasses, {glass.id: glass.stage.value for glass in store.break_glasses()})
    yield from _unequal("person", expected.people, dict(_people(store)))
    yield from _tasks(expected, store)
    yield from _sessions(expected, store)
    for name, label in expected.memories.items():
        memory = store.memory(name)
        if memory is None or not _covers(memory.label, label):
            yield Difference("memory", name, _shown(label), _shown(memory.label) if memory else "nothing")
    states = {name: store.approval(ApprovalId(name)) for name in expected.approvals}
    yield from _unequal("approval", expected.approvals, {name: _approval(a) for name, a in states.items() if a is not None})
    held = {permit.decision: "open" for writer in store.writers() for permit in store.permits_of(writer)}
    yield from _unequal("permit", dict.fromkeys(expected.open, "open"), held)


def _approval(approval: Approval) -> str:
    half = approval.state is ApprovalState.PENDING and approval.given
    return f"{approval.state.value}, approved by {len(approval.given)}" if half else approval.state.value


def _people(store: RuntimeStore) -> Iterator[tuple[str, str]]:
    after = ""
    while page := store.people(_PAGE, after):
        for person in page:
            after = person.id
            erased = person.status is PersonStatus.ERASED
            yield person.id, _erased(person.left is not None) if erased else f"{person.status.value}, version {person.version}"


def _erased(gone: bool) -> str:
    return f"{PersonStatus.ERASED.value}, and gone" if gone else PersonStatus.ERASED.value


def _tasks(expected: _Expected, store: RuntimeStore) -> Iterator[Difference]:
    stored = {state.task.id: state for state in store.tasks(_EVERY)}
    yield from _unequal("task", expected.tasks, {TaskId(name): state.task.status.value for name, state in stored.items()})
    spent = {name: f"{state.spent.calls} calls spent" for name, state in stored.items()}
    yield from _unequal("budget of", {name: f"{expected.spent[name]} calls spent" for name in spent}, spent)


def _sessions(expected: _Expected, store: RuntimeStore) -> Iterator[Difference]:
    for name, label in expected.labels.items():
        session = store.session(SessionId(name))
        reached = session.reached if session is not None else PUBLIC_TRUSTED
        if session is None or not _covers(reached, label):
            yield Difference("session", name, _shown(label), _shown(reached) if session else "nothing")
        elif sum(session.calls.values()) != expected.permits[name]:
            yield Difference("session", name, f"{expected.permits[name]} permits", f"{sum(session.calls.values())} permits")


def _unequal(what: str, log: Mapping[Any, str], store: Mapping[Any, str]) -> Iterator[Difference]:
    for name in sorted(log.keys() | store.keys()):
        ours, theirs = log.get(name, "nothing"), store.get(name, "nothing")
        if ours != theirs:
            yield Difference(what, name, ours, theirs)


def _named(upstream: str, tool: str) -> str:
    return f"{tool} of {upstream}" if upstream else tool


def _covers(stored: Label, logged: Label) -> bool:
    if MORE in logged.sources:
        return MORE in stored.sources and stored.confidentiality.rank >= logged.confidentiality.rank
    return stored == logged or logged.within(stored)


def _words(agent: tuple[int, str, str, tuple[str, ...], str]) -> str:
    version, owner, purpose, groups, status = agent
    return f"version {version}, {status}, owned by {owner}, in {', '.join(groups) or 'no group'}, for {purpose!r}"


def _shown(label: Label) -> str:
    return f"{label.confidentiality.value}, {'from ' + ', '.join(label.sources) if label.sources else 'trusted'}"
