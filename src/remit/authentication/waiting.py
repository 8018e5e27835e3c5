"""Checks that need keys which have to be fetched first: done again when they have come."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from remit.authentication.keys.fetching import SECONDS
from remit.authentication.keys.holding import KeysNeeded
from remit.authentication.refusal import NotVerified, unavailable

_Result = TypeVar("_Result")
WAITS = 3
"""So often one check waits, at most."""
LONGEST = 3 * SECONDS
"""So long (s) it waits each time: metadata and keys are two documents."""


async def awaited(check: Callable[[], _Result]) -> _Result:
    """The result of a check. Raises what the check raises, and `NotVerified` (unavailable)."""
    for _ in range(WAITS + 1):
        try:
            return check()
        except KeysNeeded as needed:
            coming = needed.coming
        try:
            await asyncio.wait_for(asyncio.wrap_future(coming), LONGEST)
        except TimeoutError:
            break
    raise _late()


def _late() -> NotVerified:
    return unavailable("the keys of the token's issuer did not come in time: come again")
