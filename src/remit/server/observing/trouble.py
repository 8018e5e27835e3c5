"""That nothing can be decided is said when it begins, now and then while it lasts, and when it is over: not with every decision."""

import logging
import threading
import time

AGAIN = 60.0
"""So long (s) after it was said it is said again."""
_log = logging.getLogger("remit.server")


class Trouble:
    """Whether what is asked is denied for want of something that a server needs. Safe to be told by any thread."""

    def __init__(self) -> None:
        self.lasts = False
        self._since = self._said = 0.0
        self._lock = threading.Lock()

    def met(self, why: str) -> None:
        """Something could not be decided: why, in words that have nothing of a request."""
        now = time.monotonic()
        with self._lock:
            if self.lasts and now - self._said < AGAIN:
                return
            self._since, self._said, self.lasts = self._since if self.lasts else now, now, True
            seconds = now - self._since
        if seconds:
            _log.error("still nothing can be decided, for %.0f s: %s", seconds, why)
        else:
            _log.error("nothing can be decided: %s", why)

    def over(self) -> None:
        """Something was decided."""
        with self._lock:
            if not self.lasts:
                return
            self.lasts = False
            seconds = time.monotonic() - self._since
        _log.warning("it can be decided again, after %.0f s", seconds)
