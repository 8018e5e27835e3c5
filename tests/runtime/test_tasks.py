"""Tasks and sessions: opened by somebody else, delegated narrower, ended for good, and there again after a restart."""

import pytest

from remit.inventory.agents import with_status
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import AgentId, AgentStatus, Operator, TaskId
from remit.model.kill import KillKind
from remit.model.rate import Rate
from remit.model.task import Amount, Budgets, Scope, TaskStatus
from remit.runtime import administration, kills, sessions
from remit.runtime.tasks import AgentOpener, Opening, close_task, open_task
from tests.conftest import OpenStore
from tests.runtime.world import ANA, Clock, World, permit, reason, small_bundle


def test_a_task_says_who_what_for_whom_and_until_when(world: World, clock: Clock) -> None:
    opening = Opening(
        "bot", "  send the report ", "customer-7", scope=Scope(tools=("send",)), budgets=Budgets(calls=3), seconds=60
    )
    task = open_task(world.runtime, opening, ANA).result()
    assert (task.agent, task.purpose, task.opener, task.on_behalf_of) == ("bot", "send the report", "ana", "customer-7")
    assert (task.opened, task.expires) == (clock.now, clock.now + 60_000_000)
    stored = world.store.task(task.id)
    assert stored is not None and stored.task == task and stored.spent.calls == 0


def test_a_task_lasts_over_a_restart_with_all_it_has_spent(open_store: OpenStore) -> None:
    world = open_store()
    task = world.open_task(budgets=Budgets(calls=3))
    session = world.open_session(task)
    permit(world.ask(session, "look"))
    permit(world.ask(session, "look"))
    world.close()
    world = open_store(again=True)
    permit(world.ask(session, "look"))
    assert reason(world.ask(session, "look")) is Reason.BUDGET_EXHAUSTED
    assert sessions.resume(world.runtime, session.id).calls == {"look": 3}


def test_a_task_ends_when_its_time_is_up(world: World, clock: Clock) -> None:
    session = world.open_session(seconds=60)
    clock.forward(59.9)
    permit(world.ask(session, "look"))
    clock.forward(0.1)
    assert reason(world.ask(session, "look")) is Reason.TASK_EXPIRED


@pytest.mark.parametrize("which", ["leaf", "middle", "root"])
def test_closing_any_task_of_the_chain_ends_what_was_delegated_from_it(world: World, which: str) -> None:
    root = world.open_task()
    middle = world.open_task(parent=root.id)
    leaf = world.open_task(parent=middle.id)
    session = world.open_session(leaf)
    permit(world.ask(session, "look"))
    closed = {"leaf": leaf, "middle": middle, "root": root}[which]
    close_task(world.runtime, closed.id, "ana").result()
    denied = world.ask(session, "look")
    assert reason(denied) is Reason.TASK_CLOSED and closed.id in denied.message
    with pytest.raises(RemitError):
        world.open_session(leaf)
    with pytest.raises(RemitError):
        world.open_task(parent=leaf.id)


def test_a_task_is_closed_once(world: World) -> None:
    task = world.open_task()
    close_task(world.runtime, task.id, "ana").result()
    with pytest.raises(RemitError) as caught:
        close_task(world.runtime, task.id, "ana").result()
    assert caught.value.kind is ErrorKind.CONFLICT
    stored = world.store.task(task.id)
    assert stored is not None and stored.task.status is TaskStatus.CLOSED
    assert world.verified().kinds["task.closed"] == 1


def test_a_sub_task_ends_with_its_parent_at_the_latest_and_is_for_the_same_person(world: World) -> None:
    parent = world.open_task(seconds=100, on_behalf_of="customer-7", budgets=Budgets(calls=5))
    sub = world.open_task(parent=parent.id, seconds=3600, on_behalf_of="somebody-else", budgets=Budgets(calls=9))
    assert (sub.expires, sub.on_behalf_of, sub.budgets.calls) == (parent.expires, "customer-7", 5)


@pytest.mark.parametrize("opener", ["the agent as a person", "the agent itself", "another agent", "another agent within it"])
def test_an_agent_opens_no_task_for_itself(world: World, opener: str) -> None:
    world.register("other")
    parent = world.open_task()
    opening = Opening("bot", "anything", parent=parent.id if opener == "another agent within it" else None)
    openers = {
        "the agent as a person": Operator("bot", "os"),
        "the agent itself": AgentOpener(AgentId("bot")),
        "another agent": AgentOpener(AgentId("other")),
        "another agent within it": AgentOpener(AgentId("other")),
    }
    with pytest.raises(RemitError) as caught:
        open_task(world.runtime, opening, openers[opener]).result()
    assert caught.value.kind is ErrorKind.REFUSED


def test_an_agent_delegates_within_its_own_task(world: World) -> None:
    world.register("helper")
    task = world.open_task(scope=Scope(tools=("look", "read")))
    session = world.open_session(task)
    sub = open_task(
        world.runtime, Opening("helper", "look for it", parent=task.id), AgentOpener(AgentId("bot"), session.id)
    ).result()
    inner = world.open_session(sub)
    assert inner.agent == "helper" and not sub.purpose_trusted
    permit(world.ask(inner, "look"))
    assert reason(world.ask(inner, "send")) is Reason.OUTSIDE_SCOPE
    assert reason(world.ask(session, "look", task=sub.id, session=inner.id)) is Reason.TASK_OF_ANOTHER


@pytest.mark.parametrize("status", [AgentStatus.SUSPENDED, AgentStatus.RETIRED])
def test_an_agent_that_may_not_act_gets_no_task_and_uses_none(world: World, status: AgentStatus) -> None:
    session = world.open_session()
    administration.change_agent(world.runtime, "bot", lambda a: with_status(a, "bot", status), ANA).result()
    with pytest.raises(RemitError):
        world.open_task()
    assert reason(world.ask(session, "look")) is Reason.AGENT_INACTIVE


def test_what_does_not_exist_is_not_found(world: World) -> None:
    for act in (
        lambda: sessions.open_session(world.runtime, TaskId("tsk_x")).result(),
        lambda: close_task(world.runtime, TaskId("tsk_x"), "ana").result(),
        lambda: world.open_task(parent="tsk_x"),
        lambda: world.open_task(agent="nobody"),
        lambda: sessions.resume(world.runtime, "ses_x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(RemitError) as caught:
            act()
        assert caught.value.kind is ErrorKind.NOT_FOUND
    assert reason(world.ask(None, "look", task="tsk_x", session="ses_x")) is Reason.TASK_UNKNOWN


NAMES = tuple(f"tool-{number}" for number in range(1001))


@pytest.mark.parametrize(
    ("said", "scope", "budgets"),
    [
        ("`scope.tools` has 1001 entries, 1000 at most", Scope(tools=NAMES), Budgets()),
        ("`scope.resources` has 1001", Scope(resources=NAMES), Budgets()),
        ("`scope.destinations` has 1001", Scope(destinations=NAMES), Budgets()),
        ("`budgets.tools` has 1001", Scope(), Budgets(tools=dict.fromkeys(NAMES, 1))),
        ("`budgets.amounts` has 1001", Scope(), Budgets(amounts={f"{name}.x": Amount(1) for name in NAMES})),
        ("`budgets.rates` has 65", Scope(), Budgets(rates=tuple(Rate(60, 1, name) for name in NAMES[:65]))),
        ("66000 characters, 65536 at most", Scope(resources=("x" * 65_000,), tools=("y" * 1000,)), Budgets()),
        ("66003 characters", Scope(), Budgets(rates=(Rate(60, 1, "x" * 66_000),))),
    ],
)
def test_a_scope_that_nobody_could_review_is_refused(world: World, said: str, scope: Scope, budgets: Budgets) -> None:
    with pytest.raises(RemitError) as refusal:
        world.open_task(scope=scope, budgets=budgets)
    assert refusal.value.kind is ErrorKind.MALFORMED and said in refusal.value.message
    assert world.open_task(scope=Scope(tools=NAMES[:1000]), budgets=Budgets(tools=dict.fromkeys(NAMES[:999], 1)))


def test_what_is_delegated_has_its_bound_with_all_above_it(world: World) -> None:
    above = world.open_task(budgets=Budgets(tools=dict.fromkeys(NAMES[:600], 1)))
    with pytest.raises(RemitError, match="`budgets.tools` has 1001"):
        world.open_task(parent=above.id, budgets=Budgets(tools=dict.fromkeys(NAMES[600:], 1)))


def test_without_a_task_only_what_is_marked_task_free_passes(world: World) -> None:
    permit(world.ask(None, "free"))
    for tool in ("look", "read", "freed", "unheard-of"):
        assert reason(world.ask(None, tool)) is Reason.TASK_REQUIRED
    assert isinstance(world.ask(None, "free", action="file.read"), Deny)


def test_a_chain_of_tasks_has_an_end(world: World) -> None:
    """Thirty-two links can be verified; what is delegated further is not permitted, rather than half verified."""
    task = world.open_task()
    for _ in range(31):
        task = world.open_task(parent=task.id)
    permit(world.ask(world.open_session(task), "look"))
    try:
        session = world.open_session(world.open_task(parent=task.id))
    except RemitError:
        return
    assert isinstance(world.ask(session, "look"), Deny)


@pytest.mark.parametrize("which", [0, 1])
def test_what_a_suspended_agent_delegated_stops_with_it(world: World, which: int) -> None:
    for name in ("middle", "leaf"):
        world.register(name)
    root = world.open_task()
    middle = world.open_task(agent="middle", parent=root.id)
    session = world.open_session(world.open_task(agent="leaf", parent=middle.id))
    before = permit(world.ask(session, "look"))
    name = ("bot", "middle")[which]
    change = administration.change_agent
    change(world.runtime, name, lambda known: with_status(known, name, AgentStatus.SUSPENDED), ANA).result()
    assert not world.embedded.may_act(before.id)
    denied = world.ask(session, "look")
    assert reason(denied) is Reason.AGENT_INACTIVE and f"`{name}`" in denied.message
    change(world.runtime, name, lambda known: with_status(known, name, AgentStatus.ACTIVE), ANA).result()
    permit(world.ask(session, "look"))


def test_a_refusal_rests_on_nothing_that_another_process_has_changed(open_store: OpenStore) -> None:
    world, beside = open_store(), open_store(again=True)
    kills.kill(world.runtime, KillKind.AGENT, "bot", "it misbehaves", ANA).result()
    with pytest.raises(RemitError, match="stopped"):
        world.open_task()
    kills.release(beside.runtime, KillKind.AGENT, "bot", "it was looked at", ANA).result()
    beside.publish(small_bundle(task_types="- {name: support}\n"))
    assert world.open_task(type="support").type == "support"
    kills.kill(beside.runtime, KillKind.AGENT, "bot", "again", ANA).result()
    with pytest.raises(RemitError, match="stopped"):
        world.open_task(type="support")


def test_an_agent_is_not_told_which_others_there_are(world: World) -> None:
    world.register("other")
    said = []
    for name in ("other", "nobody"):
        with pytest.raises(RemitError) as caught:
            open_task(world.runtime, Opening(name, "help"), AgentOpener(AgentId("bot"))).result()
        said.append((caught.value.kind, caught.value.message))
    assert said[0] == said[1] and said[0][0] is ErrorKind.REFUSED
