"""Permits whose outcome nobody reports do not pile up: they are settled as is true of them, many in one commit."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from remit.model.authorizer import OutcomeStatus
from remit.model.clock import SECOND
from remit.model.decision import Permit
from remit.model.errors import RemitError
from remit.model.labels import PUBLIC_TRUSTED
from remit.model.task import Session
from remit.runtime.authorize import hand_out, may_act
from remit.server import unreported
from remit.server.unreported import GRACE, LONGEST, SILENCE, Unreported
from tests.conftest import OpenStore
from tests.faults.disk import DISK_FULL, failing_at
from tests.runtime.world import Clock, World, permit


@contextmanager
def counted(world: World) -> Iterator[list[int]]:
    """How many changes each commit meanwhile had."""
    commits: list[int] = []
    write = world.runtime.appender._write

    def counting(group: Any) -> Any:
        commits.append(len(group))
        return write(group)

    world.runtime.appender._write = counting  # type: ignore[method-assign]
    try:
        yield commits
    finally:
        world.runtime.appender._write = write  # type: ignore[method-assign]


def told(world: World) -> dict[str, str]:
    seen = world.outcomes()
    assert len({one.decision for one in seen}) == len(seen), "each is told once"
    return {one.decision: one.status for one in seen}


def given(world: World, session: Session, many: int, tool: str = "look") -> list[Permit]:
    return [permit(world.ask(session, tool)) for _ in range(many)]


async def swept(waiting: Unreported, world: World, many: int) -> None:
    """Until so many outcomes are told."""
    async with asyncio.timeout(10):
        while len(world.outcomes()) < many:
            waiting._wake.set()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


def test_each_is_settled_when_nobody_can_use_it_any_more_as_is_true_of_it(world: World, clock: Clock) -> None:
    session = world.open_session()
    [unused, used, reported, silent] = given(world, session, 4, "secret")

    async def run() -> None:
        waiting = Unreported(world.embedded)
        for one in (unused, used, reported):
            waiting.promised(one)
        hand_out(world.runtime, silent.id)
        waiting.handed_out(silent)
        assert may_act(world.runtime, used.id) and may_act(world.runtime, reported.id)
        world.report(reported, session, OutcomeStatus.SUCCEEDED, "")
        clock.now = unused.until + GRACE - 1
        await swept(waiting, world, 1)
        clock.now += 1
        await swept(waiting, world, 2)
        assert told(world) == {reported.id: "succeeded", unused.id: "not-performed"}
        clock.now = silent.until + SILENCE
        await swept(waiting, world, 3)
        assert told(world)[silent.id] == "unknown"
        assert used.id in world.runtime.view.permits, "whoever acts may take long"
        clock.now = used.until + LONGEST
        await swept(waiting, world, 4)
        assert told(world)[used.id] == "unknown"
        assert len(waiting) == 0

    asyncio.run(run())
    assert not world.runtime.view.permits and not world.runtime.view.acted and not world.runtime.view.live
    assert world.store.writers() == []
    after = world.store.session(session.id)
    assert after is not None and after.reached.confidentiality.rank == 3, "of what was used, the worst stays"
    assert world.verified().open == 0


def test_what_nobody_used_leaves_no_label(world: World, clock: Clock) -> None:
    session = world.open_session()
    [unused] = given(world, session, 1, "secret")

    async def run() -> None:
        waiting = Unreported(world.embedded)
        waiting.promised(unused)
        clock.now = unused.until + GRACE
        await swept(waiting, world, 1)

    asyncio.run(run())
    after = world.store.session(session.id)
    assert after is not None and after.reached == PUBLIC_TRUSTED
    assert not may_act(world.runtime, unused.id)


def test_many_are_settled_in_one_commit(world: World, clock: Clock) -> None:
    session, other = world.open_session(), world.open_session()
    permits = [*given(world, session, 40), *given(world, other, 40)]

    async def run() -> None:
        waiting = Unreported(world.embedded)
        for one in permits:
            hand_out(world.runtime, one.id)
            waiting.handed_out(one)
        clock.now = permits[-1].until + SILENCE
        await swept(waiting, world, 80)

    with counted(world) as commits:
        asyncio.run(run())
    assert sum(commits) == 80 and len(commits) <= 4
    assert set(told(world).values()) == {"unknown"}


def test_a_crowd_waits_no_longer_than_it_must(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreported, "MAX_SILENT", 3)
    permits = given(world, world.open_session(), 5)

    async def run() -> None:
        waiting = Unreported(world.embedded)
        for one in permits:
            hand_out(world.runtime, one.id)
            waiting.handed_out(one)
        await asyncio.sleep(0.05)
        assert not world.outcomes(), "each can still be used"
        clock.now = permits[-1].until + GRACE
        await swept(waiting, world, 2)
        assert len(waiting) == 3

    asyncio.run(run())
    assert list(told(world)) == [permits[0].id, permits[1].id]


def test_closing_settles_hundreds_in_one_commit(open_store: OpenStore) -> None:
    world = open_store()
    permits = given(world, world.open_session(), 100) + given(world, world.open_session(), 100)
    for one in permits[::2]:
        hand_out(world.runtime, one.id)
    with counted(world) as commits:
        world.close()
    assert len(commits) == 1 and sum(commits) == 200
    again = open_store(again=True)
    assert [told(again)[one.id] for one in permits] == ["unknown", "not-performed"] * 100
    assert again.verified().open == 0


def test_one_that_another_process_reported_or_moved_hinders_none(open_store: OpenStore, clock: Clock) -> None:
    world, other = open_store(), open_store(again=True)
    session, apart = world.open_session(), world.open_session()
    permits, beside = given(world, session, 3), given(world, apart, 2)
    other.report(permits[1], session, OutcomeStatus.SUCCEEDED, "seen")  # moves the session of the other two

    async def run() -> None:
        waiting = Unreported(world.embedded)
        for one in [*permits, *beside]:
            hand_out(world.runtime, one.id)
            waiting.handed_out(one)
        clock.now = permits[-1].until + SILENCE
        await swept(waiting, world, 5)
        assert len(waiting) == 0

    asyncio.run(run())
    assert [told(world)[one.id] for one in permits] == ["unknown", "succeeded", "unknown"]
    assert not world.runtime.view.permits and not world.runtime.view.acted


@pytest.mark.sqlite
def test_a_store_that_is_away_is_asked_again(world: World, clock: Clock) -> None:
    permits = given(world, world.open_session(), 3)

    async def run() -> None:
        waiting = Unreported(world.embedded)
        for one in permits:
            hand_out(world.runtime, one.id)
            waiting.handed_out(one)
        disk = failing_at(world, "BEGIN", DISK_FULL, times=100)
        clock.now = permits[-1].until + SILENCE
        await asyncio.sleep(0.2)
        waiting._wake.set()
        await asyncio.sleep(0.2)
        assert len(waiting) == 3 and not world.outcomes()
        disk.mend()
        clock.now += 31 * SECOND
        await swept(waiting, world, 3)

    asyncio.run(run())
    assert set(told(world).values()) == {"unknown"}


@pytest.mark.sqlite
def test_one_whose_report_the_store_did_not_take_is_settled_all_the_same(open_store: OpenStore, clock: Clock) -> None:
    world = open_store()
    session = world.open_session()
    reported, again = given(world, session, 2)

    async def run() -> None:
        waiting = Unreported(world.embedded)
        waiting.promised(reported)
        assert may_act(world.runtime, reported.id) and may_act(world.runtime, again.id)
        disk = failing_at(world, "BEGIN", DISK_FULL, times=100)
        for one in (reported, again):
            with pytest.raises(RemitError, match="full"):
                world.report(one, session, OutcomeStatus.SUCCEEDED, "seen")
        disk.mend()
        clock.now = reported.until + GRACE
        waiting._wake.set()
        await asyncio.sleep(0.05)
        assert not world.outcomes(), "whoever did it may report it again"
        clock.now = reported.until + LONGEST
        await swept(waiting, world, 1)

    asyncio.run(run())
    assert told(world) == {reported.id: "unknown"}
    world.close()
    later = open_store(again=True)
    assert told(later) == {reported.id: "unknown", again.id: "unknown"}
    assert later.runtime.appender._place.seq == 0, "the process itself settled it, not the next one"


def test_those_of_a_process_that_is_gone_are_settled_together(open_store: OpenStore) -> None:
    world = open_store()
    permits = given(world, world.open_session(), 200)
    world.runtime.view.permits.clear()  # as after a crash: nothing is settled at its end
    world.close()
    again = open_store(again=True)
    assert [told(again)[one.id] for one in permits] == ["unknown"] * 200
    assert again.runtime.appender._place.seq >= 200
