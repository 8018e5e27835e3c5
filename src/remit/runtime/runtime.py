"""What every act of this package works with, and how administrative acts are committed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import msgspec

from remit.decision_log.append import Appender, Conflict, Ticket
from remit.decision_log.store import Record
from remit.model.clock import Clock
from remit.model.errors import RemitError, conflict, malformed
from remit.pdp.outside import Ask
from remit.runtime.observing import Observer
from remit.runtime.pending import Steps
from remit.runtime.view import View
from remit.runtime.writes import Write

_encode = msgspec.msgpack.Encoder().encode
T = TypeVar("T")
ATTEMPTS = 24
"""So often is something decided again because its state moved in another process; then it is refused."""


class Runtime(msgspec.Struct, frozen=True):
    """One process's view of the store, its writer, its clock, how engines outside of it are asked, and who is told of decisions."""

    view: View
    appender: Appender[Write]
    clock: Clock
    ask: Ask
    observers: list[Observer] = []


PATIENCE = 4
"""After so many, no other process commits until it is its turn: whoever has what it decides on in memory would always be first."""


@contextmanager
def turn(runtime: Runtime, attempt: int) -> Iterator[bool]:
    """One attempt; whether it is one for which all other processes wait. Raises `RemitError` (unavailable)."""
    if attempt < PATIENCE:
        yield False
        return
    store, alone = runtime.view.store, runtime.appender.alone
    alone(store.take_turn)
    try:
        yield True
    finally:
        alone(store.end_turn)


Change = tuple[Sequence[Record], Sequence[Write]]


def _storable(prepare: Callable[[], Change]) -> Change:
    """Refuse here what the writer could not store: a fault in there would end it for everybody."""
    try:
        records, writes = prepare()
        _encode(writes)
    except (ValueError, OverflowError, TypeError) as error:
        raise malformed(f"it cannot be stored ({error}): use valid Unicode and numbers of at most 64 bits") from None
    return records, writes


def administer(runtime: Runtime, prepare: Callable[[], Change]) -> Steps[None]:
    """Commit an administrative change, prepared anew if something else changed meanwhile.

    Raises `RemitError` (conflict) when what it would change is no longer as it was, and whatever `prepare` raises.
    """
    for attempt in range(ATTEMPTS):
        with runtime.view.lock:
            revision = runtime.view.refresh()
            try:
                records, writes = _storable(prepare)
            except RemitError:
                # A refusal is not committed, so it meets no conflict: it must not rest on what another process has changed since.
                if attempt or not runtime.view.look():
                    raise
                records, writes = _storable(prepare)
            ticket = runtime.appender.submit(Ticket(records, writes, revision, runtime.clock()))
        try:
            yield ticket
            return
        except Conflict:
            with runtime.view.lock:
                runtime.view.forget_tasks()
            if attempt and runtime.view.store.revision == revision:
                break  # nothing administrative moved, so what it would change is not as it expects
    raise conflict("it was changed by somebody else meanwhile: look again")


class Moved(Exception):
    """Another bundle is published than the one that was asked."""


def published(runtime: Runtime) -> str:
    """What names the bundle that is published, empty without one."""
    bundle = runtime.view.bundle
    return bundle.digest if bundle is not None else ""


def asking_anew(attempt: Callable[[], Steps[T]], about: str) -> Steps[T]:
    """The steps of an attempt that asks policies first, and commits what they let pass: made anew where it raises `Moved`, since others
    were published meanwhile. Raises `RemitError` (conflict)."""
    for _ in range(ATTEMPTS):
        with suppress(Moved):
            return (yield from attempt())
    raise conflict(f"policies kept changing while they were asked {about}: do it again")
