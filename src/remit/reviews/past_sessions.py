"""Sessions as the log tells of them: what each has touched, what it had under way, and what it had seen come back."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from remit.decision_log.entry import DecisionMade, OutcomeSeen, SessionJoined, SessionOpened
from remit.decision_log.sealed import report_of
from remit.decision_log.sealing import SealKey
from remit.model.identity import AgentId, DecisionId, EntityRef, SessionId, TaskId
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.memory import MEMORY, Memory
from remit.model.request import SESSION_DECLASSIFY
from remit.model.task import Session
from remit.pdp.effects import counted_as, with_pending
from remit.pdp.facts.fact import FactSet
from remit.pdp.memory import under_way
from remit.pdp.provenance.seen import NOTHING_OBSERVED, Observed, observe
from remit.reviews.actions import Actions
from remit.reviews.archive import Archive, Observation
from remit.reviews.calls import Calls
from remit.reviews.past_tasks import Asked

MAX_HELD = 32 << 20
"""So many characters of what sessions had seen are kept; beyond that they are read again when they are asked for."""
_REMEMBERED = 50_000
Keys = Callable[[str | None], SealKey | None]
"""The data key of a task (without one, the store's); None if it was destroyed, or the task is unknown."""


class _Run:
    """A session as it was: its label without and with the calls under way, its counters (`open`: which calls are under way, and whether
    each can bring back what is untrusted), and what of its observations it had by then."""

    __slots__ = (
        "agent",
        "awaits",
        "calls",
        "denials",
        "id",
        "kept",
        "label",
        "observed",
        "open",
        "pending",
        "reached",
        "seen",
        "tainting",
        "task",
        "told",
        "touches",
        "waiting",
    )

    def __init__(self, opened: SessionOpened, reached: Label, seen: set[str], told: Calls) -> None:
        self.id, self.task, self.agent = SessionId(opened.session), TaskId(opened.task), AgentId(opened.agent)
        self.label = self.reached = reached
        self.calls: dict[str, int] = {}
        self.denials = 0
        self.pending: dict[DecisionId, Label] = {}
        self.open: dict[str, bool] = {}
        self.tainting = self.touches = 0
        self.seen = seen
        self.told = told
        self.awaits = opened.awaits
        self.kept: set[str] = set()
        self.observed = NOTHING_OBSERVED
        self.waiting: Sequence[Observation] | None = None


class PastSessions:
    """All sessions by now. `key` has the data keys of their tasks; with `flows`, what they had seen is followed too."""

    def __init__(self, archive: Archive, actions: Actions, key: Keys, flows: bool, facts: tuple[FactSet, ...]) -> None:
        self._archive, self._actions, self._key, self._flows, self._facts = archive, actions, key, flows, facts
        self._runs: dict[str, _Run] = {}
        self._of_task: dict[str, list[_Run]] = {}
        self._labels: dict[tuple[str, tuple[str, ...]], Label] = {}
        self._held = 0

    def reached(self, session: str | None, agent: str, task: str | None) -> Label | None:
        """What a session of this agent and task has touched by now; None if it is not theirs, or there is none."""
        run = self._runs.get(session or "")
        return run.reached if run is not None and run.agent == agent and run.task == task else None

    def session(self, session: str | None) -> Session | None:
        """A session as it is by now, None if the log has not opened it. What it counts goes on counting: read it before the next `take`."""
        run = self._runs.get(session or "")
        if run is None:
            return None
        under_way = len(run.open), run.tainting, run.touches
        return Session(run.id, run.task, run.agent, run.reached, run.pending, run.calls, run.denials, 0, 0, *under_way)

    def beside(self, session: str, chain: Sequence[str]) -> tuple[dict[SessionId, int], int]:
        """How much the other sessions of a chain of tasks have touched by now, and how many calls that can they have under way."""
        runs = {run.id: run for task in chain for run in self._of_task.get(task, ())}
        awaited = {name for run in runs.values() for name in run.awaits}
        touches = {run.id: run.touches for run in runs.values() if run.id != session}
        busy = [run for name in {*runs, *awaited} - {session} if (run := self._runs.get(name)) is not None]
        return touches, sum(max(len(run.open), len(run.pending)) for run in busy)

    def observed(self, session: str | None) -> Observed:
        """What a session has seen by now."""
        run = self._runs.get(session or "")
        if run is None:
            return NOTHING_OBSERVED
        if run.waiting is None:
            run.waiting = self._archive.observations(run.id)
        ready = [one for one in run.waiting if one.decision in run.seen]
        if ready:
            key = self._key(run.task)
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

    def open(self, body: SessionOpened, above: Sequence[str]) -> None:
        """A session began, and goes on from what others of its task had seen, and of those `above` it, the first task first."""
        own = self._of_task.setdefault(body.task, [])
        earlier = [one for task in above for one in self._of_task.get(task, ())] + own
        told = Calls(self._facts)
        for one in earlier:
            told.join(one.told)
        run = _Run(body, self.label(body.label, body.sources), set[str]().union(*(one.seen for one in earlier)), told)
        self._runs[body.session] = run
        own.append(run)

    def join(self, body: SessionJoined) -> None:
        """A session took over what one of a sub-task, or another of its own task or one above, had seen."""
        run = self._runs.get(body.session)
        if run is None:
            return
        run.reached = self.label(body.label, body.sources)
        child = self._runs.get(body.child)
        passed_on = run.reached if not run.pending or child is None else child.reached
        if not run.pending or (child is not None and passed_on.within(run.reached)):
            run.label = run.label.join(passed_on)
        run.touches += 1
        run.awaits = body.awaits
        if child is not None:
            run.seen |= child.seen
            run.told.join(child.told)

    def decision(self, body: DecisionMade, subject: EntityRef, memory: Memory | None, request: Asked) -> None:
        """A decision was made in a session, if it is the subject's."""
        run = self._runs.get(body.session or "")
        if run is None or run.agent != subject.id or run.task != body.task:
            return
        permitted = body.effect == "permit"
        if permitted:
            name = counted_as(body.action, body.resource)
            run.calls[name] = run.calls.get(name, 0) + 1
            if run.told.wants(body):
                run.told.made(body, request(body, subject))
            worst = self._actions.worst(body)
            if memory is not None:
                worst = under_way(worst, memory)
            if not worst.within(run.label):
                run.pending = with_pending(run.pending, DecisionId(body.id), worst)
            if worst != PUBLIC_TRUSTED:
                run.open[body.id] = worst.untrusted
                run.tainting += worst.untrusted
                run.touches += 1
        else:
            run.denials += 1
        run.reached = self.label(body.label, body.sources)
        if body.action == SESSION_DECLASSIFY and permitted and body.enforced:
            run.label = run.reached

    def outcome(self, body: OutcomeSeen, time: int) -> None:
        """An outcome was reported: what the session has touched is known better."""
        run = self._runs.get(body.session or "")
        if run is None:
            return
        run.reached = self.label(body.label, body.sources)
        run.tainting -= run.open.pop(body.decision, False)
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

    def label(self, level: str, sources: tuple[str, ...]) -> Label:
        """A label as entries write it."""
        known = self._labels.get((level, sources))
        if known is None:
            if len(self._labels) > _REMEMBERED:
                self._labels.clear()
            known = self._labels[level, sources] = Label(Confidentiality(level), sources)
        return known
