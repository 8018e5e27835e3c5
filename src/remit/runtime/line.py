"""A line before each session whose policies are asked outside: whoever asks there for a second time is let ask alone."""

import threading
from weakref import WeakValueDictionary

from remit.model.identity import SessionId

_locks: WeakValueDictionary[tuple[int, SessionId], "_Lock"] = WeakValueDictionary()
_guard = threading.Lock()


class _Lock:
    """The head of one line: `lock` is held by whoever is first, `mine` while somebody's place changes."""

    __slots__ = ("__weakref__", "lock", "mine")

    def __init__(self) -> None:
        self.lock, self.mine = threading.Lock(), threading.Lock()


class Line:
    """One caller's place in the line of a session of one runtime (`of`). Safe to leave while somebody waits in a thread for it.

    It costs nothing until it is looked at.
    """

    def __init__(self, of: int, session: SessionId) -> None:
        self._of = of, session
        self._known: _Lock | None = None
        self._left = self._first = False

    @property
    def taken(self) -> bool:
        """Whether somebody is being let ask alone."""
        return self._head().lock.locked()

    @property
    def first(self) -> bool:
        """Whether that is this caller."""
        return self._first

    def wait(self, seconds: float) -> None:
        """Wait until it is this caller's turn, or time is up."""
        head = self._head()
        got = head.lock.acquire(timeout=seconds)
        with head.mine:
            self._first = got and not self._left
            if got and self._left:
                head.lock.release()

    def leave(self) -> None:
        """Let the next one."""
        self._left = True  # before it is looked whether somebody waits: who waits looks at it last
        if self._known is None:
            return
        with self._known.mine:
            if self._first:
                self._first = False
                self._known.lock.release()

    def _head(self) -> _Lock:
        if self._known is None:
            with _guard:
                known = _locks.get(self._of)
                self._known = known if known is not None else _locks.setdefault(self._of, _Lock())
        return self._known
