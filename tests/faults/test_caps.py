"""An agent cannot bury who answers for it: so many access requests wait, no more; what is denied stays denied, and nothing is lost."""

import asyncio

import pytest

from remit.model.authorizer import ApprovalState
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.identity import AgentId, Operator
from remit.pap.problems import BundleError
from remit.pep.gate import explain
from remit.runtime.approving import answering
from remit.runtime.approving.overdue import sweep
from remit.runtime.approving.requesting import Submission, cancel, submit
from remit.runtime.tasks import AgentOpener, Opening, close_task, open_task
from tests.conftest import OpenStore
from tests.faults.test_approvals import _await, requested
from tests.runtime.world import CARL, MANIFEST, Clock, World, asked, permit, small_bundle

CAPPED = MANIFEST + "approvals: {per_task: 3, per_agent: 5}\n"


@pytest.fixture
def capped(open_store: OpenStore) -> World:
    return open_store(bundle=small_bundle(manifest=CAPPED))


def too_many(decision: Decision) -> Deny:
    assert isinstance(decision, Deny) and decision.reason is Reason.TOO_MANY_REQUESTS, decision
    assert decision.approval is None and decision.requestable is not None
    return decision


def pending(world: World) -> int:
    return len(world.store.approvals(ApprovalState.PENDING, 1000))


def test_one_too_many_of_a_task_is_denied_and_asks_for_nothing(capped: World) -> None:
    session = capped.open_session()
    first = [requested(capped.ask(session, "pay", {"to": str(n)})) for n in range(3)]
    denied = too_many(capped.ask(session, "pay", {"to": "more"}))
    assert "3 access requests of this task wait already" in denied.message and "pay-asks" in denied.message
    assert "No access request was opened" in explain(denied)
    assert pending(capped) == 3
    assert [requested(capped.ask(session, "pay", {"to": str(n)})) for n in range(3)] == first, "those that wait still do"
    answering.resolve(capped.runtime, first[0], CARL, True).result()
    requested(capped.ask(session, "pay", {"to": "more"}))
    too_many(capped.ask(session, "pay", {"to": "yet more"}))
    assert permit(capped.ask(session, "pay", {"to": "0"})).approval == first[0], "what was approved is used all the same"
    assert [made.reason for made in capped.decisions()].count("too-many-requests") == 2, "on record as what it was"
    capped.verified()
    capped.faithful()


def test_other_tasks_may_ask_until_the_agent_has_too_many(capped: World) -> None:
    sessions = [capped.open_session() for _ in range(3)]
    for session in sessions[:2]:
        for n in range(2):
            requested(capped.ask(session, "pay", {"to": str(n)}))
    requested(capped.ask(sessions[2], "pay", {"to": "0"}))
    assert "of this agent wait already" in too_many(capped.ask(sessions[2], "pay", {"to": "1"})).message
    capped.register("other")
    requested(capped.ask(capped.open_session(agent="other"), "pay", {"to": "1"}))
    closed = sessions[0].task
    assert closed is not None
    close_task(capped.runtime, closed, "ana").result()
    requested(capped.ask(sessions[2], "pay", {"to": "1"}))


def test_what_expired_does_not_count(capped: World, clock: Clock) -> None:
    session = capped.open_session()
    first = [requested(capped.ask(session, "pay", {"to": str(n)})) for n in range(3)]
    clock.forward(30 * 60 - 1)
    too_many(capped.ask(session, "pay", {"to": "3"}))
    clock.forward(1)
    assert requested(capped.ask(session, "pay", {"to": "3"})) not in first


def test_what_its_agent_takes_back_counts_as_long_as_it_could_have_waited(capped: World, clock: Clock) -> None:
    session, agent = capped.open_session(), Operator("bot", "agent")
    for number in range(3):
        asked_for = requested(capped.ask(session, "pay", {"to": "x"}))
        if number:
            submit(capped.runtime, asked_for, Submission("bot", "agent", until=clock.now + 1)).result()
        else:
            cancel(capped.runtime, asked_for, agent).result()
        clock.forward(0.01)
        sweep(capped.runtime).result()
    assert pending(capped) == 0, "nobody has to answer them, but people were told of each"
    too_many(capped.ask(session, "pay", {"to": "x"}))
    clock.forward(30 * 60)
    requested(capped.ask(session, "pay", {"to": "x"}))


def test_tasks_that_an_agent_opens_and_closes_again_make_no_room(capped: World, clock: Clock) -> None:
    above = capped.open_task()
    for _ in range(5):
        clock.forward(0.01)
        below = open_task(capped.runtime, Opening("bot", "again", parent=above.id), AgentOpener(AgentId("bot"))).result()
        requested(capped.ask(capped.open_session(below), "pay", {"to": "x"}))
        close_task(capped.runtime, below.id, "bot").result()
    assert "of this agent wait already" in too_many(capped.ask(capped.open_session(above), "pay", {"to": "x"})).message


def test_long_requests_are_read_once_however_often_others_are_counted(capped: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session, looks = capped.open_session(), list[int]()
    read = capped.store.approvals_named
    monkeypatch.setattr(capped.store, "approvals_named", lambda names: looks.append(len(names)) or read(names))
    for number in range(3):
        requested(capped.ask(session, "pay", {"to": str(number), "note": "x" * 100_000}))
    for number in range(5):
        too_many(capped.ask(session, "pay", {"to": f"more {number}"}))
    assert sum(looks) == 3, "each counts with every request, and is long"


def test_sixty_four_at_once_open_no_more_than_may(capped: World) -> None:
    session = capped.open_session()

    async def work() -> list[Decision]:
        calls = [_await(capped.embedded.evaluate(asked(session, "pay", {"to": str(n)}))) for n in range(64)]
        return list(await asyncio.gather(*calls))

    decisions = asyncio.run(work())
    assert not [one for one in decisions if isinstance(one, Permit)]
    assert len([one for one in decisions if one.approval]) == pending(capped) == 3


def test_it_holds_over_a_restart(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(manifest=CAPPED))
    session = world.open_session()
    for n in range(3):
        requested(world.ask(session, "pay", {"to": str(n)}))
    world.close()
    world = open_store(again=True)
    assert "3 access requests of this task wait already" in too_many(world.ask(session, "pay", {"to": "3"})).message
    assert pending(world) == 3


def test_the_default_is_twenty_of_a_task_and_a_hundred_of_an_agent(world: World) -> None:
    for _ in range(5):
        session = world.open_session()
        for n in range(20):
            requested(world.ask(session, "pay", {"to": str(n)}))
        too_many(world.ask(session, "pay", {"to": "20"}))
    assert "of this agent" in too_many(world.ask(world.open_session(), "pay", {"to": "0"})).message
    assert pending(world) == 100


@pytest.mark.parametrize("written", [
    "{per_task: 0}", "{per_agent: 1001}", "{escalate_after: -1}", "{escalate_to: [x]}", "{escalate_after: 60, escalate_to: ['']}",
    "{rules: {critical: three}}", "{rules: {top: two}}", "{per_tusk: 3}", "[]",
])  # fmt: skip
def test_terms_that_are_none_are_told_with_their_line(written: str) -> None:
    with pytest.raises(BundleError) as caught:
        small_bundle(manifest=MANIFEST + f"approvals: {written}\n")
    [problem] = caught.value.problems
    assert (problem.file, problem.line) == ("bundle.yaml", 4)


def test_nothing_else_is_denied_for_it(capped: World) -> None:
    session = capped.open_session()
    too_many([capped.ask(session, "pay", {"to": str(n)}) for n in range(4)][-1])
    assert permit(capped.ask(session, "look")).reason is Reason.PERMITTED
