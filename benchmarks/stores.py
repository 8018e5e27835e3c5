"""Stores to measure on: opened, published to, with an agent at work; and a writer that keeps nothing, to leave the disk out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from remit.decision_log.append import Appender
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import WriterOpened
from remit.decision_log.store import Line, Record
from remit.inventory.agents import registered
from remit.local.config import Settings
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Decision, Permit
from remit.model.identity import EntityRef, Operator
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Session
from remit.model.values import freeze
from remit.runtime import administration, sessions, tasks
from remit.runtime.authorize import evaluate
from remit.runtime.runtime import Runtime
from remit.runtime.store import Write
from remit.runtime.tasks import Opening

AGENT = "bot"
OPERATOR = Operator("bench", "os")


@contextmanager
def opened(home: Path) -> Iterator[Embedded]:
    """An embedded store."""
    embedded = Embedded(home, Settings())
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


class Diskless:
    """A group store that says yes and keeps nothing."""

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
    """Whole authorizations of one tool without the disk: everything the product does, up to the lines a disk would take."""

    def __init__(self, embedded: Embedded, tool: str, arguments: dict[str, Any]) -> None:
        self._tool = tool
        [self._session] = open_sessions(embedded.runtime, 1)
        opening = Record(encode_body(WriterOpened("bench", 0)), "writer.opened")
        self.view = embedded.runtime.view
        self.runtime = Runtime(self.view, Appender(Diskless(), "wri_bench", opening), embedded.runtime.clock)
        first = request(self._session, tool, arguments)
        permit = expect_permit(embedded.evaluate(first).result())
        # With one outcome the session has touched what the tool touches: every call from then on is like the one before.
        embedded.report(Outcome(permit.id, self._session.id, OutcomeStatus.SUCCEEDED, "done")).result()
        self.basis = permit.basis

    def authorize(self, arguments: dict[str, Any]) -> Decision:
        """From raw arguments to the decision, its entry chained and hashed."""
        return evaluate(self.runtime, request(self._session, self._tool, arguments)).result()

    def prepared(self, arguments: Callable[[], dict[str, Any]]) -> Callable[[int], list[dict[str, Any]]]:
        """What `rounds.Case` prepares: arguments for so many calls."""

        def prepare(count: int) -> list[dict[str, Any]]:
            items = [arguments() for _ in range(count)]
            expect_permit(self.authorize(arguments()))
            self.view.permits.clear()  # nobody reports what became of these
            self.view.live.clear()
            return items

        return prepare
