"""The embedded mode, joined: one store, one writer, one clock, behind the protocol of the doors."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from remit import __version__
from remit.decision_log.append import Appender, Ticket
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import WriterOpened
from remit.decision_log.store import Record
from remit.local.config import Settings, read_settings
from remit.local.head import Head
from remit.model.authorizer import ApprovalState, Outcome, OutcomeStatus
from remit.model.clock import Clock
from remit.model.decision import Decision, Deny, Reason
from remit.model.errors import ErrorKind, RemitError, not_found, unavailable
from remit.model.identity import ApprovalId, DecisionId, new_id
from remit.model.request import EvaluationRequest
from remit.pap.bundle import compile_bundle, from_document
from remit.pdp.compiled import CompiledBundle
from remit.runtime import outcome
from remit.runtime.authorize import evaluate, may_act
from remit.runtime.pending import Driven
from remit.runtime.runtime import Runtime
from remit.runtime.store import Write
from remit.runtime.view import View
from remit.storage.sqlite.store import SqliteStore

STORE_FILE = "remit.db"
_POLL = 0.2
_FORKED = "this process was forked after its task was entered: enter one in the child, `with remit.task(resume=…)` for the same"


def wall_clock() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def compiled(document: bytes) -> CompiledBundle:
    """A published bundle, ready to decide with."""
    return compile_bundle(from_document(document))


class Embedded:
    """An embedded store, opened: the `Authorizer` of this process, and what the command line works with.

    Bounds a misled model, not hostile code: whoever runs in this process can reach around it.
    """

    def __init__(self, home: Path, settings: Settings, clock: Clock = wall_clock) -> None:
        self.home = home
        self.real_home = os.path.realpath(home)
        self.settings = settings
        self._pid = os.getpid()
        self.store = SqliteStore(home / STORE_FILE, settings.lock_seconds)
        self._lock_file: IO[str] | None = None
        try:
            self._start(home, settings, clock)
        except BaseException:
            if self._lock_file is not None:
                self._lock_file.close()
            self.store.close()
            raise

    def _start(self, home: Path, settings: Settings, clock: Clock) -> None:
        writer = new_id("wri", clock())
        opening = Record(encode_body(WriterOpened(__version__, self._pid)), "writer.opened")
        appender: Appender[Write] = Appender(self.store.groups, writer, opening)
        self.runtime = Runtime(View(self.store, compiled), appender, clock)
        self.head = Head(home, settings.origin, self.store.log)
        self._begin_writing(writer)

    def _begin_writing(self, writer: str) -> None:
        """Take this writer's lock, and settle the permits of writers whose process is gone."""
        folder = self.home / "writers"
        folder.mkdir(exist_ok=True, mode=0o700)
        self._lock_file = open(folder / f"{writer}.lock", "w")  # noqa: SIM115 - held as long as the process writes
        fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = [other for other in self.store.writers() if other != writer and self._is_gone(folder / f"{other}.lock")]
        outcome.recover(self.runtime, gone)
        self._sweep(folder, writer)

    @staticmethod
    def _is_gone(lock: Path) -> bool:
        try:
            with open(lock, "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def _sweep(self, folder: Path, writer: str) -> None:
        still = set(self.store.writers())
        for lock in folder.glob("*.lock"):
            if lock.stem != writer and lock.stem not in still and self._is_gone(lock):
                lock.unlink(missing_ok=True)

    def evaluate(self, request: EvaluationRequest) -> Driven[Decision]:
        """Decide durably; see `Authorizer`."""
        if os.getpid() != self._pid:
            return Driven(lambda: _forked(self.runtime.clock()))
        return evaluate(self.runtime, request)

    def report(self, seen: Outcome) -> Driven[None]:
        """Record an outcome; see `Authorizer`."""
        if os.getpid() != self._pid:
            raise unavailable(_FORKED)
        return outcome.report(self.runtime, seen)

    def may_act(self, decision: DecisionId) -> bool:
        """Whether a permit still stands; see `Authorizer`."""
        return os.getpid() == self._pid and may_act(self.runtime, decision)

    def wait(self, approval: ApprovalId, seconds: float) -> "Waiting":
        """Wait until a person has answered; see `Authorizer`."""
        return Waiting(lambda: self._state(approval), time.monotonic() + seconds)

    def _state(self, approval: ApprovalId) -> ApprovalState:
        found = self.store.approval(approval)
        if found is None:
            raise not_found(f"there is no access request `{approval}`")
        if found.state is ApprovalState.PENDING and self.runtime.clock() >= found.expires:
            return ApprovalState.EXPIRED
        return found.state

    def close(self) -> None:
        """Settle what this process left open, and close the store. Safe to call twice."""
        if self._lock_file is None or os.getpid() != self._pid:
            return
        for permit in list(self.runtime.view.permits.values()):
            unused = self.runtime.view.live.pop(permit.decision, None) is not None
            status = OutcomeStatus.NOT_PERFORMED if unused else OutcomeStatus.UNKNOWN
            try:
                outcome.report(self.runtime, Outcome(permit.decision, permit.session, status)).result()
            except RemitError as error:
                if error.kind is not ErrorKind.CONFLICT:  # another process settled it
                    break  # the next start says that the outcome is unknown
        self.runtime.appender.close()
        with suppress(RemitError):  # the head that was kept still holds; the next one to close signs what came since
            self.head.sign()
        self.store.close()
        self._lock_file.close()
        self._lock_file = None


def create_store(home: Path) -> bool:
    """Make the embedded store if there is none yet; whether it was made. Raises `RemitError` (unavailable) where it cannot be."""
    if (home / STORE_FILE).exists():
        return False
    Embedded(home, read_settings(home)).close()
    return True


class Waiting:
    """A `Pending` answer by a person, looked for five times a second."""

    def __init__(self, state: Callable[[], ApprovalState], until: float) -> None:
        self._state = state
        self._until = until

    def result(self) -> ApprovalState:
        """Block until it is answered, or time is up."""
        while (state := self._state()) is ApprovalState.PENDING and time.monotonic() < self._until:
            time.sleep(_POLL)
        return state

    def __await__(self) -> Generator[Any, Any, ApprovalState]:
        """Await the answer, or the end of the time."""
        import asyncio

        while (state := self._state()) is ApprovalState.PENDING and time.monotonic() < self._until:
            yield from asyncio.sleep(_POLL).__await__()
        return state


def _forked(now: int) -> Generator[Ticket[Any], None, Decision]:
    if now < 0:
        yield Ticket((), (), 0, 0)
    return Deny(DecisionId(new_id("dec", now)), Reason.STORE_UNAVAILABLE, _FORKED)
