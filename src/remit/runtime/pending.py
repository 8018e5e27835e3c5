"""One piece of logic, both colours: steps that wait for commits, driven by a blocking or by an awaiting caller."""

import os
from collections.abc import Callable, Generator
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from remit.decision_log.append import Ticket

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

AT_ONCE = 256
"""So many awaiting callers ask at the same time; the loop's own threads are few, and in line no time runs out."""


@cache
def _threads(_process: int) -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(AT_ONCE, "remit-asking")


class Inquiry(Generic[T]):
    """Something to be asked of another process: blocking here, in a thread of its own where the caller awaits."""

    __slots__ = ("_ask", "_said")

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask

    def result(self) -> None:
        """Ask, and wait for the answer."""
        self._said = self._ask()

    def __await__(self) -> Generator[Any, Any, None]:
        """Ask, and let others go on meanwhile."""
        import asyncio

        self._said = yield from asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), self._ask).__await__()

    @property
    def said(self) -> T:
        """The answer, once waiting has ended."""
        return self._said


Steps = Generator[Ticket[Any] | Inquiry[Any], None, T]
"""Yields each commit and each question that it must wait for; what waiting raises is raised at the yield."""


class Driven(Generic[T]):
    """A `Pending` answer over steps; nothing happens before somebody waits."""

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[], Steps[T]]) -> None:
        self._start = start

    def result(self) -> T:
        """Run the steps, blocking at each commit."""
        steps = self._start()
        try:
            ticket = next(steps)
            while True:
                try:
                    ticket.result()
                except BaseException as error:  # whatever waiting raised belongs to the step that waits
                    ticket = steps.throw(error)
                else:
                    ticket = steps.send(None)
        except StopIteration as finished:
            answer: T = finished.value
            return answer

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the steps, giving way at each commit."""
        steps = self._start()
        try:
            ticket = next(steps)
            while True:
                try:
                    yield from ticket.__await__()
                except BaseException as error:  # whatever waiting raised belongs to the step that waits
                    ticket = steps.throw(error)
                else:
                    ticket = steps.send(None)
        except StopIteration as finished:
            answer: T = finished.value
            return answer
