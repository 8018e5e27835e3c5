"""`remit call`: a server administered from afar, by whoever has the token and the key, and what comes of every fault."""

import json
import os
import pty
import re
import shlex
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import remit
from remit.cli.calling import _ONCE
from remit.cli.output import EXIT_CODES, out
from remit.local.on_server import connections_to, explained
from remit.local.wiring import wall_clock
from remit.model.errors import ErrorKind, RemitError, refused
from remit.model.task import TaskStatus
from remit.pep.remote.connection import NotSent
from remit.server.openapi.operation import Repeated
from remit.server.routes import OPERATIONS
from tests.cli.running import error, ok, run
from tests.conftest import OpenStore
from tests.pap.bundles import ROOT
from tests.pep.test_remote import Asked, Fake, answer
from tests.runtime.world import World
from tests.server.serving import Client, served
from tests.server.test_remote_identity import go

pytestmark = pytest.mark.sqlite
REGISTER = '{"id": "other", "owner": "zoe", "purpose": "tries"}'


@pytest.fixture
def net(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[World, Client]]:
    """A server that asks who is calling, and this process beside its store."""
    world = open_store("served", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    with served(tmp_path, dev=False) as client:
        monkeypatch.setenv("REMIT_URL", f"http://127.0.0.1:{client.port}")
        yield world, client


def call(*arguments: str) -> object:
    """What is answered."""
    return json.loads(ok("call", *arguments))


def test_a_server_is_administered_with_a_token_that_is_bound_to_a_key(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = net
    key = str(tmp_path / "ana.jwk")
    ok("agent", "key", key)
    token = ok("operator", "token", "ana", "--role", "administrator", "--key", key).strip()
    go(monkeypatch, tmp_path, client, token, key)
    assert call("get", "/v1/caller") == {"name": "ana", "agent": None, "roles": ["administrator"], "proof": "dpop"}

    made = call("POST", "/v1/agents", "--data", REGISTER)
    assert isinstance(made, dict) and made["owner"] == "zoe"
    listed = ok("call", "GET", "/v1/agents?limit=1", "--query", "status=active", "--all").splitlines()
    assert [json.loads(line)["id"] for line in listed] == ["bot", "other"], "two pages, an item on a line"
    (tmp_path / "moving.json").write_text('{"status": "retired"}')
    ok("call", "POST", "/v1/agents/other/status", "--data", f"@{tmp_path / 'moving.json'}")

    opening = ("call", "POST", "/v1/tasks", "--data", '{"agent": "bot", "purpose": "tries"}')
    first, same, another = (json.loads(ok(*opening, *more))["id"] for more in (["--idempotency-key", "k"],) * 2 + ([],))
    assert first == same != another
    closed = run("call", "POST", f"/v1/tasks/{first}/close", "--data", "-", input="{}")
    assert closed.exit_code == 0 and json.loads(closed.output)["status"] == TaskStatus.CLOSED
    state = world.store.task(first)
    assert state is not None and (state.task.opener, state.task.status) == ("ana", TaskStatus.CLOSED)

    published = call("POST", "/v1/bundles", "--files", str(ROOT / "examples/bundles/authzen-certification"))
    assert isinstance(published, dict) and published["digest"] == world.store.active_bundle()[0]  # type: ignore[index]
    assert not (tmp_path / "nothing").exists(), "nothing of it needs a store here"
    world.verified()


def test_problems_are_said_in_words_and_by_exit_code(
    net: tuple[World, Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = net
    key = str(tmp_path / "eve.jwk")
    ok("agent", "key", key)
    bound = ok("operator", "token", "eve", "--role", "auditor", "--key", key).strip()
    agents = ok("agent", "token", "bot").strip().splitlines()[-1]
    go(monkeypatch, tmp_path, client, bound, key)
    register = ("call", "POST", "/v1/agents", "--data", REGISTER)
    assert (said := error(*register)).kind is ErrorKind.REFUSED and "an administrator does" in said.message
    assert error("call", "GET", "/v1/tasks/tsk_1").kind is ErrorKind.NOT_FOUND
    assert (
        said := error("call", "PUT", "/v1/tasks")
    ).kind is ErrorKind.MALFORMED and "this path answers other methods" in said.message
    assert "`GET /v1/openapi.json`" in error("call", "GET", "/v1/nothing").message
    assert "this one is of `eve`, auditor" in error("doctor").message, "who may look is no guard"
    result = run(*register, "--json", "--include")
    assert isinstance(result.exception, RemitError)
    assert re.fullmatch(r"403 application/problem\+json \(request [0-9a-f]{32}\)\n", result.stderr)
    assert json.loads(result.stdout)["status"] == 403, "as it came"
    assert "no list" in error("call", "GET", "/v1/caller", "--all").message

    monkeypatch.delenv("REMIT_KEY_FILE")
    for command in (("call", "GET", "/v1/caller"), ("doctor",)):
        said = error(*command)
        assert said.kind is ErrorKind.REFUSED and "REMIT_KEY_FILE" in said.message and "does not accept" in said.message
    go(monkeypatch, tmp_path, client, "")
    assert "REMIT_TOKEN_FILE" in error("call", "GET", "/v1/caller").message
    go(monkeypatch, tmp_path, client, "x.y.z")
    assert error("call", "GET", "/v1/caller").message.startswith("the server does not accept who is calling")
    go(monkeypatch, tmp_path, client, agents)
    assert error(*register).message.startswith("you may not"), "a token that is bound to nothing lacks nothing"
    assert "other" not in {agent.id for agent in world.store.agents()}


@contextmanager
def faking(handle: Callable[[socket.socket, Asked], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fake]:
    server = Fake(handle)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("REMIT_SERVER", f"http://127.0.0.1:{server.listening.getsockname()[1]}")
    monkeypatch.setenv("REMIT_TOKEN", "the-token")
    try:
        yield server
    finally:
        server.listening.close()


def repeated(server: Fake, told: str) -> None:
    """What was told does ask for the same again: path, body and key."""
    command = shlex.split(told.splitlines()[-1])
    run(*command[1:], "--seconds", "0.3")
    first, again = server.asked
    assert (first.line, first.body) == (again.line, again.body)
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] != ""


def test_where_no_answer_comes_what_repeats_it_safely_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faults: dict[str, Callable[[socket.socket, Asked], None]] = {
        "hangs up": lambda connection, _: connection.shutdown(socket.SHUT_RDWR),
        "is slow": lambda _connection, _: time.sleep(1),
        "is another": lambda connection, asked: connection.sendall(answer(asked, {}, X_Request_ID="x")),
        "has a fault": lambda connection, asked: connection.sendall(
            answer(asked, {"status": 503, "detail": "later"}, "503 Service Unavailable", "application/problem+json")
        ),
        "is no Remit": lambda connection, asked: connection.sendall(answer(asked, b"<html>", "502 Bad", "text/html")),
    }
    for fault, handle in faults.items():
        with faking(handle, monkeypatch, tmp_path) as server:
            asking = ("call", "POST", "/v1/kills?x=1", "--query", "y=a b", "--data", '{"why": "it\'s"}', "--seconds", "0.3")
            said = error(*asking)
            assert said.kind is ErrorKind.UNAVAILABLE and len(server.asked) == 1, fault
            assert "this one server does it once within an hour" in said.message
            repeated(server, said.message)
            assert server.asked[0].line == "POST /v1/kills?x=1&y=a%20b HTTP/1.1" and server.asked[0].body == b'{"why": "it\'s"}'
            looked = error("call", "GET", "/v1/kills", "--seconds", "0.3")
            assert "remit call" not in looked.message, "to look changes nothing"
            assert "idempotency-key" not in server.asked[-1].headers
            assert "look" in error("call", "DELETE", "/scim/v2/Users/1", "--seconds", "0.3").message, "no key counts there"


def test_who_gives_up_waiting_is_told_it_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = threading.Event()

    def given_up(_connection: socket.socket, _asked: Asked) -> None:
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait(20)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
    with faking(given_up, monkeypatch, tmp_path) as server:
        try:
            result = run("call", "POST", "/v1/tasks", "--data", "{}")
        finally:
            ended.set()
            signal.signal(signal.SIGINT, before)
        assert result.exit_code != 0
        repeated(server, next(line for line in result.stderr.splitlines() if line.startswith("remit call")))


def test_nobody_else_is_shown_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = Fake(lambda connection, asked: connection.sendall(answer(asked, {})))
    address = f"http://127.0.0.1:{elsewhere.listening.getsockname()[1]}/v1/tasks"

    def points(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(answer(asked, b"", "307 Temporary Redirect", Location=address))

    with faking(points, monkeypatch, tmp_path) as server:
        assert "points elsewhere" in error("call", "GET", "/v1/tasks").message
        assert "points elsewhere" in error("call", "POST", "/v1/tasks").message and len(server.asked) == 2
        leaving = (
            "/../other",
            "/%2e%2E/other",
            "/v1/.%2e",
            "/v1/./tasks",
            "/v1/%252e%252e/x",
            "/v1/x%2f..%2fy",
            "/v1/..\\x",
            "/v1/..?x",
        )
        for path in (address, "//127.0.0.1/v1/tasks", "v1/tasks", "", "@x", "/v1/\r\nX: y", *leaving):
            assert error("call", "GET", path).kind is ErrorKind.MALFORMED, path
        assert len(server.asked) == 2 and server.asked[0].headers["authorization"] == "Bearer the-token"
    elsewhere.listening.close()
    assert elsewhere.connections == 0


@remit.guard(tool="look")
def look() -> str:
    return "seen"


@pytest.mark.parametrize("token", ["REMIT_TOKEN", "REMIT_TOKEN_FILE"])
def test_a_working_folder_never_says_who_is_shown_the_token(token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Fake(lambda connection, asked: connection.sendall(answer(asked, {})))
    address = f"http://127.0.0.1:{server.listening.getsockname()[1]}"
    (tmp_path / ".remit").mkdir()
    (tmp_path / ".remit/config.toml").write_text(f'server = "{address}"\n')
    (tmp_path / "token").write_text("the-token")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REMIT_HOME", raising=False)
    look_up = ("call", "GET", "/v1/caller")

    assert run(*look_up).exit_code == 0 and "authorization" not in server.asked.pop().headers
    connections, before = connections_to(address), server.connections
    monkeypatch.setenv(token, "the-token" if token == "REMIT_TOKEN" else str(tmp_path / "token"))
    with pytest.raises(NotSent, match="REMIT_SERVER"):
        connections.exchange("GET", "/v1/caller", None, {}, 5)  # it came later
    for home in (None, ".remit"):
        if home is not None:
            monkeypatch.setenv("REMIT_HOME", home)
        for command in (look_up, ("doctor",)):
            said = error(*command)
            assert said.kind is ErrorKind.MALFORMED and "REMIT_SERVER" in said.message and "the-token" not in said.message
        for act in (look, remit.task("tries", agent="bot").__enter__):
            with pytest.raises(RemitError, match="REMIT_SERVER"):
                act()
    assert not server.asked and server.connections == before

    for name, value in (("REMIT_SERVER", address), ("REMIT_HOME", str(tmp_path / ".remit"))):
        with monkeypatch.context() as chosen:
            chosen.setenv(name, value)
            assert run(*look_up).exit_code == 0 and server.asked.pop().headers["authorization"] == "Bearer the-token"
    server.listening.close()


@contextmanager
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Verbs write to a terminal; what it was sent since the last time."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as there:
        there.setattr(out, "_file", terminal)

        def sent() -> str:
            terminal.write("\n--\n")
            terminal.flush()
            shown = b""
            while not shown.endswith(b"--\r\n"):
                shown += os.read(ours, 65536)
            return shown.decode().removesuffix("\r\n--\r\n")

        yield sent
    os.close(ours)


def test_what_is_answered_moves_no_terminal_and_is_not_touched_in_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hostile = '{"why": "\u009b31m \u202eowned \x7f \U000e0041 gr\u00fc\u00df"}'
    bodies: dict[str, tuple[bytes, str]] = {
        "/json": (hostile.encode(), "application/json"),
        "/text": (b"\x1b]0;owned\x07 \xff\x9b here", "text/plain"),
        "/deep": (b"[" * 5_000 + b"]" * 5_000, "application/json"),
        "/deeper": (b'{"items": [%s], "next_cursor": ""}' % (b"[" * 1_000 + b"]" * 1_000), "application/json"),
        "/list": (b'{"items": [%s], "next_cursor": ""}' % hostile.encode(), "application/json"),
    }

    def says(connection: socket.socket, asked: Asked) -> None:
        body, kind = bodies[asked.line.split(" ")[1]]
        connection.sendall(answer(asked, body, kind=kind))

    with faking(says, monkeypatch, tmp_path):
        with on_a_terminal(monkeypatch) as sent:
            for words in (("/json",), ("/json", "--json"), ("/text", "--json"), ("/list", "--all"), ("/list", "--all", "--json")):
                assert ok("call", "GET", *words) == ""
                shown = sent()
                assert "owned" in shown and all(char.isprintable() or char in "\r\n" for char in shown), (words, shown)
                if words[0] != "/text":
                    assert "grüß" in shown and json.loads(shown) == json.loads(hostile), "the same JSON"
            said = error("call", "GET", "/deep")
            assert said.kind is ErrorKind.UNAVAILABLE and "nested too deep" in said.message
        for path, (body, _) in bodies.items():
            assert run("call", "GET", path, "--json").stdout_bytes == body + b"\n"
        assert "too deep" in error("call", "GET", "/deeper", "--all").message


def test_a_server_that_is_down_was_asked_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REMIT_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        monkeypatch.setenv("REMIT_SERVER", f"http://127.0.0.1:{gone.getsockname()[1]}")
    said = error("call", "POST", "/v1/tasks")
    assert said.kind is ErrorKind.UNAVAILABLE and "nothing was asked" in said.message and "remit call" not in said.message
    monkeypatch.delenv("REMIT_SERVER")
    assert "REMIT_SERVER" in error("call", "GET", "/v1/tasks").message


@pytest.mark.parametrize(
    "words",
    [
        ("POST", "/v1/kills", "--data", "{why"),
        ("POST", "/v1/kills", "--data", "[]"),
        ("POST", "/v1/kills", "--data", '{"why": "a", "why": "b"}'),
        ("POST", "/v1/kills", "--data", "@missing"),
        ("POST", "/v1/kills", "--data", "@."),
        ("POST", "/v1/kills", "--data", '{"why": "' + "x" * (4 << 20) + '"}'),
        ("POST", "/v1/kills", "--idempotency-key", "a\nb"),
        ("POST", "/v1/kills", "--all"),
        ("POST", "/v1/bundles", "--files", "missing"),
        ("GET", "/v1/kills", "--data", "{}"),
        ("GET", "/v1/kills", "--idempotency-key", "k"),
        ("GET", "/v1/kills", "--query", "limit"),
    ],
    ids=lambda words: " ".join(words)[:50],
)
def test_what_cannot_be_meant_is_not_sent(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with faking(lambda _connection, _asked: None, monkeypatch, tmp_path) as server:
        assert error("call", *words).kind in (ErrorKind.MALFORMED, ErrorKind.NOT_FOUND)
    assert server.connections == 0


def test_each_status_has_its_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (ROOT / "docs/cli.md").read_text("utf-8")
    [told] = re.findall(r"Exit codes: 0 it was done; (.*); 3 for any other status and for no answer", text)
    codes = {int(status): int(one[0]) for one in told.split("; ") for status in re.findall(r"\d{3}", one)}
    assert len(codes) == 10

    def fails(connection: socket.socket, asked: Asked) -> None:
        status = int(asked.line.split("/")[-2].split(" ")[0])
        said = {"title": "no", "status": status, "detail": "so\x1b it\nis"}
        connection.sendall(answer(asked, said, f"{status} no", "application/problem+json"))

    with faking(fails, monkeypatch, tmp_path):
        for status in (*codes, 402, 408, 421, 429, 500, 503):
            said = error("call", "GET", f"/v1/{status}")
            assert EXIT_CODES[said.kind] == codes.get(status, 3) and said.message.endswith("so\x1b it\nis"), status


def test_a_list_that_breaks_off_says_where_to_go_on_and_one_without_an_end_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def breaks(connection: socket.socket, asked: Asked) -> None:
        if "cursor" in asked.line:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(answer(asked, {"items": [1, {"a": "\n"}], "next_cursor": "b=="}))

    with faking(breaks, monkeypatch, tmp_path) as server:
        result = run("call", "GET", "/v1/log?start=3", "--all")
        assert result.output == '1\n{"a":"\\n"}\n' and isinstance(result.exception, RemitError)
        assert result.exception.message.endswith("2 were told: go on with `--query cursor=b==`")
        assert server.paths == ["/v1/log?start=3", "/v1/log?start=3&cursor=b%3D%3D"]
    with faking(lambda c, asked: c.sendall(answer(asked, {"items": [], "next_cursor": "b"})), monkeypatch, tmp_path) as server:
        assert "no end" in error("call", "GET", "/v1/log", "--all").message and len(server.asked) == 2


def test_what_a_process_lacks_is_named_only_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = refused("no")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "empty").chmod(0o644)
    monkeypatch.setenv("REMIT_TOKEN_FILE", str(tmp_path / "empty"))
    monkeypatch.setenv("REMIT_SERVER", "http://127.0.0.1:1")
    assert f"the token file `{tmp_path}/empty` (`REMIT_TOKEN_FILE`) is empty" in explained(said).message
    connections_to("http://127.0.0.1:1").close()
    assert "run `chmod 600` on it" in caplog.text
    monkeypatch.setenv("REMIT_TOKEN_FILE", str(tmp_path / "missing"))
    assert explained(said) is said
    (tmp_path / "missing").write_bytes(b"\xff")
    assert explained(said) is said


def test_a_key_is_said_to_count_exactly_where_it_does() -> None:
    """Of what is said to be done once and is not kept by its key, each can be asked for again all the same, or changes nothing."""
    said = {one.template for one in OPERATIONS if one.method == "POST" and _ONCE.fullmatch(one.template)}
    kept = {one.template for one in OPERATIONS if one.method == "POST" and one.repeated is not Repeated.NOT}
    assert kept <= said
    assert said - kept == {
        "/v1/decisions/{id}/act",  # false the second time
        "/v1/decisions/{id}/outcome",  # said again, it changes nothing
        "/v1/approvals/callback",  # signed, and good once by its signature
        "/v1/enrolment",  # its code is good once
        "/v1/bundles/check",
        "/v1/log/growth",
    }
