"""What was done under a task, whichever session, sub-task or process did it, decides what may still be done."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from remit.model.decision import Deny, Permit, Reason
from remit.model.labels import Confidentiality
from remit.model.task import Task
from remit.runtime import sessions
from remit.runtime.tasks import AgentOpener, Opening, open_task
from tests.conftest import OpenStore
from tests.faults.test_two_processes import Begun
from tests.runtime.world import MANIFEST, World, permit, reason, small_bundle

NEVER_BOTH = """
@id("any") permit (principal, action, resource);
@id("paid") forbid (principal, action, resource == Tool::"wipe") when { context has task && context.task.history.used.contains("pay") };
@id("wiped") forbid (principal, action, resource == Tool::"pay") when { context has task && context.task.history.used.contains("wipe") };
@id("secret") forbid (principal, action, resource == Tool::"send")
  when { context has task && context.task.history.confidentialityRank >= 3 };
"""


@pytest.fixture
def world(open_store: OpenStore) -> World:
    return open_store(bundle=small_bundle(policies=NEVER_BOTH))


def sub_task(world: World, task: Task) -> Task:
    outer = world.open_session(task)
    opener = AgentOpener(outer.agent, outer.id)
    return open_task(world.runtime, Opening(outer.agent, "a part of it", parent=task.id), opener).result()


class TestWhoseItIs:
    def test_a_session_that_was_open_before_is_no_way_around(self, world: World) -> None:
        task = world.open_task()
        first, second = world.open_session(task), world.open_session(task)
        permit(world.ask(first, "pay"))
        assert reason(world.ask(second, "wipe")) is Reason.FORBIDDEN

    @pytest.mark.parametrize("where", ["above", "below", "beside"])
    def test_nor_is_a_sub_task(self, world: World, where: str) -> None:
        task = world.open_task()
        below, beside = sub_task(world, task), sub_task(world, task)
        permit(world.ask(world.open_session(below if where != "below" else task), "pay"))
        other = {"above": task, "below": below, "beside": beside}[where]
        assert reason(world.ask(world.open_session(other), "wipe")) is Reason.FORBIDDEN
        assert reason(world.ask(world.open_session(below), "wipe")) is Reason.FORBIDDEN

    def test_another_task_has_its_own(self, world: World) -> None:
        paid = world.open_session()
        permit(world.ask(paid, "pay"))
        assert reason(world.ask(paid, "wipe")) is Reason.FORBIDDEN
        assert permit(world.ask(world.open_session(), "wipe")).reason is Reason.PERMITTED

    def test_nor_is_another_process_or_a_restart(self, open_store: OpenStore) -> None:
        world = open_store(bundle=small_bundle(policies=NEVER_BOTH))
        other = open_store(again=True)
        task = world.open_task()
        first, second = world.open_session(task), other.open_session(task)
        assert isinstance(other.ask(second, "look"), Permit)
        permit(world.ask(first, "pay"))
        assert reason(other.ask(second, "wipe")) is Reason.FORBIDDEN
        world.close()
        other.close()
        again = open_store(again=True)
        assert reason(again.ask(again.open_session(task), "wipe")) is Reason.FORBIDDEN

    def test_what_a_session_beside_read_counts_at_its_worst(self, world: World) -> None:
        task = world.open_task()
        first, second = world.open_session(task), world.open_session(task)
        permit(world.ask(first, "secret"))
        assert reason(world.ask(second, "send", {"to": "boss@corp.com"})) is Reason.FORBIDDEN
        stored = world.store.task(task.id)
        assert stored is not None and stored.spent.history.touched.confidentiality is Confidentiality.RESTRICTED


class TestAtOnce:
    """INVARIANT (one commit): of two that must never both be, decided at the same moment, one is decided again."""

    def test_in_two_processes(self, open_store: OpenStore) -> None:
        world, other = open_store(bundle=small_bundle(policies=NEVER_BOTH)), open_store(again=True)
        task = world.open_task()
        first, second = world.open_session(task), other.open_session(task)
        permit(other.ask(second, "look"))
        waiting = Begun(world, first, "pay")
        permit(other.ask(second, "wipe"))
        assert reason(waiting.finish()) is Reason.FORBIDDEN

    def test_a_denial_for_what_never_came_to_be_is_decided_again(self, open_store: OpenStore) -> None:
        world, other = open_store(bundle=small_bundle(policies=NEVER_BOTH)), open_store(again=True)
        task = world.open_task()
        first, second = world.open_session(task), world.open_session(task)
        pays = Begun(world, first, "pay")
        finds_it_paid = Begun(world, second, "wipe")
        permit(other.ask(first, "look"))
        decided = {type(pays.finish()), type(finds_it_paid.finish())}
        assert decided == {Permit, Deny}

    def test_many_threads(self, world: World) -> None:
        task = world.open_task()
        runs = [world.open_session(task) for _ in range(16)]
        with ThreadPoolExecutor(16) as pool:
            asked = list(pool.map(lambda n: world.ask(runs[n], ("pay", "wipe")[n % 2]), range(16)))
        done = {("pay", "wipe")[n % 2] for n, decision in enumerate(asked) if isinstance(decision, Permit)}
        assert len(done) == 1


def test_what_shadow_mode_lets_pass_was_done(open_store: OpenStore) -> None:
    """And is remembered once the bundle is enforced, though no budget was spent."""
    policies = NEVER_BOTH + '@id("no-pay") forbid (principal, action, resource == Tool::"pay");'
    world = open_store(bundle=small_bundle(manifest=MANIFEST + "mode: shadow\n", policies=policies))
    task = world.open_task()
    passed = permit(world.ask(world.open_session(task), "pay"))
    assert not passed.enforced and passed.reason is Reason.FORBIDDEN
    world.faithful()
    world.publish(small_bundle(policies=policies))
    assert reason(world.ask(world.open_session(task), "wipe")) is Reason.FORBIDDEN
    stored = world.store.task(task.id)
    assert stored is not None and stored.spent.calls == 0


def test_a_session_goes_on_where_its_task_stands(world: World) -> None:
    """The same session in the same process after others moved the task."""
    task = world.open_task()
    first, second = world.open_session(task), world.open_session(task)
    permit(world.ask(first, "look"))
    permit(world.ask(second, "pay"))
    assert reason(world.ask(first, "wipe")) is Reason.FORBIDDEN
    assert sessions.resume(world.runtime, first.id).calls == {"look": 1}
