"""A guarded agent far from any store, with a token and a key of its own, against a server that asks who is calling."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import remit
from remit.local import entering
from remit.local.config import server_token
from remit.local.on_server import connect
from remit.local.wiring import wall_clock
from remit.model.decision import Deny, Reason
from remit.model.errors import RemitError
from remit.model.identity import EntityRef
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.values import NO_ARGUMENTS, freeze
from tests.cli.running import error, ok, run
from tests.conftest import OpenStore
from tests.runtime.world import World
from tests.server.serving import Client, served

pytestmark = pytest.mark.sqlite
CANARY = EvaluationRequest(EntityRef("Agent", "bot"), TOOL_CALL, EntityRef("Tool", "free"), NO_ARGUMENTS)


@remit.guard(tool="secret")
def secret() -> str:
    return "the secret"


@remit.guard(tool="look")
def look(text: str = "") -> str:
    return f"seen {text}"


@pytest.fixture
def net(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[World, Client]]:
    """A server that asks who is calling, and this process without its store."""
    world = open_store("served", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    with served(tmp_path, dev=False) as client:
        monkeypatch.setenv("REMIT_URL", f"http://127.0.0.1:{client.port}")
        yield world, client
        for remote in entering._connected.values():
            remote.close()
        entering._connected.clear()


def go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, client: Client, token: str, key: str = "") -> None:
    """From now on this process has a token, and no store."""
    (tmp_path / "token").write_text(token)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("REMIT_SERVER", f"http://127.0.0.1:{client.port}")
    monkeypatch.setenv("REMIT_TOKEN_FILE", str(tmp_path / "token"))
    if key:
        monkeypatch.setenv("REMIT_KEY_FILE", key)


def test_with_its_key_an_agent_works_as_it_would_beside_its_store(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = net
    key = str(tmp_path / "bot.jwk")
    assert "made the key" in ok("agent", "key", key) and os.stat(key).st_mode & 0o777 == 0o600
    token = ok("agent", "token", "bot", "--key", key).strip()
    task = world.open_task()
    go(monkeypatch, tmp_path, client, token, key)
    with remit.task(resume=task.id):
        assert secret() == "the secret" and look("it") == "seen it"
        for file in (key, str(tmp_path / "token")):
            with pytest.raises(remit.Denied, match="token or key"):
                look(file)
    with pytest.raises(RemitError, match="agent"):
        remit.task("do as I like", agent="bot").__enter__()
    made = world.decisions()
    assert {one.proof for one in made} == {"dpop"} and {one.caller for one in made} == {
        f"agent:http://127.0.0.1:{client.port}#bot"
    }
    assert run("doctor").exit_code == 0
    world.verified()


def test_with_a_bearer_token_it_reaches_the_low_tier_only(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = net
    token = ok("agent", "token", "bot").strip().splitlines()[-1]
    task = world.open_task()
    go(monkeypatch, tmp_path, client, token)
    with remit.task(resume=task.id):
        assert look("it") == "seen it"
        with pytest.raises(remit.Denied) as caught:
            secret()
    assert caught.value.reason is Reason.PROOF_REQUIRED


def test_without_a_task_it_is_told_what_it_would_be_told_beside_its_store(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = net
    key = str(tmp_path / "bot.jwk")
    ok("agent", "key", key)
    go(monkeypatch, tmp_path, client, ok("agent", "token", "bot", "--key", key).strip(), key)
    with pytest.raises(remit.Denied, match="enter one with") as caught:
        look("it")
    assert caught.value.reason is Reason.TASK_REQUIRED
    assert [(one.id, one.subject) for one in world.decisions()] == [(caught.value.decision.id, "Agent::bot")]


def test_without_the_right_key_or_token_nothing_is_permitted(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = net
    own, other = str(tmp_path / "own.jwk"), str(tmp_path / "other.jwk")
    ok("agent", "key", own)
    ok("agent", "key", other)
    token = ok("agent", "token", "bot", "--key", own).strip()
    for shown, key, word in ((token, other, "another key"), (token, "", "DPoP"), ("x.y.z", own, "token"), ("", "", "token")):
        monkeypatch.delenv("REMIT_KEY_FILE", raising=False)
        go(monkeypatch, tmp_path, client, shown, key)
        remote = connect(os.environ["REMIT_SERVER"])
        denied = remote.evaluate(CANARY).result()
        remote.close()
        assert isinstance(denied, Deny) and denied.id == "unrecorded" and word in denied.message, denied
    assert not world.decisions()


def test_a_key_that_others_can_read_or_that_is_none_is_refused(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "bot.jwk"
    ok("agent", "key", str(key))
    assert "never overwritten" in error("agent", "key", str(key)).message
    key.chmod(0o644)
    monkeypatch.setenv("REMIT_KEY_FILE", str(key))
    with pytest.raises(RemitError, match="chmod 600"):
        connect("http://127.0.0.1:1")
    key.chmod(0o600)
    key.write_text("{}")
    with pytest.raises(RemitError, match="no key"):
        connect("http://127.0.0.1:1")
    monkeypatch.setenv("REMIT_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(RemitError, match="remit agent key"):
        connect("http://127.0.0.1:1")


def test_an_agent_that_may_not_act_is_given_no_token(net: tuple[World, Client], tmp_path: Path) -> None:
    ok("agent", "suspend", "bot")
    assert "suspended" in error("agent", "token", "bot").message
    assert "not registered" in error("agent", "token", "nobody").message
    assert "no address" in error("agent", "token", "bot", "--url", "http://remit.example").message


def test_an_action_is_asked_for_once_also_where_the_server_wants_a_nonce(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = net
    key = str(tmp_path / "bot.jwk")
    ok("agent", "key", key)
    session = world.open_session(world.open_task())
    go(monkeypatch, tmp_path, client, ok("agent", "token", "bot", "--key", key).strip(), key)
    assert server_token()
    remote = connect(os.environ["REMIT_SERVER"])  # the first proof has no nonce, and is asked for one
    pay = EvaluationRequest(
        EntityRef("Agent", "bot"), TOOL_CALL, EntityRef("Tool", "look"), freeze({"n": 1}), session.task, session.id
    )
    permit = remote.evaluate(pay).result()
    assert remote.may_act(permit.id).result() is True and remote.may_act(permit.id).result() is False
    remote.close()
    assert len(world.decisions()) == 1
