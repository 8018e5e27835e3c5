"""Driving the enforcement sequence: blocking or awaiting, for one result or a stream of items."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from remit.pep.gate import Act, Enforcement, Interrupted

MAX_STREAMED = 1 << 20
"""So many characters of a stream are kept for its outcome; of a longer one the worst is assumed."""


class Streamed:
    """What a stream has yielded so far, as text, for its outcome."""

    def __init__(self, to_text: Callable[[Any], str | None]) -> None:
        self._to_text = to_text
        self._parts: list[str] = []
        self._size = 0

    def add(self, item: Any) -> Any:
        """Remember an item and hand it on."""
        if self._size <= MAX_STREAMED:
            text = self._to_text(item)
            if text is None:
                self._size = MAX_STREAMED + 1  # an item that cannot be shown: the worst is assumed of all
                return item
            self._parts.append(text)
            self._size += len(text)
        return item

    def text(self, _result: Any) -> str | None:
        """All that was yielded; None, the worst, where it was too much to keep."""
        return "\n".join(self._parts) if self._size <= MAX_STREAMED else None


def run(enforcement: Enforcement, act: Callable[[], Any]) -> Any:
    """Drive a sequence, blocking."""
    try:
        step = next(enforcement)
        while True:
            try:
                answer = act() if isinstance(step, Act) else step.result()
            except BaseException as error:  # belongs to the sequence, which reports it
                step = enforcement.throw(_carried(error))
            else:
                step = enforcement.send(answer)
    except StopIteration as finished:
        return finished.value
    except Interrupted as interrupted:
        raise interrupted.original from None


def _carried(error: BaseException) -> BaseException:
    return Interrupted(error) if isinstance(error, GeneratorExit) else error


async def run_async(enforcement: Enforcement, act: Callable[[], Awaitable[Any]]) -> Any:
    """Drive a sequence, awaiting; a deadline cancels the act."""
    from asyncio import wait_for

    try:
        step = next(enforcement)
        while True:
            try:
                if isinstance(step, Act):
                    answer = await wait_for(act(), step.duties.deadline)
                else:
                    answer = await step
            except BaseException as error:  # belongs to the sequence, which reports it
                step = enforcement.throw(_carried(error))
            else:
                step = enforcement.send(answer)
    except StopIteration as finished:
        return finished.value
    except Interrupted as interrupted:
        raise interrupted.original from None


def run_stream(enforcement: Enforcement, start: Callable[[], Iterator[Any]], items: Streamed) -> Iterator[Any]:
    """Drive a sequence whose action yields items; nothing starts before the permit, the outcome follows the last item."""
    try:
        step = next(enforcement)
        while True:
            answer = None
            try:
                if isinstance(step, Act):
                    for item in start():
                        yield items.add(step.duties.fulfil(item))
                else:
                    answer = step.result()
            except GeneratorExit:
                step = enforcement.send(None)  # the consumer has had enough: what it saw is the outcome
            except BaseException as error:  # belongs to the sequence, which reports it
                step = enforcement.throw(error)
            else:
                step = enforcement.send(answer)
    except StopIteration:
        return


async def run_stream_async(
    enforcement: Enforcement, start: Callable[[], AsyncIterator[Any]], items: Streamed
) -> AsyncIterator[Any]:
    """Drive a sequence whose action yields items asynchronously."""
    try:
        step = next(enforcement)
        while True:
            answer = None
            try:
                if isinstance(step, Act):
                    async for item in start():
                        yield items.add(step.duties.fulfil(item))
                else:
                    answer = await step
            except GeneratorExit:
                step = enforcement.send(None)  # the consumer has had enough: what it saw is the outcome
            except BaseException as error:  # belongs to the sequence, which reports it
                step = enforcement.throw(error)
            else:
                step = enforcement.send(answer)
    except StopIteration:
        return
