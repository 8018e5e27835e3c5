"""Stores to measure on: opened, published to, with an agent at work; and a writer that keeps nothing, to leave the disk out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from remit.decision_log.append import Appender
from remit.decision_log.encoding import encode_body, seal_line
from remit.decision_log.entry import NO_ENTRY, WriterOpened
from remit.decision_log.merkle import leaf_hash
from remit.decision_log.store import Line, Record
from remit.inventory.agents import registered
from remit.local.config import Settings
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Decision, Permit
from remit.model.identity import AgentId, DecisionId, EntityRef, Operator, new_id
from remit.model.request import TOOL_CALL, EvaluationRequest, readable
from remit.model.task import Session
from remit.model.values import freeze
from remit.pdp.locus import Locus, locus_of
from remit.runtime import administration, sessions, tasks
from remit.runtime.authorize import consider, evaluate, load
from remit.runtime.records import decision_record
from remit.runtime.runtime import Runtime
from remit.runtime.tasks import Opening
from remit.runtime.writes import Write

AGENT = "bot"
OPERATOR = Operator("bench", "os")


@contextmanager
def opened(home: Path, store: str = "") -> Iterator[Embedded]:
    """A store: the embedded one, or the one at an address."""
    embedded = Embedded(home, Settings(store=store))
    try:
        yield embedded
    finally:
        embedded.close()


def furnish(embedded: Embedded, bundle: Path) -> None:
    """Publish a bundle from its folder and register the agent."""
    publish_folder(embedded, bundle, OPERATOR)
    register = administration.change_agent(
        embedded.runtime, AGENT, lambda agent: registered(agent, AGENT, "owner", "is measured", ("support",)), OPERATOR
    )
    register.result()


def open_sessions(runtime: Runtime, count: int) -> list[Session]:
    """So many sessions of one new task."""
    task = tasks.open_task(runtime, Opening(AGENT, "be measured"), OPERATOR).result()
    return [sessions.open_session(runtime, task.id).result() for _ in range(count)]


def request(session: Session, tool: str, arguments: dict[str, Any]) -> EvaluationRequest:
    """The request of one tool call, from the arguments as a caller has them."""
    subject, resource = EntityRef("Agent", AGENT), EntityRef("Tool", tool)
    return EvaluationRequest(subject, TOOL_CALL, resource, freeze(arguments), session.task, session.id)


def expect_permit(decision: Decision) -> Permit:
    """The permit; a benchmark of denials or faults would measure something else."""
    assert isinstance(decision, Permit) and decision.enforced, decision
    return decision


def call_once(embedded: Embedded, asked: EvaluationRequest) -> Permit:
    """One call with its outcome. The session then holds what the tool can touch: every call from then on is like the one before."""
    permit = expect_permit(embedded.evaluate(asked).result())
    embedded.report(Outcome(permit.id, asked.session, OutcomeStatus.SUCCEEDED, "done")).result()
    return permit


class Diskless:
    """A group store that says yes and keeps nothing."""

    reopened = False

    @contextmanager
    def transaction(self) -> Iterator["Diskless"]:
        """Begin nothing."""
        yield self

    def apply(self, changes: Sequence[tuple[Sequence[Write], int]]) -> list[bool]:
        """Everything fits."""
        return [True] * len(changes)

    def append(self, lines: Sequence[Line]) -> None:
        """Forget the lines, which are sealed, chained and hashed by now."""


class Desk:
    """Authorizations of one tool without the disk: everything the product does for one, in its own functions."""

    def __init__(self, embedded: Embedded, tool: str, arguments: dict[str, Any]) -> None:
        self._tool = tool
        [self._session] = open_sessions(embedded.runtime, 1)
        opening = Record(encode_body(WriterOpened("bench", 0)), "writer.opened")
        self.view = embedded.runtime.view
        self.runtime = Runtime(
            self.view, Appender(Diskless(), "wri_bench", opening), embedded.runtime.clock, embedded.runtime.ask
        )
        self._seq, self._prev = 0, NO_ENTRY
        self.basis = call_once(embedded, request(self._session, tool, arguments)).basis

    def authorize(self, arguments: dict[str, Any]) -> Decision:
        """From raw arguments to the decision, its effects in force, its entry digested, sealed, chained and hashed."""
        asked, now = readable(request(self._session, self._tool, arguments)), self.runtime.clock()
        with self.view.lock:
            loaded = load(self.runtime, asked, DecisionId(new_id("dec", now)), now)
            decided = consider(self.runtime, loaded).decided
            session = decided.effects.session
            record = decision_record(loaded.inputs, decided.decision, session, loaded.key)
            self.view.move(session, decided.effects.tasks)
        leaf = leaf_hash(seal_line(record.body, "wri_bench", self._seq, now, self._prev))
        self._seq, self._prev = self._seq + 1, leaf.hex()
        return decided.decision

    def answer(self, arguments: dict[str, Any]) -> Decision:
        """The same as a caller meets it, through the writer's queue and a group that is written nowhere."""
        return expect_permit(evaluate(self.runtime, request(self._session, self._tool, arguments)).result())

    def locus(self) -> Locus:
        """Where its calls fall: the slice, the entities and the names that the engine is asked with."""
        agent = self.view.agent(AgentId(AGENT))
        assert self.view.bundle is not None and agent is not None
        return locus_of(self.view.bundle, agent, request(self._session, self._tool, {}))

    def prepared(self, arguments: Callable[[], dict[str, Any]]) -> Callable[[int], list[dict[str, Any]]]:
        """What `rounds.Case` prepares: arguments for so many calls."""

        def prepare(count: int) -> list[dict[str, Any]]:
            items = [arguments() for _ in range(count)]
            expect_permit(self.authorize(arguments()))
            self.view.permits.clear()  # nobody reports what became of these
            self.view.live.clear()
            return items

        return prepare
