"""Ending a task ends its authority in every process at once, and disturbs nobody else: tasks end all the time."""

from collections.abc import Callable

import pytest

from remit.model.decision import Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import TaskId
from remit.model.task import Task, TaskStatus
from remit.runtime.administration import erase
from remit.runtime.tasks import close_task
from tests.runtime.world import ANA, World, permit, reason

OpenStore = Callable[..., World]


def close(world: World, task: Task) -> None:
    close_task(world.runtime, task.id, "ana").result()


def test_a_process_that_knows_a_task_as_open_permits_nothing_once_it_is_closed(open_store: OpenStore) -> None:
    world = open_store()
    task, other = world.open_task(), world.open_task()
    session, beside = world.open_session(task), world.open_session(other)
    for one in (session, beside):
        permit(world.ask(one, "look"))
    close(open_store(again=True), task)
    assert reason(world.ask(session, "never")) is Reason.TASK_CLOSED  # not `forbidden`: a denial says what is true, too
    assert reason(world.ask(session, "look")) is Reason.TASK_CLOSED
    permit(world.ask(beside, "look"))


@pytest.mark.parametrize("ended", ["leaf", "parent"])
def test_a_permit_is_no_longer_used_once_a_task_of_its_chain_was_closed_elsewhere(open_store: OpenStore, ended: str) -> None:
    world = open_store()
    parent, beside = world.open_task(), world.open_task()
    leaf = world.open_task(parent=parent.id)
    session = world.open_session(leaf)
    decisions = [world.ask(session, "look") for _ in range(2)]
    elsewhere = open_store(again=True)
    close(elsewhere, beside)
    assert world.embedded.may_act(decisions[0].id)
    close(elsewhere, {"leaf": leaf, "parent": parent}[ended])
    assert not world.embedded.may_act(decisions[1].id)


def test_nothing_begins_under_a_task_that_was_closed_elsewhere(open_store: OpenStore) -> None:
    world = open_store()
    task = world.open_task()
    world.open_session(task)
    close(open_store(again=True), task)
    for begin in (lambda: world.open_session(task), lambda: world.open_task(parent=task.id), lambda: close(world, task)):
        with pytest.raises(RemitError) as refusal:
            begin()
        assert refusal.value.kind in (ErrorKind.REFUSED, ErrorKind.CONFLICT)


def test_a_task_is_closed_once_by_whoever_is_first(open_store: OpenStore) -> None:
    world, elsewhere = open_store(), open_store(again=True)
    task = world.open_task()
    close(elsewhere, task)
    with pytest.raises(RemitError) as refusal:
        close(world, task)
    assert refusal.value.kind is ErrorKind.CONFLICT
    stored = world.store.task(TaskId(task.id))
    assert stored is not None and stored.task.status is TaskStatus.CLOSED
    assert world.verified().kinds["task.closed"] == 1


def test_what_was_closed_elsewhere_can_be_erased_here(open_store: OpenStore) -> None:
    world = open_store()
    task = world.open_task()
    permit(world.ask(world.open_session(task), "look"))
    close(open_store(again=True), task)
    erase(world.runtime, task.id, ANA).result()
    assert world.store.secret(task.id) is None


def test_an_end_makes_no_other_task_decide_again(open_store: OpenStore) -> None:
    world = open_store()
    session, revision = world.open_session(), world.store.standing(())[0]
    for _ in range(20):
        close(world, world.open_task())
        permit(world.ask(session, "look"))
    assert world.store.standing(())[0] == revision


def test_what_is_known_of_tasks_has_an_end(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remit.runtime.view._LIMIT", 4)
    world = open_store()
    sessions = [world.open_session() for _ in range(12)]
    for session in sessions:
        permit(world.ask(session, "look"))
    assert len(world.runtime.view._tasks) <= 5 and len(world.runtime.view._keys) <= 6
