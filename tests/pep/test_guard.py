"""`remit.guard`, as a developer uses it: every kind of function, every way to end."""

import asyncio
import datetime
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import remit
from remit.decision_log.encoding import decode
from remit.local.wiring import Embedded
from remit.model.decision import Reason
from remit.model.identity import ApprovalId, Operator
from remit.runtime.approving.answering import resolve

from .conftest import entries


def test_a_function_runs_after_its_permit_is_in_the_log(entered: Embedded) -> None:
    @remit.guard
    def look(name: str) -> int:
        # The permit is durable, and read back by another connection, before this line runs.
        seen.append(entered.store.log.by_kind("decision", 1)[0].body.effect)
        return len(name)

    seen: list[str] = []
    assert look("abc") == 3
    assert seen == ["permit"]
    assert entries(entered) == [("permit", "permitted"), ("outcome", "succeeded")]


def test_a_denial_tells_the_agent_what_to_do(entered: Embedded) -> None:
    ran = []

    @remit.guard
    def look(name: str) -> None:
        ran.append(name)

    with pytest.raises(remit.Denied) as caught:
        look("secret")
    text = str(caught.value)
    assert caught.value.reason is Reason.FORBIDDEN
    assert "secrets are not for agents" in text and caught.value.decision.id in text and "cannot be requested" in text
    assert ran == []


def test_coroutines_are_guarded_alike(entered: Embedded) -> None:
    @remit.guard
    async def look(name: str) -> str:
        await asyncio.sleep(0)
        return name.upper()

    async def work() -> list[str]:
        with pytest.raises(remit.Denied):
            await look("secret")
        return await asyncio.gather(*[look(f"n{i}") for i in range(20)])

    assert inspect.iscoroutinefunction(look)
    assert asyncio.run(work()) == [f"N{i}" for i in range(20)]
    assert entries(entered).count(("outcome", "succeeded")) == 20


def test_methods_static_and_class_methods(entered: Embedded) -> None:
    class Desk:
        factor = 2

        @remit.guard
        def double(self, n: int) -> int:
            return n * self.factor

        @remit.guard
        @classmethod
        def made(cls, n: int) -> int:
            return n * cls.factor

        @remit.guard
        @staticmethod
        def same(n: int) -> int:
            return n

    assert (Desk().double(2), Desk.made(3), Desk.same(4)) == (4, 6, 4)


def test_a_generator_starts_after_its_permit_and_reports_when_it_ends(entered: Embedded) -> None:
    @remit.guard
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    stream = count(3)
    assert entries(entered) == []
    assert next(stream) == 0
    assert entries(entered) == [("permit", "permitted")]
    assert list(stream) == [1, 2]
    assert entries(entered)[-1] == ("outcome", "succeeded")


def test_a_generator_left_half_way_reports_what_was_seen(entered: Embedded) -> None:
    @remit.guard
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    stream = count(3)
    next(stream)
    stream.close()
    assert entries(entered)[-1] == ("outcome", "succeeded")


def test_asynchronous_generators(entered: Embedded) -> None:
    @remit.guard
    async def count(to: int) -> AsyncIterator[int]:
        for n in range(to):
            yield n

    async def work() -> list[int]:
        return [n async for n in count(3)]

    assert asyncio.run(work()) == [0, 1, 2]
    assert entries(entered)[-1] == ("outcome", "succeeded")


def test_a_tool_that_raises_is_reported_and_raises(entered: Embedded) -> None:
    @remit.guard
    def broken(n: int) -> None:
        raise LookupError(f"no {n}")

    with pytest.raises(LookupError, match="no 1"):
        broken(1)
    assert entries(entered)[-1] == ("outcome", "failed")


def test_a_cancelled_tool_is_reported(entered: Embedded) -> None:
    @remit.guard
    async def sleeps() -> None:
        await asyncio.sleep(60)

    async def work() -> None:
        running = asyncio.create_task(sleeps())
        while not entries(entered):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(work())
    assert entries(entered)[-1] == ("outcome", "failed")


def test_arguments_are_frozen_between_decision_and_act(entered: Embedded) -> None:
    received = []

    @remit.guard
    def send_all(names: list[str]) -> None:
        received.append(names)

    names = ["anna"]
    send_all(names)
    received[0].append("changed by the tool")
    assert names == ["anna"]


def test_defaults_are_decided_on(entered: Embedded) -> None:
    @remit.guard
    def look(name: str = "secret") -> None: ...

    with pytest.raises(remit.Denied):
        look()


def test_values_that_are_no_json_are_shown_as_text_and_passed_as_they_are(entered: Embedded) -> None:
    received: list[object] = []

    @remit.guard
    def look(path: Path, day: datetime.date, raw: bytes, pair: tuple[int, int]) -> None:
        received.extend([path, day, raw, pair])

    look(Path("/a"), datetime.date(2026, 1, 2), b"\x00", (1, 2))
    assert received == [Path("/a"), datetime.date(2026, 1, 2), b"\x00", (1, 2)]


def test_what_is_no_data_must_be_named(entered: Embedded) -> None:
    @remit.guard
    def bad(connection: object) -> None: ...

    @remit.guard(unguarded=("connection",))
    def good(connection: object, n: int) -> int:
        return n

    with pytest.raises(remit.Denied, match="unguarded="):
        bad(object())
    assert good(object(), 2) == 2


def test_malformed_arguments_are_denied_on_record(entered: Embedded) -> None:
    @remit.guard
    def look(n: float) -> None: ...

    for value in (float("nan"), float("inf"), "\ud800", {"__entity": 1}, [[{"__extn": 1}]], "x" * (2 << 20)):
        with pytest.raises(remit.Denied) as caught:
            look(value)
        assert caught.value.reason is Reason.MALFORMED_ARGUMENTS
    assert entries(entered) == [("deny", "malformed-arguments")] * 6


def test_an_approval_lets_exactly_that_call_happen_once(entered: Embedded) -> None:
    @remit.guard
    def send(to: str) -> str:
        return f"sent to {to}"

    with pytest.raises(remit.Denied, match="a person must answer it") as caught:
        send("team@example.com")
    assert "remit approval" not in str(caught.value), "an agent with a shell runs as the same person"
    asked = caught.value.decision.approval
    assert asked is not None
    resolve(entered.runtime, asked, Operator("carl", "os"), True).result()
    with pytest.raises(remit.Denied):
        send("other@example.com")
    assert send("team@example.com") == "sent to team@example.com"
    with pytest.raises(remit.Denied):
        send("team@example.com")


def answering(embedded: Embedded, approve: bool, why: str = "") -> threading.Thread:
    """A person who answers what comes to wait."""

    def answer() -> None:
        while not (waiting := embedded.store.approvals(None, 1)):
            time.sleep(0.01)
        resolve(embedded.runtime, ApprovalId(waiting[0].id), Operator("carl", "os"), approve, why).result()

    person = threading.Thread(target=answer)
    person.start()
    return person


def test_a_call_can_wait_for_its_approval(entered: Embedded) -> None:
    @remit.guard(wait=20)
    def send(to: str) -> str:
        return "sent"

    person = answering(entered, True)
    assert send("team@example.com") == "sent"
    person.join()


def test_a_call_that_waits_is_told_why_it_was_denied(entered: Embedded) -> None:
    @remit.guard(wait=20)
    def send(to: str) -> str:
        return "sent"

    person = answering(entered, False, "ask the team first")
    with pytest.raises(remit.Denied, match=r"a person has denied it \(`apr_\w+`\): ask the team first") as caught:
        send("team@example.com")
    person.join()
    assert caught.value.decision.approval is None and "must answer it" not in str(caught.value), "nobody has to any more"


def test_files_are_decided_on_by_their_real_path(entered: Embedded, tmp_path: Path) -> None:
    @remit.guard(action="file.read", resource="path")
    def read(path: str) -> str:
        return path

    (tmp_path / "link").symlink_to("/forbidden/x")
    with pytest.raises(remit.Denied):
        read(str(tmp_path / "link"))
    assert read(f"{tmp_path}/../{tmp_path.name}/a.txt") == os.path.realpath(tmp_path / "a.txt")


def test_obligations_are_fulfilled_or_the_result_is_withheld(entered: Embedded) -> None:
    @remit.guard
    def account() -> dict[str, object]:
        return {"user": "anna", "password": "x1", "more": [{"password": "x2"}]}

    @remit.guard
    def slow() -> str:
        time.sleep(0.1)
        return "late"

    @remit.guard
    def long() -> Iterator[str]:
        yield "12345"
        yield "67890 and more"

    assert account() == {"user": "anna", "password": "[redacted]", "more": [{"password": "[redacted]"}]}
    with pytest.raises(Exception, match="longer than the 0.05 s"):
        slow()
    stream = long()
    assert next(stream) == "12345"
    with pytest.raises(Exception, match="larger than the 10 bytes"):
        next(stream)


def test_without_a_task_the_agent_is_told_to_open_one(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    @remit.guard
    def look(name: str) -> None: ...

    with pytest.raises(remit.Denied) as caught:
        look("x")
    assert caught.value.reason is Reason.TASK_REQUIRED


def test_without_a_store_the_developer_is_told_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @remit.guard
    def look(name: str) -> None: ...

    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(Exception, match="remit init"):
        look("x")


def test_a_sub_task_is_opened_by_the_agent_and_its_session_passes_on_what_it_touched(entered: Embedded) -> None:
    @remit.guard
    def fetch(url: str) -> str:
        return "from outside"

    with remit.task("fetch the menu", agent="bot") as inner:
        fetch("https://menu.example")
        assert inner.task is not None and inner.task.parent is not None and not inner.task.purpose_trusted
    opened = [decode(0, line).body for line in entered.store.log.lines()]
    outer = next(body.session for body in opened if type(body).__name__ == "SessionOpened")
    assert entered.store.session(outer).reached.sources == ("fetch",)


def test_a_session_is_continued_with_all_it_touched(embedded: Embedded) -> None:
    @remit.guard
    def fetch(url: str) -> str:
        return "from outside"

    with remit.task("fetch the menu", agent="bot") as first:
        fetch("https://menu.example")
        with remit.task(session=first.session.id) as again:
            assert again.session.reached.sources == ("fetch",)


def test_a_guard_that_cannot_work_is_refused_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="no argument `nope`"):
        remit.guard(unguarded=("nope",))(lambda x: x)
    with pytest.raises(TypeError, match="resource="):
        remit.guard(action="file.read")(lambda path: path)


def test_processes_that_open_a_new_store_at_once_share_its_key(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from pathlib import Path; from remit.local.wiring import create_store; create_store(Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    starts = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "new")], env=environment, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    ended = [(start.wait(timeout=60), start.stderr.read() if start.stderr else b"") for start in starts]
    for start in starts:
        if start.stderr:
            start.stderr.close()
    assert [code for code, _ in ended] == [0] * 4, ended
