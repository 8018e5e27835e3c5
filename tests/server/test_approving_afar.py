"""`remit approval` where there is no store but a server: as beside the store, to the letter, as whoever the token says."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from remit.cli.changes import _events
from remit.cli.inboxes import PAGE, Beside
from remit.cli.output import out
from remit.cli.seen import seen_in
from remit.local.config import this_operator
from remit.local.wiring import wall_clock
from remit.model.decision import Deny
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId, Operator
from remit.model.task import Session
from remit.model.values import FLOAT_KEY, freeze
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.requesting import Submission, submit
from remit.runtime.tasks import close_task
from tests.cli import test_approval
from tests.cli.running import error, ok, run
from tests.conftest import OpenStore
from tests.pep.test_remote import Asked, answer
from tests.runtime.world import CARL, POLICIES, World, small_bundle
from tests.server.serving import Client, kill, served, start
from tests.server.test_call import faking, on_a_terminal

pytestmark = pytest.mark.sqlite
DORA = Operator("dora", "os")
VARIABLES = ("REMIT_SERVER", "REMIT_TOKEN_FILE", "REMIT_KEY_FILE")


class Afar:
    """A store with its server, and this process beside the store or far from it."""

    def __init__(self, world: World, client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.client, self._folder, self._patch = world, client, folder, monkeypatch
        self.token = folder / "token"

    def beside(self) -> None:
        """This process works on the store."""
        self._patch.setenv("REMIT_HOME", str(self.world.home))
        self._patch.setenv("REMIT_URL", self.url)
        for name in VARIABLES:
            self._patch.delenv(name, raising=False)

    def far(self, *named: str) -> None:
        """This process has no store; it has a token of its own, and the key of it."""
        self.beside()
        key = self._folder / f"{named[0]}.jwk"
        if not key.exists():
            ok("agent", "key", str(key))
        made = ok("agent", "token", "bot", "--key", str(key)) if len(named) == 1 else self._minted(named, key)
        self.token.touch(0o600)
        self.token.write_text(made.strip().splitlines()[-1])
        self._patch.setenv("REMIT_HOME", str(self._folder / "nothing"))
        for name, value in zip(VARIABLES, (self.url, str(self.token), str(key)), strict=True):
            self._patch.setenv(name, value)

    @staticmethod
    def _minted(named: tuple[str, ...], key: Path) -> str:
        return ok("operator", "token", named[0], "--role", named[1], "--key", str(key))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.client.port}"


@pytest.fixture
def afar(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Afar]:
    world = open_store("served", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    with served(tmp_path, dev=False) as client:
        yield Afar(world, client, tmp_path, monkeypatch)


def held(world: World, arguments: dict[str, Any], session: Session | None = None) -> ApprovalId:
    """A request that waits, younger than those before."""
    time.sleep(0.002)
    return test_approval.held(world, arguments, session)


def steered(world: World) -> ApprovalId:
    """A request of whose kind of card nothing is missing."""
    session = world.open_session(purpose="send the report", on_behalf_of="cleo")
    world.perform(session, "read", "kim@far.net and lou@near.org wrote")
    said = freeze({"context": {"note": "as agreed\u202e"}})
    denied = world.ask(session, "send", {"to": "lou@near.org", "body": "1.50", "sum": 1.0}, properties=said)
    assert isinstance(denied, Deny) and denied.approval is not None
    words = Submission("dora", "https://idp.example", '{"for": "the  \\u2028 audit"}')
    submit(world.runtime, denied.approval, words).result()
    return denied.approval


def test_what_is_shown_is_the_same_beside_the_store_and_far_from_it(afar: Afar, monkeypatch: pytest.MonkeyPatch) -> None:
    world = afar.world
    name, other, more, closed = steered(world), held(world, {"to": "x"}), held(world, {"to": "y"}), world.open_session()
    late = held(world, {"to": "z"}, closed)
    resolve(world.runtime, other, CARL, False, "who is x?").result()
    resolve(world.runtime, name, CARL, True, "", True, 2).result()
    assert closed.task is not None
    close_task(world.runtime, closed.task, "ana").result()
    looks = [("list",), ("list", "--all"), ("list", "--all", "--limit", "2"), ("list", "--json"), ("list", "--all", "--json")]
    looks += [("show", one, *more_) for one in (name, other, more, late) for more_ in ((), ("--json",))]

    def shown() -> list[str]:
        piped = [ok("approval", *look) for look in looks]
        with on_a_terminal(monkeypatch) as sent:
            for look in looks:
                assert ok("approval", *look) == ""
                piped.append(sent())
        return piped

    afar.beside()
    there = shown()
    for place in ("approver", "auditor"):
        afar.far("carl", place)
        for here, other_ in zip(shown(), there, strict=True):
            assert here == other_
    card = there[5]
    for words in (
        "bot, for cleo",
        "dora says",
        "audit",
        "may grant",
        "UNTRUSTED output of read",
        "look closely",
        "said with it",
        '"sum":1.0',
    ):
        assert words in card, card
    assert "approved by carl, with its flows to 2 calls more" in card and re.search(r"answered +by carl: who is x\?", there[7])
    assert all(char.isprintable() or char == "\n" for char in card)


def test_a_request_is_approved_with_its_flows_and_denied_with_a_reason_by_whom_the_token_names(afar: Afar) -> None:
    world, first, second = afar.world, steered(afar.world), held(afar.world, {"to": "x"})
    afar.far("carl", "approver")
    told = ok("approval", "approve", first, "--why", "they are ours", "--flow", "--times", "3")
    assert told.startswith(f"approved {first}: send for agent bot\ngranted to 3 calls more: send.to := ")
    assert f"denied {second}: pay for agent bot" in ok("approval", "deny", second, "--why", "pay it from account 7")
    assert "nothing waits for an approval" in ok("approval", "list")
    shown = json.loads(ok("approval", "show", second, "--json"))
    assert (shown["state"], shown["resolver"], shown["why"]) == ("denied", "carl", "pay it from account 7")
    again = error("approval", "approve", second)
    assert again.kind is ErrorKind.CONFLICT and f"`{second}` is already denied" in again.message
    stored = world.store.approval(first)
    assert stored is not None and [(one.operator, one.uses) for one in stored.given] == [("carl", 3)]
    third = held(world, {"to": "z"})
    answered = json.loads(ok("approval", "approve", third, "--json"))
    assert (answered["id"], answered["state"], answered["tool"], answered["granted"]) == (third, "approved", "pay", [])
    world.verified()


def test_who_may_not_is_told_so_in_words(afar: Afar, monkeypatch: pytest.MonkeyPatch) -> None:
    world = afar.world
    world.publish(
        small_bundle(policies=POLICIES.replace('"pay-asks") @requestable("one")', '"pay-asks") @requestable("four-eyes")'))
    )
    name = held(world, {"to": "x"}, world.open_session(on_behalf_of="cleo"))
    afar.far("cleo", "approver")
    said = error("approval", "approve", name)
    assert said.kind is ErrorKind.REFUSED and "cleo" in said.message and "four" in said.message, said.message
    assert error("approval", "approve", name, "--times", "2").kind is ErrorKind.MALFORMED
    afar.far("eve", "auditor")
    for verb in ("approve", "deny"):
        assert error("approval", verb, name).message.startswith("you may not answer access requests")
    result = run("approval", "approve", name, "--json")
    assert isinstance(result.exception, RemitError) and json.loads(result.stdout)["status"] == 403, "as the server answered it"
    afar.far("bot")
    for verb in (("list",), ("watch", "--for", "0"), ("approve", name), ("deny", name)):
        assert (said := error("approval", *verb)).kind is ErrorKind.REFUSED and "role of an approver" in said.message
    assert ok("approval", "show", name) == f"{name}: pending\n", "all that its agent is told"
    resolve(world.runtime, name, CARL, False, "not now").result()
    assert ok("approval", "show", name) == f"{name}: denied: not now\n"
    for id in ("apr_0", "../caller", "..", "", "apr_0/answer", "apr_0?wait=30"):
        assert error("approval", "show", id).kind is ErrorKind.NOT_FOUND, id

    afar.token.write_text("x.y.z")
    assert error("approval", "list").message.startswith("the server does not accept who is calling")
    monkeypatch.delenv("REMIT_TOKEN_FILE")
    assert "REMIT_TOKEN_FILE" in error("approval", "list").message
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        monkeypatch.setenv("REMIT_SERVER", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    for verb in (("list",), ("show", name), ("watch",), ("approve", name)):
        assert (said := error("approval", *verb)).kind is ErrorKind.UNAVAILABLE and "nothing was asked" in said.message
    stored = world.store.approval(name)
    assert stored is not None and stored.resolver == "carl"


def test_a_store_comes_first_and_stats_are_of_one(afar: Afar, monkeypatch: pytest.MonkeyPatch) -> None:
    name = held(afar.world, {"to": "x"})
    afar.far("carl", "approver")
    said = error("approval", "stats")
    assert "works beside the store" in said.message and "call" not in said.message and afar.url in said.message
    monkeypatch.setenv("REMIT_HOME", str(afar.world.home))
    done = run("approval", "approve", name)
    assert done.exit_code == 0 and "warning: this changes the store" in done.stderr
    stored = afar.world.store.approval(name)
    assert stored is not None and stored.resolver == this_operator().id


def test_more_than_a_page_is_listed(afar: Afar) -> None:
    names = [held(afar.world, {"to": str(n)}, afar.world.open_session()) for n in range(PAGE + 3)]
    afar.far("carl", "approver")
    for limit in (PAGE - 1, PAGE + 1, PAGE + 20):
        found = [row["id"] for row in json.loads(ok("approval", "list", "--limit", str(limit), "--json"))]
        assert found == sorted(names, reverse=True)[:limit]


def test_who_asks_with_very_much_hides_nothing_that_others_ask(afar: Afar) -> None:
    name = held(afar.world, {"to": "boss"})
    for n in range(10):
        held(afar.world, {"to": f"{n}" + "x" * 1_000_000})
    afar.far("carl", "approver")
    rows = json.loads(ok("approval", "list", "--json"))
    assert len(rows) == 11 and name in {row["id"] for row in rows}


def between(*acts: Callable[[], object]) -> Callable[..., Iterator[None]]:
    """Looks, with this done in between."""

    def ticks(at: object, every: float, until: float | None) -> Iterator[None]:
        assert not isinstance(at, Beside)
        yield
        for act in acts:
            act()
            yield

    return ticks


def test_watching_in_a_pipe_tells_what_has_changed(afar: Afar, monkeypatch: pytest.MonkeyPatch) -> None:
    world = afar.world
    world.publish(small_bundle(policies=POLICIES.replace('"pay-asks") @requestable("one")', '"pay-asks") @requestable("two")')))
    gone, first, waits, session = (
        held(world, {"to": "o"}),
        held(world, {"to": "w"}),
        held(world, {"to": "x"}),
        world.open_session(),
    )
    resolve(world.runtime, gone, CARL, False).result()
    asked: list[ApprovalId] = []

    def answers(approval: ApprovalId, by: object, grant: bool) -> Callable[[], object]:
        return lambda: resolve(world.runtime, approval, by, grant).result()  # type: ignore[arg-type]

    def burst() -> None:
        """More than a page, before the next look."""
        asked.extend(held(world, {"to": str(n)}, world.open_session()) for n in range(PAGE + 5))

    def ends() -> None:
        asked.append(held(world, {"to": "y"}, session))
        resolve(world.runtime, asked[-1], DORA, False).result()
        close_task(world.runtime, world.store.approval(first).task, "ana").result()  # type: ignore[union-attr,arg-type]

    acts = (answers(waits, CARL, True), lambda: None, burst, answers(waits, DORA, True), ends)
    afar.far("carl", "approver")
    assert [json.loads(line)["id"] for line in ok("approval", "watch", "--for", "0").splitlines()] == [first, waits]
    monkeypatch.setattr("remit.cli.inbox._ticks", between(*acts))
    lines = [json.loads(line) for line in ok("approval", "watch").splitlines()]
    told = [(line["event"], line["id"]) for line in lines]
    many = sorted(asked[:-1])
    assert told == [
        ("waiting", first),
        ("waiting", waits),
        ("given", waits),
        *[("opened", one) for one in many],
        ("answered", waits),
        ("changed", first),
        ("opened", asked[-1]),
        ("answered", asked[-1]),
    ]
    assert (lines[2]["approved_by"], lines[-3]["state"]) == (["carl"], "task-closed")
    last = {key: value for key, value in lines[-1].items() if key != "event"}
    assert last == json.loads(ok("approval", "show", asked[-1], "--json")), "the fields of `show --json`"


@pytest.mark.parametrize(
    ("was", "told"),
    [
        (None, ["opened"]),
        ({}, []),
        ({"state": "expired"}, ["expired"]),
        ({"state": "cancelled"}, ["answered"]),
        ({"state": "used"}, ["answered"]),
        ({"state": "task-closed"}, ["changed"]),
        ({"escalated": 1}, ["escalated"]),
        ({"submitted": {"by": "dora", "says": {}}, "approved_by": ["carl"]}, ["submitted", "given"]),
        ({"state": "approved", "approved_by": ["carl"]}, ["answered"]),
    ],
)
def test_each_change_has_the_name_that_it_has_beside_the_store(was: dict[str, Any] | None, told: list[str]) -> None:
    """`was` is what has changed of a request that waits; without it there was none."""
    waits = {"id": "apr_1", "state": "pending"}
    before, after = (seen_in(msgspec.json.encode(one)) for one in (waits, {**waits, **(was or {})}))
    assert list(_events(before if was is not None else None, after)) == told
    if was and "state" in was:
        assert list(_events(after, after)) == []


def test_what_is_too_far_behind_to_be_watched_is_said(afar: Afar, monkeypatch: pytest.MonkeyPatch) -> None:
    first = held(afar.world, {"to": "x"})
    many = [lambda: [held(afar.world, {"to": str(n)}, afar.world.open_session()) for n in range(PAGE)], lambda: None]
    afar.far("carl", "approver")
    monkeypatch.setattr("remit.cli.changes.LOOKED", 2)
    monkeypatch.setattr("remit.cli.inbox._ticks", between(*many))
    result = run("approval", "watch")
    assert [line["event"] for line in map(json.loads, result.stdout.splitlines())] == ["waiting", *["opened"] * PAGE]
    assert (
        result.exit_code == 0 and result.stderr.count("what becomes of that one is not told") == 1 and first not in result.stderr
    )


def test_a_server_that_goes_away_is_waited_for_and_a_token_that_is_refused_is_not(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_store("served", clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    server, client = start(tmp_path, dev=False)
    afar, running = Afar(world, client, tmp_path, monkeypatch), [server]
    waits = held(world, {"to": "x"})
    afar.far("carl", "approver")
    token = afar.token.read_text()
    asked: list[ApprovalId] = []

    def stops() -> None:
        kill(running.pop())

    def starts() -> None:
        asked.append(held(world, {"to": "y"}))
        with monkeypatch.context() as there:
            there.setenv("REMIT_HOME", str(world.home))
            running.append(start(tmp_path, port=client.port, dev=False)[0])

    def expires() -> None:
        afar.token.write_text("x.y.z")

    try:
        monkeypatch.setattr("remit.cli.inbox._ticks", between(stops, lambda: None, starts, expires, lambda: None))
        result = run("approval", "watch")
        assert isinstance(result.exception, RemitError) and result.exception.kind is ErrorKind.REFUSED
        assert [(line["event"], line["id"]) for line in map(json.loads, result.stdout.splitlines())] == [
            ("waiting", waits),
            ("opened", asked[0]),
        ]
        gone, back = result.stderr.splitlines()
        assert re.fullmatch(
            r"warning: no answer since \S+ \S+ UTC, trying on: the server `\S+` cannot be reached \(Connection refused\): nothing was asked",
            gone,
        )
        assert back == "warning: the server answers again"

        afar.token.write_text(token)
        monkeypatch.setattr(out, "is_interactive", True)
        seen: list[str] = []
        with on_a_terminal(monkeypatch) as sent:
            acts = (stops, lambda: seen.append(sent()), starts, lambda: seen.append(sent()), expires)
            monkeypatch.setattr("remit.cli.inbox._ticks", between(*acts))
            assert error("approval", "watch").kind is ErrorKind.REFUSED
        assert waits in seen[0] and "no answer since" in seen[0] and "as it was then" in seen[0] and asked[1] not in seen[0]
        assert "no answer since" not in seen[1].rpartition("answer with")[2] and asked[1] in seen[1]
    finally:
        for one in running:
            kill(one)


def test_what_a_server_sends_moves_no_terminal_and_writes_no_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, afar: Afar
) -> None:
    name = steered(afar.world)
    afar.beside()
    whole = json.loads(ok("approval", "show", name, "--json"))
    bad = "\u009b31m\x1b[2J\u202e[red]\napr_1"

    def worse(value: object) -> object:
        """The same with this in every text that may be any."""
        if isinstance(value, dict):
            return {
                key: worse(one) if key not in ("confidentiality", "type", "origin", "tier", FLOAT_KEY) else one
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [worse(one) for one in value]
        return value + bad if isinstance(value, str) else value

    hostile = worse({**whole, "escalated": 1, "resolver": "x", "lapsed": "x"})
    item = msgspec.json.encode(hostile)
    unknown = msgspec.json.encode(
        {**whole, "shown": {**whole["shown"], "steering": [{"argument": "to", "value": "x", "origin": "new"}]}}
    )
    bodies = {
        "/v1/approvals": b'{"items": [%s], "next_cursor": ""}' % item,
        "/v1/approvals/apr_1": item,
        "/v1/approvals/apr_2": unknown,
    }
    bodies |= {
        f"/v1/approvals/apr_{n + 3}": body
        for n, body in enumerate(
            (b"[]", b"{}", b"null", b"[" * 9_000, b'{"id": 1}', b'{"id": "x", "state": "y", "expires": 1e30}', b"<html>")
        )
    }
    bodies["/v1/approvals/apr_1/answer"] = item

    def says(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(answer(asked, bodies[asked.line.split(" ")[1].partition("?")[0]]))

    looks = (
        ("list",),
        ("list", "--all"),
        ("show", "apr_1"),
        ("approve", "apr_1"),
        ("show", "apr_1", "--json"),
        ("list", "--json"),
    )
    monkeypatch.setattr(out, "is_interactive", True)
    with faking(says, monkeypatch, tmp_path):
        with on_a_terminal(monkeypatch) as sent:
            for look in looks:
                assert ok("approval", *look) == ""
                shown = re.sub(r"\x1b\[[0-9;]*m", "", sent())
                assert "owned" not in shown and all(char.isprintable() or char in "\r\n" for char in shown), (look, shown)
                assert "\\x9b31m" in shown or "\\u009b31m" in shown or look[0] == "list"
            ok("approval", "watch", "--for", "0")
            assert "\u009b" not in sent()
        assert len(ok("approval", "list").splitlines()) == 2, "a row is a line"
        assert "(`new`)" in ok("approval", "show", "apr_2"), "whatever it is: it is named"
        for n in range(3, 10):
            assert error("approval", "show", f"apr_{n}").kind is ErrorKind.UNAVAILABLE, n
        bodies["/v1/approvals/apr_1/answer"] = b"{}"
        assert error("approval", "deny", "apr_1").message.startswith("the answer was taken")
        bodies["/v1/approvals"] = b'{"items": [1]}'
        assert "no list of access requests" in error("approval", "list").message
        bodies["/v1/approvals"] = b'{"items": [], "next_cursor": "x"}'
        assert "no end" in error("approval", "list").message


def test_where_no_answer_comes_what_asks_again_under_the_same_key_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with faking(lambda connection, _: connection.shutdown(socket.SHUT_RDWR), monkeypatch, tmp_path) as server:
        said = error("approval", "approve", "apr_1", "--why", "it's ours")
        assert said.kind is ErrorKind.UNAVAILABLE and len(server.asked) == 1
        from tests.server.test_call import repeated

        repeated(server, said.message)
        assert json.loads(server.asked[0].body) == {"approve": True, "why": "it's ours"}


def test_a_working_folder_never_says_who_is_shown_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".remit").mkdir()
    with faking(lambda connection, asked: connection.sendall(answer(asked, {})), monkeypatch, tmp_path) as server:
        address = f"http://127.0.0.1:{server.listening.getsockname()[1]}"
        (tmp_path / ".remit/config.toml").write_text(f'server = "{address}"\n')
        monkeypatch.chdir(tmp_path)
        for name in ("REMIT_HOME", "REMIT_SERVER"):
            monkeypatch.delenv(name)
        for verb in (("list",), ("show", "apr_1"), ("approve", "apr_1"), ("deny", "apr_1"), ("watch",)):
            said = error("approval", *verb)
            assert said.kind is ErrorKind.MALFORMED and "REMIT_SERVER" in said.message and "the-token" not in said.message
        assert server.connections == 0
