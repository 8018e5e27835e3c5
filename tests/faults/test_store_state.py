"""State that is damaged, torn or fought over: each denies, with the reason that says so."""

import sqlite3
import tracemalloc

import pytest

from remit.model.decision import Reason
from remit.pdp.memo import MAX_HELD
from tests.conftest import OpenStore
from tests.runtime.world import asked, permit, reason, small_bundle

pytestmark = pytest.mark.sqlite


def test_a_link_of_the_chain_that_is_gone_denies(open_store: OpenStore) -> None:
    world = open_store()
    root = world.open_task()
    session = world.open_session(world.open_task(parent=root.id))
    permit(world.ask(session, "look"))
    world.close()
    with sqlite3.connect(world.home / "remit.db") as connection:
        connection.execute("DELETE FROM tasks WHERE id = ?", (root.id,))
    world = open_store(again=True)
    assert reason(world.ask(session, "look")) is Reason.DELEGATION_BROKEN


@pytest.mark.parametrize("document", [b"", b"{}", b"\x00" * 100])
def test_a_bundle_that_is_damaged_in_the_store_denies(open_store: OpenStore, document: bytes) -> None:
    world = open_store()
    session = world.open_session()
    world.close()
    with sqlite3.connect(world.home / "remit.db") as connection:
        connection.execute("UPDATE bundles SET document = ?", (document,))
    world = open_store(again=True)
    denied = world.ask(session, "look")
    assert reason(denied) is Reason.INTERNAL_ERROR and "publish it again" in denied.message


def test_a_session_that_others_keep_moving_is_given_up_on(open_store: OpenStore) -> None:
    here, there = open_store(), open_store(again=True)
    session = here.open_session()
    permit(there.ask(session, "look"))
    submit = here.runtime.appender.submit

    def overtaken(ticket):
        permit(there.ask(session, "look"))
        return submit(ticket)

    here.runtime.appender.submit = overtaken
    denied = here.ask(session, "look")
    assert reason(denied) is Reason.CONFLICT and "try again" in denied.message
    here.runtime.appender.submit = submit
    permit(here.embedded.evaluate(asked(session, "look")).result())
    here.verified()


def test_no_agent_fills_the_memory_by_never_asking_the_same_twice(open_store: OpenStore) -> None:
    policies = '@id("all") permit (principal, action, resource) unless { context.args has n && context.args.n like "bad*" };'
    world = open_store(bundle=small_bundle(policies=policies))
    session = world.open_session()
    tracemalloc.start()
    try:
        for number in range(150):
            permit(world.ask(session, "look", {"n": f"{number:06}" + "x" * 900_000}))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 * MAX_HELD
