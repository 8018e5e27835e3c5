"""A line before each session whose policies are asked outside: whoever asks there for a second time is let ask alone."""

import threading
from weakref import WeakValueDictionary

from remit.model.identity import SessionId

_locks: WeakValueDictionary[tuple[int, SessionId], "_Lock"] = WeakValueDictionary()
_guard = threading.Lock()


class _Lock:
    """The head of one line."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Line:
    """One caller's place in the line of a session of one runtime (`of`). Safe to leave while somebody waits in a thread for it."""

    def __init__(self, of: int, session: SessionId) -> None:
        with _guard:
            known = _locks.get((of, session))
            self._head = known if known is not None else _locks.setdefault((of, session), _Lock())
        self._left = self._first = False
        self._mine = threading.Lock()

    @property
    def taken(self) -> bool:
        """Whether somebody is being let ask alone."""
        return self._head.lock.locked()

    @property
    def first(self) -> bool:
        """Whether that is this caller."""
        return self._first

    def wait(self, seconds: float) -> None:
        """Wait until it is this caller's turn, or time is up."""
        got = self._head.lock.acquire(timeout=seconds)
        with self._mine:
            self._first = got and not self._left
            if got and self._left:
                self._head.lock.release()

    def leave(self) -> None:
        """Let the next one."""
        with self._mine:
            self._left = True
            if self._first:
                self._first = False
                self._head.lock.release()
