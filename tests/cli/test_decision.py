"""`remit decision`: lists that a terminal can show and a pipe can cut, and one decision with its time."""

import io
import json

import pytest
from rich.console import Console

from remit.cli import output
from remit.cli.output import when
from remit.model.decision import Deny
from remit.model.errors import ErrorKind
from remit.model.identity import EntityRef
from remit.model.values import freeze
from tests.cli.running import LOWERING, error, ok, run
from tests.runtime.world import POLICIES, World, small_bundle

pytestmark = pytest.mark.sqlite
LONG = "x" * 400


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is printed on a terminal of 80 columns."""
    text = io.StringIO()
    monkeypatch.setattr(output, "out", Console(file=text, force_terminal=True, color_system=None, width=80, highlight=False))
    return text


def held(world: World) -> str:
    denied = world.ask(world.open_session(), "pay", {"to": LONG})
    assert isinstance(denied, Deny) and denied.approval is not None
    return denied.approval


def test_an_unknown_task_is_not_found_rather_than_without_decisions(guarded: World) -> None:
    for verb in (["decision", "list", "--task", "nosuch"], ["session", "list", "nope"]):
        missing = error(*verb)
        assert missing.kind is ErrorKind.NOT_FOUND and f"there is no task `{verb[-1]}`" in missing.message
    task = guarded.open_task()
    assert "no decisions yet" in ok("decision", "list", "--task", task.id)
    assert "nobody has entered the task" in ok("session", "list", task.id)


def test_on_a_terminal_lists_have_four_columns(guarded: World, terminal: io.StringIO) -> None:
    approval = held(guarded)
    ok("approval", "list")
    lines = terminal.getvalue().splitlines()
    assert lines[0].split() == ["request", "agent", "tool", "or", "action", "needs"]
    assert lines[1].split() == [approval, "bot", "pay", "one"] and LONG[:9] not in terminal.getvalue()
    guarded.ask(None, LONG)
    terminal.seek(0), terminal.truncate()
    ok("decision", "list")
    shown = terminal.getvalue()
    assert "approval-required" in shown and "  bot  " in shown and max(map(len, shown.splitlines())) <= 80
    assert len(shown.splitlines()) <= 5, "a long name is cut, not folded"


def test_in_a_pipe_lists_have_every_column_and_no_endless_row(guarded: World) -> None:
    approval = held(guarded)
    head, row = ok("approval", "list").splitlines()
    assert "arguments" in head and "expires (UTC)" in head and head.endswith("why")
    assert approval in row and "…" in row and len(row) <= output.MAX_ROW
    guarded.ask(None, LONG)
    head, *rows = ok("decision", "list").splitlines()
    assert head.split()[-1] == "outcome" and max(map(len, rows)) <= output.MAX_ROW
    assert len(json.loads(ok("approval", "list", "--json"))[0]["shown"]["arguments"]["to"]) >= 400, "JSON is whole"


def test_what_lowers_a_label_is_no_tool(guarded: World, terminal: io.StringIO) -> None:
    guarded.publish(small_bundle(policies=POLICIES + LOWERING))
    session = guarded.open_session()
    guarded.perform(session, "read", "hello")
    asked = run("session", "declassify", session.id, "--to", "public", "--why", "looked at")
    assert asked.exit_code == 1
    ok("approval", "list")
    assert "session.declassify" in terminal.getvalue() and session.id[:9] not in terminal.getvalue()


def test_an_action_on_a_file_is_listed_with_its_file(guarded: World) -> None:
    resource = EntityRef("File", "/public/a.txt")
    guarded.ask(guarded.open_session(), "-", action="file.read", resource=resource, arguments=freeze({}))
    assert "/public/a.txt" in ok("decision", "list")


def test_one_decision_is_shown_with_its_time(guarded: World) -> None:
    guarded.ask(guarded.open_session(), "look", {})
    [made] = guarded.decisions()
    shown = ok("decision", "show", made.id)
    assert f"{when(made.at)} UTC" in shown and str(made.at) not in shown
    assert json.loads(ok("decision", "show", made.id, "--json"))["at"] == made.at
