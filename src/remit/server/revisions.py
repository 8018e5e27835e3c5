"""The store's revision, asked for once by all requests that are looked at in the same turn of the loop."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from remit.model.identity import TaskId


class Revised(Protocol):
    """A store that counts its administrative changes."""

    def standing(self, tasks: Sequence[TaskId]) -> tuple[int, bool]:
        """Administrative changes as the store has them now, those of other processes included, first. Raises `RemitError`."""
        ...


class Revisions:
    """The revision of a store, no older than any request that asks for it; called in a loop's thread."""

    def __init__(self, store: Revised) -> None:
        self._store = store
        self._known = -1

    def now(self) -> int:
        """The revision. Raises `RemitError` (unavailable, corrupt) where the store does not say; then it is asked again."""
        if self._known < 0:
            # INVARIANT (fail closed): a loop reads requests before the turn in which it looks at them, so nobody is told of a time before
            # their request. What is read during this turn is looked at in the next, behind `_forget`.
            self._known = self._store.standing(())[0]
            asyncio.get_running_loop().call_soon(self._forget)
        return self._known

    def _forget(self) -> None:
        self._known = -1
