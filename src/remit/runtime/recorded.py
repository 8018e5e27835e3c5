"""A decision as it is on record, opened: for those who come back to it."""

import msgspec

from remit.decision_log.entry import DecisionMade, Entry
from remit.decision_log.sealed import SealedDecision, open_sealed
from remit.decision_log.store import LogReader
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import DecisionId, TaskId
from remit.runtime.runtime import Runtime


class Recorded(msgspec.Struct, frozen=True):
    """The entry of a decision, and what it keeps sealed; that is None once its task's key was destroyed."""

    body: DecisionMade
    sealed: SealedDecision | None


def recorded(runtime: Runtime, log: LogReader, decision: DecisionId) -> Recorded | None:
    """The decision of this id; None if there is none. Reads the store: not on an event loop."""
    body = decision_of(log, decision)
    return None if body is None else opened_of(runtime, body)


def decision_of(log: LogReader, decision: str) -> DecisionMade | None:
    """The decision of this id, still sealed; None if there is none. Reads the store: not on an event loop."""
    entry = entry_of(log, decision)
    return entry.body if entry is not None and isinstance(entry.body, DecisionMade) else None


def entry_of(log: LogReader, decision: str) -> Entry | None:
    """The entry of the decision of this id; None if there is none. Reads the store: not on an event loop."""
    try:
        found = log.by_decision(decision)
    except RemitError as error:
        if error.kind is ErrorKind.MALFORMED:
            return None  # what is no text names no decision
        raise
    return next((entry for entry in found if isinstance(entry.body, DecisionMade)), None)


def opened_of(runtime: Runtime, body: DecisionMade) -> Recorded:
    """An entry, opened."""
    with runtime.view.lock:
        runtime.view.look()  # what another process has erased is erased here
        # Only a task that exists has a key; what named an unknown one is sealed under the store's.
        return Recorded(body, open_sealed(body, runtime.view.key(TaskId(body.chain[0]) if body.chain else None)))
