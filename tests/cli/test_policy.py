"""`remit policy rollback` and `explain`, on a store as an operator has it."""

import json
from pathlib import Path

import pytest

from remit.model.decision import Reason
from remit.model.errors import ErrorKind
from remit.model.task import Scope
from tests.cli.running import error, ok
from tests.runtime.world import SMALL, World, permit, reason

pytestmark = pytest.mark.sqlite
ANY = '@id("any") permit (principal, action == Action::"tool.call", resource);\n'
NO_LOOKING = '@id("no-looking") forbid (principal, action == Action::"tool.call", resource == Tool::"look");\n'


def folder(path: Path, policies: str) -> str:
    """The small bundle in a folder, with these policies."""
    for name, text in {**SMALL, "policies/all.cedar": policies}.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(path)


def test_a_rollback_brings_back_what_decided_before(guarded: World, tmp_path: Path) -> None:
    session = guarded.open_session()
    first = json.loads(ok("policy", "publish", folder(tmp_path, ANY), "--json"))["digest"]
    permit(guarded.ask(session, "look"))
    second = json.loads(ok("policy", "publish", folder(tmp_path, ANY + NO_LOOKING), "--json"))["digest"]
    assert reason(guarded.ask(session, "look")) is Reason.FORBIDDEN
    assert f"rolled back to bundle small as {first[:12]}" in ok("policy", "rollback")
    permit(guarded.ask(session, "look"))
    assert f"as {second[:12]}" in ok("policy", "rollback", "--to", second)
    assert reason(guarded.ask(session, "look")) is Reason.FORBIDDEN
    assert error("policy", "rollback", "--to", "0" * 64).kind is ErrorKind.NOT_FOUND
    history = [row["digest"] for row in json.loads(ok("policy", "show", "--history", "--json"))]
    assert history[:4] == [second, first, second, first]


def test_an_explanation_says_what_would_be_decided_and_decides_nothing(guarded: World) -> None:
    before = len(guarded.decisions())
    told = json.loads(ok("policy", "explain", "--agent", "bot", "--tool", "pay", "--arguments", '{"to": "x"}', "--json"))
    assert (told["effect"], told["reason"], list(told["policies"])) == ("deny", "approval-required", ["pay-asks"])
    assert '@id("pay-asks")' in ok("policy", "explain", "--agent", "bot", "--tool", "pay")
    assert "permit (permitted)" in ok("policy", "explain", "--agent", "bot", "--tool", "look")
    task = guarded.open_task(scope=Scope(tools=("read",)))
    scoped = ok("policy", "explain", "--agent", "bot", "--tool", "look", "--task", task.id)
    assert "deny (outside-scope)" in scoped
    assert len(guarded.decisions()) == before and not guarded.store.approvals(None, 9)
