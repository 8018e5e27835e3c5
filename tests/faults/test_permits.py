"""A permit is used once, within seconds, by the process that got it, as long as nobody took it back."""

import os
import threading

import pytest

from remit.inventory.agents import with_status
from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Deny, Reason
from remit.model.errors import RemitError
from remit.model.identity import AgentStatus, DecisionId
from remit.model.task import Session
from remit.pdp.inputs import PERMIT_MICROSECONDS
from remit.runtime import administration
from remit.runtime.tasks import close_task
from tests.conftest import OpenStore
from tests.faults.disk import DISK_FULL, FaultyConnection, failing_at
from tests.runtime.world import ANA, Clock, World, permit, reason, small_bundle


def test_a_permit_is_used_once(world: World) -> None:
    given = permit(world.ask(world.open_session(), "look"))
    assert world.embedded.may_act(given.id)
    assert not world.embedded.may_act(given.id)


def test_of_many_that_ask_at_once_one_may_act(world: World) -> None:
    given = permit(world.ask(world.open_session(), "look"))
    answers: list[bool] = []
    start = threading.Barrier(16)

    def ask() -> None:
        start.wait()
        answers.append(world.embedded.may_act(given.id))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(True) == 1


def test_a_permit_ends_after_its_time(world: World, clock: Clock) -> None:
    session = world.open_session()
    early, late = (permit(world.ask(session, "look")) for _ in range(2))
    clock.now += PERMIT_MICROSECONDS - 1
    assert world.embedded.may_act(early.id)
    clock.now += 1
    assert late.until == clock.now
    assert not world.embedded.may_act(late.id)


def test_neither_a_denial_nor_an_unknown_id_may_act(world: World) -> None:
    denied = world.ask(world.open_session(), "never")
    assert isinstance(denied, Deny)
    for decision in (denied.id, DecisionId("dec_unknown"), DecisionId(""), DecisionId("\ud800")):
        assert not world.embedded.may_act(decision)


def test_a_reported_permit_may_not_act(world: World) -> None:
    session = world.open_session()
    given = permit(world.ask(session, "look"))
    world.report(given, session, OutcomeStatus.NOT_PERFORMED)
    assert not world.embedded.may_act(given.id)


def test_a_permit_does_not_outlive_its_process(open_store: OpenStore) -> None:
    world = open_store()
    given = permit(world.ask(world.open_session(), "look"))
    world.close()
    assert not open_store(again=True).embedded.may_act(given.id)
    assert not world.embedded.may_act(given.id)


@pytest.mark.parametrize("taken_back", ["agent suspended", "task closed", "parent closed", "forbidden"])
@pytest.mark.parametrize("by", ["this process", "another process"])
def test_what_was_taken_back_after_the_permit_may_not_act(open_store: OpenStore, taken_back: str, by: str) -> None:
    """DESIGN, invariant 4: the kill epoch is checked again just before the act."""
    world = open_store()
    parent = world.open_task()
    task = world.open_task(parent=parent.id)
    given = permit(world.ask(world.open_session(task), "look"))
    other = world if by == "this process" else open_store(again=True)
    match taken_back:
        case "agent suspended":
            change = administration.change_agent(
                other.runtime, "bot", lambda a: with_status(a, "bot", AgentStatus.SUSPENDED), ANA
            )
            change.result()
        case "task closed":
            close_task(other.runtime, task.id, "ana").result()
        case "parent closed":
            close_task(other.runtime, parent.id, "ana").result()
        case _:
            other.publish(small_bundle(policies="forbid (principal, action, resource);"))
    assert not world.embedded.may_act(given.id)


class TestAdministrationHoldsAtOnce:
    """INVARIANT (fail closed): what was taken back is gone for every decision that begins after the act returned."""

    @pytest.mark.sqlite
    @pytest.mark.parametrize("taken_back", ["agent suspended", "task closed", "forbidden"])
    def test_whatever_another_thread_reads_while_it_is_committed(self, world: World, taken_back: str) -> None:
        """The revision may not be seen before what it stands for: the old state would be kept under the new revision."""
        session = world.open_session()
        permit(world.ask(session, "look"))

        def read_meanwhile(query: str) -> None:
            if query == "COMMIT":
                with world.runtime.view.lock:  # as every thread that decides does
                    world.runtime.view.refresh()
                    world.runtime.view.chain(session.task)
                    world.runtime.view.agent(session.agent)

        disk = FaultyConnection(world, read_meanwhile)
        self.take_back(world, session.task or "", taken_back)
        disk.mend()
        assert isinstance(world.ask(session, "look"), Deny)

    @pytest.mark.sqlite
    def test_after_an_administrative_act_that_failed(self, open_store: OpenStore) -> None:
        """A revision that was counted up and not committed may not hide the next one, which another process makes."""
        world, other = open_store(), open_store(again=True)
        session = world.open_session()
        disk = failing_at(world, "INSERT INTO entries", DISK_FULL)
        with pytest.raises(RemitError):
            world.register("second")
        disk.mend()
        with world.runtime.view.lock:
            world.runtime.view.refresh()
            world.runtime.view.agent(session.agent)
        self.take_back(other, session.task or "", "agent suspended")
        assert reason(world.ask(session, "look")) is Reason.AGENT_INACTIVE

    def test_while_other_threads_decide(self, open_store: OpenStore) -> None:
        permitted_after = 0
        for attempt in range(4):
            world = open_store(f"store{attempt}")
            session = world.open_session()
            stop = threading.Event()

            def decide(own: Session, world: World = world, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    world.ask(own, "look")

            threads = [threading.Thread(target=decide, args=(world.open_session(),)) for _ in range(3)]
            for thread in threads:
                thread.start()
            world.ask(session, "look")
            self.take_back(world, session.task or "", "agent suspended")
            permitted_after += not isinstance(world.ask(session, "look"), Deny)
            stop.set()
            for thread in threads:
                thread.join()
            permitted_after += not isinstance(world.ask(session, "look"), Deny)
            world.close()
        assert permitted_after == 0

    def test_in_another_process(self, open_store: OpenStore) -> None:
        world, other = open_store(), open_store(again=True)
        session = world.open_session()
        permit(other.ask(session, "look"))
        self.take_back(world, session.task or "", "agent suspended")
        assert reason(other.ask(session, "look")) is Reason.AGENT_INACTIVE

    @staticmethod
    def take_back(world: World, task: str, what: str) -> None:
        match what:
            case "agent suspended":
                administration.change_agent(
                    world.runtime, "bot", lambda a: with_status(a, "bot", AgentStatus.SUSPENDED), ANA
                ).result()
            case "task closed":
                close_task(world.runtime, task, "ana").result()  # type: ignore[arg-type]
            case _:
                world.publish(small_bundle(policies="forbid (principal, action, resource);"))


class TestFork:
    """A fork shares neither the connection nor the permits of its parent."""

    def test_a_child_decides_nothing_and_may_not_act(self, world: World) -> None:
        session = world.open_session()
        given = permit(world.ask(session, "look"))
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            answers = b"?"
            try:
                denied = isinstance(world.ask(session, "look"), Deny)
                answers = b"%d%d" % (denied, world.embedded.may_act(given.id))
            finally:
                os.write(write, answers)
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 10) == b"10", "denied, and may not act"
        os.close(read), os.close(write)
        assert world.embedded.may_act(given.id)
        world.report(given, session, OutcomeStatus.SUCCEEDED, "")
        assert world.verified().open == 0

    def test_a_child_reports_nothing(self, world: World) -> None:
        session = world.open_session()
        given = permit(world.ask(session, "look"))
        child = os.fork()
        if child == 0:
            try:
                world.report(given, session, OutcomeStatus.SUCCEEDED, "from the child")
                os._exit(0)
            except BaseException:
                os._exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7
        world.report(given, session, OutcomeStatus.FAILED, "from the parent")
        assert [seen.status for seen in world.outcomes()] == ["failed"]

    def test_a_childs_end_leaves_the_parents_store_as_it_is(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        given = permit(world.ask(session, "look"))
        child = os.fork()
        if child == 0:
            try:
                world.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert world.outcomes() == []
        permit(world.ask(session, "look"))
        assert world.embedded.may_act(given.id)

    def test_a_child_that_opens_the_store_anew_loses_nothing(self, open_store: OpenStore) -> None:
        """The denial in a fork says `open it anew in the child`: what both commit then, and a third process after them, must all last."""
        world = open_store()
        session = world.open_session()
        permit(world.ask(session, "look"))
        read, write = os.pipe()
        go_read, go_write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                own = open_store(again=True)
                ids = [permit(own.ask(session, "look")).id for _ in range(3)]
                os.write(write, b"ready\n")
                os.read(go_read, 1)
                for _ in range(3):
                    decision = own.ask(session, "look")
                    if not isinstance(decision, Deny):
                        ids.append(decision.id)
                os.write(write, "\n".join([*ids, ""]).encode())
            except BaseException as error:
                os.write(write, f"failed {error!r}\n".encode())
            finally:
                os._exit(0)
        assert os.read(read, 6) == b"ready\n"
        mine = [permit(world.ask(session, "look")).id]
        world.close()
        third = open_store(again=True)
        mine += [permit(third.ask(session, "look")).id]
        os.write(go_write, b"x")
        theirs = b""
        while chunk := os.read(read, 4096):
            theirs += chunk
            if theirs.endswith(b"\n") and theirs.count(b"\n") >= 3:
                break
        os.waitpid(child, 0)
        assert b"failed" not in theirs, theirs
        mine += [permit(third.ask(session, "look")).id]
        third.close()
        last = open_store(again=True)
        stored = {made.id for made in last.decisions() if made.effect == "permit"}
        assert stored.issuperset([*mine, *theirs.decode().split()])
        assert last.verified()
