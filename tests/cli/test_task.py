"""Tasks as a developer and an operator open them: what is said of what they name, and what bounds them."""

from typing import Any

import pytest

import remit
from remit.local.config import Settings
from remit.model.errors import ErrorKind, RemitError
from tests.cli.running import error, ok, run
from tests.runtime.world import World

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
