"""Connections that ask nothing, too slowly, or too much: bounded, and nobody else is kept waiting."""

import resource
import socket
import time
from contextlib import ExitStack

import pytest

from remit.server import tls
from tests.runtime.world import World
from tests.server.serving import Client, serving

IDLE = 5000
"""Both ends are in this process, which may have fewer files open: then it is a third of those."""


def well(client: Client) -> bool:
    return client.send("GET", "/healthz", None, {}).status == 200


def test_many_idle_connections_keep_nobody_waiting(world: World) -> None:
    many = min(IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
    with serving(world.embedded) as client, ExitStack() as idle:
        for _ in range(many):
            idle.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10))
        begun = time.monotonic()
        assert well(client) and time.monotonic() - begun < 2


def test_headers_without_end_are_cut_off(world: World) -> None:
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        sent = 0
        try:
            while sent < 64 << 20:
                connection.sendall(b"x" * 65536)
                sent += 65536
        except OSError:
            pass
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
        sent = 0
        try:
            while sent < 64 << 20:
                connection.sendall(more)
                sent += len(more)
        except OSError:
            pass
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
    monkeypatch.setattr(tls, "HEAD_SECONDS", 0.5)
    with serving(world.embedded) as client, socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        begun = time.monotonic()
        assert well(client)
        assert connection.recv(1) == b"" and time.monotonic() - begun < 5
        with socket.create_connection(("127.0.0.1", client.port), timeout=5) as silent:
            assert silent.recv(1) == b""
