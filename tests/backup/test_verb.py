"""`remit backup` as an operator uses it, and what a server makes of a store that was put back."""

import json
import shutil
from pathlib import Path

import pytest

from remit.local.config import Settings
from remit.local.enrolment import needs_administrator
from remit.local.locking import alone_in
from remit.local.wiring import wall_clock
from remit.model.errors import ErrorKind, RemitError
from remit.model.person import PersonStatus
from tests.backup.building import made, put_back
from tests.cli.running import error, ok, run
from tests.people.test_directory import moved, person, tell
from tests.runtime.world import World, permit, small_bundle
from tests.server.idp import Idp
from tests.server.serving import Client, served, start

pytestmark = pytest.mark.sqlite


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in REMIT_HOME that nobody has open."""
    home = tmp_path / "first"
    monkeypatch.setenv("REMIT_HOME", str(home))
    monkeypatch.delenv("REMIT_STORE", raising=False)
    world = World(home, wall_clock, store="")
    world.publish(small_bundle())
    world.register()
    session = world.open_session()
    permit(world.ask(session, "look"))
    world.close()
    return home


def test_the_drill(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create, verify, restore, look, release: as docs/operating.md tells it."""
    outside = '[[issuers]]\nissuer = "https://idp.example"\njwks_file = "/etc/remit/keys.json"\n'
    hook = '[[webhooks]]\nname = "chat"\nurl = "https://chat.example"\nsecret_file = "chat.secret"\n'
    (home / "config.toml").write_text(f'administration = "rules.cedar"\n{outside}{hook}')
    (home / "chat.secret").write_text("s" * 32)
    (home / "rules.cedar").write_text("permit (principal, action, resource);")
    kept = tmp_path / "head"
    kept.write_text(ok("log", "head"))
    said = ok("backup", "create", str(tmp_path / "backup"), "--with-keys")
    assert "wrote bkp_" in said and "not in it: /etc/remit/keys.json" in said and "chat.secret, which" in said
    assert [path for path in (tmp_path / "backup").rglob("*") if path.is_file() and b"ssss" in path.read_bytes()] == []
    assert "private key is in it" in run("backup", "create", str(tmp_path / "other"), "--with-keys").stderr
    key = ok("log", "key").strip()
    assert key in said
    told = ok("backup", "verify", str(tmp_path / "backup"), "--key", key, "--head", str(kept))
    assert "verified: bkp_" in told and "(pinned)" in told and "would end 1 open task," in told
    shown = json.loads(ok("backup", "verify", str(tmp_path / "backup"), "--json"))
    assert shown["keys"] is True and shown["pinned"] is False and shown["would_end"]["tasks"] == 1
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "second"))
    told = ok("backup", "restore", str(tmp_path / "backup"), "--key", key, "--head", str(kept))
    assert "everything is stopped" in told and f"the log's key: {key}" in told and "not pinned" not in told
    assert (tmp_path / "second" / "rules.cedar").read_text() == (home / "rules.cedar").read_text()
    assert "restored from backup" in ok("kill")
    assert "verified" in ok("log", "verify", "--head", str(kept)) and "state: as the log says" in ok("log", "verify")
    assert "closed" in ok("task", "list")
    assert "released everything; 0 still stopped" in ok("release", "all", "--why", "looked at")
    assert error("backup", "restore", str(tmp_path / "backup")).kind is ErrorKind.CONFLICT


def test_what_lacks_is_said(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not in it: the log's private key" in ok("backup", "create", str(tmp_path / "backup"))
    assert "private key of the log: not in it" in ok("backup", "verify", str(tmp_path / "backup"))
    kept = tmp_path / "head"
    kept.write_text(ok("log", "head"))
    ok("log", "verify")
    assert "--head" in run("backup", "restore", "--help").output
    world = World(home, wall_clock, store="")
    world.open_task()
    kept.write_text(world.embedded.head.sign())
    world.close()
    assert "LOST: " in ok("backup", "verify", str(tmp_path / "backup"), "--head", str(kept))
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "second"))
    named = str(tmp_path / "backup"), "--log-key", str(home / "log.key"), "--head", str(kept)
    assert "would be lost" in error("backup", "restore", *named).message
    told = ok("backup", "restore", *named, "--accept-loss")
    assert "LOST: " in told and "(not pinned: compare it" in told


def test_tokens_of_before_are_not_good(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where another machine still has the key that they were signed with."""
    monkeypatch.setenv("REMIT_URL", "http://127.0.0.1:8181")
    old = ok("operator", "token", "ana", "--role", "administrator").split()[-1]
    agents = ok("agent", "token", "bot").split()[-1]
    with served(tmp_path, dev=False) as client:
        assert status(client, old) == status(client, agents) == 200
    ok("backup", "create", str(tmp_path / "backup"), "--with-keys")
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "second"))
    (tmp_path / "second").mkdir()
    shutil.copytree(home / "issuer", tmp_path / "second" / "issuer")
    ok("backup", "restore", str(tmp_path / "backup"))
    assert not (tmp_path / "second" / "issuer").exists()
    shutil.copytree(home / "issuer", tmp_path / "second" / "issuer")
    world = World(tmp_path / "second", wall_clock, store="")
    assert needs_administrator(world.embedded, Settings())
    world.close()
    with served(tmp_path, dev=False) as client:
        for token in (old, agents):
            refused = client.send("GET", "/v1/tasks", None, {"Authorization": f"Bearer {token}"})
            assert refused.status == 401 and b"before the store was restored" in refused.text
        new = ok("operator", "token", "ana", "--role", "administrator").split()[-1]
        shown = client.send("GET", "/v1/kills", None, {"Authorization": f"Bearer {new}"})
        assert shown.status == 200 and [kill["kind"] for kill in shown.body["items"]] == ["all"]


def status(client: Client, token: str) -> int:
    return client.send("GET", "/v1/tasks", None, {"Authorization": f"Bearer {token}"}).status


def test_nobody_whom_a_backup_alone_has_is_served_before_somebody_says_that_they_are_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/operating.md tells it. The store cannot know who has left since; whom no directory knows is not concerned."""
    idp = Idp()
    idp.publish(home / "keys.json")
    roles = '[issuers.roles]\nadministrator = ["admins"]\n'
    (home / "config.toml").write_text(
        f'[[issuers]]\nissuer = "{idp.issuer}"\njwks_file = "keys.json"\nroles_claim = "groups"\n{roles}'
    )
    world = World(home, wall_clock, store="")
    tell(world, *[person(world, name, source="scim:okta") for name in ("eve", "fred")])
    moved(world, *tell(world, person(world, "gus")), PersonStatus.REMOVED)
    world.close()
    ok("backup", "create", str(tmp_path / "backup"), "--with-keys")
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "second"))
    told = ok("backup", "restore", str(tmp_path / "backup"))
    assert "2 people of the directory are refused" in told and "say who has left since" in told
    assert "active, not confirmed" in ok("people", "list")
    [warning] = json.loads(ok("doctor", "--json"))["warnings"]
    assert "2 of `scim:okta` are refused until" in warning
    server, _ = start(tmp_path, dev=False)
    server.terminate()
    assert warning in " ".join(server.communicate(timeout=60)[1].split())
    with served(tmp_path, dev=False) as client:

        def answers() -> dict[str, tuple[int, bytes]]:
            given = {}
            for name in ("eve", "fred", "gus", "stranger"):
                token = idp.token(name, f"http://127.0.0.1:{client.port}", groups=["admins"])
                answer = client.send("GET", "/v1/kills", None, {"Authorization": f"Bearer {token}"})
                given[name] = answer.status, answer.text
            return given

        first = answers()
        assert [status for status, _ in first.values()] == [403, 403, 403, 200]
        stranger = idp.token("stranger", f"http://127.0.0.1:{client.port}", groups=["admins"])
        health = client.send("GET", "/v1/health", None, {"Authorization": f"Bearer {stranger}"})
        assert health.body["people_unconfirmed"] == 2
        assert all(b"nobody has said" in first[name][1] for name in ("eve", "fred")) and b"is gone" in first["gus"][1]
        (tmp_path / "gone.csv").write_text("id,user_name,active\n1,EVE,false\n")
        ok("people", "import", str(tmp_path / "gone.csv"), "--part", "--source", "restore")
        second = answers()
        assert b"is gone" in second["eve"][1] and b"nobody has said" in second["fred"][1], (
            "that somebody left says nothing of others"
        )
        assert "confirmed 2 records" in ok("people", "confirm", "--source", "scim:okta")
        assert [status for status, _ in answers().values()] == [403, 200, 403, 200], "the server that runs knows it at once"
    assert error("people", "confirm").kind is ErrorKind.CONFLICT
    assert json.loads(ok("doctor", "--json"))["warnings"] == []


def test_two_restores_at_once(home: Path, tmp_path: Path) -> None:
    world = World(home, wall_clock, store="")
    made(world, tmp_path / "backup")
    world.close()
    (tmp_path / "second").mkdir()
    with alone_in(tmp_path / "second", "taken"), pytest.raises(RemitError, match="another process restores"):
        put_back(tmp_path / "second", tmp_path / "backup", wall_clock())
