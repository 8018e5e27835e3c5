"""Kill and release: nothing that is stopped passes, in any process, nor does what was permitted just before; and it is on record."""

import sqlite3
from pathlib import Path

import pytest

from remit.decision_log.entry import KillReleased, KillSet
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import TaskId
from remit.model.kill import Kill, KillKind
from remit.runtime import kills
from remit.storage.sqlite.database import MIGRATIONS
from tests.conftest import OpenStore
from tests.runtime.world import ANA, BEN, MANIFEST, World, permit, reason, small_bundle

TYPES = "- {name: support}\n- {name: other}\n"


def stop(world: World, kind: KillKind, name: str = "") -> Kill:
    return kills.kill(world.runtime, kind, name, "it misbehaves", ANA).result()


def lift(world: World, kind: KillKind, name: str = "") -> None:
    kills.release(world.runtime, kind, name, "it was looked at", BEN).result()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (KillKind.AGENT, "bot"),
        (KillKind.TASK, "the task"),
        (KillKind.TASK_TYPE, "support"),
        (KillKind.TOOL, "look"),
        (KillKind.ALL, ""),
    ],
)
def test_what_is_killed_is_denied_until_it_is_released(open_store: OpenStore, kind: KillKind, name: str) -> None:
    world = open_store(bundle=small_bundle(task_types=TYPES))
    task = world.open_task(type="support")
    session = world.open_session(task)
    name = task.id if name == "the task" else name
    permit(world.ask(session, "look"))
    stop(world, kind, name)
    denied = world.ask(session, "look")
    assert reason(denied) is Reason.KILLED and "`ana`" in denied.message and name in denied.message
    lift(world, kind, name)
    permit(world.ask(session, "look"))
    world.verified()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (KillKind.AGENT, "other"),
        (KillKind.AGENT, "look"),
        (KillKind.TASK, "tsk_0"),
        (KillKind.TASK_TYPE, "other"),
        (KillKind.TOOL, "read"),
        (KillKind.TOOL, "bot"),
    ],
)
def test_a_kill_stops_nothing_else(open_store: OpenStore, kind: KillKind, name: str) -> None:
    world = open_store(bundle=small_bundle(task_types=TYPES))
    session = world.open_session(world.open_task(type="support"))
    stop(world, kind, name)
    assert permit(world.ask(session, "look")).reason is Reason.PERMITTED
    assert [(kill.kind, kill.name) for kill in world.store.kills()] == [(kind, name)], "though it is in force"


def test_a_permit_given_before_is_taken_back_just_before_the_act(world: World, open_store: OpenStore) -> None:
    session = world.open_session()
    mine, others = permit(world.ask(session, "look")), permit(world.ask(session, "look"))
    elsewhere = open_store(again=True)
    stop(elsewhere, KillKind.TOOL, "send")  # the revision moves, but not for this permit
    assert world.embedded.may_act(mine.id)
    stop(elsewhere, KillKind.AGENT, "bot")
    assert not world.embedded.may_act(others.id)


def test_another_process_obeys_at_its_next_decision(open_store: OpenStore) -> None:
    here, there = open_store(), open_store(again=True)
    session = here.open_session()
    permit(here.ask(session, "look"))
    stop(there, KillKind.ALL)
    assert reason(here.ask(session, "look")) is Reason.KILLED
    lift(here, KillKind.ALL)
    permit(there.ask(session, "look"))


def test_a_decision_on_its_way_to_the_disk_is_made_again(open_store: OpenStore) -> None:
    """The kill is committed between deciding and committing: the decision conflicts, and is denied the second time."""
    here, there = open_store(), open_store(again=True)
    session = here.open_session()
    permit(here.ask(session, "look"))
    submit = here.runtime.appender.submit

    def killing_first(ticket):
        here.runtime.appender.submit = submit
        stop(there, KillKind.TOOL, "look")
        return submit(ticket)

    here.runtime.appender.submit = killing_first
    assert reason(here.ask(session, "look")) is Reason.KILLED


@pytest.mark.parametrize(("kind", "name"), [(KillKind.AGENT, "bot"), (KillKind.TASK, "the parent")])
def test_what_was_delegated_is_stopped_with_it(world: World, kind: KillKind, name: str) -> None:
    world.register("helper")
    parent = world.open_task()
    child = world.open_task(agent="helper", parent=parent.id)
    session = world.open_session(child)
    permit(world.ask(session, "look"))
    stop(world, kind, parent.id if name == "the parent" else name)
    assert reason(world.ask(session, "look")) is Reason.KILLED


def test_what_is_killed_is_given_no_task(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(task_types=TYPES))
    parent = world.open_task()
    for kind, name, opening in (
        (KillKind.AGENT, "bot", {}),
        (KillKind.TASK_TYPE, "support", {"type": "support"}),
        (KillKind.TASK, parent.id, {"parent": parent.id}),
        (KillKind.ALL, "", {}),
    ):
        stop(world, kind, name)
        with pytest.raises(RemitError) as refusal:
            world.open_task(**opening)
        assert refusal.value.kind is ErrorKind.REFUSED and "released" in refusal.value.message
        lift(world, kind, name)
        world.open_task(**opening)


def test_no_policy_and_no_shadow_mode_outranks_a_kill(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(manifest=MANIFEST + "mode: shadow\n"))
    session = world.open_session()
    permit(world.ask(session, "never"))
    stop(world, KillKind.TOOL, "never")
    assert reason(world.ask(session, "never")) is Reason.KILLED


def test_who_what_and_why_are_in_the_log_and_last_over_a_restart(open_store: OpenStore) -> None:
    world = open_store()
    stop(world, KillKind.TOOL, "look")
    world.close()
    world = open_store(again=True)
    assert reason(world.ask(world.open_session(), "look")) is Reason.KILLED
    lift(world, KillKind.TOOL, "look")
    assert world.store.kills() == []
    found = [entry.body for entry in world.entries() if isinstance(entry.body, KillSet | KillReleased)]
    assert found == [
        KillSet("tool", "look", "ana", "it misbehaves", "os"),
        KillReleased("tool", "look", "ben", "it was looked at", "os"),
    ]


def test_killing_again_says_the_latest_why(world: World) -> None:
    stop(world, KillKind.TOOL, "look")
    kills.kill(world.runtime, KillKind.TOOL, "look", "worse than thought", BEN).result()
    [known] = world.store.kills()
    assert (known.operator, known.why) == ("ben", "worse than thought")


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        (KillKind.ALL, "x", "why"),
        (KillKind.AGENT, "", "why"),
        (KillKind.TOOL, "a\nb", "why"),
        (KillKind.TOOL, "x" * 513, "why"),
        (KillKind.TOOL, "x", " "),
        (KillKind.TOOL, "x", "w" * 1001),
        (KillKind.TOOL, "x\ud800", "why"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_changes(world: World, kind: KillKind, name: str, why: str) -> None:
    with pytest.raises(RemitError) as refusal:
        kills.kill(world.runtime, kind, name, why, ANA).result()
    assert refusal.value.kind is ErrorKind.MALFORMED and world.store.kills() == []


def test_what_is_not_killed_cannot_be_released(world: World) -> None:
    stop(world, KillKind.AGENT, "bot")
    with pytest.raises(RemitError) as refusal:
        lift(world, KillKind.TOOL, "bot")
    assert refusal.value.kind is ErrorKind.NOT_FOUND


@pytest.mark.sqlite
def test_a_store_of_the_version_before_is_brought_on(open_store: OpenStore, tmp_path: Path) -> None:
    world = open_store()
    session = world.open_session()
    world.close()
    before = sqlite3.connect(tmp_path / "store" / "remit.db")
    before.executescript(
        "DROP TABLE kills; DROP TABLE tiles; DROP TABLE memories; DROP TABLE definitions; DROP TABLE break_glass; DROP TABLE people;"
        "DROP TABLE person_names; DROP TABLE people_groups; DELETE FROM meta WHERE name = 'memories'"
    )
    before.executescript(
        "ALTER TABLE agents DROP COLUMN spent_version; ALTER TABLE agents DROP COLUMN spent; PRAGMA user_version = 1"
    )
    before.close()
    world = open_store(again=True)
    permit(world.ask(session, "look"))
    stop(world, KillKind.TASK, TaskId(session.task or ""))
    assert isinstance(world.ask(session, "look"), Deny)
    assert len(MIGRATIONS) >= 2
