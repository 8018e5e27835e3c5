"""Witnesses: real ones in processes of their own, logs that were written anew, and witnesses that misbehave."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from remit.cli import verbs
from remit.cli.main import app
from remit.decision_log.verify import verify_export, verify_proof
from remit.local import witnessing
from remit.local.witnessing import ask_witnesses, load_policy
from remit.model.errors import ErrorKind, RemitError
from tests.conftest import OpenStore
from tests.runtime.world import World, permit
from tests.witness import served

if not app.registered_commands:
    verbs.register(app)


def busy(world: World, calls: int = 5) -> World:
    session = world.open_session()
    for _ in range(calls):
        permit(world.ask(session, "look"))
    return world


def policy(world: World, *lines: str) -> Path:
    path = world.home / "witnesses.policy"
    path.write_text("\n".join([*lines, ""]))
    return path


@contextmanager
def two(world: World, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two witnesses, one of each kind of key, of which both must cosign; their lines of a policy."""
    vkey = world.embedded.head.vkey
    with (
        served("one.example/w", tmp_path / "one", vkey) as one,
        served("two.example/w", tmp_path / "two", vkey, ml_dsa=True) as other,
    ):
        yield f"witness one {' '.join(one)}", f"witness two {' '.join(other)}"


def test_a_head_that_two_witnesses_cosigned_convinces_a_stranger(open_store: OpenStore, tmp_path: Path) -> None:
    world = busy(open_store())
    head = world.embedded.head
    with two(world, tmp_path) as lines:
        file = policy(world, f"log {head.vkey}", *lines, "group both all one two", "quorum both")
        for _ in range(3):  # first contact, growth, and nothing new
            seen = ask_witnesses(head, load_policy(world.home, file.name))
            assert seen.cosigned == ("one", "two") and seen.quorum and not seen.missing
            busy(world, 2)
        seen = ask_witnesses(head, load_policy(world.home, file.name))
    content = file.read_bytes()
    head.export(tmp_path / "export", overwrite=False)
    report = verify_export(tmp_path / "export", policy=content)
    assert report.verified and report.key_pinned and not report.unwitnessed, report.to_text()
    assert set(report.witnesses) == {"one.example/w", "two.example/w"}
    (tmp_path / "proof").write_text(head.prove_entry(3))
    proven = verify_proof(tmp_path / "proof", None, policy=content)
    assert proven.verified and set(proven.witnesses) == {"one.example/w", "two.example/w"}, proven.finding
    # A head that only the log signed is not enough for who demands witnesses.
    busy(world, 1)
    head.export(tmp_path / "later", overwrite=False)
    later = verify_export(tmp_path / "later", policy=content)
    assert not later.verified and [found.problem for found in later.findings] == ["quorum"]
    (tmp_path / "proof").write_text(head.prove_entry(3))
    assert "fewer witnesses" in verify_proof(tmp_path / "proof", None, policy=content).finding


def test_a_log_written_anew_gets_no_cosignature(open_store: OpenStore, tmp_path: Path) -> None:
    """Whoever has the key, the store and the head that is kept beside it still has not the witness."""
    world = busy(open_store("first"))
    vkey = world.embedded.head.vkey
    with served("w.example", tmp_path / "witness", vkey) as (key, url):
        ask_witnesses(world.embedded.head, load_policy(world.home, policy(world, f"witness w {key} {url}", "quorum w").name))
        shorter = open_store("shorter")
        longer = open_store("longer")
        busy(longer, 9)
        for other, said in ((shorter, "truncated or replaced"), (longer, "another log")):
            other.close()
            (other.home / "log.head").unlink(missing_ok=True)
            shutil.copy(world.home / "log.key", other.home / "log.key")
            forger = open_store(other.home.name, again=True)
            known = load_policy(forger.home, policy(forger, f"witness w {key} {url}", "quorum w").name)
            with pytest.raises(RemitError) as caught:
                ask_witnesses(forger.embedded.head, known)
            assert caught.value.kind is ErrorKind.CORRUPT and said in caught.value.message


def test_a_witness_that_is_away_or_does_not_know_the_log(open_store: OpenStore, tmp_path: Path) -> None:
    world = busy(open_store())
    stranger = open_store("stranger")
    with served("w.example", tmp_path / "witness", stranger.embedded.head.vkey) as (
        key,
        url,
    ):
        lines = (f"witness far {key} {url}", "quorum far")
        seen = ask_witnesses(world.embedded.head, load_policy(world.home, policy(world, *lines).name))
        assert not seen.quorum and "403" in seen.missing["far"] and "know this log" in seen.missing["far"]
    gone = ask_witnesses(world.embedded.head, load_policy(world.home, policy(world, *lines).name))
    assert not gone.cosigned and "refused" in gone.missing["far"]
    offline = policy(world, f"witness far {key}", "quorum none")
    seen = ask_witnesses(world.embedded.head, load_policy(world.home, offline.name))
    assert seen.quorum and "no address" in seen.missing["far"]


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A witness that answers as it pleases."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(OSError):  # whoever asked hung up
                answer(self)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def saying(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.1)


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


OTHERS = "— w.example " + "A" * 100 + "\n"


@pytest.mark.sqlite  # what a witness says has nothing to do with where the log is
@pytest.mark.parametrize(
    "answer",
    [
        saying(200, b""),
        saying(200, b"\xff\xfe"),
        saying(200, OTHERS.encode()),
        saying(200, b"x" * 100_000),
        saying(200, "— other.example AAAAAAAA\n".encode()),
        saying(302, b"", Location="http://127.0.0.1:1/"),
        saying(409, b"many\n"),
        saying(409, b"0\n"),
        saying(409, b"007\n"),
        saying(422, b""),
        saying(500, b"oops"),
        dripping,
        silent,
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_witness_that_misbehaves_is_left_out(
    open_store: OpenStore, tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnessing, "SECONDS", 1.0)
    world = busy(open_store())
    with served("w.example", tmp_path / "key", world.embedded.head.vkey) as (key, _), answering(answer) as url:
        known = load_policy(world.home, policy(world, f"witness w {key} {url}", "quorum w").name)
        begun = time.monotonic()
        seen = ask_witnesses(world.embedded.head, known)
        assert time.monotonic() - begun < 2.5
    assert not seen.cosigned and not seen.quorum and seen.missing["w"]
    assert seen.note == world.embedded.head.note and seen.note.count("—") == 1
    world.verified()


def test_a_cosignature_of_another_head_is_not_taken(open_store: OpenStore, tmp_path: Path) -> None:
    world = busy(open_store())
    with served("w.example", tmp_path / "key", world.embedded.head.vkey) as (key, url):
        known = load_policy(world.home, policy(world, f"witness w {key} {url}", "quorum w").name)
        line = ask_witnesses(world.embedded.head, known).note.strip().split("\n")[-1]
        busy(world, 1)
        with answering(saying(200, f"{line}\n".encode())) as liar:
            known = load_policy(world.home, policy(world, f"witness w {key} {liar}", "quorum w").name)
            seen = ask_witnesses(world.embedded.head, known)
    assert not seen.cosigned and "not of this checkpoint" in seen.missing["w"]


class TestVerbs:
    """As an operator uses it."""

    @pytest.fixture
    def worked(self, guarded: World) -> World:
        busy(guarded).close()
        return guarded

    @staticmethod
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    def test_from_configuration_to_a_verified_export(
        self, worked: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "no witnesses are configured" in str(self.run("log", "witness").exception)
        vkey = self.run("log", "key").stdout.strip()
        monkeypatch.setenv("REMIT_WITNESSES", "witnesses.policy")
        assert "make the file" in str(self.run("log", "witness").exception)
        with served("w.example", tmp_path / "key", vkey) as (key, url):
            policy(worked, f"log {vkey}", f"witness w {key} {url}", "quorum w")
            done = self.run("log", "witness")
            assert done.exit_code == 0 and "w: cosigned" in done.stdout and "as many witnesses" in done.stdout
            exported = self.run("log", "export", "--output", str(tmp_path / "export"))
            assert exported.exit_code == 0 and "w: cosigned" in exported.stdout
            assert self.run("log", "prove", "2", "--output", str(tmp_path / "proof")).exit_code == 0
        file = str(worked.home / "witnesses.policy")
        for what in ("export", "proof"):
            verified = self.run("log", "verify", str(tmp_path / what), "--policy", file)
            assert verified.exit_code == 0 and "w.example at" in verified.stdout, verified.stdout
        assert self.run("log", "verify", str(tmp_path / "export"), "--key", vkey, "--witness", key).exit_code == 0
        assert self.run("log", "verify", str(tmp_path / "export"), "--key", vkey).exit_code == 1
        assert self.run("log", "verify").exit_code == 0  # the store itself knows its witnesses from its settings
        (tmp_path / "key2").mkdir()
        with served("w.example", tmp_path / "key2", vkey) as (other, _):
            assert self.run("log", "verify", str(tmp_path / "proof"), "--key", vkey, "--witness", other).exit_code == 0
        # The witness is away: the head stays unwitnessed, and that is said; the export is written all the same.
        (worked.home / "log.head").unlink()
        away = self.run("log", "witness", "--json")
        assert away.exit_code == 1 and "refused" in json.loads(away.stdout)["missing"]["w"]
        alone = self.run("log", "export", "--output", str(tmp_path / "alone"))
        assert alone.exit_code == 0 and "unwitnessed" in alone.stdout
        assert self.run("log", "verify", str(tmp_path / "alone"), "--policy", file).exit_code == 1

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            (("quorum w",), "line 1"),
            (("witness w nonsense", "quorum w"), "line 1"),
            (("quorum none", "quorum none"), "line 2"),
            (("something else",), "it is none of"),
            ((), "says its `quorum`"),
            (("group g all", "quorum g"), "line 1"),
        ],
    )
    def test_a_policy_that_cannot_be_used_says_where(
        self, worked: World, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], said: str
    ) -> None:
        monkeypatch.setenv("REMIT_WITNESSES", policy(worked, *lines).name)
        failed = self.run("log", "witness").exception
        assert isinstance(failed, RemitError) and failed.kind is ErrorKind.MALFORMED and said in failed.message
