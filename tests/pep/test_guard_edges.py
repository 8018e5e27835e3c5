"""The guard where Python is at its most inventive: streams, threads, processes, cancellation, paths, and its own store."""

import asyncio
import contextvars
import functools
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import remit
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded
from remit.model.decision import Reason
from remit.model.identity import Operator
from remit.pep.obligations import ObligationFailed

from .conftest import entries


@pytest.mark.parametrize(
    "path",
    [
        "{home}/log.key",
        "{home}",
        "{home}/not-there-yet",
        "{home}/../home/remit.db",
        "{link}/log.key",
        "file://{home}/log.key",
        "{HOME}/log.key",
    ],
)
def test_no_tool_is_pointed_at_the_store_itself(entered: Embedded, tmp_path: Path, path: str) -> None:
    @remit.guard
    def read(path: str) -> str:
        return Path(path).read_text()

    @remit.guard(action="file.read", resource="path")
    def read_file(path: Path) -> str:
        return path.read_text()

    @remit.guard(tool="batch")
    def batch(orders: list[dict[str, str]]) -> None: ...

    (tmp_path / "link").symlink_to(entered.home)
    path = path.format(home=entered.home, link=tmp_path / "link", HOME=str(entered.home).replace("home", "HOME"))
    calls = [lambda: read(path), lambda: batch([{"path": path}]), lambda: batch([{path: "x"}])]
    if not path.startswith("file:"):
        calls.append(lambda: read_file(Path(path)))
    for call in calls:
        with pytest.raises(remit.Denied, match="Remit's own store"):
            call()
    assert all(effect == "deny" for effect, _ in entries(entered))


def test_paths_beside_the_store_pass(entered: Embedded, tmp_path: Path) -> None:
    @remit.guard
    def look(text: str) -> str:
        return text

    (tmp_path / "home-of-others").mkdir()
    for text in (str(tmp_path / "home-of-others"), str(tmp_path), "about home", "", "x" * 5000, "\n", "~nobody/x"):
        assert look(text) == text


def test_a_path_stays_the_type_it_was_given_in(entered: Embedded, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")

    @remit.guard(action="file.read", resource="path")
    def read(path: Any) -> Any:
        return type(path).__name__

    assert read(tmp_path / "a.txt") in ("PosixPath", "WindowsPath")
    assert read(str(tmp_path / "a.txt")) == "str"
    for odd in (os.fsencode(tmp_path / "a.txt"), 3, None, [str(tmp_path)]):
        with pytest.raises(remit.Denied, match="as text"):
            read(odd)


def test_a_generator_gives_back_what_it_returns_and_takes_nothing_in(entered: Embedded) -> None:
    ended = []

    @remit.guard
    def pages(n: int) -> Generator[int, Any, str]:
        try:
            for number in range(n):
                assert (yield number) is None
            return "that was all"
        finally:
            ended.append(len(entries(entered)))

    def collect() -> Generator[int, Any, str]:
        return (yield from pages(2))

    running, seen = collect(), []
    try:
        while True:
            seen.append(next(running))
    except StopIteration as finished:
        assert finished.value == "that was all"
    assert seen == [0, 1]

    running = pages(2)
    next(running)
    with pytest.raises(TypeError, match="nobody decided"):
        running.send("rm -rf /")
    with pytest.raises(StopIteration):
        next(running)

    running = pages(2)
    next(running)
    with pytest.raises(KeyError):
        running.throw(KeyError("stop"))
    statuses = [status for kind, status in entries(entered) if kind == "outcome"]
    assert statuses == ["succeeded", "failed", "failed"]
    assert ended == [1, 3, 5], "the tool's own ending comes before its outcome"


def test_what_a_generator_returns_is_redacted_and_seen(entered: Embedded) -> None:
    @remit.guard(tool="account")
    def account() -> Generator[str, None, dict[str, str]]:
        yield "one"
        return {"password": "hunter2"}

    def collect() -> Generator[str, None, None]:
        found.append((yield from account()))

    found: list[Any] = []
    assert list(collect()) == ["one"]
    assert found == [{"password": "[redacted]"}]


@pytest.mark.parametrize("text", ['{"password": "x"', '{"pass\\u0077ord": "x"', "PASS\x00", "pass"])
def test_text_that_may_hold_a_redacted_field_is_withheld_however_it_is_cut(entered: Embedded, text: str) -> None:
    @remit.guard(tool="account")
    def account(text: str) -> Iterator[str]:
        yield from text

    if text in ("PASS\x00", "pass"):
        assert "".join(account(text)) == text
        return
    with pytest.raises(ObligationFailed):
        list(account(text))


def test_an_asynchronous_stream_is_closed_with_its_outcome(entered: Embedded) -> None:
    ended = []

    @remit.guard
    async def pages() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            ended.append(len(entries(entered)))

    async def work() -> None:
        stream = pages()
        assert await anext(stream) == 1
        await stream.aclose()
        assert entries(entered)[-1] == ("outcome", "succeeded")
        stream = pages()
        assert await anext(stream) == 1
        with pytest.raises(TypeError, match="nobody decided"):
            await stream.asend("more")

    asyncio.run(work())
    assert ended == [1, 3]


def test_what_would_run_later_runs_never(entered: Embedded) -> None:
    ran = []

    async def later() -> None:
        ran.append("coroutine")

    def items() -> Iterator[int]:
        ran.append("generator")
        yield 1

    for inner in (later, items):
        guarded = remit.guard(tool="wrapper", unguarded=("inner",))(lambda inner=inner: inner())
        with pytest.raises(TypeError, match="after its permit"):
            guarded()

        async def wrapper(inner: Any = inner) -> Any:
            return inner()

        with pytest.raises(TypeError, match="after its permit"):
            asyncio.run(remit.guard(unguarded=("inner",))(wrapper)())
    assert ran == []
    assert [status for kind, status in entries(entered) if kind == "outcome"] == ["failed"] * 4


def test_partials_and_callables(entered: Embedded) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    class Adder:
        def __call__(self, a: int) -> int:
            return a + 1

    assert remit.guard(tool="add")(functools.partial(add, 1))(2) == 3
    assert remit.guard(tool="adder")(Adder())(2) == 3


def test_a_new_thread_is_told_how_to_take_the_task_along(entered: Embedded) -> None:
    @remit.guard
    def look() -> int:
        return 1

    found: list[Any] = []

    def work() -> None:
        try:
            found.append(look())
        except remit.Denied as denied:
            found.append(denied)

    for target in (work, functools.partial(contextvars.copy_context().run, work)):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert found[0].reason is Reason.TASK_REQUIRED and "copied context" in str(found[0])
    assert found[1] == 1


def _in_child(pipe: Any) -> None:
    @remit.guard
    def look() -> int:
        return 1

    try:
        pipe.send(look())
    except remit.Denied as denied:
        pipe.send(str(denied))


def test_a_forked_child_is_told_to_enter_a_task(entered: Embedded) -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(theirs,))
    child.start()
    told = ours.recv()
    child.join()
    assert "enter one in the child" in told


def test_a_call_that_is_cancelled_while_it_waits_leaves_no_permit(entered: Embedded) -> None:
    ran = []

    @remit.guard
    async def look() -> None:
        ran.append(1)

    async def work() -> None:
        for _ in range(20):
            waiting = asyncio.ensure_future(look())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await look()

    asyncio.run(work())
    assert ran == [1]
    assert entered.runtime.view.permits == {} and entered.store.writers() == []
    statuses = [status for kind, status in entries(entered) if kind == "outcome"]
    assert set(statuses[:-1]) <= {"not-performed"} and statuses[-1] == "succeeded"


LEFT_OPEN = """
import remit

@remit.guard
def pages():
    yield 1
    yield 2

entered = remit.task("look", agent="bot").__enter__()
running = pages()
print(next(running))
"""


def test_a_stream_left_open_at_the_end_of_the_process_ends_quietly(embedded: Embedded) -> None:
    ended = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")
    assert entries(embedded)[-1] == ("outcome", "unknown")


def test_an_action_of_the_bundles_own_is_asked_for_on_its_own_type_of_resource(embedded: Embedded, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    schema = 'entity Ledger; action "ledger.post" in ["any"] appliesTo { principal: [Agent], resource: [Ledger], context: {} };'
    (folder / "schema.cedarschema").write_text(schema)
    (folder / "policies" / "all.cedar").write_text('@id("all") permit (principal, action, resource);')
    publish_folder(embedded, folder, Operator("ana", "os"))

    @remit.guard(action="ledger.post", resource="ledger", resource_type="Ledger")
    def post(ledger: str) -> str:
        return ledger

    @remit.guard(action="ledger.post", resource="ledger", resource_type="Tool")
    def evade(ledger: str) -> str:
        return ledger

    with remit.task("post it", agent="bot"):
        assert post("2026") == "2026"
        with pytest.raises(remit.Denied, match="asked for on a Ledger, not a Tool"):
            evade("2026")
