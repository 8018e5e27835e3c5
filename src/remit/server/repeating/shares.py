"""What is kept for callers within so many bytes: each has a fair share, and whoever keeps more loses their own."""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

from remit.model.clock import Clock

T = TypeVar("T")
OF_CALLER = 512
"""So many bytes it takes to know a caller, beside the name."""


class _Kept(NamedTuple, Generic[T]):
    thing: T
    size: int
    until: int


class _Caller(Generic[T]):
    """What is kept for one, oldest first."""

    __slots__ = ("kept", "size")

    def __init__(self, name: str) -> None:
        self.size = OF_CALLER + len(name.encode())
        self.kept: dict[bytes, _Kept[T]] = {}


class Shares(Generic[T]):
    """Things of callers, each under a name and until a time (µs), within `limit` bytes in all.

    A share is the limit divided by those for whom anything is kept. Where there is no room, whoever has more than a share loses their
    oldest, and first of all the one who keeps: nobody with less than a share loses anything to others.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit, self.size = limit, 0
        self._clock = clock
        self._callers: OrderedDict[str, _Caller[T]] = OrderedDict()
        self._ample = ""

    def find(self, caller: str, name: bytes) -> T | None:
        """What is kept under that name; None where nothing is, or not any more."""
        of = self._callers.get(caller)
        found = of.kept.get(name) if of is not None else None
        if found is None or self._clock() >= found.until:
            return None
        return found.thing

    def keep(self, caller: str, name: bytes, thing: T, size: int, until: int) -> None:
        """Keep it, of so many bytes, instead of what was there. What there is no room for, and is more than a share, is not kept."""
        self.drop(caller, name)
        self._tidy()
        of = self._callers.get(caller)
        if self.size + size > self.limit and (OF_CALLER + size) * (len(self._callers) + (of is None)) > self.limit:
            return
        if of is None:
            of = self._callers[caller] = _Caller(caller)
            self.size += of.size
        of.kept[name] = _Kept(thing, size, until)
        of.size += size
        self.size += size
        while self.size > self.limit:
            self._lose(caller if self._has_more(caller) else self._somebody())

    def drop(self, caller: str, name: bytes) -> None:
        """Keep it no more."""
        of = self._callers.get(caller)
        if of is not None and name in of.kept:
            self._forget(caller, of, name)

    def _has_more(self, caller: str) -> bool:
        of = self._callers.get(caller)
        return of is not None and of.size * len(self._callers) > self.limit

    def _somebody(self) -> str:
        """Who has more than a share: there is one, as all together have more than the limit. It is the same as long as it has."""
        while not self._has_more(self._ample):
            self._ample = next(iter(self._callers))
            self._callers.move_to_end(self._ample)
        return self._ample

    def _lose(self, caller: str) -> None:
        of = self._callers[caller]
        self._forget(caller, of, next(iter(of.kept)))

    def _tidy(self) -> None:
        """Forget what is over of the next in line, so that nobody's share is the smaller for who does not come any more."""
        if not self._callers:
            return
        name, of = next(iter(self._callers.items()))
        now = self._clock()
        while of.kept and now >= of.kept[first := next(iter(of.kept))].until:
            self._forget(name, of, first)
        if name in self._callers:
            self._callers.move_to_end(name)

    def _forget(self, caller: str, of: _Caller[T], name: bytes) -> None:
        gone = of.kept.pop(name).size
        of.size -= gone
        self.size -= gone
        if not of.kept:
            self.size -= of.size
            del self._callers[caller]
