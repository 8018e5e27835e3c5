"""Tasks as a developer and an operator open them: what is said of what they name, and what bounds them."""

import json
from typing import Any

import pytest

import remit
from remit.local import unknown
from remit.local.config import Settings
from remit.model.decision import Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import TaskId
from remit.model.task import Session
from tests.cli.running import error, ok, run
from tests.runtime.world import Clock, World, permit, reason

pytestmark = pytest.mark.sqlite


def test_a_task_shows_its_id(guarded: World) -> None:
    task = remit.task("look around", agent="bot")
    assert repr(task) == "<remit.task: not entered>"
    with task as entered:
        assert entered.session is not None and str(entered.session.task) in repr(entered)


def test_an_agent_must_be_named_somewhere(guarded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RemitError, match="say which agent: `agent=`, or the setting `agent`"):
        remit.task("look around").__enter__()
    monkeypatch.setattr(guarded.embedded, "settings", Settings(agent="bot"))
    with remit.task("look around") as entered:
        assert entered.task is not None and entered.task.agent == "bot"


@pytest.mark.parametrize("given", [{"scope": {"tools": ["look"]}}, {"budgets": {"calls": 3}}])
def test_scope_and_budgets_are_typed(given: dict[str, Any]) -> None:
    with pytest.raises(RemitError, match=r"takes a `remit\.(Scope|Budgets)`") as caught:
        remit.task("look around", agent="bot", **given)
    assert caught.value.kind is ErrorKind.MALFORMED


def test_a_closed_task_is_closed_already(guarded: World) -> None:
    task = guarded.open_task()
    assert f"closed {task.id}" in ok("task", "close", task.id)
    again = error("task", "close", task.id)
    assert again.kind is ErrorKind.CONFLICT and "is closed already" in again.message


@pytest.mark.parametrize("verb", ["task", "decision", "approval"])
@pytest.mark.parametrize("limit", ["0", "-5"])
def test_a_list_of_fewer_than_one_is_refused(guarded: World, verb: str, limit: str) -> None:
    assert run(verb, "list", "--limit", limit).exit_code == 2


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--tool", "sned", "there is no tool `sned`: did you mean `send`?"),
        ("--tool", "effect:raed", "there is no effect `raed`: did you mean `read`?"),
        ("--tool", "group:none", "there is no tool group `none`: correct it, or add it to the bundle"),
        ("--flow", "closed.nope := email in read", "tool `closed` has no argument `nope`: known are `n`, `price`"),
        ("--flow", "send.to := email in raed", "there is no tool `raed`: did you mean `read`?"),
        ("--budget", "pya=3", "there is no tool `pya`: did you mean `pay`?"),
        ("--budget", "closed.prize=3", "tool `closed` has no argument `prize`: did you mean `price`?"),
        ("--rate", "closed.prize=3/60", "tool `closed` has no argument `prize`: did you mean `price`?"),
    ],
)
def test_a_task_opens_with_a_warning_of_what_there_is_not(guarded: World, option: str, value: str, said: str) -> None:
    opened = run("task", "open", "look around", "--agent", "bot", option, value, "--json")
    assert opened.exit_code == 0 and f"warning: in the published bundle {said}" in opened.stderr
    assert json.loads(opened.stdout)["agent"] == "bot", "what a program reads is as it was"


def test_what_there_is_opens_without_a_word(guarded: World) -> None:
    known = ["--tool", "send", "--tool", "effect:read", "--flow", "send.to := email in read", "--budget", "pay=3"]
    opened = run("task", "open", "look around", "--agent", "bot", *known, "--rate", "*=3/60", "--rate", "pay.amount=3/60")
    assert opened.exit_code == 0 and not opened.stderr


def test_a_task_of_a_program_is_warned_of_once(guarded: World, caplog: pytest.LogCaptureFixture) -> None:
    unknown.warn.cache_clear()
    for _ in range(2):
        with remit.task("look around", agent="bot", scope=remit.Scope(tools=("sned",))):
            pass
    assert [r.getMessage() for r in caplog.records if "sned" in r.getMessage()] == [
        "remit.task: in the published bundle there is no tool `sned`: did you mean `send`?"
    ]


def entered(world: World, *options: str) -> Session:
    """A session of a task that was opened on the command line."""
    opened = json.loads(ok("task", "open", "look around", "--agent", "bot", *options, "--json"))
    state = world.store.task(TaskId(opened["id"]))
    assert state is not None
    return world.open_session(state.task)


def test_a_task_is_flat_wherever_it_is_printed(guarded: World) -> None:
    opened = json.loads(ok("task", "open", "look around", "--agent", "bot", "--budget", "look.n=3", "--rate", "*=3/60", "--json"))
    [listed] = json.loads(ok("task", "list", "--json"))
    assert listed == {**opened, "spent": listed["spent"]} == json.loads(ok("task", "show", opened["id"], "--json"))
    session = guarded.open_session(guarded.store.task(opened["id"]).task)  # type: ignore[union-attr]
    permit(guarded.ask(session, "look", {"n": 1}))
    [listed] = json.loads(ok("task", "list", "--json"))
    assert listed["id"] == opened["id"] and listed["spent"]["calls"] == 1


def test_a_rate_holds_for_its_time(guarded: World, clock: Clock) -> None:
    session = entered(guarded, "--rate", "look=2/60")
    for _ in range(2):
        permit(guarded.ask(session, "look"))
    assert reason(guarded.ask(session, "look")) is Reason.BUDGET_EXHAUSTED
    permit(guarded.ask(session, "read"))
    clock.forward(61)
    permit(guarded.ask(session, "look"))
    assert "at most" in ok("task", "show", str(session.task))


def test_a_rate_of_a_sum_holds(guarded: World) -> None:
    session = entered(guarded, "--rate", "look.n=10/60")
    permit(guarded.ask(session, "look", {"n": 10}))
    assert reason(guarded.ask(session, "look", {"n": 1})) is Reason.BUDGET_EXHAUSTED


def test_budgets_hold(guarded: World) -> None:
    session = entered(guarded, "--budget", "look=1", "--budget", "read.n=10.5")
    permit(guarded.ask(session, "look"))
    assert reason(guarded.ask(session, "look")) is Reason.BUDGET_EXHAUSTED
    permit(guarded.ask(session, "read", {"n": 10}))
    assert reason(guarded.ask(session, "read", {"n": 1})) is Reason.BUDGET_EXHAUSTED
    assert "10 of 10.5" in ok("task", "show", str(session.task))


@pytest.mark.parametrize(
    ("option", "value"), [("--budget", "look"), ("--budget", "look=many"), ("--rate", "look=3"), ("--rate", "=3/60")]
)
def test_what_is_no_bound_is_refused(guarded: World, option: str, value: str) -> None:
    refused = error("task", "open", "look around", "--agent", "bot", option, value)
    assert refused.kind is ErrorKind.MALFORMED and f"`{value}` is not TOOL=CALLS" in refused.message


def test_a_task_touches_no_higher_class_than_it_was_given(guarded: World) -> None:
    session = entered(guarded, "--confidentiality", "internal")
    permit(guarded.ask(session, "look"))
    assert reason(guarded.ask(session, "secret")) is Reason.OUTSIDE_SCOPE
    permit(guarded.ask(entered(guarded, "--confidentiality", "restricted"), "secret"))
