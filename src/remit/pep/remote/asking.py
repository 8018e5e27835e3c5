"""An answer of a server under way: blocking here, in a thread where the caller awaits."""

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")
AT_ONCE = 128
"""So many awaiting callers ask at the same time; more wait for one of them."""


@cache
def _threads(_process: int, name: str) -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(AT_ONCE, f"remit-{name}")


class Asked(Generic[T]):
    """A `Pending` answer; nothing is sent before somebody waits.

    `unwanted` is told of one that came after its caller had gone. What `waits` for somebody else keeps no thread from what does not.
    """

    __slots__ = ("_ask", "_unwanted", "_waits")

    def __init__(self, ask: Callable[[], T], unwanted: Callable[[T], None] | None = None, waits: bool = False) -> None:
        self._ask, self._unwanted, self._waits = ask, unwanted, waits

    def result(self) -> T:
        """Ask, and wait for the answer."""
        return self._ask()

    def __await__(self) -> Generator[Any, Any, T]:
        """Ask, and let others go on meanwhile."""
        import asyncio

        # The caller's context goes along: it says which trace the question is in.
        asking = _threads(os.getpid(), "waiting" if self._waits else "asking").submit(copy_context().run, self._ask)
        try:
            return (yield from asyncio.wrap_future(asking).__await__())
        except BaseException:  # cancelled, too: an answer that comes later is nobody's
            if self._unwanted is not None:
                asking.add_done_callback(self._leave)
            raise

    def _leave(self, asking: "Future[T]") -> None:
        if not asking.cancelled() and asking.exception() is None and self._unwanted is not None:
            with suppress(RuntimeError):  # the process ends
                _threads(os.getpid(), "asking").submit(self._unwanted, asking.result())
