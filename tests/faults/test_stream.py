"""Streaming to a SIEM: real receivers that fail, hang, hang up and come back; nothing is lost, and what was sent is what was logged."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from remit.cli import verbs
from remit.cli.main import app
from remit.local import streaming
from remit.local.streaming import Stream
from remit.model.errors import ErrorKind, RemitError
from remit.runtime.emergency import break_glass
from tests.conftest import OpenStore
from tests.faults.processes import python
from tests.runtime.world import ANA, CARL, World

if not app.registered_commands:
    verbs.register(app)


def worked(world: World, calls: int = 3) -> World:
    session = world.open_session()
    for _ in range(calls):
        world.ask(session, "look")
    world.ask(session, "never")
    return world


class Receiver:
    """Takes posts; `answers` says what to do with the next ones, 200 once they are used up."""

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []


@contextmanager
def http_receiver() -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.answers.pop(0) if receiver.answers else 200
            receiver.headers.append(dict(self.headers))
            if answer == "lost":  # it was taken, and nobody heard
                receiver.got += [json.loads(line) for line in body.splitlines()]
            if isinstance(answer, str):
                self.close_connection = True
                self.connection.close()
                return
            if answer == 200:
                receiver.got += [json.loads(line) for line in body.splitlines()]
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver, f"http://127.0.0.1:{server.server_address[1]}/in"
    finally:
        server.shutdown()
        server.server_close()


def stream(world: World, url: str, patience: float | None = 5.0, **given: Any) -> int:
    """One run, without waiting between two tries."""
    sender = Stream(world.home, world.store.log, "remit.local/log", url, **given)
    with sender.alone():
        return sender.run(patience, lambda _: None, pause=lambda _: None)


def is_the_log(world: World, got: list[dict[str, Any]], repeated: bool = False) -> None:
    """Everything that was logged was received in order, as it stands there."""
    lines = [json.loads(line) for line in world.store.log.lines()]
    seen = {one["index"]: one for one in got}
    assert [one["index"] for one in got] == sorted(one["index"] for one in got) or repeated
    assert sorted(seen) == list(range(len(lines)))
    for index, line in enumerate(lines):
        assert seen[index] == {"log": "remit.local/log", "index": index, **line}


def test_everything_is_sent_once_and_then_what_is_new(open_store: OpenStore) -> None:
    world = worked(open_store())
    with http_receiver() as (receiver, url):
        assert stream(world, url) == world.store.log.size()
        assert stream(world, url) == 0
        worked(world)
        assert stream(world, url) > 0
        is_the_log(world, receiver.got)
        assert len(receiver.got) == world.store.log.size()


def test_a_receiver_that_fails_in_every_way_loses_nothing(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BATCH", 3)
    world = worked(open_store(), 9)
    with http_receiver() as (receiver, url):
        receiver.answers = [500, 200, 503, "gone", 429, 200, "lost", 401, 302]
        assert stream(world, url) == world.store.log.size()
        is_the_log(world, receiver.got, repeated=True)
        assert len(receiver.got) == world.store.log.size() + 3, "what was taken and not acknowledged comes twice"


def test_a_receiver_that_is_away_keeps_the_place(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BATCH", 2)
    world = worked(open_store())
    with http_receiver() as (receiver, url):
        receiver.answers = [200, *[500] * 50]
        with pytest.raises(RemitError) as caught:
            stream(world, url, patience=0.0)
        assert caught.value.kind is ErrorKind.UNAVAILABLE and "entry 2" in caught.value.message and "500" in caught.value.message
        assert [one["index"] for one in receiver.got] == [0, 1]
        receiver.answers = []
        stream(world, url)
        is_the_log(world, receiver.got)
    with pytest.raises(RemitError, match="refused"):
        worked(world)
        stream(world, url, patience=0.0)


def test_a_log_that_is_not_the_one_that_was_sent_is_said(open_store: OpenStore) -> None:
    world = worked(open_store())
    with http_receiver() as (receiver, url):
        stream(world, url)
        [file] = (world.home / "streams").glob("*.json")
        for cursor, said in (({"next": 9999, "leaf": "00"}, "truncated"), ({"next": 3, "leaf": "00" * 32}, "written anew")):
            file.write_text(json.dumps(cursor))
            with pytest.raises(RemitError) as caught:
                stream(world, url)
            assert caught.value.kind is ErrorKind.CORRUPT and said in caught.value.message
        file.write_text("{")
        with pytest.raises(RemitError, match="remove it to begin as a new receiver does"):
            stream(world, url)
        file.unlink()
        receiver.got.clear()
        stream(world, url)
        is_the_log(world, receiver.got)


def test_two_processes_do_not_send_to_one_receiver(open_store: OpenStore) -> None:
    world = worked(open_store())
    with http_receiver() as (_, url):
        first = Stream(world.home, world.store.log, "x", url)
        with first.alone(), pytest.raises(RemitError) as caught:
            stream(world, url)
        assert caught.value.kind is ErrorKind.CONFLICT
        assert stream(world, url) > 0


def read_syslog(wire: socket.socket, got: list[dict[str, Any]], stop_after: int = 10**9) -> None:
    """Octet-counted messages (RFC 6587) until the other end hangs up, or so many were read."""
    held = b""
    with suppress(OSError):
        while len(got) < stop_after:
            while b" " not in held or len(held) < len(held.split(b" ", 1)[0]) + 1 + int(held.split(b" ", 1)[0]):
                more = wire.recv(4096)
                if not more:
                    return
                held += more
            length, rest = held.split(b" ", 1)
            message, held = rest[: int(length)], rest[int(length) :]
            head, version, _time, _host, name, _process, kind, data, text = _split(message)
            got.append({**json.loads(text), "pri": head, "seen_as": kind})
            assert (version, name, data) == ("1", "remit", "-")


def _split(message: bytes) -> list[str]:
    found = message.decode().split(" ", 7)
    return [found[0].partition(">")[0].lstrip("<"), found[0].partition(">")[2], *found[1:7], found[7]]


@contextmanager
def syslog_receiver(
    serve: Callable[[socket.socket], None], context: ssl.SSLContext | None = None, room: int | None = None
) -> Iterator[int]:
    """`room` is how many bytes its machine takes before they are read, as few as the system lets."""
    listening = socket.create_server(("127.0.0.1", 0))
    if room is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    over = threading.Event()

    def accept() -> None:
        with suppress(OSError):
            while not over.is_set():
                wire, _ = listening.accept()
                with suppress(OSError), context.wrap_socket(wire, server_side=True) if context else wire as taken:
                    serve(taken)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(timeout=5)


def caught_up(got: list[dict[str, Any]], size: int, seconds: float = 5) -> None:
    """A receiver may read what its machine took a little later."""
    until = time.monotonic() + seconds
    while len({one["index"] for one in got}) < size and time.monotonic() < until:
        time.sleep(0.01)


def test_syslog_says_who_when_and_how_grave(open_store: OpenStore) -> None:
    world = worked(open_store())
    asking = break_glass.EmergencyRequest("stuck", "INC-7", agent="bot", tools=("never",))
    glass = break_glass.ask(world.runtime, asking, ANA).result()
    break_glass.confirm(world.runtime, glass.id, CARL).result()
    world.perform(world.open_session(), "never", "x")
    got: list[dict[str, Any]] = []
    with syslog_receiver(lambda wire: read_syslog(wire, got)) as port:
        stream(world, f"syslog+tcp://127.0.0.1:{port}")
        caught_up(got, world.store.log.size())
    grave = {one["index"] for one in got if one.get("effect") == "deny" or one.get("break_glass") or "break-glass" in one["kind"]}
    assert {one["pri"] for one in got if one["index"] in grave} == {"108"} and len(grave) > 4
    assert {one["pri"] for one in got if one["index"] not in grave} == {"110"}
    assert all(one.pop("seen_as") == one["kind"] and one.pop("pri") for one in got)
    is_the_log(world, got)


def test_a_syslog_receiver_that_hangs_up_is_called_again(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BATCH", 2)
    monkeypatch.setattr(streaming, "SECONDS", 1.0)
    world = worked(open_store(), 6)
    got: list[dict[str, Any]] = []
    turns = iter([2, 0, 4])

    def serve(wire: socket.socket) -> None:
        read_syslog(wire, got, len(got) + next(turns, 10**9))

    with syslog_receiver(serve, room=1) as port:
        # What a machine took before its receiver ended is beyond what TCP can tell: the receiver says so by hanging up, and what was
        # sent since the last batch comes again.
        stream(world, f"syslog+tcp://127.0.0.1:{port}", patience=30)
        caught_up(got, world.store.log.size())
    indexes = [one["index"] for one in got]
    assert indexes[:2] == [0, 1] and indexes[-1] == world.store.log.size() - 1


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.fromtimestamp(Path("/proc/self").stat().st_ctime, UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_over_tls_only_to_whom_the_certificates_vouch_for(open_store: OpenStore, tmp_path: Path) -> None:
    world = worked(open_store())
    trusted, context = certificate(tmp_path)
    got: list[dict[str, Any]] = []
    with syslog_receiver(lambda wire: read_syslog(wire, got), context) as port:
        with pytest.raises(RemitError, match="certificate"):
            stream(world, f"syslog+tls://localhost:{port}", patience=0.0)
        assert got == []
        stream(world, f"syslog+tls://localhost:{port}", ca=trusted)
        caught_up(got, world.store.log.size())
    assert len(got) == world.store.log.size()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("syslog+udp://127.0.0.1:514", "UDP loses"),
        ("ftp://x/y", "no address"),
        ("https://", "no address"),
        ("syslog+tcp://host", "no address"),
        ("http://host:99999/", "no address"),
        ("https://user:secret@host/", "REMIT_STREAM_TOKEN"),
    ],
)
def test_what_is_no_receiver(open_store: OpenStore, url: str, said: str) -> None:
    with pytest.raises(RemitError) as caught:
        stream(open_store(), url)
    assert caught.value.kind is ErrorKind.MALFORMED and said in caught.value.message and "secret" not in caught.value.message


class TestVerb:
    @staticmethod
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["log", "stream", *arguments])

    def test_a_store_is_streamed_with_a_token(self, guarded: World, monkeypatch: pytest.MonkeyPatch) -> None:
        worked(guarded).close()
        monkeypatch.setenv("REMIT_STREAM_TOKEN", "s3cret")
        with http_receiver() as (receiver, url):
            told = self.run("--to", url)
            assert told.exit_code == 0 and "entries to http://127.0.0.1" in told.stdout, told.exception
            assert json.loads(self.run("--to", url, "--json").stdout)["sent"] == 0
            assert {head["Authorization"] for head in receiver.headers} == {"Bearer s3cret"}
        kept = b"".join(file.read_bytes() for file in (guarded.home / "streams").iterdir())
        assert receiver.got and b"s3cret" not in kept

    def test_following_goes_on_while_the_receiver_is_away(self, guarded: World) -> None:
        worked(guarded)
        program = "from remit.cli.main import main; import sys; sys.exit(main())"
        with http_receiver() as (receiver, url):
            receiver.answers = [500]
            with python("-c", program, "log", "stream", "--to", url, "--follow", REMIT_HOME=str(guarded.home)):
                caught_up(receiver.got, guarded.store.log.size(), 20)
                before = len(receiver.got)
                worked(guarded)
                caught_up(receiver.got, guarded.store.log.size(), 20)
            assert receiver.answers == [] and before < len(receiver.got), "it was refused once, and what came later followed"
            is_the_log(guarded, receiver.got)
