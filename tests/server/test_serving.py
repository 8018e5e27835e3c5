"""The server: on this machine alone, on a store that stays, and with callers that misbehave."""

import asyncio
import http.client
import json
import signal
import socket
import sys
from collections.abc import MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from remit.local.config import Settings
from remit.local.wiring import Embedded, wall_clock
from remit.model.decision import Decision
from remit.model.errors import ErrorKind
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.pap.administration import read_administration
from remit.runtime import tasks
from remit.runtime.pending import Driven
from remit.server import reading
from remit.server.app import application
from remit.server.binding import is_waited_at, let_begin, port_at, refuse_beginnings
from remit.server.callers import Believed
from remit.server.observing.reporting import TOLD
from remit.server.problems import Problem
from tests.cli.running import error
from tests.conftest import OpenStore
from tests.runtime.world import AGENT
from tests.server.serving import CERTIFICATION, served, start


def test_a_bundle_of_the_moment_only_in_development() -> None:
    assert "--dev" in error("serve", "--port", "0", "--bundle", str(CERTIFICATION)).message


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--host", "0.0.0.0"], "--tls-cert"),
        (["--host", "0.0.0.0", "--behind-proxy"], "`url`"),
        (["--tls-cert", "c.pem"], "--tls-key"),
        (["--client-ca", "c.pem"], "--tls-cert"),
        (["--tls-cert", "c.pem", "--tls-key", "k.pem"], "certificates"),
        (["--tls-cert", "c.pem", "--tls-key", "k.pem", "--behind-proxy"], "--behind-proxy"),
    ],
)
def test_tokens_do_not_cross_a_network_in_the_open(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], word: str
) -> None:
    open_store("home", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "home"))
    assert word in error("serve", "--port", "0", *arguments).message


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])
def test_nobody_beyond_this_machine(host: str) -> None:
    assert "this machine alone" in error("serve", "--dev", "--port", "0", "--host", host, "--bundle", str(CERTIFICATION)).message


def test_a_name_is_no_address_to_listen_on() -> None:
    said = error("serve", "--dev", "--port", "0", "--host", "remit.example", "--bundle", str(CERTIFICATION))
    assert said.kind is ErrorKind.MALFORMED and "`remit.example` is no address" in said.message


@pytest.mark.parametrize("arguments", [["--host", "localhost"], ["--workers", "2"]])
def test_it_ends_in_peace_when_its_terminal_is_closed(tmp_path: Path, arguments: list[str]) -> None:
    server, client = start(tmp_path, "--bundle", str(CERTIFICATION), *arguments)
    assert client.send("GET", "/healthz", None, {}).status == 200
    server.send_signal(signal.SIGHUP)
    said, _ = server.communicate(timeout=20)
    assert (server.returncode, said) == (0, "stopped\n")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = error("serve", "--dev", "--port", str(taken.getsockname()[1]), "--bundle", str(CERTIFICATION))
    assert "--port" in said.message


@pytest.mark.sqlite
def test_an_agent_in_its_task_is_decided_on_the_store(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_store("home", clock=wall_clock)
    task = world.open_task()
    session = world.open_session(task)
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "home"))
    message = {
        "subject": {"type": "Agent", "id": AGENT},
        "action": {"name": TOOL_CALL},
        "resource": {"type": "Tool", "id": "look"},
    }
    with served(tmp_path) as client:
        assert client.post("evaluation", message).body["context"]["reason"] == "task-required"
        ours = {"context": {"remit": {"task": task.id, "session": session.id}}}
        permitted = client.post("evaluation", {**message, **ours}).body
        assert permitted["decision"] is True
        again = client.post("evaluation", {**message, **ours}).body
        assert again["decision"] is True and again["context"]["id"] != permitted["context"]["id"]
        found = client.post("search/resource", {**message, **ours, "resource": {"type": "Tool"}}).body
        assert {"type": "Tool", "id": "look"} in found["results"] and {"type": "Tool", "id": "never"} not in found["results"]
        tasks.close_task(world.runtime, task.id, "tester").result()
        assert client.post("evaluation", {**message, **ours}).body["context"]["reason"] == "task-closed"
    made = [one.id for one in world.decisions()]
    assert {permitted["context"]["id"], again["context"]["id"]} <= set(made) and len(made) == 4


def test_who_has_just_connected_when_it_ends_is_answered(tmp_path: Path) -> None:
    server, client = start(tmp_path, "--bundle", str(CERTIFICATION))
    place = "127.0.0.1", client.port
    try:
        with (
            socket.create_connection(place, 20) as asking,
            socket.create_connection(place, 20) as silent,
            closing(http.client.HTTPConnection(*place, timeout=20)) as kept,
        ):
            kept.request("GET", "/healthz")
            assert kept.getresponse().read() and kept.sock is not None  # as connections are taken in turn, the others are, too
            server.terminate()
            assert kept.sock.recv(1) == b"", "it lets go of who has been answered, and of whom nothing is awaited"
            asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with asking.makefile("rb") as answered:
                assert answered.read().startswith(b"HTTP/1.1 200 "), "and then it ends the connection"
            assert silent.recv(1) == b"", "and of who asks nothing, within a second"
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=20)
    assert server.returncode == 0, errors


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems cannot do it")
def test_where_no_connection_begins_those_that_have_are_still_taken() -> None:
    with port_at("127.0.0.1", 0) as listener, closing(socket.socket()) as late:
        place = listener.getsockname()
        with socket.create_connection(place, 5) as waiting:
            refuse_beginnings(listener)
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.connect(place)
            assert is_waited_at(listener)
            taken, _ = listener.accept()
            waiting.sendall(b"x")
            with taken:
                assert taken.recv(1) == b"x" and not is_waited_at(listener)
        let_begin(listener)
        with socket.create_connection(place, 5):
            assert is_waited_at(listener)


class Faulty(Embedded):
    """A store whose decisions fail in a way nobody thought of."""

    def evaluate(self, request: EvaluationRequest) -> Driven[Decision]:
        raise ZeroDivisionError(request.subject.id)


def test_a_fault_of_ours_is_told_without_what_it_was_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedded, sent = Faulty(tmp_path / "home", Settings()), list[dict[str, Any]]()
    body = {"subject": {"type": "user", "id": "secret"}, "action": {"name": "read"}, "resource": {"type": "record", "id": "x"}}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"x-request-id", b"here")]
    scope = {"type": "http", "method": "POST", "path": "/access/v1/evaluation", "headers": headers}
    with closing(embedded):
        asyncio.run(
            application(embedded, frozenset({"localhost"}), "http://localhost", Believed(), read_administration())(
                scope, receive, send
            )
        )
    assert sent[0]["status"] == 500 and (b"x-request-id", b"here") in sent[0]["headers"]
    assert b"ZeroDivisionError" in sent[1]["body"] and b"secret" not in sent[1]["body"]
    [told] = caplog.records
    assert vars(told)[TOLD]["fault"] in sent[1]["body"].decode() and vars(told)[TOLD]["request"] == "here"


def ask(receive: Any, **headers: str) -> Request:
    pairs = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in {"content_type": "application/json", **headers}.items()
    ]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": pairs}, receive)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SECONDS", 0.05)

    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    with pytest.raises(Problem) as caught:
        asyncio.run(reading.read_object(ask(never)))
    assert caught.value.status == 408


def test_a_body_that_comes_in_parts_is_read_whole() -> None:
    parts = [b'{"a"', b": [1,", b" 2]}"]

    async def slowly() -> dict[str, Any]:
        await asyncio.sleep(0.001 if len(parts) % 2 else 0)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    assert asyncio.run(reading.read_object(ask(slowly))) == {"a": [1, 2]}


def test_a_body_is_not_longer_than_it_may_be_whatever_its_length_is_said_to_be() -> None:
    async def endless() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    for headers in ({}, {"content_length": "10"}, {"content_length": str(1 << 40)}, {"content_length": "-1"}):
        with pytest.raises(Problem) as caught:
            asyncio.run(reading.read_object(ask(endless, **headers)))
        assert caught.value.status == 413


def test_a_compressed_body_is_refused() -> None:
    async def small() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps({}).encode(), "more_body": False}

    with pytest.raises(Problem) as caught:
        asyncio.run(reading.read_object(ask(small, content_encoding="gzip")))
    assert caught.value.status == 415
