"""That nothing can be decided is said when it begins, now and then while it lasts, and when it is over: not with every decision."""

import logging
import threading
import time

AGAIN = 60.0
"""So long (s) after it was said it is said again, whether it has lasted or comes and goes."""
_log = logging.getLogger("remit.server")


class Trouble:
    """Whether what is asked is denied for want of something that a server needs. Safe to be told by any thread."""

    def __init__(self) -> None:
        self.lasts = False
        self._is_said = False
        """Of what lasts."""
        self._since, self._said = 0.0, float("-inf")
        self._lock = threading.Lock()

    def met(self, why: str) -> None:
        """Something could not be decided: why, in words that have nothing of a request."""
        now = time.monotonic()
        with self._lock:
            if not self.lasts:
                self.lasts, self._is_said, self._since = True, False, now
            if now - self._said < AGAIN:
                return
            self._said, self._is_said = now, True
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
            if not self._is_said:
                return
            seconds = time.monotonic() - self._since
        _log.warning("it can be decided again, after %.0f s", seconds)
