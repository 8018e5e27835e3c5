"""`Remote` against servers that fail in every way: nothing is permitted, nothing is done twice, nothing leaks."""

import asyncio
import json
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from remit.model.authorizer import ApprovalState, Outcome, OutcomeStatus
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId, DecisionId, EntityRef
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.values import freeze
from remit.pep.drive import run
from remit.pep.gate import Denied, Options, enforce
from remit.pep.remote.client import REMEMBERED, UNRECORDED, Remote, _Seen
from remit.pep.remote.connection import MAX_ANSWER, address_of

REQUEST = EvaluationRequest(
    EntityRef("Agent", "bot"), TOOL_CALL, EntityRef("Tool", "look"), freeze({"n": 1, "x": 1.5, "s": "é\u2028"})
)
ID = DecisionId("dec_" + "0" * 32)
UNTIL = 1_800_000_000_000_000
"""When it ends (µs); the clock of these tests stands ten seconds before."""
WHOLE = {"until": UNTIL, "enforced": True, "approval": None, "policies": ["p"], "bundle": "b"}
CONTEXT = {"id": ID, "reason": "permitted", "tier": "low", "remit": WHOLE}
PERMIT = {"decision": True, "context": CONTEXT}


class Asked(NamedTuple):
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


def request_of(connection: socket.socket) -> Asked | None:
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            return None
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Asked(first, headers, body)


def answer(asked: Asked, body: object, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": kind, "Content-Length": str(len(text)), "X-Request-ID": asked.headers["x-request-id"]}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in given.items() if value]
    return f"HTTP/1.1 {status}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + text


class Fake:
    """A server that does to each request what a test says, and remembers them all."""

    def __init__(self, handle: Callable[[socket.socket, Asked], None], listening: socket.socket | None = None) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._handle = handle
        self.listening = listening or socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while (asked := request_of(connection)) is not None:
                self.asked.append(asked)
                self._handle(connection, asked)

    @property
    def paths(self) -> list[str]:
        return [asked.line.split(" ")[1] for asked in self.asked]


@contextmanager
def fake(handle: Callable[[socket.socket, Asked], None], seconds: float = 0.5, **more: Any) -> Iterator[tuple[Fake, Remote]]:
    server = Fake(handle)
    remote = Remote(
        f"http://127.0.0.1:{server.listening.getsockname()[1]}", seconds=seconds, **{"clock": lambda: UNTIL - 10_000_000, **more}
    )
    try:
        yield server, remote
    finally:
        remote.close()
        server.listening.close()


def told(**remit: Any) -> dict[str, Any]:
    """A permit of which a door is told something else."""
    return {"decision": True, "context": {**CONTEXT, "remit": {**WHOLE, **remit}}}


def says(body: object, **more: Any) -> Callable[[socket.socket, Asked], None]:
    return lambda connection, asked: connection.sendall(answer(asked, body, **more))


def permit(asked: Asked) -> dict[str, Any]:
    """A permit with an id of its own."""
    return {"decision": True, "context": {**CONTEXT, "id": f"dec_{asked.headers['x-request-id']}"}}


def permits(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(answer(asked, permit(asked)))


def hang_up(connection: socket.socket, _asked: Asked) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def denied(decision: Decision) -> Deny:
    assert isinstance(decision, Deny), decision
    assert decision.id == UNRECORDED and decision.reason is Reason.STORE_UNAVAILABLE and decision.message
    return decision


def test_the_whole_of_a_request_travels() -> None:
    with fake(permits, token=lambda: "secret-token") as (server, remote):
        decision = remote.evaluate(REQUEST).result()
        again = asyncio.run(_awaited(remote))
        assert isinstance(decision, Permit) and isinstance(again, Permit) and replace(again, id=decision.id) == decision
    assert isinstance(decision, Permit) and (decision.until, decision.tier.value) == (UNTIL, "low")
    [one, _] = server.asked
    assert decision.id == f"dec_{one.headers['x-request-id']}"
    assert one.line == "POST /access/v1/evaluation HTTP/1.1" and one.headers["authorization"] == "Bearer secret-token"
    assert json.loads(one.body)["action"] == {"name": TOOL_CALL, "properties": {"n": 1, "x": 1.5, "s": "é\u2028"}}
    assert server.connections == 1, "the connection is kept"


async def _awaited(remote: Remote) -> Decision:
    return await remote.evaluate(REQUEST)


def drip(connection: socket.socket, asked: Asked) -> None:
    for byte in answer(asked, PERMIT):
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def cut(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(answer(asked, PERMIT)[:-20])
    connection.shutdown(socket.SHUT_RDWR)


def cut_but_readable(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(answer(asked, PERMIT, Content_Length="5000"))
    connection.shutdown(socket.SHUT_RDWR)


FAULTS: dict[str, Callable[[socket.socket, Asked], None]] = {
    "nothing": hang_up,
    "silence": lambda _connection, _asked: time.sleep(3),
    "a slow loris": drip,
    "a cut answer": cut,
    "an answer that is shorter than it says": cut_but_readable,
    "garbage": lambda connection, _asked: connection.sendall(b"\x00\xff" * 100 + b"\r\n\r\n"),
    "no JSON": says(b"yes"),
    "no object": says([True]),
    "a name twice": says(json.dumps(PERMIT).encode().replace(b'"decision": true', b'"decision": false, "decision": true')),
    "another type": says({**PERMIT, "decision": "true"}),
    "a permit that is 1": says({**PERMIT, "decision": 1}),
    "no context": says({"decision": True}),
    "AuthZEN's answer alone": says({"decision": True, "context": {"id": ID, "reason": "permitted", "tier": "low"}}),
    "no id": says({"decision": True, "context": {**CONTEXT, "id": ""}}),
    "no tier": says({"decision": True, "context": {**CONTEXT, "tier": None}}),
    "an unknown tier": says({"decision": True, "context": {**CONTEXT, "tier": "none"}}),
    "an unknown reason": says({"decision": True, "context": {**CONTEXT, "reason": "because"}}),
    "no end": says({"decision": True, "context": {**CONTEXT, "remit": {**WHOLE, "until": 0}}}),
    "a short id": says({"decision": True, "context": {**CONTEXT, "id": "dec_"}}),
    "an end long ago": says(told(until=1)),
    "a denial's reason": says({"decision": True, "context": {**CONTEXT, "reason": "forbidden"}}),
    "a break-glass that nobody opened": says({"decision": True, "context": {**CONTEXT, "reason": "break-glass"}}),
    "a break-glass without need": says({"decision": True, "context": {**CONTEXT, "break_glass": "brk_1"}}),
    "shadow mode that would permit": says(told(enforced=False)),
    "policies that failed": says(told(errors=["p"])),
    "a denial's obligations": says(told(obligations=[{"type": "limit-result", "argument": "8", "policy": "p"}])),
    "a permit to ask for": says(told(requestable="one")),
    "a denial that permits": says({"decision": False, "context": CONTEXT}),
    "an obligation that is none": says({"decision": True, "context": {**CONTEXT, "obligations": ["mask"]}}),
    "another content type": says(PERMIT, kind="text/html"),
    "no content type": says(PERMIT, kind=""),
    "another status": says(PERMIT, status="203 Non-Authoritative"),
    "an error that says yes": says(PERMIT, status="500 Internal Server Error"),
    "unavailable": says({"status": 503, "detail": "the disk is full"}, status="503 x", kind="application/problem+json"),
    "a problem that is none": says(b"{", status="503 x", kind="application/problem+json"),
    "not authenticated": says({"status": 401, "detail": "no token"}, status="401 x", kind="application/problem+json"),
    "a redirect": says(PERMIT, status="307 Temporary Redirect", Location="http://127.0.0.1:1/"),
    "an answer to another request": says(PERMIT, X_Request_ID="0" * 32),
    "an answer to no request": says(PERMIT, X_Request_ID=""),
    "two request ids": lambda c, asked: c.sendall(answer(asked, PERMIT).replace(b"\r\n\r\n", b"\r\nX-Request-ID: 1\r\n\r\n", 1)),
    "more than anybody reads": says(b" " * (MAX_ANSWER + 1) + json.dumps(PERMIT).encode()),
    "a hundred continues": lambda c, asked: c.sendall(b"HTTP/1.1 103 Early\r\n\r\n" * 100 + answer(asked, PERMIT)),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_permitted_by(fault: str) -> None:
    ran: list[int] = []
    with fake(FAULTS[fault], token=lambda: "secret-token") as (_, remote):
        begun = time.monotonic()
        denial = denied(remote.evaluate(REQUEST).result())
        assert time.monotonic() - begun < 4
        assert "secret-token" not in denial.message and denial.message.isprintable()
        with pytest.raises(Denied):
            run(enforce(remote, REQUEST, Options()), lambda: ran.append(1))
        assert remote.may_act(ID).result() is False
    assert ran == []


def test_one_permit_given_for_two_requests_runs_one() -> None:
    """As by a server, or something before it, that answers each request as the first, and says of each permit that it stands."""
    ran: list[int] = []

    def handle(connection: socket.socket, asked: Asked) -> None:
        told = PERMIT if "/evaluation" in asked.line else {"stands": True} if asked.line.count("/act ") else {}
        connection.sendall(answer(asked, told))

    with fake(handle) as (server, remote):
        run(enforce(remote, REQUEST, Options()), lambda: ran.append(1))
        with pytest.raises(Denied, match="another request"):
            run(enforce(remote, REQUEST, Options()), lambda: ran.append(2))
        assert remote.may_act(ID).result() is False
    assert ran == [1] and sum("/act " in asked.line for asked in server.asked) == 1, "nobody is asked twice whether it stands"


def test_what_is_known_again_is_bounded() -> None:
    seen = _Seen()
    assert all(seen.first(DecisionId(str(number))) for number in range(REMEMBERED + 1))
    assert len(seen._ids) == REMEMBERED and not seen.first(DecisionId(str(REMEMBERED))) and seen.first(DecisionId("0"))


def test_of_threads_that_came_by_the_same_decision_one_is_first() -> None:
    seen = _Seen()
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda number: seen.first(DecisionId(str(number // 16))), range(16 * 2000)))
    assert sum(found) == 2000 and len(seen._ids) == 2000


@pytest.mark.parametrize(("ahead", "fits"), [(-299, True), (299, True), (301, False)])
def test_a_clock_may_be_some_minutes_wrong(ahead: int, fits: bool) -> None:
    with fake(says(PERMIT), clock=lambda: UNTIL + ahead * 1_000_000) as (_, remote):
        assert isinstance(remote.evaluate(REQUEST).result(), Permit) is fits


def test_an_obligation_of_another_vendor_is_one_that_nobody_understands() -> None:
    other = {
        "id": "obl-1",
        "type": "mfa",
        "properties": {"vendor": "remit", "obligation": "notify", "argument": "", "policy": ""},
    }
    ran: list[int] = []

    def handle(connection: socket.socket, asked: Asked) -> None:
        permit = {"decision": True, "context": {**CONTEXT, "obligations": [other]}}
        connection.sendall(answer(asked, permit if "/evaluation" in asked.line else {"decision": ID, "status": "not-performed"}))

    with fake(handle) as (server, remote), pytest.raises(Denied) as caught:
        run(enforce(remote, REQUEST, Options()), lambda: ran.append(1))
    assert caught.value.reason is Reason.OBLIGATION_FAILED and ran == []
    assert server.paths == ["/access/v1/evaluation", f"/v1/decisions/{ID}/outcome"], "it is not even asked whether it stands"
    assert json.loads(server.asked[-1].body)["status"] == "not-performed"


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", f"unix://{tmp_path}/none.sock", "https://host.invalid"):
        assert "cannot be reached" in denied(Remote(url).evaluate(REQUEST).result()).message


def test_tls_that_does_not_hold() -> None:
    with fake(says(PERMIT)) as (server, _):
        url = f"https://127.0.0.1:{server.listening.getsockname()[1]}"
        assert "cannot be reached" in denied(Remote(url, seconds=1).evaluate(REQUEST).result()).message
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


class TestAgain:
    def test_a_decision_is_asked_for_again_under_the_same_key(self) -> None:
        keys: list[str] = []

        def once_lost(connection: socket.socket, asked: Asked) -> None:
            keys.append(asked.headers["idempotency-key"])
            hang_up(connection, asked) if len(keys) == 1 else permits(connection, asked)

        with fake(once_lost) as (_, remote):
            assert isinstance(remote.evaluate(REQUEST).result(), Permit)
            assert isinstance(remote.evaluate(REQUEST).result(), Permit)
        assert keys[0] == keys[1] and keys[1] != keys[2]

    def test_whether_a_permit_stands_is_asked_once(self) -> None:
        for fault in (hang_up, cut, FAULTS["unavailable"], FAULTS["silence"]):
            with fake(fault) as (server, remote):
                assert remote.may_act(ID).result() is False
                assert len(server.asked) == 1 and "idempotency-key" not in server.asked[0].headers

    @pytest.mark.parametrize("fault", [hang_up, cut, FAULTS["unavailable"], FAULTS["silence"]])
    def test_a_report_is_repeated_as_it_was(self, fault: Callable[[socket.socket, Asked], None]) -> None:
        def once(connection: socket.socket, asked: Asked) -> None:
            if len(server.asked) == 1:
                fault(connection, asked)
            connection.sendall(answer(asked, {}))

        with fake(once) as (server, remote):
            remote.report(Outcome(ID, None, OutcomeStatus.SUCCEEDED, "done")).result()
            assert len(server.asked) == 2 and server.asked[0].body == server.asked[1].body

    def test_a_report_that_cannot_be_made_says_so(self) -> None:
        with fake(hang_up) as (server, remote), pytest.raises(RemitError) as caught:
            remote.report(Outcome(ID, None, OutcomeStatus.SUCCEEDED, "done")).result()
        assert caught.value.kind is ErrorKind.UNAVAILABLE and len(server.asked) == 3

    def test_opening_a_task_is_not(self) -> None:
        from remit.model.task import Opening

        with fake(hang_up) as (server, remote), pytest.raises(RemitError):
            remote.open_task(Opening("bot", "work")).result()
        assert len(server.asked) == 1


@pytest.mark.parametrize("later", [0.0, 0.03])
def test_what_nobody_asked_for_is_no_answer_to_the_next_question(later: float) -> None:
    """A server that says yes before it is asked, on the connection that is kept: at once with its answer, or after it."""

    def eager(connection: socket.socket, asked: Asked) -> None:
        said = permit(asked)
        deny = answer(asked, {"decision": False, "context": {**said["context"], "reason": "forbidden", "message": "no"}})
        connection.sendall(deny if later else deny + answer(asked, said))
        time.sleep(later)
        connection.sendall(answer(asked, said) if later else b"")

    with fake(eager) as (server, remote):
        for _ in range(3):
            decision = remote.evaluate(REQUEST).result()
            assert isinstance(decision, Deny) and decision.reason is Reason.FORBIDDEN
            time.sleep(0.1)
        assert server.connections == (3 if later else 1)


def test_a_result_that_is_too_large_counts_as_unseen() -> None:
    with fake(says({})) as (server, remote):
        remote.report(Outcome(ID, None, OutcomeStatus.SUCCEEDED, "x" * (3 << 20))).result()
        remote.report(Outcome(ID, None, OutcomeStatus.SUCCEEDED, "\ud800")).result()
    assert json.loads(server.asked[0].body)["content"] is None
    assert json.loads(server.asked[1].body)["content"] == "?"


class TestToken:
    def test_is_read_anew_each_time(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        with fake(says(PERMIT), token=file.read_text) as (server, remote):
            for token in ("one", "two\n"):
                file.write_text(token)
                remote.evaluate(REQUEST).result()
            file.unlink()
            assert "token cannot be read" in denied(remote.evaluate(REQUEST).result()).message
        assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer one", "Bearer two"]

    @pytest.mark.parametrize("token", ["se\r\ncret", "sécret", "se cret", "se\x00cret"])
    def test_that_is_none_is_neither_sent_nor_shown(self, token: str) -> None:
        with fake(says(PERMIT), token=lambda: token) as (server, remote):
            said = denied(remote.evaluate(REQUEST).result()).message
        assert server.asked == [] and "cret" not in said and "cret" not in repr(remote)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8181", "ftp://localhost", "http://example.com", "http://10.0.0.1", "http://0.0.0.0", "http://localhost.example.com",
     "https://", "https://user:word@host", "https://host?token=1", "https://host#x", "https://host:x", "http://[::1", "unix://host/path", "unix:", "unix://user:word@/path", "unix://user@host/path", "unix://@/path", "unix://a b@/path", "unix://user@/path?x=1"],
)  # fmt: skip
def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(RemitError) as caught:
        address_of(url)
    assert caught.value.kind is ErrorKind.MALFORMED and "word" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1",
        "http://127.0.0.1:80/base",
        "http://[::1]:8",
        "https://remit.example:443",
        "unix:///run/remit",
        "unix://remit@/run/remit",
    ],
)
def test_addresses(url: str) -> None:
    assert str(address_of(url + "/" if "base" in url else url)) == url


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake(says(PERMIT)) as (proxy, _), fake(says(PERMIT)) as (server, remote):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.listening.getsockname()[1]}")
        assert isinstance(remote.evaluate(REQUEST).result(), Permit)
        assert (len(proxy.asked), len(server.asked)) == (0, 1)


def test_a_unix_socket(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(tmp_path / "remit.sock"))
    listening.listen()
    server, remote = Fake(permits, listening), Remote(f"unix://{tmp_path}/remit.sock")
    try:
        assert isinstance(remote.evaluate(REQUEST).result(), Permit)
        assert isinstance(remote.evaluate(REQUEST).result(), Permit)
    finally:
        remote.close()
        listening.close()
    assert server.connections == 1 and server.asked[0].headers["host"] == "localhost"


def test_a_forked_process_never_reads_its_parents_answers() -> None:
    with fake(permits, seconds=5) as (server, remote):
        assert isinstance(remote.evaluate(REQUEST).result(), Permit)
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                os._exit(0 if isinstance(remote.evaluate(REQUEST).result(), Permit) else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert isinstance(remote.evaluate(REQUEST).result(), Permit)
        assert server.connections == 2, "the child has its own, the parent keeps its own"


def test_awaiting_does_not_keep_others_from_going_on() -> None:
    def slow(connection: socket.socket, asked: Asked) -> None:
        time.sleep(0.3)
        permits(connection, asked)

    async def work() -> tuple[int, float]:
        ticks, begun = 0, time.monotonic()
        asking = asyncio.gather(*[_awaited(remote) for _ in range(16)])
        while not asking.done():
            ticks += 1
            await asyncio.sleep(0.01)
        assert all(isinstance(one, Permit) for one in await asking)
        return ticks, time.monotonic() - begun

    with fake(slow, seconds=5) as (_, remote):
        ticks, took = asyncio.run(work())
    assert ticks > 10 and took < 2


def test_a_permit_that_comes_after_its_caller_has_gone_is_reported_unused() -> None:
    let = threading.Event()

    def handle(connection: socket.socket, asked: Asked) -> None:
        if "/evaluation" in asked.line:
            let.wait(5)
        connection.sendall(answer(asked, PERMIT))

    async def leave() -> None:
        asking = asyncio.ensure_future(_awaited(remote))
        await asyncio.sleep(0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        let.set()

    with fake(handle, seconds=5) as (server, remote):
        asyncio.run(leave())
        until = time.monotonic() + 5
        while len(server.asked) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert server.paths[-1] == f"/v1/decisions/{ID}/outcome" and json.loads(server.asked[-1].body)["status"] == "not-performed"


class TestWaiting:
    APPROVAL = ApprovalId("apr_" + "1" * 32)

    def test_goes_on_until_somebody_has_answered(self) -> None:
        def handle(connection: socket.socket, asked: Asked) -> None:
            if len(server.asked) == 2:
                hang_up(connection, asked)  # a server that is away may come back
            state = "pending" if len(server.asked) < 4 else "approved"
            connection.sendall(answer(asked, {"id": self.APPROVAL, "state": state}))

        with fake(handle) as (server, remote):
            assert remote.wait(self.APPROVAL, 20).result() is ApprovalState.APPROVED
        assert all(re.fullmatch(rf"/v1/approvals/{self.APPROVAL}\?wait=[\d.]+", path) for path in server.paths)

    def test_ends_in_time(self) -> None:
        with fake(hang_up) as (_, remote):
            begun = time.monotonic()
            assert remote.wait(self.APPROVAL, 0.4).result() is ApprovalState.PENDING
            assert time.monotonic() - begun < 2

    def test_of_what_there_is_not(self) -> None:
        gone = says({"status": 404, "detail": "there is none"}, status="404 x", kind="application/problem+json")
        with fake(gone) as (_, remote), pytest.raises(RemitError) as caught:
            remote.wait(self.APPROVAL, 5).result()
        assert caught.value.kind is ErrorKind.NOT_FOUND
