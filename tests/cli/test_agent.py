"""`remit agent`: an agent is stopped, goes on, and ends, from its next decision on."""

import json
from pathlib import Path

import jwt
import pytest

from remit.credentials.holder_keys import thumbprint_of
from remit.decision_log.entry import IssuerRotated
from remit.local.config import DEFAULT_URL
from remit.local.trust import own_issuer
from remit.model.decision import Reason
from remit.model.errors import ErrorKind
from tests.cli.running import error, ok, run
from tests.runtime.world import World, permit, reason

pytestmark = pytest.mark.sqlite


def test_a_suspended_agent_acts_again_once_it_is_resumed(guarded: World) -> None:
    session = guarded.open_session()
    assert "agent bot is suspended" in ok("agent", "suspend", "bot")
    assert reason(guarded.ask(session, "look")) is Reason.AGENT_INACTIVE
    assert "agent bot is active" in ok("agent", "resume", "bot")
    permit(guarded.ask(session, "look"))


def test_a_retired_agent_is_retired_for_good(guarded: World) -> None:
    session = guarded.open_session()
    assert "agent bot is retired" in ok("agent", "retire", "bot")
    assert reason(guarded.ask(session, "look")) is Reason.AGENT_INACTIVE
    assert "retired" in error("agent", "resume", "bot").message
    assert "retired" in ok("agent", "list"), "its history stays"


def test_an_identity_is_one_agents(guarded: World) -> None:
    name = "https://idp.example#client-7"
    assert f"known as {name}" in ok("agent", "bind", "bot", name)
    assert "already" in error("agent", "bind", "bot", name).message
    ok("agent", "register", "other", "--owner", "ben", "--purpose", "helps")
    assert "agent `bot`'s" in error("agent", "bind", "other", name).message
    assert name in ok("agent", "show", "bot")
    ok("agent", "unbind", "bot", name)
    assert "no identity" in error("agent", "unbind", "bot", name).message
    ok("agent", "bind", "other", name)
    guarded.verified()


@pytest.mark.parametrize(
    "identity",
    [
        "client-7",
        "https://idp.example",
        "https://idp.example#",
        "#x",
        "spiffe://corp",
        "spiffe://corp/a//b",
        "https://ü#x",
        "a" * 600,
    ],
)
def test_what_is_no_identity_is_refused(guarded: World, identity: str) -> None:
    assert error("agent", "bind", "bot", identity).message


@pytest.mark.parametrize("refuse", [False, True])
def test_another_key_signs_tokens(guarded: World, refuse: bool) -> None:
    old = ok("agent", "token", "bot").splitlines()[-1]
    assert ("are refused" if refuse else "stand until they expire") in ok("issuer", "rotate", *["--refuse"][:refuse])
    new = ok("agent", "token", "bot").splitlines()[-1]
    kid, fresh = (jwt.get_unverified_header(token)["kid"] for token in (old, new))
    published = json.loads(own_issuer(guarded.home, DEFAULT_URL, guarded.runtime.clock, make=False).key_set())["keys"]
    assert [key["kid"] for key in published] == ([fresh] if refuse else [kid, fresh])
    [rotated] = [entry.body for entry in guarded.entries() if isinstance(entry.body, IssuerRotated)]
    assert (rotated.key, rotated.refused, rotated.verified_by) == (kid, refuse, "os")
    guarded.verified()


def test_nobody_is_made_an_agent_by_a_role() -> None:
    result = run("operator", "token", "eve", "--role", "agent")
    assert result.exit_code == 2 and "no role that somebody is given" in " ".join(result.stderr.split())
    told = run("operator", "token", "--help").output
    assert "auditor" in told and "agent," not in told


def test_the_public_half_of_a_key_is_what_others_may_see(tmp_path: Path) -> None:
    file = str(tmp_path / "bot.jwk")
    assert error("agent", "key", file, "--public").kind is ErrorKind.NOT_FOUND and not Path(file).exists()
    ok("agent", "key", file)
    told, kept = json.loads(ok("agent", "key", file, "--public")), json.loads(Path(file).read_text())
    assert "d" not in told and {**told, "d": kept["d"]} == kept and thumbprint_of(told) == kept["kid"]
