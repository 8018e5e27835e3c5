"""The embedded mode, joined: one store, one writer, one clock, behind the protocol of the doors."""

import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from remit import __version__
from remit.decision_log.append import Appender, Ticket
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import WriterOpened
from remit.decision_log.store import GroupStore, Line, LogReader, Record
from remit.local.config import Settings, read_settings
from remit.local.head import Head
from remit.model.authorizer import ApprovalState, Outcome, OutcomeStatus
from remit.model.clock import Clock
from remit.model.decision import Decision, Deny, Reason
from remit.model.errors import RemitError, not_found, refused, unavailable
from remit.model.identity import ApprovalId, DecisionId, new_id
from remit.model.request import EvaluationRequest
from remit.pap.bundle import compile_bundle, from_document
from remit.pap.store import BundleStore
from remit.pdp.compiled import CompiledBundle
from remit.pdp.outside import Opa, Said
from remit.runtime import outcome
from remit.runtime.approving.approvals import state_of
from remit.runtime.approving.denying import told
from remit.runtime.authorize import evaluate, may_act
from remit.runtime.pending import Driven, Inquiry, Steps
from remit.runtime.runtime import Runtime
from remit.runtime.store import RuntimeStore
from remit.runtime.view import View
from remit.runtime.writes import Write
from remit.storage.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from remit.local.opa import OpaClient
    from remit.local.witnessing import Witnessed
    from remit.storage.copying import AnyRow, Snapshot

STORE_FILE = "remit.db"
_POLL = 0.2
_FORKED = "this process was forked after its task was entered: enter one in the child, `with remit.task(resume=…)` for the same"


def wall_clock() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def compiled(document: bytes) -> CompiledBundle:
    """A published bundle, ready to decide with."""
    return compile_bundle(from_document(document))


def ask_outside(opa: Opa, document: bytes) -> Said:
    """Ask an engine outside of this process."""
    return _client(os.getpid()).ask(opa, document)


@cache
def _client(_process: int) -> "OpaClient":
    from remit.local.opa import OpaClient  # costs a first call's time, and most bundles ask nobody

    return OpaClient()


class Store(RuntimeStore, BundleStore, Protocol):
    """A store, opened: state, log and groups."""

    @property
    def groups(self) -> GroupStore[Write]:
        """Where groups are committed."""
        ...

    @property
    def log(self) -> LogReader:
        """The log."""
        ...

    def snapshot(self) -> "AbstractContextManager[Snapshot]":
        """The whole store as it is now, while others go on. Raises `RemitError` (unavailable, corrupt)."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def open_store(home: Path, settings: Settings) -> Store:
    """The store that the settings name. Raises `RemitError` (malformed, unavailable, corrupt)."""
    if not settings.store:
        return SqliteStore(home / STORE_FILE, settings.lock_seconds)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)  # the log's key and head stay with the process
    opened: Store = _postgres().PostgresStore(settings.store, settings.lock_seconds)
    return opened


def _postgres() -> Any:
    try:
        from remit.storage.postgres import store
    except ImportError as error:
        raise unavailable(
            f"a PostgreSQL store needs more than is installed ({error.name}): install `remit[postgres]` (docs/operating.md says how)"
        ) from None
    return store


def has_store(home: Path, settings: Settings) -> bool:
    """Whether there is a store to open; whether the one on a server is there shows when it is opened."""
    return bool(settings.store) or (home / STORE_FILE).exists()


def no_store(home: Path, settings: Settings, instead: str = "") -> RemitError:
    """What is wrong where there is none; `instead` is how a server is asked for the same, where one is named."""
    if not settings.server:
        return unavailable(f"there is no Remit store in `{home}`: run `remit init`, or set REMIT_HOME")
    ask = f"ask the server by `{instead}`, or run this" if instead else "run this"
    return unavailable(
        f"this works beside the store, and there is none in `{home}`: guards here ask `{settings.server}` (the setting `server`, "
        f"REMIT_SERVER); {ask} on the machine of its store, with its REMIT_HOME"
    )


class Embedded:
    """An embedded store, opened: the `Authorizer` of this process, and what the command line works with.

    Bounds a misled model, not hostile code: whoever runs in this process can reach around it.
    """

    def __init__(self, home: Path, settings: Settings, clock: Clock = wall_clock) -> None:
        self.home = home
        self.real_home = os.path.realpath(home)
        self.settings = settings
        self._pid = os.getpid()
        self.ending = False
        """Set once this process is to end: whoever waits for something is answered."""
        self.store = open_store(home, settings)
        try:
            self._start(home, settings, clock)
        except BaseException:  # nobody has it yet who could close it
            self.store.close()
            raise
        self._open = True

    def _start(self, home: Path, settings: Settings, clock: Clock) -> None:
        writer = new_id("wri", clock())
        opening = Record(encode_body(WriterOpened(__version__, self._pid)), "writer.opened")
        appender: Appender[Write] = Appender(self.store.groups, writer, opening)
        self.runtime = Runtime(View(self.store, compiled), appender, clock, ask_outside)
        self.head = Head(home, settings.origin, self.store.log)
        self.store.hold(writer)
        outcome.recover(self.runtime, self.store.gone())

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
        until = time.monotonic() + seconds
        return Waiting(lambda: self._state(approval), lambda: time.monotonic() < until and not self.ending)

    def why_denied(self, approval: ApprovalId) -> Driven[str]:
        """What whoever denied an access request says; see `Authorizer`."""
        return Driven(lambda: self._why_denied(approval))

    def _why_denied(self, approval: ApprovalId) -> Steps[str]:
        asking = Inquiry(lambda: self.store.approval(approval))
        yield asking
        return told(self.runtime, asking.said) if asking.said is not None else ""

    def _state(self, approval: ApprovalId) -> ApprovalState:
        found = self.store.approval(approval)
        if found is None:
            raise not_found(f"there is no access request `{approval}`")
        return state_of(self.runtime, found)

    @property
    def mode(self) -> str:
        """Whether what policy decides is enforced: the mode of the published bundle, empty without one."""
        view = self.runtime.view
        with view.lock:
            view.refresh()
            view.look()
            return view.bundle.mode.value if view.bundle is not None else ""

    def witness(self) -> "Witnessed | None":
        """Have the configured witnesses cosign the log's head; None if there are none. Raises `RemitError` (malformed, corrupt)."""
        if not self.settings.witnesses:
            return None
        from remit.local.witnessing import ask_witnesses, load_policy

        return ask_witnesses(self.head, load_policy(self.home, self.settings.witnesses))

    def close(self) -> None:
        """Settle what this process left open, and close the store. Safe to call twice."""
        if not self._open or os.getpid() != self._pid:
            return
        self._settle()
        self.runtime.appender.close()
        with suppress(RemitError):  # the head that was kept still holds; the next one to close signs what came since
            self.head.sign()
        self.store.close()
        self._open = False

    def _settle(self) -> None:
        """Say of each permit of this process that nobody has reported what is known: not performed where nobody has used it."""
        view = self.runtime.view
        with view.lock:
            left = [(permit, view.live.pop(permit.decision, None) is not None) for permit in list(view.permits.values())]
        status = {True: OutcomeStatus.NOT_PERFORMED, False: OutcomeStatus.UNKNOWN}
        # What cannot be recorded now is settled as unknown by the next process that starts.
        outcome.settle(
            self.runtime, [Outcome(permit.decision, permit.session, status[unused]) for permit, unused in left]
        ).result()


def create_store(home: Path) -> bool:
    """Make the store if there is none yet; whether it was made. Raises `RemitError` (unavailable) where it cannot be."""
    settings = read_settings(home)
    if settings.store:
        made: bool = _postgres().create(settings.store, settings.lock_seconds)
    else:
        made = not (home / STORE_FILE).exists()
    if made:
        Embedded(home, settings).close()
    return made


def fill_server(settings: Settings, rows: "Iterable[AnyRow]", lines: Iterable[Line]) -> None:
    """Fill the empty store on a server with what was copied. Raises `RemitError`: conflict where it is not empty, unavailable."""
    _postgres().fill(settings.store, settings.lock_seconds, rows, lines)


def migrate_store(home: Path) -> tuple[str, str]:
    """Bring a server's schema up to date; its revision before and after. The embedded store does so when it is opened.

    Raises `RemitError`: refused for the embedded store, unavailable or corrupt if the server's cannot be brought up to date.
    """
    settings = read_settings(home)
    if not settings.store:
        raise refused("the embedded store is brought up to date whenever it is opened: there is nothing to migrate")
    before, after = _postgres().upgrade(settings.store, settings.lock_seconds)
    return before, after


class Waiting:
    """A `Pending` answer by a person, looked for five times a second as long as `going_on`."""

    def __init__(self, state: Callable[[], ApprovalState], going_on: Callable[[], bool]) -> None:
        self._state = state
        self._going_on = going_on

    def result(self) -> ApprovalState:
        """Block until it is answered, or time is up."""
        while (state := self._state()) is ApprovalState.PENDING and self._going_on():
            time.sleep(_POLL)
        return state

    def __await__(self) -> Generator[Any, Any, ApprovalState]:
        """Await the answer, or the end of the time."""
        import asyncio

        while (state := self._state()) is ApprovalState.PENDING and self._going_on():
            yield from asyncio.sleep(_POLL).__await__()
        return state


def _forked(now: int) -> Generator[Ticket[Any], None, Decision]:
    if now < 0:
        yield Ticket((), (), 0, 0)
    return Deny(DecisionId(new_id("dec", now)), Reason.STORE_UNAVAILABLE, _FORKED)
