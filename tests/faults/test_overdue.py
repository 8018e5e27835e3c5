"""What the clock does to access requests: told to further people, expired; on record once, whoever sweeps and whoever answers meanwhile."""

import threading

import pytest

from remit.decision_log.entry import ApprovalEscalated, ApprovalResolved
from remit.model.authorizer import ApprovalState
from remit.model.errors import ErrorKind, RemitError
from remit.runtime.approving import answering
from remit.runtime.approving.inbox import card, cards
from remit.runtime.approving.overdue import sweep
from remit.runtime.audit import differences
from remit.runtime.tasks import close_task
from tests.conftest import OpenStore
from tests.faults.test_approvals import requested, state
from tests.runtime.world import CARL, MANIFEST, Clock, World, permit, small_bundle

ESCALATING = MANIFEST + "approvals: {escalate_after: 300, escalate_to: [dora, 'on-call@corp.com']}\n"


@pytest.fixture
def escalating(open_store: OpenStore) -> World:
    return open_store(bundle=small_bundle(manifest=ESCALATING))


def escalated(world: World) -> list[ApprovalEscalated]:
    return [entry.body for entry in world.entries() if isinstance(entry.body, ApprovalEscalated)]


def test_one_that_nobody_answered_is_told_to_further_people_once(escalating: World, clock: Clock) -> None:
    session = escalating.open_session()
    approval = requested(escalating.ask(session, "pay", {"to": "x"}))
    clock.forward(299.9)
    assert sweep(escalating.runtime).result() == 0 and escalated(escalating) == []
    clock.forward(0.1)
    assert [sweep(escalating.runtime).result() for _ in range(3)] == [1, 0, 0]
    [told] = escalated(escalating)
    assert (told.id, told.to) == (approval, ("dora", "on-call@corp.com"))
    stored = escalating.store.approval(approval)
    assert stored is not None and (stored.escalated, stored.told) == (clock.now, told.to)
    assert card(escalating.runtime, stored).waits, "it waits as before"
    answering.resolve(escalating.runtime, approval, CARL, True).result()
    assert permit(escalating.ask(session, "pay", {"to": "x"})).approval == approval
    escalating.verified()
    escalating.faithful()
    assert differences(escalating.store.log, escalating.store) == []


def test_what_was_answered_or_cannot_be_used_is_not_told_to_anybody(escalating: World, clock: Clock) -> None:
    session, other = escalating.open_session(), escalating.open_session()
    answering.resolve(escalating.runtime, requested(escalating.ask(session, "pay", {"to": "x"})), CARL, False).result()
    requested(escalating.ask(other, "pay", {"to": "y"}))
    assert other.task is not None
    close_task(escalating.runtime, other.task, "ana").result()
    clock.forward(600)
    assert sweep(escalating.runtime).result() == 0


def test_without_a_time_nothing_is_escalated(world: World, clock: Clock) -> None:
    requested(world.ask(world.open_session(), "pay", {"to": "x"}))
    clock.forward(29 * 60)
    assert sweep(world.runtime).result() == 0


def test_one_that_expired_is_on_record_so_and_cannot_be_answered(escalating: World, clock: Clock) -> None:
    session = escalating.open_session()
    names = [requested(escalating.ask(session, "pay", {"to": str(n)})) for n in range(3)]
    clock.forward(30 * 60)
    assert [sweep(escalating.runtime).result() for _ in range(2)] == [3, 0]
    bodies = [entry.body for entry in escalating.entries() if isinstance(entry.body, ApprovalResolved)]
    assert {body.id for body in bodies} == set(names) and {(body.state, body.operator) for body in bodies} == {("expired", "")}
    with pytest.raises(RemitError) as caught:
        answering.resolve(escalating.runtime, names[0], CARL, True).result()
    assert caught.value.kind is ErrorKind.CONFLICT
    assert requested(escalating.ask(session, "pay", {"to": "0"})) not in names
    assert escalated(escalating) == [], "what is over is told to nobody"
    escalating.verified()
    assert differences(escalating.store.log, escalating.store) == []


def test_more_than_one_commit_holds(world: World, clock: Clock) -> None:
    for _ in range(6):
        session = world.open_session()
        for n in range(19):
            world.ask(session, "pay", {"to": str(n)})
    clock.forward(30 * 60)
    opened = len(world.store.approvals(ApprovalState.PENDING, 1000))
    assert opened == 100 and sweep(world.runtime).result() == opened
    assert world.store.approvals(ApprovalState.PENDING, 1000) == []


def test_what_a_request_shows_is_read_when_its_time_has_come_and_not_with_every_look(
    escalating: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be long, there can be thousands, and every process looks every few seconds."""
    session, looks = escalating.open_session(), list[int]()
    for n in range(5):
        requested(escalating.ask(session, "pay", {"to": str(n)}))
    answered = escalating.store.approvals(ApprovalState.PENDING, 10)
    answering.resolve(escalating.runtime, answered[0].id, CARL, False).result()
    cards(escalating.runtime, 1)
    read = escalating.store.approvals_named
    monkeypatch.setattr(escalating.store, "approvals_named", lambda names: looks.append(len(names)) or read(names))

    def swept(times: int = 3) -> list[int]:
        looks.clear()
        return [sweep(escalating.runtime).result() for _ in range(times)]

    assert [one.alike for one in cards(escalating.runtime, 10)] == [4] * 4
    assert swept() == [0, 0, 0] and looks == [], "nothing is due"
    clock.forward(300)
    assert swept(4) == [4, 0, 0, 0] and looks == [4, 4, 4], "before its commit and in it, and then as they are"
    assert [one.alike for one in cards(escalating.runtime, 10)] == [4] * 4 and looks == [4, 4, 4]
    clock.forward(1500)
    assert swept(4) == [4, 0, 0, 0] and looks == [4, 4, 4]


def test_an_approver_and_two_sweepers_at_once(escalating: World, clock: Clock) -> None:
    for n in range(10):
        approval = requested(escalating.ask(escalating.open_session(), "pay", {"to": str(n)}))
        clock.forward(300)
        start = threading.Barrier(3)

        def work(act: object, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                act()  # type: ignore[operator]
            except RemitError as error:
                assert error.kind is ErrorKind.CONFLICT

        acts = [
            lambda: sweep(escalating.runtime).result(),
            lambda: sweep(escalating.runtime).result(),
            lambda approval=approval: answering.resolve(escalating.runtime, approval, CARL, True).result(),
        ]
        threads = [threading.Thread(target=work, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if state(escalating, approval) is not ApprovalState.APPROVED:
            answering.resolve(escalating.runtime, approval, CARL, True).result()  # it lost to a sweeper, and says so: once more
    assert len({told.id for told in escalated(escalating)}) == len(escalated(escalating)), "told once each"
    escalating.verified()
    assert differences(escalating.store.log, escalating.store) == []
