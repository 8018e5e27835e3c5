"""`remit kill` and `remit release` as an operator types them, in a hurry."""

import pytest

from remit.model.errors import ErrorKind
from remit.model.kill import KillKind
from tests.cli.running import error, ok, run
from tests.runtime.world import World, small_bundle

pytestmark = pytest.mark.sqlite


def test_what_is_killed_exists_unless_that_is_said(guarded: World) -> None:
    guarded.publish(small_bundle(task_types="- {name: tidy, description: tidies up}\n"))
    task = guarded.open_task()
    for kind, wrong, right in (
        ("agent", "bto", "bot"),
        ("tool", "sned", "send"),
        ("task-type", "tidi", "tidy"),
        ("task", task.id[:-1], task.id),
    ):
        refused = error("kill", kind, wrong, "--why", "it went astray")
        assert refused.kind is ErrorKind.NOT_FOUND
        assert f"did you mean `{right}`? (`--unknown` stops the name all the same)" in refused.message
        assert f"stopped {kind} {right}" in ok("kill", kind, right, "--why", "it went astray").replace("`", "")
        assert "stopped" in ok("kill", kind, right, "--why", "it went astray still"), "a kill in force can be renewed"
    assert "stopped" in ok("kill", "agent", "bto", "--why", "it will come", "--unknown")
    assert {(kill.kind, kill.name) for kill in guarded.store.kills()} >= {(KillKind.AGENT, "bot"), (KillKind.AGENT, "bto")}


def test_a_release_lifts_what_was_killed_and_nothing_else(guarded: World) -> None:
    ok("kill", "agent", "bot", "--why", "it went astray")
    assert error("release", "agent", "bto", "--why", "looked at").kind is ErrorKind.NOT_FOUND
    assert "released agent `bot`; 0 still stopped" in ok("release", "agent", "bot", "--why", "looked at")
    assert "nothing is stopped" in ok("kill")
    assert "stopped everything" in ok("kill", "all", "--why", "fire")
    assert "released everything" in ok("release", "all", "--why", "it is out")


def test_who_changes_the_store_beside_a_server_is_told_so(guarded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killing = ("kill", "tool", "send", "--why", "it went astray", "--json")
    assert run(*killing).stderr == ""
    monkeypatch.setenv("REMIT_SERVER", "https://remit.example")
    for verb in (killing, ("task", "close", guarded.open_task().id), ("agent", "token", "bot")):
        done = run(*verb)
        assert done.exit_code == 0 and "warning" not in done.stdout
        [told, *_] = done.stderr.splitlines()
        assert str(guarded.home) in told and "not that of the server `https://remit.example`" in told, verb
    for verb in (("kill",), ("task", "list"), ("approval", "list")):
        assert run(*verb).stderr == "", "what only looks changes nothing"
