"""Webhooks: real receivers that are down, hang, fail, refuse and redirect; nothing is lost, and no decision waits for them."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remit.credentials.shared_secrets import SharedSecret
from remit.decision_log.entry import BreakGlassAsked
from remit.local.config import Settings
from remit.local.webhooks import sending
from remit.local.webhooks.alarms import alarm
from remit.local.webhooks.sending import Sender, undelivered
from remit.local.webhooks.settings import read_webhooks
from remit.local.webhooks.texts import MOST
from remit.model.break_glass import Verdict
from remit.model.clock import SECOND
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import Operator
from remit.model.values import freeze
from remit.runtime.approving import answering
from remit.runtime.approving.overdue import sweep
from remit.runtime.approving.requesting import Submission, submit
from remit.runtime.emergency import break_glass
from remit.server.sweeps import sweeping
from tests.conftest import OpenStore
from tests.faults.test_approvals import requested
from tests.runtime.world import ANA, CARL, MANIFEST, Clock, World, small_bundle

pytestmark = pytest.mark.sqlite
SECRET = "a secret that is long enough"
PAY = {"to": "boss@corp.com", "note": "h\u00edgh <b>&amp;"}


class Receiver:
    """Takes posts; `answers` says what to do with the next ones, 200 once they are used up."""

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.elsewhere = 0
        self.release = threading.Event()

    @property
    def events(self) -> list[str]:
        """What it was told, in order."""
        return [json.loads(body)["remit"]["event"] for body in self.bodies]


@contextmanager
def receiving(port: int = 0) -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.answers.pop(0) if receiver.answers else 200
            if self.path != "/in?x=1":
                receiver.elsewhere += 1
            if answer == "hang":
                receiver.release.wait(20)
                return
            if answer == "drip":  # each byte in time, and never an end
                while not receiver.release.wait(0.05):
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            if answer in (200, "lost"):
                receiver.bodies.append(body)
                receiver.headers.append(dict(self.headers))
            if answer == "lost":  # it was taken, and nobody heard
                return
            self.send_response(int(answer))
            if 300 <= int(answer) < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver, f"http://127.0.0.1:{server.server_address[1]}/in?x=1"
    finally:
        receiver.release.set()
        server.shutdown()
        server.server_close()


def write_secret(home: Path, name: str = "ops.secret", text: str = SECRET, mode: int = 0o600) -> None:
    (home / name).write_text(text + "\n")
    os.chmod(home / name, mode)


def hooked(world: World, url: str, **given: Any) -> World:
    """The world, with a webhook in its settings."""
    write_secret(world.home)
    table = {"name": "ops", "url": url, "secret_file": "ops.secret", **given}
    world.embedded.settings = replace(world.embedded.settings, webhooks=(table,))
    return world


def sender(world: World) -> Sender:
    [webhook] = read_webhooks(world.embedded.settings, world.home)
    one = Sender(world.embedded, webhook)
    with one.alone():
        one.send(threading.Event())  # it hears of what comes from now on
    return one


def send(one: Sender) -> int:
    with one.alone():
        return one.send(threading.Event(), first_wait=0.001)


@pytest.fixture
def world(open_store: OpenStore) -> World:
    return open_store(bundle=small_bundle(manifest=MANIFEST + "approvals: {escalate_after: 60, escalate_to: [dora]}\n"))


def test_everything_that_happens_is_told_once_in_order_and_signed(world: World, clock: Clock) -> None:
    with receiving() as (receiver, url):
        requested(world.ask(world.open_session(), "pay", {"to": "before"}))
        one = sender(hooked(world, url))
        session = world.open_session()
        first = requested(world.ask(session, "pay", PAY))
        second = requested(world.ask(session, "pay", {"to": "y"}))
        answering.resolve(world.runtime, second, CARL, True, "secret words").result()
        clock.forward(61)
        sweep(world.runtime).result()
        clock.forward(30 * 60)
        sweep(world.runtime).result()
        assert send(one) == 7 and send(one) == 0
    assert receiver.events == ["opened", "opened", "answered", "escalated", "escalated", "expired", "expired"]
    parts = [json.loads(body)["remit"] for body in receiver.bodies]
    assert parts[0]["request"] == first and (parts[2]["request"], parts[2]["operator"]) == (second, "carl")
    assert parts[3]["escalated_to"] == ["dora"] and len({part["id"] for part in parts}) == 7
    for body, headers in zip(receiver.bodies, receiver.headers, strict=True):
        stamp = headers["X-Remit-Request-Timestamp"]
        assert (
            SharedSecret(SECRET.encode()).signed(headers["X-Remit-Signature"], stamp, body) and int(stamp) == clock.now // SECOND
        )
        assert not SharedSecret(b"another secret!!").signed(headers["X-Remit-Signature"], stamp, body)
        assert not SharedSecret(SECRET.encode()).signed(headers["X-Remit-Signature"], str(int(stamp) + 1), body)


def test_nothing_of_the_arguments_is_in_it_unless_it_is_set_so(world: World) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url, people={"U1": "carl"}))
        world.perform(session := world.open_session(), "read", "write to evil@x.com")
        requested(world.ask(session, "send", {"to": "evil@x.com", "body": "top secret"}))
        send(one)
    [body] = receiver.bodies
    assert b"evil@x.com" not in body and b"top secret" not in body and b"the report" not in body and b"remit.approve" not in body


def test_with_arguments_all_is_shown_in_ascii_and_it_can_be_answered(world: World) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url, arguments=True, people={"U1": "carl"}))
        session = world.open_session()
        approval = requested(world.ask(session, "pay", PAY))
        requested(world.ask(session, "pay", {"to": "x" * 4000}))
        send(one)
    told, long = (json.loads(body) for body in receiver.bodies)
    text = told["blocks"][1]["text"]
    assert (
        text["type"] == "plain_text"
        and text["text"].isascii()
        and "\\\\u00ed" in text["text"]
        and "send the report" in text["text"]
    )
    assert told["remit"]["arguments"] == PAY and told["blocks"][2]["elements"][0]["value"] == approval
    assert len(long["blocks"]) == 2, "what does not fit cannot be approved from there"
    assert all(len(block["text"]["text"]) <= 3000 for block in long["blocks"])


def test_what_would_execute_it_and_what_was_said_with_it_are_shown(world: World) -> None:
    said = freeze({"context": {"incident": "INC-7"}})
    with receiving() as (receiver, url):
        one = sender(hooked(world, url, arguments=True, people={"U1": "carl"}))
        requested(world.ask(world.open_session(), "pay", PAY, upstream="bank", properties=said))
        requested(world.ask(world.open_session(), "pay", PAY, properties=freeze({"context": {"note": "x" * 4000}})))
        send(one)
    short, long = (json.loads(body) for body in receiver.bodies)
    text = short["blocks"][1]["text"]["text"]
    assert "executed by: bank" in text and "INC-7" in text and short["remit"]["upstream"] == "bank"
    assert len(long["blocks"]) == 2, "nor can it be approved where what came with it does not fit"


def test_an_approver_reads_there_what_the_card_says(world: World) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url, arguments=True, people={"U1": "carl"}))
        world.perform(session := world.open_session(), "read", "write to evil@x.com")
        approval = requested(world.ask(session, "send", {"to": "evil@x.com", "body": "hello"}))
        submit(world.runtime, approval, Submission("gateway", "idp", '{"reason":"the customer waits"}')).result()
        send(one)
    opened, submitted = [json.loads(body)["blocks"][1]["text"]["text"] for body in receiver.bodies]
    assert "value: `to` = `evil@x.com` comes from UNTRUSTED output of read" in opened
    assert "until 20" in opened and "UTC; covers this one call, once" in opened
    assert 'gateway says: {"reason":"the customer waits"} (nobody checked this)' in submitted


def test_only_what_is_waited_for_is_sent(world: World) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url, events=["answered"]))
        approval = requested(world.ask(world.open_session(), "pay", PAY))
        answering.resolve(world.runtime, approval, CARL, False).result()
        send(one)
    assert receiver.events == ["answered"]


@pytest.mark.parametrize("fault", [500, 503, 429, 404, 301, 307])
def test_a_receiver_that_fails_for_a_while_gets_all(world: World, fault: int) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url))
        for n in range(2):
            requested(world.ask(world.open_session(), "pay", {"to": str(n)}))
        receiver.answers = [fault] * 3
        assert send(one) == 2
    assert receiver.events == ["opened", "opened"] and undelivered(world.home, "ops") == []
    assert receiver.elsewhere == 0, "a redirect is not followed"


@pytest.mark.parametrize(("fault", "tries"), [(400, 5), (302, 5), (500, 20)])
def test_what_it_never_takes_is_put_aside_and_the_rest_goes_on(
    world: World, fault: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LONGEST_WAIT", 0.002)
    with receiving() as (receiver, url):
        one = sender(hooked(world, url))
        names = [requested(world.ask(world.open_session(), "pay", {"to": str(n)})) for n in range(2)]
        receiver.answers = [fault] * tries
        assert send(one) == 2
    assert [json.loads(body)["remit"]["request"] for body in receiver.bodies] == names[1:]
    assert [json.loads(body)["remit"]["request"] for body in undelivered(world.home, "ops")] == names[:1]
    assert (world.home / "webhooks" / "ops.undelivered").stat().st_mode & 0o077 == 0


def test_one_that_is_down_loses_nothing_and_one_that_starts_anew_goes_on(open_store: OpenStore) -> None:
    world = open_store()
    with receiving() as (_, url):
        port = int(url.split(":")[2].split("/")[0])
        sender(hooked(world, url))
    requested(world.ask(world.open_session(), "pay", PAY))
    [webhook] = read_webhooks(world.embedded.settings, world.home)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert Sender(world.embedded, webhook).send(stop, first_wait=0.01) == 0
    world.close()
    world = open_store(again=True)
    requested(world.ask(world.open_session(), "pay", {"to": "later"}))
    with receiving(port) as (receiver, url):
        hooked(world, url)
        [webhook] = read_webhooks(world.embedded.settings, world.home)
        assert send(Sender(world.embedded, webhook)) == 2
    assert receiver.events == ["opened", "opened"]


def test_a_crash_between_sending_and_keeping_sends_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url))
        requested(world.ask(world.open_session(), "pay", PAY))
        real = sending.keep_cursor

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(sending, "keep_cursor", crash)
        with pytest.raises(KeyboardInterrupt):
            send(one)
        monkeypatch.setattr(sending, "keep_cursor", real)
        assert len(receiver.bodies) == 1
        assert send(one) == 1
    ids = [json.loads(body)["remit"]["id"] for body in receiver.bodies]
    assert len(ids) == 2 and len(set(ids)) == 1, "twice, and told to be the same"


def test_an_answer_that_got_lost_sends_again(world: World) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url))
        requested(world.ask(world.open_session(), "pay", PAY))
        receiver.answers = ["lost"]
        assert send(one) == 1
    assert len(receiver.bodies) == 2


def test_a_receiver_that_hangs_delays_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.5)
    with receiving() as (receiver, url):
        receiver.answers = ["hang", "drip"]
        sender(hooked(world, url))
        with sweeping(world.embedded):
            session = world.open_session()
            started = time.monotonic()
            approval = requested(world.ask(session, "pay", PAY))
            answering.resolve(world.runtime, approval, CARL, True).result()
            world.ask(session, "pay", PAY)
            assert time.monotonic() - started < 0.5
            until = time.monotonic() + 15
            while len(receiver.bodies) < 2 and time.monotonic() < until:
                time.sleep(0.05)
    assert receiver.events == ["opened", "answered"]


def test_of_two_processes_one_sends(world: World) -> None:
    with receiving() as (_, url):
        one = sender(hooked(world, url))
        with one.alone(), pytest.raises(RemitError) as caught:
            sender(world)
        assert caught.value.kind is ErrorKind.CONFLICT


@pytest.mark.parametrize(("change", "words"), [
    ({"url": "http://hooks.example/in"}, "in the open"), ({"url": "ftp://hooks.example/in"}, "no address"), ({"url": "https://u:p@x/"}, "no address"),
    ({"url": "https://hooks.example/\u00fc"}, "no request has"), ({"url": "https://hooks.example/a b"}, "no request has"), ({"url": "https://a..b/"}, "no address"),
    ({"url": "https://[bad"}, "no address"), ({"name": "../x"}, "no name"), ({"events": ["open"]}, "never happens"), ({"people": {"U": ""}}, "without a name"),
    ({"secret": "x"}, "cannot be read"), ({"secret_file": "none"}, "no secret"),
])  # fmt: skip
def test_a_webhook_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    write_secret(tmp_path)
    table = {"name": "ops", "url": "https://hooks.example/in", "secret_file": "ops.secret"} | change
    with pytest.raises(RemitError) as caught:
        read_webhooks(Settings(webhooks=(table,)), tmp_path)
    assert words in caught.value.message and "hooks.example" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "mode", "words"), [(SECRET, 0o644, "open to others"), (SECRET, 0o640, "open to others"), ("short", 0o600, "bytes")]
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str, mode: int, words: str) -> None:
    write_secret(tmp_path, text=text, mode=mode)
    with pytest.raises(RemitError) as caught:
        read_webhooks(
            Settings(webhooks=({"name": "ops", "url": "https://hooks.example/in", "secret_file": "ops.secret"},)), tmp_path
        )
    assert words in caught.value.message and text not in caught.value.message


def test_two_webhooks_share_neither_name_nor_secret(tmp_path: Path) -> None:
    write_secret(tmp_path)
    write_secret(tmp_path, "two.secret", "another secret, as long")
    one = {"name": "ops", "url": "https://hooks.example/in", "secret_file": "ops.secret"}
    for other in ({**one, "secret_file": "two.secret"}, {**one, "name": "two"}):
        with pytest.raises(RemitError):
            read_webhooks(Settings(webhooks=(one, other)), tmp_path)
    assert len(read_webhooks(Settings(webhooks=(one, {**one, "name": "two", "secret_file": "two.secret"})), tmp_path)) == 2


def test_break_glass_is_told_from_the_asking_to_the_review(world: World) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url))
        receiver.answers = [503, 503]
        asking = break_glass.EmergencyRequest("stuck <!channel> h\u00edgh", "INC-7", agent="bot", tools=("never",))
        glass = break_glass.ask(world.runtime, asking, ANA).result()
        break_glass.confirm(world.runtime, glass.id, CARL).result()
        given = world.perform(world.open_session(), "never", "x")
        break_glass.end(world.runtime, glass.id, ANA).result()
        break_glass.review(world.runtime, glass.id, Operator("dora", "os"), Verdict.JUSTIFIED, "as needed").result()
        assert send(one) == 5
        told = [json.loads(body) for body in receiver.bodies]
    assert [one["remit"]["kind"].partition(".")[2] for one in told] == ["asked", "started", "used", "ended", "reviewed"]
    assert {(one["remit"]["event"], one["remit"]["break_glass"], one["remit"]["incident"]) for one in told} == {
        ("break-glass", glass.id, "INC-7")
    }
    assert told[2]["remit"]["decision"] == given.id and told[1]["remit"]["operator"] == "carl"
    assert all(one["text"].startswith("BREAK-GLASS ") and "<" not in one["text"] for one in told)
    assert all(block["text"]["text"].isascii() for one in told for block in one["blocks"])
    assert all(block["text"]["type"] == "plain_text" for one in told for block in one["blocks"])


def test_an_alarm_hides_nothing_behind_long_names(world: World) -> None:
    long = tuple(f"/a{number}/{'x' * 480}/" for number in range(7))
    for reason in ("the queue is stuck", "\u00e9" * 1000):
        asking = break_glass.EmergencyRequest(reason, "INC-7", agent="bot", resources=(*long, "/etc/*w*", "/srv*"))
        glass = break_glass.ask(world.runtime, asking, ANA).result()
        entry = world.entries()[-1]
        assert isinstance(entry.body, BreakGlassAsked)
        [_, block] = json.loads(alarm(entry, entry.body, glass, "log"))["blocks"]
        text = block["text"]["text"]
        assert text.startswith("For 30 minutes, agent bot: ") and len(text) <= MOST
        assert "Opens /srv*, /etc/*w*, /a0/" in text
        shown = sum(one in text for one in long)
        assert 0 < shown < 7 and text.endswith(f"; {7 - shown} of 9 are NOT shown here, see `remit break-glass show {glass.id}`.")
        assert reason in text or f"... (cut off: see `remit break-glass show {glass.id}`)" in text
        break_glass.end(world.runtime, glass.id, ANA).result()


def test_who_waits_for_something_else_hears_nothing_of_break_glass(world: World) -> None:
    with receiving() as (receiver, url):
        one = sender(hooked(world, url, events=["opened"]))
        asking = break_glass.EmergencyRequest("stuck", "INC-7", agent="bot", tools=("never",))
        break_glass.ask(world.runtime, asking, ANA).result()
        assert send(one) == 0 and receiver.bodies == []
