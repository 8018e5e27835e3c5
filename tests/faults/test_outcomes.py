"""Every permit has one outcome in the log: however the tool ends, however the call is broken off, whoever reports."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

import remit
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import AgentId, DecisionId, SessionId
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.task import Session
from remit.pdp.effects import Closed, session_after_outcome
from remit.pep.obligations import ObligationFailed
from tests.conftest import OpenStore
from tests.faults.disk import DISK_FULL, FSYNC_FAILED, FaultyConnection, failing_at
from tests.runtime.world import Clock, World, asked, permit

PURPOSE = "look around"


def statuses(world: World) -> list[str]:
    """The outcomes; each must belong to a permit, and none may be told twice."""
    permits = [made.id for made in world.decisions() if made.effect == "permit"]
    told = [seen.decision for seen in world.outcomes()]
    assert len(told) == len(set(told)) and set(told) <= set(permits)
    return [seen.status for seen in world.outcomes()]


def test_a_version_names_one_state_whatever_is_reported() -> None:
    given = DecisionId("dec_1")
    before = Session(
        SessionId("ses_1"), None, AgentId("bot"), pending={given: Label(Confidentiality.RESTRICTED)}, version=1 << 32
    )
    told = [PUBLIC_TRUSTED, Label(Confidentiality.INTERNAL), Label(sources=("web",)), None]
    closed = Closed(given, Label(Confidentiality.RESTRICTED))
    after = [session_after_outcome(before, closed, touched, now) for touched in told for now in (5, 6)]
    assert len({state.version for state in after}) == len(after) and all(state.version >> 32 == 2 for state in after)


class TestReports:
    def test_one_outcome_is_taken_and_no_second(self, world: World) -> None:
        session = world.open_session()
        given = permit(world.ask(session, "look"))
        world.report(given, session, OutcomeStatus.SUCCEEDED, "a")
        before = world.store.session(session.id)
        for status in OutcomeStatus:
            with pytest.raises(RemitError) as caught:
                world.report(given, session, status, "b")
            assert caught.value.kind is ErrorKind.CONFLICT
        assert statuses(world) == ["succeeded"]
        assert world.store.session(session.id) == before

    def test_of_many_reports_at_once_one_is_taken(self, world: World) -> None:
        session = world.open_session()
        given = permit(world.ask(session, "read"))
        taken = []
        start = threading.Barrier(8)

        def report(n: int) -> None:
            start.wait()
            try:
                world.report(given, session, OutcomeStatus.SUCCEEDED, f"content {n}")
                taken.append(n)
            except RemitError as error:
                assert error.kind is ErrorKind.CONFLICT

        threads = [threading.Thread(target=report, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1
        assert statuses(world) == ["succeeded"]
        assert len(world.store.observations(session.id)) == 1

    @pytest.mark.parametrize("decision", ["dec_unknown", "", "\ud800", "x" * 100_000, "'--"])
    def test_an_unknown_decision_has_no_outcome(self, world: World, decision: str) -> None:
        with pytest.raises(RemitError) as caught:
            world.embedded.report(Outcome(DecisionId(decision), None, OutcomeStatus.SUCCEEDED)).result()
        assert caught.value.kind is ErrorKind.CONFLICT

    def test_a_denial_has_no_outcome(self, world: World) -> None:
        denied = world.ask(world.open_session(), "never")
        with pytest.raises(RemitError):
            world.embedded.report(Outcome(denied.id, None, OutcomeStatus.SUCCEEDED)).result()

    def test_an_outcome_touches_the_session_of_its_permit_and_no_other(self, world: World) -> None:
        own, other = world.open_session(), world.open_session()
        given = permit(world.ask(own, "secret"))
        try:
            world.embedded.report(Outcome(given.id, other.id, OutcomeStatus.SUCCEEDED, "secret")).result()
        except RemitError as error:
            assert error.kind in (ErrorKind.CONFLICT, ErrorKind.REFUSED)
        else:
            assert [seen.session for seen in world.outcomes()] == [own.id]
        assert world.store.session(other.id) == other
        stored = world.store.session(own.id)
        assert stored is not None and stored.reached.confidentiality.rank == 3

    @pytest.mark.parametrize("content", ["\ud800 lone", "nul\x00", "x" * 3_000_000, "", "é" * 100])
    def test_any_content_is_taken(self, world: World, content: str) -> None:
        session = world.open_session()
        given = permit(world.ask(session, "read"))
        world.embedded.report(Outcome(given.id, session.id, OutcomeStatus.FAILED, content, content)).result()
        assert statuses(world) == ["failed"]
        permit(world.ask(session, "look"))
        assert world.verified()

    @pytest.mark.sqlite
    def test_a_report_that_cannot_be_recorded_says_so_and_leaves_the_worst(self, world: World) -> None:
        session = world.open_session()
        given = permit(world.ask(session, "secret"))
        disk = failing_at(world, "BEGIN", DISK_FULL)
        with pytest.raises(RemitError) as caught:
            world.report(given, session, OutcomeStatus.NOT_PERFORMED)
        assert caught.value.kind is ErrorKind.UNAVAILABLE
        disk.mend()
        with world.runtime.view.lock:
            seen = world.runtime.view.session(session.id)
        assert seen is not None and seen.reached.confidentiality.rank == 3
        world.report(given, session, OutcomeStatus.NOT_PERFORMED)
        assert statuses(world) == ["not-performed"]


class TestClosing:
    def test_closing_settles_every_permit(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        unused, used, reported = (permit(world.ask(session, "look")) for _ in range(3))
        assert world.embedded.may_act(used.id) and world.embedded.may_act(reported.id)
        world.report(reported, session, OutcomeStatus.SUCCEEDED, "")
        world.close()
        world = open_store(again=True)
        assert {seen.decision: seen.status for seen in world.outcomes()} == {
            unused.id: "not-performed", used.id: "unknown", reported.id: "succeeded",
        }  # fmt: skip
        assert world.verified().open == 0

    def test_closing_while_another_process_reported_one(self, open_store: OpenStore) -> None:
        """One report that comes too late must not leave the others open."""
        world, other = open_store(), open_store(again=True)
        session = world.open_session()
        permits = [permit(world.ask(session, "look")) for _ in range(3)]
        other.report(permits[0], session, OutcomeStatus.SUCCEEDED, "")
        world.close()
        assert len(other.outcomes()) == 3

    def test_a_closed_store_denies(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        world.close()
        assert isinstance(world.ask(session, "look"), Deny)
        with pytest.raises(RemitError):
            world.embedded.report(Outcome(DecisionId("dec_x"), None, OutcomeStatus.SUCCEEDED)).result()
        world.close()

    def test_permits_of_a_process_that_is_gone_are_unknown_once(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        permits = [permit(world.ask(session, "secret")) for _ in range(3)]
        crash(world)
        for _ in range(3):
            open_store(again=True).close()
        world = open_store(again=True)
        assert sorted((seen.decision, seen.status) for seen in world.outcomes()) == sorted((p.id, "unknown") for p in permits)
        stored = world.store.session(session.id)
        assert stored is not None and stored.label.confidentiality.rank == 3 and not stored.pending
        assert world.verified().open == 0

    def test_permits_of_a_process_that_lives_are_left_to_it(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        given = permit(world.ask(session, "look"))
        other = open_store(again=True)
        assert other.outcomes() == []
        world.report(given, session, OutcomeStatus.SUCCEEDED, "")
        assert statuses(other) == ["succeeded"]

    def test_two_that_start_at_once_after_a_crash(self, open_store: OpenStore) -> None:
        """Both find the same permits; one settles each, and neither fails to start."""
        world = open_store()
        session = world.open_session()
        for _ in range(40):
            permit(world.ask(session, "look"))
        crash(world)
        errors: list[BaseException] = []
        start = threading.Barrier(4)

        def open_again() -> None:
            start.wait()
            try:
                open_store(again=True)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=open_again) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert statuses(open_store(again=True)) == ["unknown"] * 40


def crash(world: World) -> None:
    """End as a process does that was killed: locks and connections go, nothing is settled."""
    world.embedded._open = False
    world.store.close()


class Odd(Exception):
    """An exception that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unshowable:
    """A result that cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Opaque:
    """A result that shows nothing of what it holds."""

    def __init__(self) -> None:
        self.content = "password: " + "x" * 100


class TestGuard:
    @pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3), Odd(), StopIteration(1),
                                       ValueError("\ud800"), RemitError(ErrorKind.CONFLICT, "of the tool")], ids=repr)  # fmt: skip
    def test_a_tool_that_raises_has_failed(self, guarded: World, error: BaseException) -> None:
        @remit.guard
        def look() -> None:
            raise error

        with remit.task(PURPOSE, agent="bot"), pytest.raises((type(error), RuntimeError)):
            look()
        assert statuses(guarded) == ["failed"]

    @pytest.mark.parametrize("result", [Unshowable(), [Unshowable()], {"a": Unshowable()}, "\ud800", {"a": "\ud800"}, float("nan"), b"\xff",
                                        object(), {1: {2: 3}}, 2**70, {(1, 2): 3}, lambda: 1, iter([1])], ids=lambda r: type(r).__name__)  # fmt: skip
    def test_any_result_is_reported_and_returned(self, guarded: World, result: Any) -> None:
        @remit.guard
        def look() -> Any:
            return result

        with remit.task(PURPOSE, agent="bot"):
            assert look() is result
        assert statuses(guarded) == ["succeeded"]

    @pytest.mark.parametrize("tool", ["hurried", "small", "broken"])
    def test_an_obligation_that_fails_withholds_the_result(self, guarded: World, tool: str) -> None:
        ran = []

        @remit.guard(tool=tool)
        def act() -> str:
            ran.append(1)
            threading.Event().wait(0.25 if tool == "hurried" else 0)
            return "x" * 100

        with remit.task(PURPOSE, agent="bot"), pytest.raises(Exception) as caught:
            act()
        if tool == "broken":
            assert isinstance(caught.value, remit.Denied) and caught.value.reason is Reason.OBLIGATION_FAILED
            assert ran == []
            assert statuses(guarded) == ["not-performed"]
        else:
            assert ran == [1]
            assert statuses(guarded) == ["failed"]

    @pytest.mark.parametrize(
        "result",
        [lambda: iter(["x" * 100]), lambda: ("x" for _ in range(100)), Opaque],
        ids=["iterator", "generator", "object"],
    )
    @pytest.mark.parametrize("tool", ["small", "account"])
    def test_a_result_that_cannot_be_looked_into_is_withheld(self, guarded: World, result: Any, tool: str) -> None:
        """It may be larger than permitted, or hold what is to be redacted."""

        @remit.guard(tool=tool)
        def act() -> Any:
            return result()

        with remit.task(PURPOSE, agent="bot"), pytest.raises(ObligationFailed):
            act()
        assert statuses(guarded) == ["failed"]

    @pytest.mark.parametrize(
        "parts", [["pass", "word: x"], ["a", "password", "b"], [{"password": "x"}], ['{"pass', 'word": "x"}']], ids=repr
    )
    def test_a_stream_cut_into_pieces_is_redacted_all_the_same(self, guarded: World, parts: list[Any]) -> None:
        @remit.guard(tool="account")
        def act() -> Iterator[Any]:
            yield from parts

        seen: list[Any] = []
        with remit.task(PURPOSE, agent="bot"), suppress(ObligationFailed):
            seen.extend(act())
        shown = "".join(map(str, seen))
        assert "password" not in shown or "x" not in shown.replace("[redacted]", "")

    @pytest.mark.sqlite
    def test_a_permit_that_comes_too_late_is_not_used(self, guarded: World, clock: Clock) -> None:
        ran = []

        @remit.guard
        def look() -> None:
            ran.append(1)

        def slow_disk(query: str) -> None:
            if query == "COMMIT":
                clock.forward(60)

        with remit.task(PURPOSE, agent="bot", seconds=86400):
            disk = FaultyConnection(guarded, slow_disk)
            with pytest.raises(remit.Denied) as caught:
                look()
            disk.mend()
        assert caught.value.reason is Reason.PERMIT_EXPIRED
        assert ran == []
        assert statuses(guarded) == ["not-performed"]

    @pytest.mark.sqlite
    def test_nothing_runs_while_its_permit_is_not_durable(self, guarded: World) -> None:
        committed: list[bool] = []

        @remit.guard
        def look() -> None:
            committed.append(bool(guarded.store.log.by_kind("decision", 1)))

        entered = remit.task(PURPOSE, agent="bot")
        entered.__enter__()
        disk = failing_at(guarded, "COMMIT", FSYNC_FAILED)
        for _ in range(2):
            with pytest.raises(remit.Denied) as caught:
                look()
            assert caught.value.reason is Reason.STORE_UNAVAILABLE
            disk.mend()
        assert committed == []
        with pytest.raises(RemitError):
            guarded.open_task()
        with pytest.raises(RemitError, match="restart"):
            entered.__exit__(None, None, None)

    @pytest.mark.sqlite
    def test_an_outcome_that_cannot_be_recorded_withholds_the_result(self, guarded: World) -> None:
        disks = []

        @remit.guard
        def secret() -> str:
            disks.append(failing_at(guarded, "BEGIN", DISK_FULL, times=50))
            return "the secret"

        with remit.task(PURPOSE, agent="bot"):
            with pytest.raises(remit.OutcomeUnrecorded):
                secret()
            disks[0].mend()

            @remit.guard
            def send(to: str) -> None:
                pytest.fail("the session may have touched the secret")

            with pytest.raises(remit.Denied):
                send("boss@corp.com")

    def test_a_generator_that_is_abandoned_half_way(self, guarded: World) -> None:
        @remit.guard
        def read() -> Iterator[str]:
            yield "one"
            yield "two"

        with remit.task(PURPOSE, agent="bot"):
            stream = iter(read())
            assert next(stream) == "one"
            assert statuses(guarded) == []
            stream.close()  # type: ignore[attr-defined]
        assert statuses(guarded) == ["succeeded"]
        [seen] = guarded.outcomes()
        assert seen.size == len("one")

    def test_a_generator_that_is_never_started_asks_for_nothing(self, guarded: World) -> None:
        @remit.guard
        def read() -> Iterator[str]:
            yield "one"

        with remit.task(PURPOSE, agent="bot"):
            read()
        assert guarded.decisions() == []

    def test_an_asynchronous_generator_that_is_abandoned_half_way(self, guarded: World) -> None:
        @remit.guard
        async def read() -> AsyncIterator[str]:
            yield "one"
            yield "two"

        async def work() -> None:
            async for item in read():
                assert item == "one"
                break

        with remit.task(PURPOSE, agent="bot"):
            asyncio.run(work())
        assert statuses(guarded) == ["succeeded"]

    @pytest.mark.sqlite
    @pytest.mark.parametrize("when", ["waiting for the permit", "acting", "reporting"])
    def test_a_coroutine_that_is_cancelled(self, guarded: World, when: str) -> None:
        """What was permitted and never run may say `not-performed` or `unknown`; it may not stay open once the store is closed."""
        ran = []
        reached, go_on = threading.Event(), threading.Event()

        @remit.guard
        async def secret() -> str:
            ran.append(1)
            if when == "acting":
                reached.set()
                await asyncio.sleep(60)
            if when == "reporting":
                disks.append(FaultyConnection(guarded, hold))
            return "the secret"

        disks: list[FaultyConnection] = []

        def hold(query: str) -> None:
            if query == "COMMIT":
                reached.set()
                go_on.wait(5)

        async def work() -> None:
            if when == "waiting for the permit":
                disks.append(FaultyConnection(guarded, hold))
            calling = asyncio.ensure_future(secret())
            while not reached.is_set():
                await asyncio.sleep(0.001)
            calling.cancel()
            await asyncio.sleep(0.01)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await calling

        with remit.task(PURPOSE, agent="bot") as entered:
            asyncio.run(work())
            for disk in disks:
                disk.mend()
            assert entered.session is not None
            label = guarded.store.session(entered.session.id)
        assert ran == ([] if when == "waiting for the permit" else [1])
        if ran:
            assert label is not None and label.reached.confidentiality.rank == 3
        guarded.close()
        after = World(guarded.home, guarded.runtime.clock)
        try:
            assert len(statuses(after)) == 1
            allowed = {
                "waiting for the permit": {"not-performed", "unknown"},
                "acting": {"failed"},
                "reporting": {"succeeded", "unknown"},
            }
            assert set(statuses(after)) <= allowed[when]
            assert after.verified().open == 0
        finally:
            after.close()

    @pytest.mark.sqlite
    def test_a_cancelled_call_that_lost_a_race_does_not_confuse_its_session(self, world: World) -> None:
        """Nobody is there to be told of the conflict; the next call must still be decided on what is stored."""
        session = world.open_session()

        async def work() -> None:
            disk = failing_at(world, "BEGIN", DISK_FULL)
            pending = asyncio.ensure_future(_await(world.embedded.evaluate(asked(session, "secret"))))
            await asyncio.sleep(0)
            pending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pending
            disk.mend()

        asyncio.run(work())
        for _ in range(3):
            permit(world.ask(session, "look"))
        stored = world.store.session(session.id)
        assert stored is not None and sum(stored.calls.values()) == len([d for d in world.decisions() if d.effect == "permit"])
        world.close()

    @pytest.mark.sqlite
    def test_arguments_changed_by_another_thread_do_not_reach_the_function(self, guarded: World) -> None:
        seen: list[Any] = []
        inner = ["boss@corp.com"]
        to = {"list": inner, "deep": [{"a": [1]}]}

        @remit.guard
        def look(to: Any, *more: Any, **named: Any) -> None:
            seen.append((to, more, named))

        def change(query: str) -> None:
            if query == "COMMIT":
                inner.append("evil@x.com")
                to["deep"][0]["a"] = "changed"  # type: ignore[index,call-overload]
                to["new"] = []

        with remit.task(PURPOSE, agent="bot"):
            disk = FaultyConnection(guarded, change)
            look(to, inner, key=inner)
            disk.mend()
        original = {"list": ["boss@corp.com"], "deep": [{"a": [1]}]}
        assert seen == [(original, (["boss@corp.com"],), {"key": ["boss@corp.com"]})]
        assert len(inner) > 1

    def test_a_default_that_was_changed_is_decided_on_as_it_is(self, guarded: World) -> None:
        @remit.guard
        def look(to: list[str] = []) -> list[str]:  # noqa: B006 - on purpose
            to.append("x")
            return to

        with remit.task(PURPOSE, agent="bot"):
            assert look() == ["x"]
            assert look() == ["x"], "the function got a copy"


async def _await(pending: Any) -> Any:
    return await pending
