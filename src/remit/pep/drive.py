"""Driving the enforcement sequence: blocking or awaiting, for one result or a stream of items."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from remit.pep.gate import Act, Enforcement, Interrupted, OutcomeUnrecorded

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

    def text(self, result: Any) -> str | None:
        """All that was yielded, and what was returned at the end; None, the worst, where it was too much to keep."""
        if result is not None:
            self.add(result)
        elif not self._parts and self._size <= MAX_STREAMED:
            return self._to_text(None)
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


def run_stream(enforcement: Enforcement, start: Callable[[], Iterator[Any]], items: Streamed) -> Generator[Any, Any, Any]:
    """Drive a sequence whose action yields items; nothing starts before the permit, the outcome follows the last item.

    What the generator returns counts as returned. Raises `TypeError` for what is sent into it: nobody decided on that.
    """
    try:
        step = next(enforcement)
        while True:
            answer = None
            try:
                if isinstance(step, Act):
                    answer = yield from _items(start(), step, items)
                else:
                    answer = step.result()
            except GeneratorExit:
                step = enforcement.send(None)  # the consumer has had enough: what it saw is the outcome
            except BaseException as error:  # belongs to the sequence, which reports it
                step = enforcement.throw(error)
            else:
                step = enforcement.send(answer)
    except StopIteration as finished:
        return finished.value
    except OutcomeUnrecorded:
        if not sys.is_finalizing():  # then the store was closed before, and has said that the outcome is unknown
            raise


def _items(source: Iterator[Any], step: Act, items: Streamed) -> Generator[Any, Any, Any]:
    try:
        while True:
            try:
                item = next(source)
            except StopIteration as finished:
                return finished.value
            refuse_sent((yield items.add(step.duties.fulfil(item))))
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()  # what the tool still does at its end, it does before its outcome is reported


def refuse_sent(value: Any) -> None:
    """Raise `TypeError` for anything that a consumer sends into a stream."""
    # INVARIANT (what was decided is what runs): what is sent in later was in no decision.
    if value is not None:
        raise TypeError("a guarded generator takes nothing through `send()`, for nobody decided on it: pass it as an argument")


async def run_stream_async(
    enforcement: Enforcement, start: Callable[[], AsyncIterator[Any]], items: Streamed
) -> AsyncGenerator[Any, Any]:
    """Drive a sequence whose action yields items asynchronously."""
    try:
        step = next(enforcement)
        while True:
            answer = None
            try:
                if isinstance(step, Act):
                    async with _closing(start()) as source:
                        async for item in source:
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


@asynccontextmanager
async def _closing(source: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    try:
        yield source
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
