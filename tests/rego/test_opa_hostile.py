"""Attacks on the client of OPA servers: answers of other questions, waits without end, faults that escape, secrets that are shown."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from remit.local.opa import OpaClient
from remit.pdp.outside import Opa, Said, Unanswered

YES: dict[str, Any] = {"permit": [{"id": "p"}], "forbid": []}
NO: dict[str, Any] = {"permit": [{"id": "p"}], "forbid": [{"id": "f"}]}


def body_of(connection: socket.socket) -> bytes | None:
    """The body of the next request."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            return None
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length is not None
    while len(body) < int(length[1]):
        body += connection.recv(65536)
    return body


def answering(result: object, **more: object) -> bytes:
    """An answer of OPA's."""
    text = json.dumps({"result": result, **more}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that handles each connection in a thread of its own."""
    listening = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            handle(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def asked(client: OpaClient, url: str, document: bytes = b"{}", within: float = 4) -> Said:
    """Ask, and fail where no answer comes long after it had to."""
    said: list[Said | BaseException] = []

    def ask() -> None:
        try:
            said.append(client.ask(Opa(url, seconds=1), document))
        except BaseException as error:
            said.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(within)
    assert said, f"still waiting after {within} s, though an answer may take 1 s"
    assert isinstance(said[0], Said), repr(said[0])
    return said[0]


def test_the_answer_of_one_question_is_never_that_of_the_next() -> None:
    def handle(connection: socket.socket) -> None:
        while (body := body_of(connection)) is not None:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")  # as proxies send, before the answer
            time.sleep(0.1)
            connection.sendall(answering(YES if b"harmless" in body else NO))

    with serving(handle) as url:
        client = OpaClient()
        asked(client, url, b'{"q":"harmless"}')
        time.sleep(0.3)
        said = asked(client, url, b'{"q":"harmful"}')
        assert isinstance(said.answer, Unanswered) or json.loads(said.answer)["forbid"], "the permit of another question"


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next() -> None:
    def handle(connection: socket.socket) -> None:
        while body_of(connection) is not None:
            connection.sendall(answering(NO))
            time.sleep(0.1)
            connection.sendall(answering(YES))

    with serving(handle) as url:
        client = OpaClient()
        asked(client, url)
        time.sleep(0.3)
        said = asked(client, url)
        assert isinstance(said.answer, Unanswered) or json.loads(said.answer)["forbid"]


def _drip(connection: socket.socket) -> None:
    body_of(connection)
    for byte in answering(YES):
        connection.sendall(bytes([byte]))
        time.sleep(0.3)


def _continue(connection: socket.socket) -> None:
    body_of(connection)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


def _trailers(connection: socket.socket) -> None:
    body_of(connection)
    text = json.dumps({"result": YES}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(text), text))
    while True:
        connection.sendall(b"x: y\r\n")
        time.sleep(0.05)


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("handle", [_drip, _continue, _trailers])
def test_no_server_is_waited_for_longer_than_was_said(handle: Callable[[socket.socket], None]) -> None:
    with serving(handle) as url:
        assert isinstance(asked(OpaClient(), url).answer, Unanswered)


@pytest.mark.parametrize("bundles", [[1], "x", 5])
def test_nothing_a_server_says_escapes_as_a_fault(bundles: object) -> None:
    def handle(connection: socket.socket) -> None:
        while body_of(connection) is not None:
            connection.sendall(answering(YES, provenance={"bundles": bundles}))

    with serving(handle) as url:
        said = asked(OpaClient(), url)
    assert isinstance(said.answer, bytes) and json.loads(said.answer) == YES and said.engine == "opa"


@pytest.mark.parametrize("token", ["s3cret\n", "s3cr\u20ac"])
def test_a_token_that_no_header_can_carry_is_neither_raised_nor_shown(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMIT_OPA_TOKEN", token)

    def handle(connection: socket.socket) -> None:
        while body_of(connection) is not None:
            connection.sendall(answering(YES))

    with serving(handle) as url:
        monkeypatch.setenv("REMIT_OPA_TOKEN_FOR", url)
        said = asked(OpaClient(), url)
        assert not isinstance(said.answer, Unanswered) or ("s3cr" not in said.answer.message and "TOKEN" in said.answer.message)


@pytest.mark.parametrize(
    "named", ["", "https://{at}", "http://{at}:1", "http://{at}.example", "no address", "http://[", "http://{at}:x"]
)
def test_a_bundle_never_says_who_is_shown_the_token(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        while (part := connection.recv(1 << 16)) != b"":
            seen.append(part)

    monkeypatch.setenv("REMIT_OPA_TOKEN", "s3cret")
    with serving(handle) as url:
        monkeypatch.setenv("REMIT_OPA_TOKEN_FOR", named.format(at=url.removeprefix("http://")))
        said = asked(OpaClient(), url)
    assert isinstance(said.answer, Unanswered) and "`REMIT_OPA_TOKEN_FOR`" in said.answer.message
    assert not seen and "s3cret" not in said.answer.message
