"""`remit.guard` and `remit.task` against a real server: unchanged code, the same record, and faults at every moment."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import remit
from remit.local import entering
from remit.local.on_server import connect
from remit.local.wiring import wall_clock
from remit.model.authorizer import ApprovalState
from remit.model.decision import Reason
from remit.model.errors import ErrorKind, RemitError, unavailable
from remit.model.identity import ApprovalId
from remit.model.kill import KillKind
from remit.model.labels import Confidentiality
from remit.pep.remote.client import Remote
from remit.pep.remote.messages import Found, Watched
from remit.runtime import kills
from remit.runtime.approving.answering import resolve
from tests.cli.running import error, run
from tests.conftest import OpenStore
from tests.runtime.world import ANA, CARL, World, small_bundle
from tests.server.serving import kill, served, start

pytestmark = pytest.mark.sqlite
TYPES = "- {name: tidy, scope: {tools: [look]}}\n"


@pytest.fixture
def world(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The store, beside the server that serves it: another process on it, as an operator's command line is."""
    world = open_store("served", clock=wall_clock, bundle=small_bundle(task_types=TYPES))
    for name in ("REMIT_TASK", "REMIT_AGENT", "REMIT_TOKEN", "REMIT_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    return world


@pytest.fixture
def away(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Code that has no store, and a server that has one."""
    with served(tmp_path) as client:
        _go(monkeypatch, tmp_path, client.port)
        yield world
        _hang_up()


def _go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int) -> None:
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("REMIT_SERVER", f"http://127.0.0.1:{port}")


def _hang_up() -> None:
    for remote in entering._connected.values():
        remote.close()
    entering._connected.clear()


@remit.guard
def look(text: str = "") -> str:
    return f"seen {text}"


@remit.guard(tool="secret")
def secret() -> str:
    return "the secret"


@remit.guard(tool="look")
async def look_later(text: str) -> str:
    await asyncio.sleep(0)
    return f"seen {text}"


def effects(world: World) -> list[str]:
    return [made.effect for made in world.decisions()]


def statuses(world: World) -> list[str]:
    return [seen.status for seen in world.outcomes()]


class TestUnchangedCode:
    def test_a_call_is_on_the_record_of_the_server(self, away: World, tmp_path: Path) -> None:
        with remit.task("look around", agent="bot", type="tidy") as entered:
            assert look("it") == "seen it"
            with pytest.raises(remit.Denied) as caught:
                secret()
        assert caught.value.reason is Reason.OUTSIDE_SCOPE
        assert (effects(away), statuses(away)) == (["permit", "deny"], ["succeeded"])
        assert caught.value.decision.id == away.decisions()[1].id
        assert entered.task is not None
        state = away.store.task(entered.task.id)
        assert state is not None and state.task.status.value == "closed"
        assert not (tmp_path / "nothing").exists(), "no store was made here"

    def test_awaiting(self, away: World) -> None:
        async def work() -> list[str]:
            async with remit.task("look around", agent="bot"):
                with pytest.raises(remit.Denied):
                    await never_later()
                return await asyncio.gather(*[look_later(str(n)) for n in range(16)])

        @remit.guard(tool="never")
        async def never_later() -> None:
            raise AssertionError

        assert asyncio.run(work()) == [f"seen {n}" for n in range(16)]
        assert statuses(away) == ["succeeded"] * 16

    def test_streams(self, away: World) -> None:
        ended: list[str] = []

        @remit.guard(tool="look")
        def lines() -> Iterator[str]:
            yield from ("one", "two")
            ended.extend(statuses(away))

        @remit.guard(tool="look")
        async def lines_later() -> AsyncIterator[str]:
            yield "three"

        async def all_of_them() -> list[str]:
            return [line async for line in lines_later()]

        with remit.task("look around", agent="bot"):
            assert list(lines()) == ["one", "two"]
            assert asyncio.run(all_of_them()) == ["three"]
        assert ended == [] and statuses(away) == ["succeeded"] * 2
        assert [seen.size for seen in away.outcomes()] == [7, 5]

    def test_obligations(self, away: World) -> None:
        @remit.guard
        def account() -> dict[str, str]:
            return {"name": "ann", "password": "p"}

        @remit.guard
        def small() -> str:
            return "x" * 9

        with remit.task("look around", agent="bot"):
            assert account() == {"name": "ann", "password": "[redacted]"}
            with pytest.raises(Exception, match="larger than the 8 bytes"):
                small()
        assert statuses(away) == ["succeeded", "failed"]

    def test_what_a_nested_task_has_read_comes_back(self, away: World) -> None:
        with remit.task("the whole", agent="bot") as outer:
            with remit.task("a part") as inner:
                secret()
            assert outer.session is not None and inner.task is not None and outer.task is not None
            assert (inner.task.parent, inner.task.opener, inner.task.purpose_trusted) == (outer.task.id, "bot", False)
            stored = away.store.session(outer.session.id)
            assert stored is not None and stored.label.confidentiality is Confidentiality.RESTRICTED
            with pytest.raises(remit.Denied) as caught:
                send("boss@corp.com", "hello")
            assert caught.value.reason is Reason.FORBIDDEN
            with remit.task(resume=away.open_task().id) as aside:
                assert aside.session is not None and aside.session.label.confidentiality is Confidentiality.RESTRICTED

    def test_a_task_that_cannot_be_entered_is_not_left_open(self, away: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(_remote: Remote, _task: str) -> object:
            raise unavailable("the disk is full")

        monkeypatch.setattr(Remote, "open_session", fails)
        with pytest.raises(RemitError), remit.task("look around", agent="bot"):
            raise AssertionError
        assert [state.task.status.value for state in away.store.tasks(5)] == ["closed"]

    def test_resuming_a_task_and_a_session(self, away: World, monkeypatch: pytest.MonkeyPatch) -> None:
        task = away.open_task()
        with remit.task(resume=task.id) as first:
            secret()
        with remit.task(resume=task.id) as second:
            assert second.session is not None and second.session.label.confidentiality is Confidentiality.RESTRICTED
        assert first.session is not None
        with remit.task(session=first.session.id) as again:
            assert again.session is not None and again.session.id == first.session.id
            look()
        monkeypatch.setenv("REMIT_TASK", task.id)
        entering._sessions.clear()
        assert look() == "seen "
        state = away.store.task(task.id)
        assert state is not None and state.task.status.value == "open"

    def test_an_approval_is_waited_for(self, away: World) -> None:
        def approve() -> None:
            until = time.monotonic() + 10
            while not (waiting := away.store.approvals(ApprovalState.PENDING, 1)) and time.monotonic() < until:
                time.sleep(0.02)
            resolve(away.runtime, ApprovalId(waiting[0].id), CARL, True).result()

        @remit.guard(wait=15)
        def pay(to: str, amount: int) -> str:
            return "paid"

        @remit.guard(tool="pay", wait=15)
        async def pay_later(to: str, amount: int) -> str:
            return "paid"

        for call in (lambda: pay("a", 1), lambda: asyncio.run(pay_later("a", 2))):
            with remit.task("pay 1 to a", agent="bot"):
                thread = threading.Thread(target=approve)
                thread.start()
                assert call() == "paid"
                thread.join()

    def test_a_denial_is_waited_for_and_says_why(self, away: World) -> None:
        def deny() -> None:
            until = time.monotonic() + 10
            while not (waiting := away.store.approvals(ApprovalState.PENDING, 1)) and time.monotonic() < until:
                time.sleep(0.02)
            resolve(away.runtime, ApprovalId(waiting[0].id), CARL, False, "pay it from account 7").result()

        @remit.guard(tool="pay", wait=15)
        async def pay_later(to: str, amount: int) -> str:
            return "paid"

        thread = threading.Thread(target=deny)
        thread.start()
        with (
            remit.task("pay 1 to a", agent="bot"),
            pytest.raises(remit.Denied, match="a person has denied it .*: pay it from account 7"),
        ):
            asyncio.run(pay_later("a", 2))
        thread.join()

    def test_without_a_task(self, away: World, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(remit.Denied) as caught:
            look()
        assert caught.value.reason is Reason.TASK_REQUIRED and away.decisions()[-1].subject == "Agent::"
        monkeypatch.setenv("REMIT_AGENT", "bot")

        @remit.guard
        def free() -> str:
            return "free"

        assert free() == "free" and away.decisions()[-1].subject == "Agent::bot"

    def test_arguments_that_are_none_are_on_record(self, away: World) -> None:
        with remit.task("look around", agent="bot"), pytest.raises(remit.Denied) as caught:
            look(object())  # type: ignore[arg-type]
        assert caught.value.reason is Reason.MALFORMED_ARGUMENTS and away.decisions()[-1].reason == "malformed-arguments"

    def test_errors_are_those_of_the_store(self, away: World, caplog: pytest.LogCaptureFixture) -> None:
        for wanted, kind in (({"agent": "nobody"}, ErrorKind.NOT_FOUND), ({"agent": "bot", "type": "none"}, ErrorKind.MALFORMED)):
            with pytest.raises(RemitError) as caught, remit.task("x", **wanted):  # type: ignore[arg-type]
                raise AssertionError
            assert caught.value.kind is kind
        with pytest.raises(RemitError), remit.task(resume="tsk_" + "0" * 32):
            raise AssertionError
        with caplog.at_level(logging.WARNING), remit.task("x", agent="bot", scope=remit.Scope(tools=("lok", "look"))):
            pass
        assert "`lok`" in caplog.text

    def test_no_program_lowers_a_label(self, away: World) -> None:
        with remit.task("x", agent="bot"), pytest.raises(RemitError) as caught:
            remit.declassify("because", confidentiality="public")
        assert caught.value.kind is ErrorKind.REFUSED

    def test_a_forked_process_goes_on(self, away: World) -> None:
        with remit.task("look around", agent="bot"):
            look()
            child = os.fork()
            if child == 0:
                with suppress(BaseException):
                    os._exit(0 if [look(str(n)) for n in range(5)] else 1)
                os._exit(2)
            answers = [look(f"p{n}") for n in range(5)]
            assert os.waitpid(child, 0)[1] == 0 and answers == [f"seen p{n}" for n in range(5)]
        assert statuses(away) == ["succeeded"] * 11

    def test_the_token_is_handed_to_no_tool(self, away: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "token"
        file.write_text("word")
        monkeypatch.setenv("REMIT_TOKEN_FILE", str(file))
        with remit.task("look around", agent="bot"), pytest.raises(remit.Denied) as caught:
            look(str(tmp_path / "x" / ".." / "token"))
        assert caught.value.reason is Reason.MALFORMED_ARGUMENTS


@remit.guard(tool="send")
def send(to: str, body: str) -> None:
    raise AssertionError


def test_sixty_four_at_once_spend_a_budget_once(away: World) -> None:
    async def work() -> list[object]:
        async with remit.task("look around", agent="bot", budgets=remit.Budgets(calls=10)):
            return await asyncio.gather(*[look_later(str(n)) for n in range(64)], return_exceptions=True)

    answers = asyncio.run(work())
    assert len([one for one in answers if isinstance(one, str)]) == 10
    assert all(one.reason is Reason.BUDGET_EXHAUSTED for one in answers if isinstance(one, remit.Denied))
    assert (effects(away).count("permit"), len(away.outcomes()), len(answers)) == (10, 10, 64)


def test_threads_at_once(away: World) -> None:
    task, done = away.open_task(), list[str]()

    def work() -> None:
        with remit.task(resume=task.id):
            done.extend(look(str(n)) for n in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 40 == len(away.outcomes())


class Between:
    """Does something between permit and act, by the door's own question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, happens: object) -> None:
        asks = Remote.may_act

        def may_act(remote: Remote, decision: object) -> object:
            happens()  # type: ignore[operator]
            return asks(remote, decision)  # type: ignore[arg-type]

        monkeypatch.setattr(Remote, "may_act", may_act)


def test_a_kill_during_a_call_takes_its_permit_back(away: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    @remit.guard(tool="look")
    def watched() -> None:
        ran.append("ran")

    Between(monkeypatch, lambda: kills.kill(away.runtime, KillKind.TOOL, "look", "it leaks", ANA).result())
    with remit.task("look around", agent="bot"), pytest.raises(remit.Denied) as caught:
        watched()
    assert (ran, caught.value.reason, statuses(away)) == ([], Reason.PERMIT_EXPIRED, ["not-performed"])


def test_watching_tells_of_a_kill(away: World) -> None:
    remote = Remote(os.environ["REMIT_SERVER"])
    seen = remote.watch().result()
    threading.Timer(0.3, lambda: kills.kill(away.runtime, KillKind.ALL, "", "stop", ANA).result()).start()
    begun = time.monotonic()
    told = remote.watch(seen.revision, 60).result()
    remote.close()
    assert time.monotonic() - begun < 5 and told.revision > seen.revision
    assert [one.kind for one in told.kills] == [KillKind.ALL] and asyncio.run(_watched(told.revision)).kills == told.kills


async def _watched(since: int) -> Watched:
    remote = Remote(os.environ["REMIT_SERVER"])
    try:
        return await remote.watch(since, 0.2)
    finally:
        remote.close()


def test_a_server_that_begins_anew_between_permit_and_act(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    server, client = start(tmp_path)
    _go(monkeypatch, tmp_path, client.port)

    @remit.guard(tool="look")
    def watched() -> None:
        ran.append("ran")

    def again() -> None:
        nonlocal server
        if not ran:
            kill(server)
            monkeypatch.setenv("REMIT_HOME", str(world.home))
            server, _ = start(tmp_path, port=client.port)

    try:
        Between(monkeypatch, again)
        with remit.task("look around", agent="bot"):
            with pytest.raises(remit.Denied) as caught:
                watched()
            assert (ran, caught.value.reason) == ([], Reason.PERMIT_EXPIRED)
            assert statuses(world) == ["unknown"], "the next start settled it"
            monkeypatch.undo()
            _go(monkeypatch, tmp_path, client.port)
            watched()
        assert ran == ["ran"] and statuses(world) == ["unknown", "succeeded"]
    finally:
        _hang_up()
        server.terminate()
        server.communicate(timeout=20)


def test_a_server_that_ends_during_a_call(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = start(tmp_path)
    _go(monkeypatch, tmp_path, client.port)
    ran: list[str] = []

    @remit.guard(tool="look")
    def watched() -> str:
        ran.append("ran")
        kill(server)
        return "withheld"

    with pytest.raises(RemitError) as closing, remit.task("look around", agent="bot"):
        with pytest.raises(remit.OutcomeUnrecorded):
            watched()
        with pytest.raises(remit.Denied) as caught:
            watched()
    assert caught.value.reason is Reason.STORE_UNAVAILABLE and ran == ["ran"]
    assert closing.value.kind is ErrorKind.UNAVAILABLE
    _hang_up()
    assert (effects(world), statuses(world)) == (["permit"], [])
    assert len(world.store.gone()) == 1, "whoever starts next says that the outcome is unknown"


def test_one_call_at_a_time_is_quick_enough(away: World) -> None:
    took = []
    with remit.task("look around", agent="bot"):
        for _ in range(60):
            begun = time.perf_counter()
            look()
            took.append(time.perf_counter() - begun)
    assert sorted(took)[30] < 0.1, "three ways there and back, and two commits"


@pytest.mark.parametrize("awaited", [False, True])
def test_searching_finds_what_is_permitted_page_by_page(away: World, awaited: bool) -> None:
    session = away.open_session(scope=remit.Scope(tools=("look", "read", "secret", "never")))
    context = {"remit": {"task": session.task, "session": session.id}}
    asked = {"subject": {"type": "Agent", "id": "bot"}, "action": {"name": "tool.call"}, "resource": {"type": "Tool"}}
    remote, found, page = connect(os.environ["REMIT_SERVER"]), [], {"limit": 2}

    async def awaiting(request: dict[str, object]) -> Found:
        return await remote.search("resource", request)

    while page:
        request = {**asked, "context": context, "page": page}
        answer = asyncio.run(awaiting(request)) if awaited else remote.search("resource", request).result()
        found += [one["id"] for one in answer.results]
        page = {"token": answer.page["next_token"]} if answer.page["next_token"] else {}
    assert found == ["look", "read", "secret"], "what policy forbids and what the task does not declare are not among them"
    with pytest.raises(RemitError) as caught:
        remote.search("nothing", asked).result()
    remote.close()
    assert caught.value.kind is ErrorKind.NOT_FOUND and away.decisions() == []


class TestDoctor:
    def test_of_a_store(self, world: World) -> None:
        result = run("doctor")
        assert result.exit_code == 0 and world.decisions()[-1].id in result.output

    def test_of_a_server(self, away: World) -> None:
        kills.kill(away.runtime, KillKind.TOOL, "look", "it leaks", ANA).result()
        result = run("doctor", "--json")
        assert result.exit_code == 0 and '"well":true' in result.output and "it leaks" in result.output
        assert away.decisions()[-1].id in result.output and away.decisions()[-1].effect == "deny"

    def test_of_a_bundle_that_lets_everything_pass(self, world: World) -> None:
        free = "name: small\ntask_free: ['tool.call remit-doctor-canary']\n"
        world.register("remit-doctor-canary")
        world.publish(small_bundle(manifest=free))
        result = run("doctor")
        assert result.exit_code == 1 and "THE CANARY WAS PERMITTED" in result.output
        world.publish(small_bundle(manifest="name: small\nmode: shadow\n"))
        result = run("doctor")
        assert result.exit_code == 1 and "SHADOW MODE" in result.output
        assert set(statuses(world)) == {"not-performed"}

    def test_of_a_server_in_shadow_mode(self, away: World) -> None:
        away.publish(small_bundle(manifest="name: small\nmode: shadow\n"))
        result = run("doctor", "--json")
        assert result.exit_code == 1 and '"well":false' in result.output and '"mode":"shadow"' in result.output

    def test_of_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REMIT_HOME", str(tmp_path / "nothing"))
        assert "remit init" in error("doctor").message
        monkeypatch.setenv("REMIT_SERVER", "http://127.0.0.1:1")
        assert error("doctor").kind is ErrorKind.UNAVAILABLE
        monkeypatch.setenv("REMIT_SERVER", "http://example.com")
        assert error("doctor").kind is ErrorKind.MALFORMED
