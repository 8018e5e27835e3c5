"""The first administrator: by a link that the first start prints, good once, for an hour, for one of all who come with it."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remit.cli.tokens import show_token
from remit.decision_log.entry import TokenIssued
from remit.local.enrolment import LIFE, begin, redeem
from remit.local.wiring import wall_clock
from tests.cli.running import error, ok
from tests.conftest import OpenStore
from tests.runtime.world import Clock, World
from tests.server.serving import Client

pytestmark = pytest.mark.sqlite


def started(home: Path) -> tuple["subprocess.Popen[str]", str, str]:
    """A server, its address, and what it says beside that."""
    command = [sys.executable, "-P", "-m", "remit.cli.main", "serve", "--port", "0"]
    server = subprocess.Popen(command, cwd=home.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, server.stdout.readline().split()[-1], ""


def ended(server: "subprocess.Popen[str]") -> str:
    server.terminate()
    return server.communicate(timeout=20)[1]


@pytest.fixture
def fresh(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = open_store("home", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    return world


@pytest.fixture
def link(fresh: World) -> Iterator[str]:
    server, address, _ = started(fresh.home)
    assert server.stderr is not None
    said = next(line for line in server.stderr if "remit enrol" in line)  # among lines about what happens
    found = re.search(r"remit enrol (\S+/v1/enrolment#[0-9a-f]{64})", said)
    assert found is not None and found[1].startswith(address), said
    yield found[1]
    ended(server)
    assert server.returncode == 0


def test_whoever_has_the_link_becomes_the_administrator_once(fresh: World, link: str) -> None:
    token = ok("enrol", link, "--name", "ana", "--bearer").strip().splitlines()[-1]
    client = Client(int(link.partition("/v1")[0].rpartition(":")[2]))
    shown = {"Authorization": f"Bearer {token}"}
    assert client.send("GET", "/v1/caller", None, shown).body == {
        "name": "ana",
        "agent": None,
        "roles": ["administrator"],
        "proof": "bearer",
    }
    again = error("enrol", link, "--name", "mallory", "--bearer")
    assert "used" in again.message
    [issued] = [entry.body for entry in fresh.entries() if isinstance(entry.body, TokenIssued)]
    assert (issued.subject, issued.roles, issued.verified_by) == ("operator:ana", ("administrator",), "enrolment")
    fresh.verified()


def test_what_is_wrong_here_leaves_the_link_good(fresh: World, link: str, tmp_path: Path) -> None:
    """No key, two proofs, a file that is there, a folder that is not: said before the server is asked. Then a key, and the token in a file."""
    key, file = str(tmp_path / "ana.jwk"), tmp_path / "ana.token"
    ok("agent", "key", key)
    file.write_text("mine")
    for words, said in (
        ((), "--bearer"),
        (("--key", key, "--bearer"), "one of both"),
        (("--key", str(tmp_path / "none")), "there is no key"),
        (("--key", key, "--output", str(file)), "exists"),
        (("--key", key, "--output", str(tmp_path / "none" / "t")), "none was made"),
    ):
        assert said in error("enrol", link, "--name", "ana", *words).message, words
    assert file.read_text() == "mine" and not [entry for entry in fresh.entries() if isinstance(entry.body, TokenIssued)]
    file.unlink()
    told = ok("enrol", link, "--name", "ana", "--key", key, "--output", str(file))
    assert file.stat().st_mode & 0o777 == 0o600 and file.read_text().count(".") == 2 and file.read_text().strip() not in told
    file.unlink()
    assert "used" in error("enrol", link, "--name", "eve", "--key", key, "--output", str(file)).message and not file.exists()


def test_a_token_that_its_file_has_no_room_for_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The link is used and the token made by then: lost it would be the last of them."""
    with open("/dev/full", "wb", buffering=0) as full:
        show_token("a.b.c", json=True, bearer=False, file=full)
    told = capsys.readouterr()
    assert told.out == '{"token":"a.b.c"}\n' and "`/dev/full` (No space left" in told.err


def test_once_there_is_an_administrator_no_link_is_printed(fresh: World) -> None:
    ok("operator", "token", "ana", "--role", "administrator")
    server, _, _ = started(fresh.home)
    assert "enrol" not in ended(server)
    assert not (fresh.home / "enrolment").exists()


def test_a_link_is_good_no_more_once_somebody_was_enrolled_at_another_server(fresh: World, link: str) -> None:
    ok("operator", "token", "ana", "--role", "administrator")  # as the other server makes it
    assert "administers already" in error("enrol", link, "--name", "mallory", "--bearer").message
    [issued] = [entry.body for entry in fresh.entries() if isinstance(entry.body, TokenIssued)]
    assert issued.subject == "operator:ana"


def test_an_issuer_that_gives_the_role_is_enough(fresh: World) -> None:
    config = '[[issuers]]\nissuer = "https://idp.example"\nroles_claim = "groups"\nroles = {administrator = ["admins"]}\n'
    (fresh.home / "config.toml").write_text(config)
    server, _, _ = started(fresh.home)
    assert "enrol" not in ended(server)


def test_a_guess_enrols_nobody_and_leaves_the_link_good(fresh: World, link: str) -> None:
    client = Client(int(link.partition("/v1")[0].rpartition(":")[2]))
    for code in ("", "0" * 64, "x", "é"):
        said = json.dumps({"code": code, "name": "mallory"}).encode()
        assert client.send("POST", "/v1/enrolment", said, {"Content-Type": "application/json"}).status == 403, code
    assert not [entry for entry in fresh.entries() if isinstance(entry.body, TokenIssued)]
    assert ok("enrol", link, "--name", "ana", "--bearer")


def test_of_many_at_once_one_is_enrolled(tmp_path: Path) -> None:
    code, found = begin(tmp_path, Clock()), list[bool]()
    workers = [threading.Thread(target=lambda: found.append(redeem(tmp_path, code, Clock()))) for _ in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)
    assert found.count(True) == 1


def test_an_hour_later_it_is_good_no_more(tmp_path: Path) -> None:
    clock = Clock()
    code = begin(tmp_path, clock)
    assert (tmp_path / "enrolment").stat().st_mode & 0o777 == 0o600 and code not in (tmp_path / "enrolment").read_text()
    clock.now += LIFE
    assert not redeem(tmp_path, code, clock)
    other = begin(tmp_path, clock)
    assert not redeem(tmp_path, code, clock) and redeem(tmp_path, other, clock)


@pytest.mark.parametrize("link", ["", "https://remit.example", "remit.example#x", "http://remit.example/v1/enrolment#x"])
def test_what_is_no_link_is_said(link: str) -> None:
    assert error("enrol", link, "--name", "ana", "--bearer").message


def test_what_cannot_be_used_leaves_the_link_good(fresh: World, link: str) -> None:
    client = Client(int(link.partition("/v1")[0].rpartition(":")[2]))
    code = link.partition("#")[2]
    for said in (
        {"code": code, "name": "ana", "key": {}},
        {"code": code, "name": "a b"},
        {"code": code, "name": "ana", "key": {"kty": "EC", "d": "x"}},
    ):
        answer = client.send("POST", "/v1/enrolment", json.dumps(said).encode(), {"Content-Type": "application/json"})
        assert answer.status in (400, 403), said
    assert ok("enrol", link, "--name", "ana", "--bearer")
