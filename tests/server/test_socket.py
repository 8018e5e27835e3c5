"""A server behind a Unix socket: who can reach it, whom it replaces, and the guard that asks it."""

import itertools
import json
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

import remit
from remit.local import entering
from remit.local.wiring import wall_clock
from remit.model.decision import Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.pep.remote import connection
from remit.pep.remote.client import Remote
from remit.pep.remote.connection import Connections, NotSent, address_of
from remit.server import binding
from remit.server.binding import socket_at
from tests.cli.running import error, ok
from tests.conftest import OpenStore
from tests.runtime.world import World
from tests.server.test_remote_identity import CANARY, look, secret
from tests.server.test_workers import until

pytestmark = pytest.mark.sqlite
ELSE = 65533
"""The number of a user who is nobody here."""


@contextmanager
def at_socket(path: Path, *arguments: str, dev: bool = True) -> Iterator["subprocess.Popen[str]"]:
    """A server behind a socket, once it takes connections; it must end well, and leave nothing there."""
    command = [sys.executable, "-P", "-m", "remit.cli.main", "serve", *["--dev"][:dev], "--socket", str(path), *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and server.stderr is not None
        line = server.stdout.readline()
        assert f"listening on unix://{path}" in line, line + server.stderr.read()
        yield server
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 0 and not path.exists(), errors


@pytest.fixture
def home(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> World:
    world = open_store("home", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    return world


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(path: Path, kind: ErrorKind) -> str:
    with pytest.raises(RemitError) as refusal, socket_at(path):
        pass
    assert refusal.value.kind is kind
    return refusal.value.message


def dead(path: Path) -> None:
    """A socket that nobody listens at: its server was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_guard_asks_over_one_kept_connection(home: World, tmp_path: Path, workers: int) -> None:
    path, remote = tmp_path / "r.sock", Remote(f"unix://{tmp_path}/r.sock")
    with at_socket(path, "--workers", str(workers)) as server:
        assert mode(path) == 0o600
        for _ in range(3):
            decision = remote.evaluate(CANARY).result()
            assert isinstance(decision, Permit) and remote.may_act(decision.id).result()
        assert len(remote._connections._idle) == 1
        for worker in psutil.Process(server.pid).children():
            worker.kill()
            until(lambda: isinstance(remote.evaluate(CANARY).result(), Permit))
    remote.close()
    assert not isinstance(remote.evaluate(CANARY).result(), Permit), "fail closed once nobody is there"


def test_an_agent_proves_its_key_over_a_socket(home: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, path, task = str(tmp_path / "bot.jwk"), tmp_path / "r.sock", home.open_task()
    ok("agent", "key", key)
    (tmp_path / "token").write_text(ok("agent", "token", "bot", "--key", key).strip())
    with at_socket(path, dev=False):
        for name, value in (("HOME", "nothing"), ("TOKEN_FILE", "token"), ("KEY_FILE", "bot.jwk")):
            monkeypatch.setenv(f"REMIT_{name}", str(tmp_path / value))
        monkeypatch.setenv("REMIT_SERVER", f"unix://{path}")
        with remit.task(resume=task.id):
            assert secret() == "the secret" and look("it") == "seen it"
        monkeypatch.delenv("REMIT_KEY_FILE")
        without = Remote(f"unix://{path}", (tmp_path / "token").read_text)
        assert not isinstance(without.evaluate(CANARY).result(), Permit), "the token alone is not enough"
        for remote in (without, *entering._connected.values()):
            remote.close()
        entering._connected.clear()
    assert {one.proof for one in home.decisions() if one.effect == "permit"} == {"dpop"}


def test_the_first_administrator_enrols_over_a_socket(home: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with at_socket(tmp_path / "r.sock", dev=False) as server:
        assert server.stderr is not None
        said = [server.stderr.readline() for _ in range(3)]
        link = said[-1].split()[2]
        assert link.startswith(f"unix://{tmp_path}/r.sock/v1/enrolment#")
        ok("agent", "key", str(tmp_path / "ana.jwk"))
        token = ok("enrol", link, "--name", "ana", "--key", str(tmp_path / "ana.jwk")).strip().splitlines()[-1]
        monkeypatch.setenv("REMIT_SERVER", f"unix://{tmp_path}/r.sock")
        monkeypatch.setenv("REMIT_TOKEN", token)
        monkeypatch.setenv("REMIT_KEY_FILE", str(tmp_path / "ana.jwk"))
        called = json.loads(ok("call", "GET", "/v1/caller"))
        assert (called["name"], called["proof"]) == ("ana", "dpop")


def test_a_server_that_was_killed_is_replaced_and_one_that_listens_is_not(home: World, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    with suppress(AssertionError), at_socket(path) as server:
        said = error("serve", "--dev", "--socket", str(path))
        assert "another server listens" in said.message and said.kind is ErrorKind.UNAVAILABLE
        server.send_signal(signal.SIGKILL)
        server.wait(20)
    assert stat.S_ISSOCK(path.lstat().st_mode), "what a killed one leaves"
    with at_socket(path):
        remote = Remote(f"unix://{path}")
        assert isinstance(remote.evaluate(CANARY).result(), Permit)
        remote.close()


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    for name in ("file", "link", "folder"):
        assert "is no socket" in refused(tmp_path / name, ErrorKind.CONFLICT)
    assert (tmp_path / "file").read_text() == "mine" and (tmp_path / "link").is_symlink()


def test_a_socket_that_is_busy_or_unclear_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "busy"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(4)]
        for one in waiting:  # until nobody more may wait
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(str(path))
        assert "another server listens" in refused(path, ErrorKind.UNAVAILABLE)
        for one in waiting:
            one.close()
    assert path.exists()


def test_of_many_that_find_a_dead_socket_one_serves(tmp_path: Path) -> None:
    path, ended, begun = tmp_path / "r", threading.Event(), threading.Barrier(9)
    listening: list[int] = []

    def serve() -> None:
        begun.wait()
        with suppress(RemitError), socket_at(path) as listener:
            listening.append(os.stat(path).st_ino)
            ended.wait(20)
            del listener

    for _ in range(5):
        dead(path)
        many = [threading.Thread(target=serve) for _ in range(8)]
        for one in many:
            one.start()
        begun.wait()
        until(lambda: sum(one.is_alive() for one in many) == 1)  # noqa: B023 - used at once
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.connect(str(path))
        ended.set()
        for one in many:
            one.join()
        assert not path.exists()
        ended.clear()
    assert len(listening) == 5


def test_who_ends_removes_only_their_own(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with socket_at(path) as listener:
        listener.close()  # as a server does that ends, while another begins
        with socket_at(path):
            ...
        dead(path)
    assert path.exists()


def test_who_may_reach_it(tmp_path: Path) -> None:
    with socket_at(tmp_path / "a", 0o660):
        assert mode(tmp_path / "a") == 0o660


def test_a_folder_that_others_may_write_to_is_refused_wherever_it_is_on_the_way(tmp_path: Path) -> None:
    above, folder = tmp_path / "open", tmp_path / "open" / "own"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    for writable, at in itertools.product((0o770, 0o707, 0o777, 0o1777), (above / "r", folder / "r", tmp_path / "link" / "r")):
        above.chmod(writable)
        if at.parent != above and writable & stat.S_ISVTX:  # what is in it stays ours
            with socket_at(at):
                assert mode(at) == 0o600
        else:
            assert "chmod go-w" in refused(at, ErrorKind.CONFLICT)
    assert not list(folder.iterdir())


def test_a_folder_of_another_user_is_refused_wherever_it_is_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    monkeypatch.setattr(binding, "believed", lambda: frozenset({ELSE, 0}) - {os.getuid()})
    assert "of another user" in refused(tmp_path / "own" / "r", ErrorKind.CONFLICT)
    (tmp_path / "round").symlink_to("round")
    monkeypatch.undo()
    assert "make the folder" in refused(tmp_path / "round" / "r", ErrorKind.UNAVAILABLE)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Somebody who listens where a server was."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "r"))
        listening.listen()
        listening.settimeout(20)
        yield listening


@pytest.mark.parametrize("asked", [True, False], ids=["credentials", "places"])
def test_the_guard_tells_no_other_user_anything(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """As where somebody else has put a socket of theirs; also on a system that does not say whose it is."""
    if not asked:
        monkeypatch.delattr(socket, "SO_PEERCRED", raising=False)
    monkeypatch.setattr(connection, "believed", lambda: frozenset({ELSE}))
    remote = Remote(f"unix://{tmp_path}/r", lambda: "the-token", seconds=5)
    decision = remote.evaluate(CANARY).result()
    assert isinstance(decision, Deny) and decision.reason is Reason.STORE_UNAVAILABLE and "another user" in decision.message
    with pytest.raises(RemitError, match="another user"):
        remote.caller().result()
    for _ in range(6):  # each attempt
        with listener.accept()[0] as reached:
            assert reached.recv(100) == b"", "nothing was sent"
    remote.close()


def test_a_place_where_others_could_listen_is_not_believed_where_the_system_does_not_say_who_does(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(address_of(f"unix://{tmp_path}/r"), lambda: "")
    monkeypatch.delattr(socket, "SO_PEERCRED", raising=False)
    connections._opened(5).close()
    tmp_path.chmod(0o1777)
    with pytest.raises(NotSent, match="others may write"):
        connections._opened(5)
    assert listener.fileno() > 0


def test_a_server_of_another_user_is_believed_by_its_name(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "believed", lambda: frozenset({ELSE}))
    for user in (pwd.getpwuid(os.getuid()).pw_name, str(os.getuid())):
        address = address_of(f"unix://{user}@{tmp_path}/r")
        assert str(address) == f"unix://{user}@{tmp_path}/r"
        Connections(address, lambda: "")._opened(5).close()
    for user, why in ((str(ELSE), "another user"), ("nobody-of-this-name", "no user")):
        with pytest.raises(NotSent, match=why):
            Connections(address_of(f"unix://{user}@{tmp_path}/r"), lambda: "")._opened(5)
    assert listener.fileno() > 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_two_real_users(tmp_path: Path) -> None:
    """What is said above of a number, as the system itself says it."""
    read, write = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)  # as `/tmp` is
        child = os.fork()
        if child == 0:
            os.setgid(ELSE)
            os.setuid(ELSE)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as theirs:
                theirs.bind(f"{folder}/r")
                theirs.listen()
                os.write(write, b"!")
                time.sleep(60)
            os._exit(0)
        try:
            assert os.read(read, 1) == b"!"
            with pytest.raises(NotSent, match=f"another user .{ELSE}. listens there"):
                Connections(address_of(f"unix://{folder}/r"), lambda: "")._opened(5)
            Connections(address_of(f"unix://{ELSE}@{folder}/r"), lambda: "")._opened(5).close()
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.chmod(folder, 0o755)
        os.chown(folder, ELSE, ELSE)
        assert f"of another user ({ELSE})" in refused(Path(folder) / "new", ErrorKind.CONFLICT)
    os.close(read)
    os.close(write)


def test_what_cannot_be_served_says_what_to_do(home: World, tmp_path: Path) -> None:
    assert "too long" in refused(tmp_path / ("x" * 120), ErrorKind.MALFORMED)
    assert "make the folder" in refused(tmp_path / "none" / "r", ErrorKind.UNAVAILABLE)
    path = str(tmp_path / "r")
    assert "--port" in error("serve", "--dev", "--socket", path, "--port", "1").message
    assert "octal" in error("serve", "--dev", "--socket", path, "--socket-mode", "60").message
    assert "octal" in error("serve", "--dev", "--socket", path, "--socket-mode", "066").message
    assert "`?`" in error("serve", "--dev", "--socket", path + "?").message
