"""A worker asks another: one that is gone, that hangs or babbles decides nothing, and what is under a key is done once."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remit.authentication.possession.shared import SharedTable
from remit.local.wiring import wall_clock
from remit.model.errors import ErrorKind, RemitError, malformed
from remit.model.identity import DecisionId
from remit.server.elsewhere import Gone
from remit.server.problems import Problem
from remit.server.repeating.answers import Answer, Key, key_of, sent
from remit.server.repeating.bounds import Bounds, TooMany
from remit.server.repeating.repeats import Repeats
from remit.server.workers import peers as module
from remit.server.workers.peers import Peers
from tests.conftest import OpenStore

KEY, MESSAGE = key_of("door", "with a token", "k"), {"a": 1}
DECISION = DecisionId("dec_1")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    SharedTable.make(tmp_path / "keys", wall_clock())
    yield tmp_path


def worker(folder: Path, number: int, bounds: Bounds | None = None) -> Peers:
    return Peers(folder, number, SharedTable(folder / "keys"), Repeats(wall_clock, bounds), wall_clock)


def deciding(text: str) -> Callable[[], Awaitable[Answer]]:
    async def decide() -> Answer:
        return Answer(200, [(b"x-a", b"b")], text.encode(), f"dec_{text}")

    return decide


async def once(peers: Peers, text: str, changes: bool = False, message: dict[str, Any] = MESSAGE, key: Key = KEY) -> bytes:
    answer = await peers.once(key, sent(message), deciding(text), changes)
    assert answer.decision == f"dec_{answer.body.decode()}" and answer.headers == [(b"x-a", b"b")], "told whole, by whichever"
    return answer.body


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
    async def fail() -> Answer:
        raise malformed("no")

    async def ask() -> None:
        one, other = worker(folder, 1), worker(folder, 2)
        await one.listen(open_store().embedded)
        await refused(one.once(KEY, sent(MESSAGE), fail), ErrorKind.MALFORMED)
        assert await once(other, "first") == b"first", "what failed may be asked of another"
        await other.listen(open_store("other").embedded)
        assert await once(one, "second", changes=True) == b"first"
        with pytest.raises(Problem) as refusal:
            await once(one, "second", message={"a": 2})
        assert refusal.value.status == 422
        assert await once(other, "second") == b"first", "and that leaves the answer where it was"
        one.close()
        other.close()

    asyncio.run(ask())


@pytest.mark.sqlite
def test_what_one_forgot_for_want_of_room_is_decided_anew_and_not_changed_anew(folder: Path, open_store: OpenStore) -> None:
    async def ask() -> None:
        one, other = worker(folder, 1, Bounds(decisions=0, changes=0, changed=(1, 1))), worker(folder, 2)
        await one.listen(open_store().embedded)
        assert await once(one, "first") == b"first"
        assert await once(other, "second") == b"second"
        change, further = key_of("door", "", "change"), key_of("door", "", "further")
        assert await once(one, "changed", changes=True, key=change) == b"changed"
        await refused(once(other, "again", changes=True, key=change), ErrorKind.CONFLICT)
        with pytest.raises(TooMany):
            await once(one, "more", changes=True, key=further)
        assert await once(other, "more", changes=True, key=further) == b"more", "what was not begun is nobody's"
        one.close()
        other.close()

    asyncio.run(ask())
