"""Lines on their way out: written by a thread of its own, so that nobody waits for whoever reads them, or does not."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from remit.model.clock import Clock
from remit.server.observing.written import LONGEST, WRITE, Format, Line, Value

MAX_WAITING = 10_000
"""So many lines wait to be written; more are dropped, and counted."""
TOGETHER = 0.02
"""So long (s) lines are gathered, to be written together."""
LAST_SECONDS = 1.0
"""So long the end waits for the last lines to be taken."""
_PAUSE = 0.05
_FEW = 3


class Lines:
    """Writes lines to a file descriptor (None: nobody reads them). `dropped` is told of how many were lost, as it happens."""

    def __init__(
        self,
        descriptor: int | None,
        format: Format,
        clock: Clock,
        dropped: Callable[[int], None] = lambda _count: None,
        waiting: int = MAX_WAITING,
    ) -> None:
        self._descriptor, self._write, self._clock, self._told, self._most = descriptor, WRITE[format], clock, dropped, waiting
        self._queue: deque[Line] = deque()
        self._wanted, self._lock = threading.Event(), threading.Lock()
        self._untold = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="remit-lines", daemon=True)
        self._thread.start()

    def write(self, level: str, event: str, **values: Value) -> None:
        """Say that something happened; never waits, never raises."""
        if len(self._queue) >= self._most or self._closing or self._descriptor is None:
            self._drop(1)
            return
        self._queue.append(Line(self._clock(), level, event, values))
        if len(self._queue) < _FEW:  # else it is awake
            self._wanted.set()

    def close(self) -> bool:
        """Let what waits be written, for a while; whether all was."""
        self._closing = True
        self._wanted.set()
        self._thread.join(LAST_SECONDS)
        return not self._thread.is_alive()

    def _drop(self, count: int) -> None:
        with self._lock:
            self._untold += count
        self._told(count)

    def _run(self) -> None:
        while not self._closing or self._queue:
            self._wanted.wait(1.0)
            self._wanted.clear()
            if not self._closing:
                time.sleep(TOGETHER)
            while self._queue:
                self._write_some()

    def _write_some(self) -> None:
        """Write as many as surely go out as one."""
        with self._lock:
            lost, self._untold = self._untold, 0
        told = self._write(Line(self._clock(), "warning", "lines-dropped", {"count": lost})) if lost else ""
        parts, size, count = [told], len(told), 0
        while self._queue and (not count or size < LONGEST):
            text = self._written(self._queue[0])
            if count and size + len(text) > LONGEST:
                break
            self._queue.popleft()
            parts.append(text)
            size, count = size + len(text), count + 1
        if not self._out("".join(parts).encode("ascii")):
            self._drop(count)
            with self._lock:
                self._untold += lost

    def _written(self, line: Line) -> str:
        try:
            return self._write(line)
        except Exception as error:  # the edge of a thread: one line that cannot be written must not end all others
            return self._write(Line(line.time, "error", "line", {"error": type(error).__name__}))

    def _out(self, text: bytes) -> bool:
        """Whether somebody took it. Waits as long as nobody does."""
        while text:
            try:
                text = text[os.write(self._descriptor or 0, text) :]
            except BlockingIOError:
                time.sleep(_PAUSE)  # somebody has made the pipe one that does not wait
            except OSError:
                return False
        return True
