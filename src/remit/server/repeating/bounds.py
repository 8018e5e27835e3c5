"""How much is remembered under keys, and what is said to whoever sends more."""

from http import HTTPStatus

import msgspec

from remit.model.clock import MINUTE, SECOND, Clock
from remit.server.problems import Problem
from remit.server.repeating.answers import Key

REPEATED = MINUTE
"""So long (µs) after it was asked for a decision is told again under its key, if there is room for it."""
CHANGED = 60 * MINUTE
"""So long (µs) what changes something is not done again under its key."""


class Bounds(msgspec.Struct, frozen=True):
    """What a process remembers under keys. `decisions` and `changes` are bytes of answers; `changed` is how much one caller, and all, may
    have changed within `CHANGED`; `under_way` how many requests of one caller, and of all, are worked on, and `unanswered` the bytes of
    these, as they were sent."""

    decisions: int = 32 << 20
    changes: int = 32 << 20
    changed: tuple[int, int] = (50_000, 250_000)
    under_way: tuple[int, int] = (2048, 8192)
    unanswered: tuple[int, int] = (16 << 20, 64 << 20)


class TooMany(Problem):
    """Nothing was done, because there is too much under keys already: of this caller, or (503) of all."""

    def __init__(self, why: str, seconds: int, status: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS) -> None:
        super().__init__(status, why, [("Retry-After", str(seconds))])


class Busy:
    """What is under way under keys, of one caller and of all: it goes on though nobody waits for it, so connections do not bound it."""

    def __init__(self, bounds: Bounds) -> None:
        self._most = tuple(zip(bounds.under_way, bounds.unanswered, strict=True))
        self._all = (0, 0)
        self._of: dict[str, tuple[int, int]] = {}

    def check(self, caller: str, size: int) -> None:
        """Raises `TooMany` where there is no room for one more of so many bytes."""
        for (number, held), (most, largest) in zip((self._of.get(caller, (0, 0)), self._all), self._most, strict=True):
            if number >= most or held + size > largest:
                raise TooMany("too much is under way under `Idempotency-Key`s: come again when some of it is answered", 1)

    def enter(self, caller: str, size: int) -> None:
        """One more."""
        self._move(caller, 1, size)

    def leave(self, caller: str, size: int) -> None:
        """One less."""
        self._move(caller, -1, -size)

    def _move(self, caller: str, number: int, size: int) -> None:
        had = self._of.get(caller, (0, 0))
        self._all = self._all[0] + number, self._all[1] + size
        self._of[caller] = had[0] + number, had[1] + size
        if not self._of[caller][0]:
            del self._of[caller]


class Changed:
    """What was changed under keys: for `CHANGED`, none of it is forgotten."""

    def __init__(self, clock: Clock, bounds: Bounds) -> None:
        self._clock = clock
        self._of_one, self._of_all = bounds.changed
        self._number = 0
        self._of: dict[str, dict[bytes, tuple[bytes, int]]] = {}

    def find(self, key: Key) -> bytes | None:
        """The digest of what was sent under it; None where nothing was changed, or too long ago."""
        found = self._of.get(key.caller, {}).get(key.digest)
        return found[0] if found is not None and self._clock() < found[1] else None

    def begin(self, key: Key, digest: bytes, until: int) -> None:
        """Something is changed. Raises `TooMany` for what would be too much."""
        self.drop(key)  # of one that was over before others, by a clock that went back
        self._tidy(key.caller)
        if self._number >= self._of_all:
            for caller in list(self._of):
                self._tidy(caller)
        of, now = self._of.get(key.caller, {}), self._clock()
        if len(of) >= self._of_one:
            seconds = -((now - next(iter(of.values()))[1]) // SECOND)
            raise TooMany(
                f"{self._of_one} requests under `Idempotency-Key`s have changed something within {CHANGED // MINUTE} minutes, and none "
                "of them is forgotten: come again later, or send without a key what may be done twice",
                seconds,
            )
        if self._number >= self._of_all:
            # INVARIANT (fail closed): what cannot be remembered is not done.
            why = "too much was changed under `Idempotency-Key`s to remember more of it: come again in a minute, or send none"
            raise TooMany(why, 60, HTTPStatus.SERVICE_UNAVAILABLE)
        self._of.setdefault(key.caller, {})[key.digest] = digest, until
        self._number += 1

    def drop(self, key: Key) -> None:
        """Nothing was changed."""
        of = self._of.get(key.caller, {})
        if of.pop(key.digest, None) is not None:
            self._left(key.caller, of)

    def _tidy(self, caller: str) -> None:
        of, now = self._of.get(caller, {}), self._clock()
        while of and of[first := next(iter(of))][1] <= now:
            del of[first]
            self._left(caller, of)

    def _left(self, caller: str, of: dict[bytes, tuple[bytes, int]]) -> None:
        self._number -= 1
        if not of:
            del self._of[caller]
