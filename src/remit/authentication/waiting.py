"""Checks that need keys which have to be fetched first: done again when they have come, by a thread or on an event loop."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from remit.authentication.keys.fetching import SECONDS
from remit.authentication.keys.holding import KeysNeeded
from remit.authentication.refusal import unavailable

_Result = TypeVar("_Result")
WAITS = 3
"""So often one check waits, at most."""
LONGEST = 3 * SECONDS
"""So long (s) it waits each time: metadata and keys are two documents."""


def blocking(check: Callable[[], _Result]) -> _Result:
    """The result of a check, waited for by this thread. Raises what the check raises, and `NotVerified` (unavailable)."""
    results: list[_Result] = []
    for coming in _waits(check, results):
        try:
            coming.result(LONGEST)
        except TimeoutError:
            break
    return _only(results)


async def awaited(check: Callable[[], _Result]) -> _Result:
    """The same, awaited."""
    results: list[_Result] = []
    for coming in _waits(check, results):
        try:
            await asyncio.wait_for(asyncio.wrap_future(coming), LONGEST)
        except TimeoutError:
            break
    return _only(results)


def _waits(check: Callable[[], _Result], results: list[_Result]) -> "Iterator[Future[None]]":
    """What has to be waited for until the check gives its result."""
    for _ in range(WAITS + 1):
        try:
            results.append(check())
            return
        except KeysNeeded as needed:
            yield needed.coming


def _only(results: list[_Result]) -> _Result:
    if not results:
        raise unavailable("the keys of the token's issuer did not come in time: come again")
    return results[0]
