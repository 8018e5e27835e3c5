"""A bounded table for what is costly to find out and never changes for one key."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Remembers at most `limit` values; the oldest go first. Safe to share between threads (each step is one dict operation)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[K, V] = {}
        self.find: Callable[[K], V | None] = self._known.get

    def keep(self, key: K, value: V) -> V:
        """Remember `value`, forgetting the oldest if there are too many."""
        if len(self._known) >= self._limit:
            for old in list(self._known)[: self._limit // 8 + 1]:
                self._known.pop(old, None)
        self._known[key] = value
        return value

    def __len__(self) -> int:
        return len(self._known)
