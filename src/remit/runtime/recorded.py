"""A decision as it is on record, opened: for those who come back to it."""

import msgspec

from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealed import SealedDecision, open_sealed
from remit.decision_log.store import LogReader
from remit.model.identity import DecisionId, TaskId
from remit.runtime.runtime import Runtime


class Recorded(msgspec.Struct, frozen=True):
    """The entry of a decision, and what it keeps sealed; that is None once its task's key was destroyed."""

    body: DecisionMade
    sealed: SealedDecision | None


def recorded(runtime: Runtime, log: LogReader, decision: DecisionId) -> Recorded | None:
    """The decision of this id; None if there is none. Reads the store: not on an event loop."""
    body = next((entry.body for entry in log.by_decision(decision) if isinstance(entry.body, DecisionMade)), None)
    return None if body is None else opened_of(runtime, body)


def opened_of(runtime: Runtime, body: DecisionMade) -> Recorded:
    """An entry, opened."""
    with runtime.view.lock:
        runtime.view.refresh()
        # Only a task that exists has a key; what named an unknown one is sealed under the store's.
        return Recorded(body, open_sealed(body, runtime.view.key(TaskId(body.chain[0]) if body.chain else None)))
