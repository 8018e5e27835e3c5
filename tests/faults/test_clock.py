"""A clock that goes backwards: nothing that had ended begins again, in this process or after a restart."""

import pytest

from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Deny, Reason
from remit.model.errors import RemitError
from remit.model.identity import EntityRef
from remit.model.task import Task
from remit.runtime import sessions
from remit.runtime.approving import answering
from tests.conftest import OpenStore
from tests.runtime.world import CARL, Clock, World, asked, permit, reason

HOUR = 3600


def moved_on(world: World, clock: Clock) -> Task:
    """A task opened two hours before the last call of its session."""
    task = world.open_task(seconds=24 * HOUR)
    clock.forward(2 * HOUR)
    return task


@pytest.mark.parametrize("seconds", [-1.1, -HOUR, -(10**9)])
def test_a_session_that_acted_later_than_now_is_denied(world: World, clock: Clock, seconds: float) -> None:
    session = world.open_session(moved_on(world, clock))
    permit(world.ask(session, "look"))
    clock.forward(seconds)
    assert reason(world.ask(session, "look")) is Reason.CLOCK_BACKWARDS
    clock.forward(-seconds)
    permit(world.ask(session, "look"))


def test_a_clock_that_is_corrected_by_less_than_a_second_is_no_fault(world: World, clock: Clock) -> None:
    session = world.open_session(moved_on(world, clock))
    permit(world.ask(session, "look"))
    clock.forward(-0.9)
    assert permit(world.ask(session, "look")).reason is Reason.PERMITTED


def test_small_corrections_do_not_add_up(world: World, clock: Clock) -> None:
    session = world.open_session(moved_on(world, clock))
    permit(world.ask(session, "look"))
    for _ in range(3):
        clock.forward(-0.9)
        last = world.ask(session, "look")
    assert reason(last) is Reason.CLOCK_BACKWARDS


@pytest.mark.parametrize(
    "request_",
    [
        {"malformed": "unreadable"},
        {"action": "nothing"},
        {"subject": EntityRef("Agent", "nobody")},
        {"resource": EntityRef("Tool", "")},
    ],
)
def test_a_denied_call_does_not_make_the_session_forget_the_time(world: World, clock: Clock, request_: dict[str, str]) -> None:
    session = world.open_session(moved_on(world, clock))
    permit(world.ask(session, "look"))
    clock.forward(-HOUR)
    assert isinstance(world.ask(session, "look", **request_), Deny)
    assert reason(world.ask(session, "look")) is Reason.CLOCK_BACKWARDS


def test_an_outcome_does_not_make_the_session_forget_the_time(world: World, clock: Clock) -> None:
    session = world.open_session(moved_on(world, clock))
    given = permit(world.ask(session, "look"))
    clock.forward(-HOUR)
    world.report(given, session, OutcomeStatus.SUCCEEDED, "text")
    assert reason(world.ask(session, "look")) is Reason.CLOCK_BACKWARDS


def test_it_is_noticed_after_a_restart(open_store: OpenStore, clock: Clock) -> None:
    world = open_store()
    session = world.open_session(moved_on(world, clock))
    permit(world.ask(session, "look"))
    world.close()
    clock.forward(-HOUR)
    world = open_store(again=True)
    assert reason(world.ask(session, "look")) is Reason.CLOCK_BACKWARDS


@pytest.mark.parametrize("restart", [False, True])
def test_an_expired_task_is_not_revived_by_a_new_session(open_store: OpenStore, clock: Clock, restart: bool) -> None:
    world = open_store()
    task = world.open_task(seconds=HOUR)
    session = world.open_session(task)
    clock.forward(HOUR + 60)
    assert reason(world.ask(session, "look")) is Reason.TASK_EXPIRED
    clock.forward(-HOUR / 2)
    if restart:
        world.close()
        world = open_store(again=True)
    try:
        again = sessions.open_session(world.runtime, task.id).result()
    except RemitError:
        return
    assert isinstance(world.ask(again, "look"), Deny)


def test_it_is_noticed_without_a_task_too(world: World, clock: Clock) -> None:
    permit(world.ask(None, "free"))
    clock.forward(-HOUR)
    assert reason(world.ask(None, "free")) is Reason.CLOCK_BACKWARDS


def test_a_permit_does_not_live_longer_because_the_clock_went_back(world: World, clock: Clock) -> None:
    given = permit(world.ask(world.open_session(), "look"))
    clock.forward(-HOUR)
    assert not world.embedded.may_act(given.id)


def test_an_approval_does_not_live_longer_because_the_clock_went_back(world: World, clock: Clock) -> None:
    session = world.open_session(moved_on(world, clock))
    denied = world.ask(session, "pay", {"to": "boss@corp.com"})
    assert isinstance(denied, Deny) and denied.approval is not None
    answering.resolve(world.runtime, denied.approval, CARL, True).result()
    clock.forward(HOUR)
    assert isinstance(world.ask(session, "pay", {"to": "boss@corp.com"}), Deny)
    clock.forward(-HOUR)
    assert reason(world.ask(session, "pay", {"to": "boss@corp.com"})) is Reason.CLOCK_BACKWARDS


def test_entries_of_a_writer_never_go_back_in_time(world: World, clock: Clock) -> None:
    session = world.open_session(moved_on(world, clock))
    for seconds in (0, -HOUR, 10, -5, HOUR):
        clock.forward(seconds)
        world.embedded.evaluate(asked(session, "look")).result()
    times = [entry.time for entry in world.entries()]
    assert times == sorted(times)
    assert world.verified()


@pytest.mark.parametrize("now", [-1, 0, 2**62])
def test_no_clock_makes_evaluate_raise(world: World, clock: Clock, now: int) -> None:
    session = world.open_session()
    clock.now = now
    assert isinstance(world.ask(session, "look"), Deny)
