"""A rate is spent once, whoever asks at once: of a task, of what it was delegated from, of an agent over all its tasks."""

import re

import pytest
from msgspec.structs import replace

from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Deny, Reason
from remit.model.errors import RemitError
from remit.model.identity import Agent, AgentId
from remit.model.rate import Rate
from remit.model.task import Budgets, Session
from remit.runtime import administration
from tests.conftest import OpenStore
from tests.faults.test_concurrency import at_once, reasons
from tests.faults.test_two_processes import Begun
from tests.runtime.world import ANA, MANIFEST, Clock, World, asked, permit, reason, small_bundle

FIVE = Budgets(rates=(Rate(60, 5, "look"),))
AGENT_RATES = (
    MANIFEST + "agent_rates:\n- {tool: look, calls: 5, seconds: 60}\n- {tool: pay, argument: amount, sum: 10.5, seconds: 60}\n"
)


@pytest.fixture
def bounded(open_store: OpenStore) -> World:
    """Each agent looks five times in a minute."""
    return open_store(bundle=small_bundle(manifest=AGENT_RATES))


def stored(world: World, session: Session) -> int:
    task = world.store.task(session.task)  # type: ignore[arg-type]
    assert task is not None
    return sum(len(window) for window in task.spent.rates.values())


def look_at_once_in_two(world: World, other: World, first: Session, second: Session) -> None:
    """Two processes decide at once, of one look that is left; then both end."""
    permit(other.ask(second, "read"))
    waiting = Begun(world, first, "look")
    permit(other.ask(second, "look"))
    assert isinstance(waiting.finish(), Deny)
    world.close()
    other.close()


def _renamed(agent: Agent) -> Agent:
    return replace(agent, purpose="helps more", version=agent.version + 1)


class TestOfATask:
    @pytest.mark.parametrize("colour", ["threads", "tasks"])
    @pytest.mark.parametrize("sessions", [1, 64])
    def test_is_spent_exactly(self, world: World, colour: str, sessions: int) -> None:
        task = world.open_task(budgets=FIVE)
        own = [world.open_session(task) for _ in range(sessions)] * (64 // sessions)
        decisions = at_once(world, [asked(session, "look") for session in own], colour)
        assert reasons(decisions) == {"permitted": 5, "budget-exhausted": 59}
        assert stored(world, own[0]) == 5

    def test_says_when_to_ask_again_and_holds_to_it(self, world: World, clock: Clock) -> None:
        session = world.open_session(budgets=FIVE)
        for _ in range(5):
            permit(world.ask(session, "look"))
            clock.forward(1)
        denied = world.ask(session, "look")
        assert isinstance(denied, Deny) and denied.reason is Reason.BUDGET_EXHAUSTED
        assert "5 calls of `look` in 60 s is used up: ask again in 55 s, at 2027-01-15T08:01:00Z" in denied.message
        permit(world.ask(session, "read"))
        clock.forward(54)
        assert reason(world.ask(session, "look")) is Reason.BUDGET_EXHAUSTED
        clock.forward(1)
        permit(world.ask(session, "look"))
        assert reason(world.ask(session, "look")) is Reason.BUDGET_EXHAUSTED

    def test_of_the_parent_is_spent_by_all_its_sub_tasks(self, world: World) -> None:
        parent = world.open_task(budgets=FIVE)
        wider = Budgets(rates=(Rate(60, 50, "look"),))
        own = [world.open_session(world.open_task(parent=parent.id, budgets=wider)) for _ in range(4)]
        assert [rate.calls for rate in world.store.task(own[0].task).task.budgets.rates] == [5]  # type: ignore[arg-type,union-attr]
        decisions = at_once(world, [asked(session, "look") for session in own * 4], "threads")
        assert reasons(decisions) == {"permitted": 5, "budget-exhausted": 11}

    def test_last_over_a_restart_and_hold_in_another_process(self, open_store: OpenStore, clock: Clock) -> None:
        world, other = open_store(), open_store(again=True)
        task = world.open_task(budgets=Budgets(rates=(Rate(60, 1, "look"),)))
        first = world.open_session(task)
        look_at_once_in_two(world, other, first, other.open_session(task))
        again = open_store(again=True)
        assert reason(again.ask(again.open_session(task), "look")) is Reason.BUDGET_EXHAUSTED
        clock.forward(60)
        permit(again.ask(first, "look"))

    @pytest.mark.parametrize("rate", [Rate(0, 1), Rate(1), Rate(1, 1, sum=1), Rate(1, -1), Rate(1, 1001), Rate(1, argument="a", sum=1),
                                      Rate(1, 1, "a", "b"), Rate(1, tool="a", argument="n", sum=-1), Rate(10**9, 1)])  # fmt: skip
    def test_that_says_nothing_that_can_be_opens_no_task(self, world: World, rate: Rate) -> None:
        with pytest.raises(RemitError):
            world.open_task(budgets=Budgets(rates=(rate,)))


class TestOfAnAgent:
    @pytest.mark.parametrize("colour", ["threads", "tasks"])
    def test_counts_over_all_its_tasks(self, bounded: World, colour: str) -> None:
        own = [bounded.open_session() for _ in range(16)]
        decisions = at_once(bounded, [asked(session, "look") for session in own * 4], colour)
        assert reasons(decisions) == {"permitted": 5, "budget-exhausted": 59}
        assert any(isinstance(one, Deny) and one.message.startswith("agent `bot`: its rate") for one in decisions)

    def test_and_over_processes_restarts_and_its_own_changes(self, open_store: OpenStore, clock: Clock) -> None:
        bundle = small_bundle(manifest=AGENT_RATES.replace("calls: 5", "calls: 1"))
        world, other = open_store(bundle=bundle), open_store(again=True)
        look_at_once_in_two(world, other, world.open_session(), other.open_session())
        again = open_store(again=True)
        again.embedded.runtime.view.refresh()
        administration.change_agent(again.runtime, AgentId("bot"), _renamed, ANA).result()
        assert reason(again.ask(again.open_session(), "look")) is Reason.BUDGET_EXHAUSTED
        clock.forward(60)
        permit(again.ask(again.open_session(), "look"))

    def test_another_agent_has_its_own(self, bounded: World) -> None:
        bounded.register("eve")
        for _ in range(5):
            permit(bounded.ask(bounded.open_session(), "look"))
        assert reason(bounded.ask(bounded.open_session(), "look")) is Reason.BUDGET_EXHAUSTED
        assert permit(bounded.ask(bounded.open_session(agent="eve"), "look")).reason is Reason.PERMITTED

    def test_sums_are_of_what_was_permitted(self, bounded: World) -> None:
        session = bounded.open_session()
        assert reason(bounded.ask(session, "pay", {"to": "boss@corp.com", "amount": 11})) is Reason.BUDGET_EXHAUSTED
        assert reason(bounded.ask(session, "pay", {"to": "boss@corp.com", "amount": 6})) is Reason.APPROVAL_REQUIRED
        assert reason(bounded.ask(session, "pay", {"amount": "six"})) is Reason.MALFORMED_ARGUMENTS
        account = bounded.store.account("bot")  # type: ignore[arg-type]
        assert account is not None and not account.rates

    def test_without_a_task_too(self, bounded: World) -> None:
        asked_free = [bounded.ask(None, "free") for _ in range(3)]
        assert all(not isinstance(one, Deny) for one in asked_free)

    def test_an_outcome_gives_nothing_back(self, bounded: World) -> None:
        session = bounded.open_session()
        for _ in range(5):
            bounded.report(permit(bounded.ask(session, "look")), session, OutcomeStatus.NOT_PERFORMED)
        denied = bounded.ask(session, "look")
        assert isinstance(denied, Deny) and re.search("ask again in 60 s", denied.message)
