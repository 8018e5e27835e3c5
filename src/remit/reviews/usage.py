"""What honest tasks did in a window of the log: which actions on which resources, for each type of task."""

from collections import Counter
from collections.abc import Iterable, Set
from typing import Any

import msgspec

from remit.decision_log.encoding import decode
from remit.decision_log.entry import DecisionMade
from remit.model.identity import Agent, EntityRef
from remit.model.values import thaw
from remit.pdp.compiled import CompiledBundle
from remit.reviews.archive import Archive
from remit.reviews.asking import ASK, Asker, Gap, Sealed, open_sealed, subject_of
from remit.reviews.history import LoggedState, Wanted

MAX_USES = 100_000


class Place(msgspec.Struct, frozen=True, order=True):
    """Where something was done: the type of its task (empty for none, None without a task), the action, the resource."""

    type: str | None
    action: str
    resource: EntityRef


class Example(msgspec.Struct, frozen=True):
    """One call that was honest: who made it, in a task to do what, with which arguments."""

    decision: str
    agent: Agent
    purpose: str
    arguments: dict[str, Any]


class Use(msgspec.Struct):
    """How often something was done, in how many tasks, the greatest number each argument had, and one call of it."""

    example: Example
    count: int = 0
    tasks: set[str] = msgspec.field(default_factory=set)
    greatest: dict[str, int | float] = msgspec.field(default_factory=dict)


class LeftOut(msgspec.Struct):
    """Calls that no proposal permits, by why: how many, and one of them."""

    count: int
    decision: str


class Usage(msgspec.Struct):
    """What was found. `gaps` counts decisions that cannot be read any more."""

    uses: dict[Place, Use]
    left_out: dict[str, LeftOut]
    gaps: dict[str, int]
    decisions: int
    tasks: int


def usage_of(
    lines: Iterable[bytes], archive: Archive, floor: CompiledBundle, since: int = 0, without: Set[str] = frozenset()
) -> Usage:
    """Follow a log from its first line. Honest is what `floor` permits, or what a person approved; not what tasks in `without` did, nor
    what was done under break-glass.

    `since`: what was done before (µs) does not count. Raises `RemitError` (corrupt) for a line that is none.
    """
    return _Gathering(archive, floor, since, without).run(lines)


class _Gathering:
    def __init__(self, archive: Archive, floor: CompiledBundle, since: int, without: Set[str]) -> None:
        self._history = LoggedState(archive, Wanted(flows=floor.reads("flow") or floor.reads("facts"), facts=(floor.facts,)))
        self._asker = Asker(floor, self._history, archive)
        self._since, self._without = since, without
        self._uses: dict[Place, Use] = {}
        self._left_out: dict[str, LeftOut] = {}
        self._gaps: Counter[str] = Counter()
        self._decisions = 0
        self._tasks: set[str] = set()

    def run(self, lines: Iterable[bytes]) -> Usage:
        """Follow the log."""
        for index, line in enumerate(lines):
            entry = decode(index, line)
            body = entry.body
            if isinstance(body, DecisionMade):
                self._decision(body)
            else:
                self._history.take(body, entry.time)
        return Usage(self._uses, self._left_out, dict(self._gaps), self._decisions, len(self._tasks))

    def _decision(self, body: DecisionMade) -> None:
        key = self._history.key(body.chain[0] if body.chain else None)
        sealed = open_sealed(body, key) if key is not None else None
        subject = subject_of(body, self._history)
        if body.at >= self._since:
            self._decisions += 1
            try:
                self._count(body, subject, sealed)
            except Gap as gap:
                self._gaps[str(gap)] += 1
        known = sealed or Sealed(msgspec.Raw(b"{}"), "")
        self._history.take_decision(body, subject, lambda body, subject: Asker.request(body, subject, known))

    def _count(self, body: DecisionMade, subject: EntityRef, sealed: Sealed | None) -> None:
        if sealed is None:
            raise Gap("its task was erased")
        if not self._without.isdisjoint(body.chain):
            self._leave_out(body, "its task was left out")
            return
        if body.break_glass:
            self._leave_out(body, "two people let it pass, against policy (break-glass)")
            return
        result = self._asker.ask(body, subject, sealed).result
        approved = result.effect == ASK and body.effect == "permit" and body.enforced and body.approval is not None
        agent = self._history.agent(subject.id, body.subject_version)
        if agent is None or not (result.effect == "permit" or approved):
            why = f"{result.reason}: {', '.join(result.policies)}" if result.policies else result.reason
            self._leave_out(body, why)
            return
        self._use(body, agent, thaw(bytes(sealed.arguments)).values)

    def _use(self, body: DecisionMade, agent: Agent, arguments: dict[str, Any]) -> None:
        chain = self._history.tasks.chain(body.task) or ()
        place = Place(chain[0].task.type if chain else None, body.action, EntityRef(body.resource_type, body.resource))
        use = self._uses.get(place)
        if use is None:
            if len(self._uses) >= MAX_USES:
                self._leave_out(body, f"more than {MAX_USES} different uses")
                return
            use = self._uses[place] = Use(Example(body.id, agent, chain[0].task.purpose if chain else "", arguments))
        use.count += 1
        if body.task is not None:
            use.tasks.add(body.task)
            self._tasks.add(body.task)
        for name, value in arguments.items():
            if type(value) in (int, float):
                use.greatest[name] = max(value, use.greatest.get(name, value))

    def _leave_out(self, body: DecisionMade, why: str) -> None:
        self._left_out.setdefault(why, LeftOut(0, body.id)).count += 1
