"""One recorded run as a sequence for a driver of the gate: asked call by call, answered from the recording."""

import time
from collections.abc import Generator
from typing import Any

import msgspec

from remit.local.evaluation.corpus import Recorded, RecordedStep
from remit.local.wiring import Embedded
from remit.model.authorizer import ApprovalState, Outcome, Pending
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import RemitError, unavailable
from remit.model.identity import ApprovalId, DecisionId, EntityRef, Operator
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Opening, Scope, Session
from remit.model.values import NO_ARGUMENTS, freeze
from remit.pep.gate import Denied, Enforcement, Options, OutcomeUnrecorded, enforce
from remit.runtime.sessions import open_session
from remit.runtime.tasks import MAX_PURPOSE, open_task

AGENT = "recorded-agent"
USER = Operator("user", "recorded")
TASK_SECONDS = 24 * 3600

FAULTS = frozenset({Reason.STORE_UNAVAILABLE, Reason.CONFLICT, Reason.CLOCK_BACKWARDS, Reason.NO_BUNDLE, Reason.PERMIT_EXPIRED})
"""Denials that say nothing about policy: they end an evaluation, they are not counted as attacks that were stopped."""


class Answer(msgspec.Struct, frozen=True):
    """What the gate said to one call, and how long the decision took (µs)."""

    decision: Decision
    microseconds: float

    @property
    def permitted(self) -> bool:
        """Whether the call went through."""
        return isinstance(self.decision, Permit)

    @property
    def held(self) -> bool:
        """Whether it waits for a person: an approval could lift the denial."""
        return isinstance(self.decision, Deny) and self.decision.requestable is not None


class RecordedFailure(Exception):
    """The call ended in an error when it was recorded."""


class Play:
    """One run in a task and a session of its own. `answers` has what the gate said to each call so far."""

    def __init__(self, embedded: Embedded, run: Recorded, scope: Scope) -> None:
        self.answers: list[Answer] = []
        self._embedded = embedded
        self._run = run
        self._scope = scope
        self._step: RecordedStep | None = None

    def steps(self) -> Enforcement:
        """Open the task and a session, then put each call to the gate.

        What is denied or held never happened: its output is shown to nobody. Raises `RemitError` (unavailable) if the store does not do
        its work.
        """
        runtime = self._embedded.runtime
        opening = Opening(AGENT, _purpose(self._run.intent), USER.id, scope=self._scope, seconds=TASK_SECONDS)
        task = yield open_task(runtime, opening, USER)
        session = yield open_session(runtime, task.id)
        for step in self._run.steps:
            self._step = step
            self.answers.append((yield from self._call(session, step)))
        with runtime.view.lock:
            runtime.view.forget(session.id, [task.id])

    def _call(self, session: Session, step: RecordedStep) -> Enforcement:
        witness = _Witness(self._embedded)
        try:
            yield from enforce(witness, _request(session, step), Options())
        except RecordedFailure:
            pass  # it was permitted, and how it ended has been reported
        except Denied as denied:
            witness.decision = denied.decision
        except OutcomeUnrecorded as error:
            raise unavailable(f"the evaluation stopped: {error}") from None
        decision = witness.decision
        if decision is None or decision.reason in FAULTS:
            raise unavailable(f"the evaluation stopped, nothing can be decided: {decision.message if decision else 'no answer'}")
        return Answer(decision, witness.microseconds)

    def act(self) -> str:
        """What the call returned when it was recorded. Raises `RecordedFailure` if it failed."""
        assert self._step is not None
        if self._step.error:
            raise RecordedFailure(self._step.text)
        return self._step.text

    async def act_later(self) -> str:
        """The same, for a driver that awaits."""
        return self.act()


class _Witness:
    """The store as an authorizer that remembers what it decided, and how long that took."""

    def __init__(self, inner: Embedded) -> None:
        self._inner = inner
        self.decision: Decision | None = None
        self.microseconds = 0.0

    def evaluate(self, request: EvaluationRequest) -> Pending[Decision]:
        return _Watched(self, self._inner.evaluate(request))

    def report(self, outcome: Outcome) -> Pending[None]:
        return self._inner.report(outcome)

    def may_act(self, decision: DecisionId) -> bool | Pending[bool]:
        return self._inner.may_act(decision)

    def wait(self, approval: ApprovalId, seconds: float) -> Pending[ApprovalState]:
        return self._inner.wait(approval, seconds)

    def why_denied(self, approval: ApprovalId) -> Pending[str]:
        return self._inner.why_denied(approval)


class _Watched:
    """A decision under way, with a stopwatch."""

    def __init__(self, witness: _Witness, inner: Pending[Decision]) -> None:
        self._witness = witness
        self._inner = inner

    def result(self) -> Decision:
        started = time.perf_counter()
        return self._seen(self._inner.result(), started)

    def __await__(self) -> Generator[Any, Any, Decision]:
        started = time.perf_counter()
        decision = yield from self._inner.__await__()
        return self._seen(decision, started)

    def _seen(self, decision: Decision, started: float) -> Decision:
        self._witness.microseconds = (time.perf_counter() - started) * 1_000_000
        self._witness.decision = decision
        return decision


def _request(session: Session, step: RecordedStep) -> EvaluationRequest:
    arguments, problem = NO_ARGUMENTS, ""
    try:
        arguments = freeze(step.args)
    except RemitError as error:
        problem = error.message
    tool = EntityRef("Tool", step.tool)
    return EvaluationRequest(EntityRef("Agent", AGENT), TOOL_CALL, tool, arguments, session.task, session.id, malformed=problem)


def _purpose(intent: str) -> str:
    shown = "".join(c if c.isprintable() or c in "\n\t" else " " for c in intent)
    return shown[:MAX_PURPOSE].strip() or "(nothing was asked)"
