"""The store's revision, asked for once in each turn of a loop."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
import uvloop

from remit.model.errors import RemitError, unavailable
from remit.server.revisions import Revisions

LOOPS = pytest.mark.parametrize("new", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


class _Store:
    """Counts how often it is asked; `revision` is what others have made it."""

    def __init__(self) -> None:
        self.revision, self.asked, self.broken = 7, 0, False

    def standing(self, _tasks: Sequence[str]) -> tuple[int, bool]:
        self.asked += 1
        if self.broken:
            raise unavailable("the disk is gone")
        return self.revision, True


class _Server(asyncio.Protocol):
    """Looks at each byte that comes as a server looks at a request: in a task of its own."""

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in data:
            self._task = asyncio.ensure_future(self._answer())

    async def _answer(self) -> None:
        self._transport.write(bytes([self._revisions.now()]))  # type: ignore[attr-defined]


@LOOPS
def test_whoever_is_looked_at_in_one_turn_is_one_question(new: Callable[[], asyncio.AbstractEventLoop]) -> None:
    store = _Store()
    revisions = Revisions(store)

    async def one() -> int:
        return revisions.now()

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*[one() for _ in range(50)])

    with asyncio.Runner(loop_factory=new) as runner:
        assert runner.run(all_at_once()) == [7] * 50
    assert store.asked == 1


@LOOPS
def test_what_changed_before_a_request_was_sent_is_known_to_it(new: Callable[[], asyncio.AbstractEventLoop]) -> None:
    store = _Store()
    revisions = Revisions(store)

    async def asked(times: int) -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Server(revisions), "127.0.0.1", 0)
        streams = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(8)]
        for number in range(times):
            store.revision = number % 200
            for reader, writer in streams:
                writer.write(b"??")
                assert list(await reader.readexactly(2)) == [number % 200] * 2
        # All at once, while it changes: each is told of some time between question and answer.
        for number in range(times):
            before = store.revision
            for _, writer in streams:
                writer.write(b"?")
            store.revision = number % 200
            for reader, _ in streams:
                assert (await reader.readexactly(1))[0] in (before, store.revision)
        for _, writer in streams:
            writer.close()
        server.close()

    with asyncio.Runner(loop_factory=new) as runner:
        runner.run(asked(300))
    assert store.asked > 300


def test_a_store_that_does_not_say_is_asked_again() -> None:
    store = _Store()
    revisions = Revisions(store)

    async def asked() -> None:
        store.broken = True
        with pytest.raises(RemitError, match="the disk is gone"):
            revisions.now()
        store.broken = False
        assert revisions.now() == 7

    asyncio.run(asked())
