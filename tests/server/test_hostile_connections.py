"""Connections that ask nothing, too slowly, or too much: bounded, and nobody else is kept waiting."""

import json
import resource
import socket
import time
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from pathlib import Path

import pytest

from remit.server import connections
from tests.runtime.world import World
from tests.server.serving import CERTIFICATION, Client, serving, start

IDLE = 5000
"""Both ends are in this process, which may have fewer files open: then it is a third of those."""


def well(client: Client) -> bool:
    return client.send("GET", "/healthz", None, {}).status == 200


def taken(connection: socket.socket, more: bytes) -> int:
    """How many bytes of one part after another it takes before it is ended."""
    sent = 0
    with suppress(OSError):
        while sent < 64 << 20:
            connection.sendall(more)
            sent += len(more)
    return sent


def test_many_idle_connections_keep_nobody_waiting(world: World) -> None:
    many = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
    with serving(world.embedded) as client, ExitStack() as idle:
        for _ in range(many):
            idle.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10))
        begun = time.monotonic()
        assert well(client) and time.monotonic() - begun < 10


FEW = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from remit.cli.main import main
main()
"""


def test_a_process_that_is_given_few_files_takes_what_it_may(tmp_path: Path) -> None:
    """What a shell or a service gives is often 1,024 of many more: so many idle connections, and nobody else would be answered."""
    server, client = start(tmp_path, "--bundle", str(CERTIFICATION), program=("-c", FEW))
    try:
        with ExitStack() as idle:
            for _ in range(300):
                idle.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10))
            assert well(client)
    finally:
        server.terminate()
        server.communicate(timeout=20)


def test_headers_without_end_are_cut_off(world: World) -> None:
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        sent = taken(connection, b"x" * 65536)
        assert well(client)
        assert sent < 8 << 20, "it took all of them"


CHUNKED = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Trailer: value\r\n" * 4096),
        (CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: ", b"x" * 65536),
        (CHUNKED + b"2;extension=", b"x" * 65536),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n" * 32768),
    ],
    ids=["trailers", "a trailer", "an extension", "nothing"],
)
def test_what_is_no_body_and_has_no_end_is_cut_off(world: World, begun: bytes, more: bytes) -> None:
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(begun)
        sent = taken(connection, more)
        assert well(client)
        assert sent < 8 << 20, "it took all of them"


def test_many_requests_and_long_bodies_over_one_connection_are_not(world: World) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n" + b"x" * 1048576
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        for asked, times, status in ((one * 16, 200, b" 200 "), (body, 1, b" 405 "), (one, 1, b" 200 ")):
            for _ in range(times):
                connection.sendall(asked)
                answers = b""
                while answers.count(b"HTTP/1.1") < asked.count(b"HTTP/1.1") or not answers.endswith((b"}", b"\n")):
                    part = connection.recv(65536)
                    assert part, answers[-200:]
                    answers += part
                assert status in answers


def test_headers_that_come_too_slowly_are_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        begun = time.monotonic()
        assert well(client)
        assert connection.recv(1) == b"" and time.monotonic() - begun < 5
        with socket.create_connection(("127.0.0.1", client.port), timeout=5) as silent:
            assert silent.recv(1) == b""


ASKED = b"POST /access/v1/evaluation HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n"
UNREAD = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\n"
LONG = ASKED + b"Content-Length: 5000000\r\n\r\n"
PLAIN = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"


def ended(connection: socket.socket) -> bool:
    """Whether the other end closes it before it times out, whatever it says before."""
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    ("asked", "then"),
    [(LONG, b"x"), (UNREAD + CHUNKS, b"0\r\n"), (PLAIN, b"\r\n"), (PLAIN, b"G")],
    ids=["a body goes on", "chunks go on", "an empty line", "the next begins"],
)
def test_what_is_answered_and_never_ends_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: bytes, then: bytes
) -> None:
    """What comes behind an answer must not put off for ever the time when an idle connection is closed."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
        connection.sendall(asked)
        assert connection.recv(12) in (b"HTTP/1.1 413", b"HTTP/1.1 404")
        connection.sendall(then)
        assert ended(connection) and well(client)


def test_a_connection_goes_on_behind_a_body_that_nobody_read(world: World) -> None:
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(LONG)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
        connection.sendall(b"x" * 5_000_000 + PLAIN)
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")


def test_whoever_sends_too_much_and_goes_still_has_an_answer(world: World) -> None:
    """Closed at once, a connection would be reset under what is still being sent, and the answer lost with it."""
    body = b"x" * 20_000_000
    head = ASKED + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(head + body + PLAIN)
        with connection.makefile("rb") as answered:
            whole = answered.read()
    assert whole.startswith(b"HTTP/1.1 413") and whole.count(b"HTTP/1.1") == 1 and b"connection: close" in whole


def test_behind_the_last_answer_nothing_is_said_and_nothing_is_asked(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Its end is said as soon as it was given, while what was asked still comes: what is no chunk then, or the next, has no answer."""
    last, before = ASKED + b"Connection: close\r\n", len(world.entries())
    with serving(world.embedded) as client:
        for asked, then in (
            (UNREAD + b"Connection: close\r\n" + CHUNKS, b"no chunk\r\n"),
            ((last + b"Content-Length: 2\r\n\r\n{}") + last + b"Content-Length: 2\r\n\r\n{", b"}"),
        ):
            with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
                connection.sendall(asked)
                with connection.makefile("rb") as answered:
                    assert answered.read().count(b"HTTP/1.1") == 1, "it has an end"
                with suppress(OSError):
                    connection.sendall(then)
                assert ended(connection) and well(client)
    assert not [line for line in caplog.records if line.levelname in ("ERROR", "CRITICAL")]
    assert len(world.entries()) == before


def problem(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """The status of the answer and its headers: it is a problem, and the last that is answered here."""
    answer = HTTPResponse(connection)
    answer.begin()
    stated = json.loads(answer.read())
    headers = {name.lower(): value for name, value in answer.getheaders()}
    assert headers["content-type"] == "application/problem+json" and headers["connection"] == "close" and "date" in headers
    assert stated["status"] == answer.status and stated["title"] == answer.reason and stated["detail"]
    return answer.status, headers


def test_more_than_it_takes_are_told_so(world: World) -> None:
    asked = b"POST /access/v1/evaluation HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    with serving(world.embedded, most=4) as client, ExitStack() as idle:
        for _ in range(3):
            idle.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10))
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
                connection.sendall(asked)
                status, headers = problem(connection)
                assert (status, headers["retry-after"]) == (503, "5") and ended(connection)
        idle.close()
        assert well(client)


def test_what_is_no_request_is_told_so_and_is_no_fault_of_ours(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with serving(world.embedded) as client:
        for first in (
            b"GET http:///x HTTP/1.1",
            b"GET x HTTP/1.1",
            b"GET /x HTTP/1.7",
            b"PRI * HTTP/2.0",
            b"\x16\x03\x01\x02\x00",
        ):
            with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
                connection.sendall(first + b"\r\nHost: localhost\r\n\r\n")
                assert problem(connection)[0] == 400, first
                assert ended(connection)
    assert not [line for line in caplog.records if line.levelname in ("ERROR", "CRITICAL")]


def test_trailers_are_no_headers_and_have_an_end(world: World) -> None:
    session = world.open_session()
    body = json.dumps(
        {
            "subject": {"type": "Agent", "id": session.agent},
            "action": {"name": "tool.call"},
            "resource": {"type": "Tool", "id": "look"},
            "context": {"remit": {"task": session.task, "session": session.id}},
        }
    ).encode()
    whole = ASKED + CHUNKS + b"%x\r\n%s\r\n0\r\nIdempotency-Key: %s\r\n\r\n" % (len(body), body, b"k" * 200)
    with serving(world.embedded) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            connection.sendall(whole)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")  # as a header, that key would be too long
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            connection.sendall(ASKED + CHUNKS + b"0\r\nX: ")
            sent = taken(connection, b"x" * 65536)
        assert well(client)
        assert sent < 8 << 20, "it took all of them"


def test_whoever_takes_no_answers_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.5)
    wanted = b"GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(world.embedded) as client, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", client.port))
        connection.sendall(wanted * 60)
        begun = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() - begun < 10:
                connection.sendall(b"\r\n")
                time.sleep(0.05)
        assert well(client)
