"""Where what services ask for is worked on: beside everybody else, in one thread however much they ask; and how it is committed."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar
from weakref import WeakValueDictionary

from remit.model.errors import conflict

ATTEMPTS = 24
"""So often is a change worked out again because another process changed the same meanwhile; then it is refused."""
T = TypeVar("T")
# INVARIANT (every call is decided): who provisions people stops no decision; their work never has more than one thread.
_thread = ThreadPoolExecutor(1, "remit-scim")
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class Moved(Exception):
    """What was worked on is no longer as it was read: nothing was committed."""


async def worked(act: Callable[[], T]) -> T:
    """What `act` returns, which reads the store or takes long, while others are served."""
    return await asyncio.get_running_loop().run_in_executor(_thread, copy_context().run, act)


async def settled(name: str, change: Callable[[], Awaitable[T]]) -> T:
    """What `change` makes of the resource of this id, tried again where that moved. Raises what it raises, and `RemitError` (conflict)."""
    turn = _turns.setdefault(name, asyncio.Lock())
    async with turn:
        for _ in range(ATTEMPTS):
            try:
                return await change()
            except Moved:
                continue
    raise conflict("it was changed by others each time before this was done: send it again")
