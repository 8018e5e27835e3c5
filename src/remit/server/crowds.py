"""Requests that take long: so many of one caller, and of all, at a time."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from remit.server.known import Known
from remit.server.problems import Problem


class Crowd:
    """Who is in it, by caller. For one event loop. `why` tells the next one, and `told` is told how many there are each time that it has
    changed."""

    def __init__(self, of_one: int, of_all: int, why: str, told: Callable[[int], None] = lambda _number: None) -> None:
        self._of_one, self._of_all, self._why, self._told = of_one, of_all, why, told
        self._there: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many there are."""
        return self._there.total()

    @contextmanager
    def one(self, caller: Known) -> Iterator[None]:
        """While a request of this caller is in it. Raises `Problem` (429) where too many are."""
        name = caller.caller.id
        if self._there[name] >= self._of_one or self._there.total() >= self._of_all:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, self._why, [("Retry-After", "1")])
        self._there[name] += 1
        try:
            self._told(len(self))
            yield
        finally:
            self._there[name] -= 1
            if not self._there[name]:
                del self._there[name]
            self._told(len(self))
