"""A worker asks another: one that is gone, that hangs or babbles decides nothing, and what is under a key is done once."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from remit.authentication.possession.shared import SharedTable
from remit.local.wiring import wall_clock
from remit.model.errors import ErrorKind, RemitError, malformed
from remit.model.identity import DecisionId
from remit.server import peers as module
from remit.server.peers import Gone, Peers
from remit.server.problems import Problem
from tests.conftest import OpenStore

KEY, MESSAGE = ("door", "k"), {"a": 1}
DECISION = DecisionId("dec_1")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    SharedTable.make(tmp_path / "keys", wall_clock())
    yield tmp_path


def worker(folder: Path, number: int) -> Peers:
    return Peers(folder, number, SharedTable(folder / "keys"))


def deciding(text: str) -> Callable[[], Awaitable[Response]]:
    async def decide() -> Response:
        return Response(text)

    return decide


async def once(peers: Peers, text: str, changes: bool = False, message: dict[str, Any] = MESSAGE) -> bytes:
    return bytes((await peers.once(KEY, message, deciding(text), changes)).body)


async def refused(asked: Awaitable[Any], kind: ErrorKind = ErrorKind.UNAVAILABLE) -> str:
    with pytest.raises(RemitError) as refusal:
        await asked
    assert refusal.value.kind is kind
    return refusal.value.message


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(64):
        ...
    writer.close()


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4)
    writer.close()


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4)
    writer.write((3).to_bytes(4) + b"\xc1xx")
    writer.close()


async def boast(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4)
    writer.write(b"\xff" * 64)
    writer.close()


@pytest.mark.parametrize("serve", [hang, leave, babble, boast])
def test_one_that_does_not_answer_permits_nothing_and_nobody_answers_for_it(folder: Path, serve: Serve) -> None:
    async def ask() -> None:
        async with await asyncio.start_unix_server(serve, folder / "1"):
            one, other = worker(folder, 1), worker(folder, 2)
            assert await once(one, "first") == b"first"
            await refused(other.act("1", DECISION))
            await refused(once(other, "second"))
            await refused(once(other, "second", changes=True))
            await asyncio.sleep(0.05)  # for it to see that nobody asks any more

    asyncio.run(ask())


def test_one_that_cannot_be_reached_just_now_is_not_taken_for_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_path: Path) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(asyncio, "open_unix_connection", full)
    told = asyncio.run(refused(worker(folder, 2).act("1", DECISION)))
    assert "cannot be asked (too many open files): ask again" in told


def test_what_one_did_that_is_gone_is_decided_anew_and_not_changed_anew(folder: Path) -> None:
    async def ask() -> None:
        one, other = worker(folder, 1), worker(folder, 2)
        assert await once(one, "first") == b"first" == await once(one, "again")
        with pytest.raises(Gone):
            await other.act("1", DECISION)
        await refused(once(other, "second", changes=True), ErrorKind.CONFLICT)
        assert await once(other, "second") == b"second", "a decision binds only once it is told, and that one never was"
        assert await once(other, "third", changes=True) == b"second", "and that is then its answer"

    asyncio.run(ask())


@pytest.mark.sqlite
def test_what_one_did_that_lives_is_its_answer_whoever_is_asked(folder: Path, open_store: OpenStore) -> None:
    async def fail() -> Response:
        raise malformed("no")

    async def ask() -> None:
        one, other = worker(folder, 1), worker(folder, 2)
        await one.listen(open_store().embedded)
        await refused(one.once(KEY, MESSAGE, fail), ErrorKind.MALFORMED)
        assert await once(other, "first") == b"first", "what failed may be asked of another"
        await other.listen(open_store("other").embedded)
        assert await once(one, "second", changes=True) == b"first"
        with pytest.raises(Problem) as refusal:
            await once(one, "second", message={"a": 2})
        assert refusal.value.status == 422
        assert await once(other, "second") == b"first", "and that leaves the answer where it was"
        other._repeats._known.clear()
        assert await once(one, "third", changes=True) == b"third", "what is forgotten is done anew, as in one process"
        one.close()
        other.close()

    asyncio.run(ask())
