"""A bounded table for what is costly to find out and never changes for one key."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


MAX_HELD = 32 << 20
"""So many bytes a table and those within it hold of what callers sent: no agent can fill the memory by never asking the same twice."""


class Memo(Generic[K, V]):
    """Remembers at most `limit` values; the oldest go first. Safe to share between threads (each step is one dict operation).

    A table whose values hold tables of their own is given to them as `above`: once all together hold too much, it forgets everything.
    """

    def __init__(self, limit: int, above: "Memo[Any, Any] | None" = None) -> None:
        self._limit = limit
        self._above = above
        self._held = 0
        self._known: dict[K, V] = {}
        self.find: Callable[[K], V | None] = self._known.get

    def keep(self, key: K, value: V, size: int = 0) -> V:
        """Remember `value`, forgetting the oldest if there are too many. `size`: how many bytes it takes, if that depends on callers."""
        if self._above is not None and size:
            self._above._hold(size)
        if len(self._known) >= self._limit:
            for old in list(self._known)[: self._limit // 8 + 1]:
                self._known.pop(old, None)
        self._known[key] = value
        return value

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > MAX_HELD:
            self._held = 0
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
