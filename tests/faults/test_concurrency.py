"""Sixty-four calls at once: none spends a budget twice, none is lost, every one has its entry."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Decision, Deny, Permit
from remit.model.request import EvaluationRequest
from remit.model.task import Amount, Budgets, Session
from remit.runtime import tasks
from remit.runtime.tasks import close_task
from tests.runtime.world import ANA, World, asked

pytestmark = pytest.mark.disk

CALLS = 64


def at_once(world: World, requests: list[EvaluationRequest], colour: str, report: bool = False) -> list[Decision]:
    """Evaluate all at once, in threads or in asynchronous tasks; and report each permit, if wanted."""

    def outcome(request: EvaluationRequest, given: Permit) -> Outcome:
        return Outcome(given.id, request.session, OutcomeStatus.SUCCEEDED, "seen")

    if colour == "tasks":

        async def one(request: EvaluationRequest) -> Decision:
            decision = await world.embedded.evaluate(request)
            if report and isinstance(decision, Permit):
                await world.embedded.report(outcome(request, decision))
            return decision

        async def all_() -> list[Decision]:
            return list(await asyncio.gather(*map(one, requests)))

        return asyncio.run(all_())
    decisions: list[Decision] = []
    start = threading.Barrier(len(requests))

    def one_(request: EvaluationRequest) -> None:
        start.wait()
        decision = world.embedded.evaluate(request).result()
        if report and isinstance(decision, Permit):
            world.embedded.report(outcome(request, decision)).result()
        decisions.append(decision)

    threads = [threading.Thread(target=one_, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return decisions


def reasons(decisions: list[Decision]) -> Counter[str]:
    return Counter(decision.reason.value for decision in decisions)


def spent(world: World, session: Session) -> Any:
    assert session.task is not None
    stored = world.store.task(session.task)
    assert stored is not None
    return stored.spent


@pytest.mark.parametrize("colour", ["threads", "tasks"])
@pytest.mark.parametrize("sessions", [1, 64])
@pytest.mark.parametrize("budget", [
    (Budgets(calls=7), {}, 7), (Budgets(tools={"look": 5}), {}, 5), (Budgets(amounts={"look.amount": Amount(100_0000)}), {"amount": 9.0001}, 11),
    (Budgets(calls=64), {}, 64), (Budgets(calls=0), {}, 0),
], ids=["calls", "tool", "amount", "all", "none"])  # fmt: skip
def test_one_budget_is_spent_exactly(world: World, colour: str, sessions: int, budget: tuple[Any, Any, int]) -> None:
    bounds, arguments, expected = budget
    task = world.open_task(budgets=bounds)
    own = [world.open_session(task) for _ in range(sessions)] * (CALLS // sessions)
    decisions = at_once(world, [asked(session, "look", arguments) for session in own], colour)
    expected_reasons = {"permitted": expected, "budget-exhausted": CALLS - expected}
    assert reasons(decisions) == {reason: n for reason, n in expected_reasons.items() if n}
    assert spent(world, own[0]).calls == expected
    assert (report := world.verified()).permits == expected and report.denials == CALLS - expected


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_a_budget_of_the_parent_is_spent_by_all_its_sub_tasks(world: World, colour: str) -> None:
    parent = world.open_task(budgets=Budgets(calls=10))
    own = [world.open_session(world.open_task(parent=parent.id, budgets=Budgets(calls=3))) for _ in range(8)]
    decisions = at_once(world, [asked(session, "look") for session in own * 8], colour)
    assert reasons(decisions) == {"permitted": 10, "budget-exhausted": 54}
    stored = world.store.task(parent.id)
    assert stored is not None and stored.spent.calls == 10
    assert sum(spent(world, session).calls for session in own) == 10
    assert max(spent(world, session).calls for session in own) <= 3


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_a_session_counts_every_call_and_every_outcome(world: World, colour: str) -> None:
    session = world.open_session()
    requests = [asked(session, ("look", "read", "never", "secret")[n % 4]) for n in range(CALLS)]
    decisions = at_once(world, requests, colour, report=True)
    assert reasons(decisions) == {"permitted": 48, "forbidden": 16}
    stored = world.store.session(session.id)
    assert stored is not None
    assert stored.calls == {"look": 16, "read": 16, "secret": 16}
    assert (stored.denials, stored.pending) == (16, {})
    assert stored.label.sources == ("read",) and stored.label.confidentiality.rank == 3
    assert len(world.store.observations(session.id)) == 48
    assert (report := world.verified()).outcomes == 48 and report.open == 0


def test_threads_and_tasks_at_once_on_one_store(world: World) -> None:
    task = world.open_task(budgets=Budgets(calls=60))
    session = world.open_session(task)
    found: list[list[Decision]] = []
    workers = [
        threading.Thread(target=lambda colour=colour: found.append(at_once(world, [asked(session, "look")] * 32, colour)))
        for colour in ("threads", "tasks", "tasks")
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert reasons([decision for part in found for decision in part]) == {"permitted": 60, "budget-exhausted": 36}
    assert world.verified().permits == 60


def test_decisions_while_tasks_are_opened_and_closed(world: World) -> None:
    """Administrative changes move the revision that every decision is committed under: nothing may be lost or starve."""
    session = world.open_session()
    stop = threading.Event()

    def administer() -> None:
        while not stop.is_set():
            close_task(world.runtime, world.open_task().id, "ana").result()

    other = threading.Thread(target=administer)
    other.start()
    decisions = [decision for _ in range(4) for decision in at_once(world, [asked(session, "look")] * 16, "threads")]
    stop.set()
    other.join()
    assert reasons(decisions) == {"permitted": 64}
    stored = world.store.session(session.id)
    assert stored is not None and stored.calls == {"look": 64}
    assert world.verified()


def test_nothing_is_permitted_once_closing_the_task_has_returned(world: World) -> None:
    task = world.open_task()
    session = world.open_session(task)
    closed = threading.Event()
    after: list[Decision] = []

    def decide() -> None:
        for _ in range(40):
            began_after = closed.is_set()
            decision = world.ask(session, "look")
            if began_after:
                after.append(decision)

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    tasks.close_task(world.runtime, task.id, ANA.id).result()
    closed.set()
    for thread in threads:
        thread.join()
    after.append(world.ask(session, "look"))
    assert all(isinstance(decision, Deny) for decision in after)


def test_an_asynchronous_caller_is_never_left_waiting_when_the_writer_fails(world: World) -> None:
    """Whatever ends the writer, all that wait for it are told."""
    session = world.open_session()

    class Broken:
        """A store that fails with what nobody expects."""

        def transaction(self) -> Any:
            raise RuntimeError("unexpected")

    world.runtime.appender._store = Broken()  # type: ignore[assignment]

    async def work() -> list[Decision]:
        # More than one group, so that some are queued while the writer fails.
        calls = [_await(world.embedded.evaluate(asked(session, "look"))) for _ in range(600)]
        return list(await asyncio.wait_for(asyncio.gather(*calls), timeout=10))

    assert {type(decision) for decision in asyncio.run(work())} == {Deny}


def test_a_loop_that_ended_while_its_call_waited_does_not_stop_the_writer(world: World) -> None:
    session = world.open_session()

    async def abandon() -> None:
        asyncio.ensure_future(_await(world.embedded.evaluate(asked(session, "look"))))  # noqa: RUF006 - abandoned on purpose
        await asyncio.sleep(0)

    asyncio.run(abandon())
    assert reasons([world.ask(session, "look") for _ in range(3)]) == {"permitted": 3}
    assert [made.effect for made in world.decisions()] == ["permit"] * 4, "the one that nobody waits for is on record, too"


async def _await(pending: Any) -> Any:
    return await pending
