"""Keys over a network: real servers that redirect, drip, babble, hang and lie; and where each kind of issuer says its keys are."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from remit.authentication.issuers import Discovery, TrustedIssuer, fetchable
from remit.authentication.keys.fetching import MAX_BYTES, Admit, Unfetched, fetch
from remit.authentication.keys.holding import keys_of
from remit.authentication.keys.places import key_document, metadata_url
from remit.authentication.verify import Verifier
from remit.authentication.waiting import awaited
from tests.authentication.minting import AUDIENCE, Issuer
from tests.runtime.world import Clock

DOCUMENT = Issuer().key_set()


@contextmanager
def answering(answer: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each question as told, and the questions it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    questions: list[bytes] = []
    ended = threading.Event()

    def served() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if ended.is_set():
                return
            with connection:
                questions.append(connection.recv(65536))
                with suppress(OSError):
                    answer(connection, questions[-1])

    thread = threading.Thread(target=served, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", questions
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def whole(body: bytes, status: str = "200 OK", *headers: str) -> Callable[[socket.socket, bytes], None]:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode()
    return lambda connection, _: connection.sendall(head + body)


def dripping(piece: bytes, seconds: float = 0.05) -> Callable[[socket.socket, bytes], None]:
    def answer(connection: socket.socket, _: bytes) -> None:
        for _ in range(200):
            connection.sendall(piece)
            time.sleep(seconds)

    return answer


def dripping_body(connection: socket.socket, question: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    dripping(b" ")(connection, question)


def test_a_document_is_fetched() -> None:
    with answering(whole(DOCUMENT)) as (url, questions):
        assert fetch(f"{url}/keys?v=1") == DOCUMENT
    assert questions[0].startswith(b"GET /keys?v=1 HTTP/1.1\r\n") and b"Accept-Encoding: identity" in questions[0]


FAULTS: dict[str, Callable[[socket.socket, bytes], None]] = {
    "a redirect": whole(DOCUMENT, "302 Found", "Location: http://127.0.0.1:1/keys"),
    "a permanent redirect": whole(DOCUMENT, "308 Permanent Redirect", "Location: https://evil.example/keys"),
    "an error": whole(DOCUMENT, "500 Internal Server Error"),
    "nothing new": whole(b"", "304 Not Modified"),
    "a part": whole(DOCUMENT, "206 Partial Content"),
    "compressed": whole(DOCUMENT, "200 OK", "Content-Encoding: gzip"),
    "huge": whole(b" " * (MAX_BYTES + 1)),
    "endless": lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 10_000_000),
    "cut off": lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "silent": lambda connection, _: time.sleep(0.8),
    "hung up": lambda connection, _: None,
    "no HTTP": lambda connection, _: connection.sendall(b"SSH-2.0-x\r\n\r\n"),
    "a dripping head": dripping(b"X: y\r\n"),
    "a dripping status": dripping(b"H"),
    "a dripping body": dripping_body,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_server_that_does_not_answer_plainly_gives_nothing_and_in_time(fault: Callable[[socket.socket, bytes], None]) -> None:
    with answering(fault) as (url, _):
        began = time.monotonic()
        with pytest.raises(Unfetched):
            fetch(url, seconds=0.4)
        assert time.monotonic() - began < 1.5


def test_the_time_is_for_the_whole_answer_and_not_for_each_piece() -> None:
    def late(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.9)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        time.sleep(1.1)

    with answering(late) as (url, _):
        began = time.monotonic()
        with pytest.raises(Unfetched, match="within 1 s"):
            fetch(url, seconds=1)
        assert time.monotonic() - began < 1.5


def test_a_server_that_is_not_there_gives_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unfetched):
        fetch(f"http://127.0.0.1:{port}/")


def test_a_certificate_that_nobody_vouches_for_is_not_believed() -> None:
    with answering(whole(DOCUMENT)) as (url, _), pytest.raises(Unfetched):
        fetch(url.replace("http:", "https:"), seconds=1)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://a.example/keys", True),
        ("https://a.example:8443/keys?x=y", True),
        ("http://127.0.0.1:4301/jwks", True),
        ("http://localhost/jwks", True),
        ("http://[::1]:1/jwks", True),
        ("http://a.example/keys", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://localhost@evil.example/", False),
        ("https://a:b@evil.example/", False),
        ("ftp://a.example/", False),
        ("file:///etc/passwd", False),
        ("https:///keys", False),
        ("https://a.example:99999/", False),
        ("https://a.example/ x", False),
        ("https://a.example/\r\nHost: b", False),
        ("https://a.example\\@b/", False),
        ("https://\u0430.example/", False),
        ("", False),
    ],
)
def test_only_https_and_this_very_machine_are_asked(url: str, good: bool) -> None:
    assert fetchable(url) is good
    if not good:
        with pytest.raises(Unfetched):
            fetch(url)


@pytest.mark.parametrize(
    ("issuer", "discovery", "url"),
    [
        ("https://a.example", Discovery.OPENID, "https://a.example/.well-known/openid-configuration"),
        ("https://a.example/", Discovery.OPENID, "https://a.example/.well-known/openid-configuration"),
        ("https://a.example/realms/x", Discovery.OPENID, "https://a.example/realms/x/.well-known/openid-configuration"),
        ("https://a.example", Discovery.OAUTH, "https://a.example/.well-known/oauth-authorization-server"),
        ("https://a.example/", Discovery.OAUTH, "https://a.example/.well-known/oauth-authorization-server"),
        ("https://a.example/realms/x", Discovery.OAUTH, "https://a.example/.well-known/oauth-authorization-server/realms/x"),
        ("https://a.example:8443/t/", Discovery.OAUTH, "https://a.example:8443/.well-known/oauth-authorization-server/t"),
    ],
)
def test_metadata_is_where_the_standards_say(issuer: str, discovery: Discovery, url: str) -> None:
    assert metadata_url(TrustedIssuer(issuer, (AUDIENCE,), discovery=discovery)) == url


ISSUER = "https://a.example/t"
KEYS = "https://keys.example/jwks"
GOOD = {"issuer": ISSUER, "jwks_uri": KEYS}


PUBLIC, INNER = "93.184.215.14", "10.1.2.3"


def discovered(metadata: Any, issuer_at: str = PUBLIC, keys_at: str = PUBLIC) -> tuple[bytes, list[str]]:
    asked: list[str] = []
    at = {f"{ISSUER}/.well-known/openid-configuration": issuer_at, KEYS: keys_at}

    def fetched(url: str, admit: Admit) -> bytes:
        admit(at[url])
        asked.append(url)
        return DOCUMENT if url == KEYS else metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()

    return key_document(TrustedIssuer(ISSUER, (AUDIENCE,)), fetched), asked


def test_keys_are_where_the_metadata_says() -> None:
    assert discovered(GOOD) == (DOCUMENT, [f"{ISSUER}/.well-known/openid-configuration", KEYS])


@pytest.mark.parametrize(
    "metadata",
    [
        {**GOOD, "issuer": ISSUER + "/"},
        {**GOOD, "issuer": "https://A.example/t"},
        {**GOOD, "issuer": [ISSUER]},
        {"jwks_uri": KEYS},
        {"issuer": ISSUER},
        {**GOOD, "jwks_uri": "http://keys.example/jwks"},
        {**GOOD, "jwks_uri": "file:///etc/keys"},
        {**GOOD, "jwks_uri": "http://127.0.0.1:8500/secret"},
        {**GOOD, "jwks_uri": "https://localhost/secret"},
        *[
            {**GOOD, "jwks_uri": f"https://{host}/secret"}
            for host in (
                *(
                    "127.0.0.2",
                    "127.1",
                    "2130706433",
                    "0x7f.0.0.1",
                    "0177.0.0.1",
                    "localhost.",
                    "x.localhost",
                    "0.0.0.0:8443",
                    "0",
                ),
                *("169.254.169.254", "10.1.2.3", "192.168.0.1", "100.64.0.1"),
                *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fd00::1]", "[fe80::1%25eth0]"),
            )
        ],
        {**GOOD, "jwks_uri": [KEYS]},
        [GOOD],
        b"",
        b"<html>",
        b'{"issuer":"https://evil.example","issuer":"https://a.example/t","jwks_uri":"https://keys.example/jwks"}',
    ],
)
def test_metadata_that_is_not_this_issuers_leads_nowhere(metadata: Any) -> None:
    with pytest.raises(Unfetched):
        discovered(metadata)


@pytest.mark.parametrize(
    "address",
    [
        INNER,
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "::ffff:10.1.2.3",
        "fd00::1",
        "fe80::1%eth0",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
        "::10.0.0.1",
        "?",
    ],
)
def test_names_lead_to_inner_addresses_from_an_inner_issuer_alone(address: str) -> None:
    with pytest.raises((Unfetched, ValueError)):
        discovered(GOOD, keys_at=address)
    assert discovered(GOOD, issuer_at=INNER, keys_at=address)[0] == DOCUMENT
    assert key_document(TrustedIssuer(ISSUER, (AUDIENCE,), jwks_url=KEYS), lambda _, admit: admit(address) or DOCUMENT)  # type: ignore[func-returns-value]


@pytest.mark.parametrize("address", ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"])
def test_names_lead_to_what_anybody_can_reach(address: str) -> None:
    assert discovered(GOOD, keys_at=address)[0] == DOCUMENT


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_admitted_is_what_is_connected_to_whatever_the_name_says_next(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    asked: list[str] = []
    admitted: list[str] = []

    def looked_up(host: str, port: int, *_args: Any, **_named: Any) -> list[Any]:
        address = host if host[0].isdigit() else ("127.0.0.2" if host not in asked else "127.0.0.1")
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("socket.getaddrinfo", looked_up)
    monkeypatch.setattr("remit.authentication.keys.fetching.fetchable", lambda _: True)
    with answering(whole(DOCUMENT)) as (url, questions):
        named = url.replace("http://127.0.0.1", f"{scheme}://keys.example")
        with pytest.raises(Unfetched, match="refused"):
            fetch(named, admitted.append)
        assert admitted == ["127.0.0.2"] and questions == []

        def refused(address: str) -> None:
            raise Unfetched(f"is at {address}")

        with pytest.raises(Unfetched, match="is at 127.0.0.1"):
            fetch(named, refused)
        time.sleep(0.1)
        assert questions == []


@pytest.mark.parametrize("discovery", Discovery)
def test_an_issuer_is_found_by_its_name_alone_over_a_real_connection(clock: Clock, discovery: Discovery) -> None:
    issuer = Issuer("")

    def answer(connection: socket.socket, question: bytes) -> None:
        metadata = json.dumps({"issuer": issuer.name, "jwks_uri": f"{issuer.name}/keys"}).encode()
        well_known = question.split(b" ")[1].startswith(b"/.well-known/o")
        whole(metadata if well_known else issuer.key_set())(connection, question)

    with answering(answer) as (url, questions):
        issuer.name = url
        trusted = TrustedIssuer(url, (AUDIENCE,), discovery=discovery)
        verifier = Verifier([(trusted, keys_of(trusted, clock))], clock)
        assert asyncio.run(awaited(lambda: verifier.verify(issuer.token()))).issuer == url
    assert len(questions) == 2
