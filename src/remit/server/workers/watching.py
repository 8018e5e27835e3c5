"""Several workers at one port: begun together, watched, begun again when they die, ended together."""

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import msgspec

from remit.authentication.possession.shared import SharedTable
from remit.local.config import Settings
from remit.local.wiring import wall_clock
from remit.model.errors import RemitError, malformed, unavailable
from remit.model.identity import random_bytes
from remit.server.binding import port_at
from remit.server.observing.instruments import environment_of_worker
from remit.server.observing.reporting import reporting
from remit.server.running import ACT_SECONDS, DRAIN_SECONDS, Place, address_of, ending_signals, listening_at
from remit.server.workers.working import KEYS, PROOFS, Alive, Charge, Failed, Ready, encoded, in_use

NAMED = "remit-"
"""What the names of these folders begin with."""
MAX_FOLDER = 90
"""Bytes in the name of the folder of the workers' sockets: the system lets an address have about a hundred."""
START_SECONDS = 60.0
"""So long a worker may take until it answers."""
END_SECONDS = DRAIN_SECONDS + ACT_SECONDS + 30.0
"""So long a worker may take to end; then it is killed."""
STEADY_SECONDS = 5.0
LATEST = 30.0
"""A worker that has answered for `STEADY_SECONDS` is followed at once if it dies; another after a pause (s) that doubles up to this."""
BEAT_SECONDS, HUNG_SECONDS = 2.0, 30.0
"""So often a worker says that it lives; one that has not for so long is killed."""
_TICK = 0.05
_log = logging.getLogger("remit.server")
_said = msgspec.json.Decoder(Ready | Alive | Failed).decode


def watch(home: Path, settings: Settings, place: Place, listening: Callable[[str], None]) -> None:
    """Serve by as many workers as the place says until a signal ends them. `listening` is told the address once all take connections.

    Raises `RemitError` of a worker that cannot begin, unavailable where the port is taken.
    """
    folder = Path(tempfile.mkdtemp(prefix=NAMED))
    _remove_left(folder.parent)
    if len(os.fsencode(folder)) > MAX_FOLDER:
        folder.rmdir()
        raise malformed(
            f"the folder of temporary files has too long a name for sockets: set `TMPDIR` to one of {MAX_FOLDER - 15} bytes"
        )
    held = in_use(folder)
    try:
        with _listening(place) as listeners:
            address = address_of(place, listeners[0])
            _make_tables(folder)
            figures = folder / "figures"
            figures.mkdir()
            begin = Charge(0, -1, home, settings, place, address, folder, random_bytes(32), BEAT_SECONDS)
            workers = [
                _Worker(begin, listener, environment_of_worker(figures, number)) for number, listener in enumerate(listeners)
            ]
            with reporting(place.log, wall_clock):
                _Watch(workers, folder).run(lambda: listening(address))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _remove_left(place: Path) -> None:
    """Remove what servers left there whose watching process was killed: 75 MB each, of nobody's once their workers have ended, too."""
    for folder in place.glob(f"{NAMED}*"):
        try:
            found = folder.lstat()
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever lives has locked its own before anything was in it
            if found.st_uid == os.getuid() and (folder / PROOFS).is_file():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(held)


def _make_tables(folder: Path) -> None:
    try:
        for name in (PROOFS, KEYS):
            SharedTable.make(folder / name, wall_clock())
    except OSError as error:
        raise unavailable(
            f"the folder of temporary files has no room for what workers share ({error.strerror}): free 70 MB of `{folder.parent}`, "
            "or set `TMPDIR` to another"
        ) from None


@contextmanager
def _listening(place: Place) -> Iterator[list[socket.socket]]:
    """A socket for each worker. They are kept here: of a worker that dies, no connection is lost that it has not taken."""
    with ExitStack() as kept:
        first = kept.enter_context(listening_at(place))  # alone: whoever else listens there is found out
        if place.socket is not None or not sys.platform.startswith("linux"):
            yield [first, *[kept.enter_context(first.dup()) for _ in range(place.workers - 1)]]
            return
        port = first.getsockname()[1]
        first.close()
        yield [kept.enter_context(port_at(place.host, port, together=True)) for _ in range(place.workers)]


class _Worker:
    """One place among the workers, and the process that is there now. `counting` are the variables by which it counts at that place."""

    def __init__(self, charge: Charge, listener: socket.socket, counting: Mapping[str, str]) -> None:
        self._charge, self._listener, self._counting = charge, listener, counting
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = self._answers = self._looked = 0.0
        self._silent = 0.0
        self._pause = 0.0
        self._at: float | None = 0.0
        self.ready = False

    def begin(self, number: int) -> None:
        charge = msgspec.structs.replace(self._charge, number=number, listener=self._listener.fileno())
        self.ready, self._begun, self._at = False, time.monotonic(), None
        self._silent, self._looked = 0.0, self._begun
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "remit.server.workers.working"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **self._counting},
            pass_fds=[charge.listener],
            start_new_session=True,  # a signal from a terminal comes to whoever watches, who passes it on once
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        with contextlib.suppress(OSError):
            self._process.stdin.write(encoded(charge))
            self._process.stdin.flush()

    @property
    def due(self) -> bool:
        """Whether it is to be begun now."""
        return self._at is not None and time.monotonic() >= self._at

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def look(self) -> Failed | None:
        """See what became of it; why it failed, if it says so."""
        process, failed = self._process, None
        if process is None or process.stdout is None:
            return None
        line = process.stdout.readline() or b""
        now = time.monotonic()
        # What this process has slept through, stopped with them all, is no worker's silence.
        self._silent, self._looked = 0.0 if line else self._silent + min(1.0, now - self._looked), now
        if line:
            said = _said(line)
            failed = said if isinstance(said, Failed) else None
            if isinstance(said, Ready):
                self.ready, self._answers = True, now
        if process.poll() is not None:
            self._over(process)
        elif not self.ready and now - self._begun > START_SECONDS:
            process.kill()
        elif self.ready and self._silent > HUNG_SECONDS:
            _log.warning("worker %d has said nothing for %g s: it hangs, and is killed", process.pid, HUNG_SECONDS)
            process.kill()
            self._silent = 0.0
        return failed

    def _over(self, process: "subprocess.Popen[bytes]") -> None:
        steady = self.ready and time.monotonic() - self._answers >= STEADY_SECONDS
        self._pause = 0.0 if steady else min(LATEST, self._pause * 2 or 0.25)
        self._at, self.ready = time.monotonic() + self._pause, False
        _log.warning("worker %d ended (%s): another follows in %g s", process.pid, _how(process.returncode), self._pause)
        self.let_go()

    def let_go(self) -> None:
        if self._process is not None:
            for end in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    if end is not None:
                        end.close()
        self._process = None

    def tell(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def leave(self) -> None:
        """Keep no connections for a successor any more: whom the worker takes no more, nobody would."""
        self._listener.close()

    def ended(self, until: float) -> int:
        """Wait for its end, at most until then; its exit code."""
        if self._process is None:
            return 0
        try:
            code = self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self.let_go()
        return code


class _Watch:
    def __init__(self, workers: Sequence[_Worker], folder: Path) -> None:
        self._workers, self._folder = workers, folder
        self._ending = False
        self._number = 0

    def run(self, listening: Callable[[], None]) -> None:
        before = {number: signal.signal(number, self._end) for number in ending_signals()}
        try:
            self._begin_all()
            if not self._ending:
                listening()
            while not self._ending:
                self._tend()
                time.sleep(_TICK)
        finally:
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True

    def _begin_all(self) -> None:
        for worker in self._workers:
            self._begin(worker)
        while not self._ending and not all(worker.ready for worker in self._workers):
            for worker in self._workers:
                failed = worker.look()
                if failed is not None:
                    raise RemitError(failed.kind, failed.message)
                if worker.pid == 0:
                    raise unavailable("a worker ended before it answered: what it said stands above")
            time.sleep(_TICK)

    def _tend(self) -> None:
        for worker in self._workers:
            failed = worker.look()
            if failed is not None:
                _log.error("a worker cannot begin: %s", failed.message)
            if worker.due:
                self._begin(worker)

    def _begin(self, worker: _Worker) -> None:
        self._number += 1
        worker.begin(self._number)

    def _end_all(self) -> None:
        for worker in self._workers:
            worker.tell(signal.SIGTERM)
            worker.leave()
        until = time.monotonic() + END_SECONDS
        codes = [worker.ended(until) for worker in self._workers]
        if any(codes):
            _log.warning("workers ended otherwise than they should: %s", ", ".join(_how(code) for code in codes if code))


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
