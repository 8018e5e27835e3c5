"""Access requests by what they are and not by what they show, which can be long, when all of them are asked about."""

import threading
from typing import NamedTuple

from remit.model.authorizer import ApprovalState
from remit.model.identity import AgentId, ApprovalId, TaskId
from remit.runtime.store import Approval, RuntimeStore

_AT_ONCE = 500


class AskedBy(NamedTuple):
    """Whose an access request is, and what for; when it was opened, ends and was told to further people (µs); in one of its versions."""

    id: ApprovalId
    version: int
    agent: AgentId
    task: TaskId | None
    tool: str
    opened: int
    expires: int
    escalated: int


def asked_by(one: Approval) -> AskedBy:
    """This of an access request."""
    return AskedBy(one.id, one.version, one.agent, one.task, one.tool, one.opened, one.expires, one.escalated)


class Asked:
    """The access requests of a store that no person has answered; each of their versions is read once. Safe to share between threads."""

    def __init__(self, store: RuntimeStore) -> None:
        self._store, self._lock = store, threading.Lock()
        self._known: dict[ApprovalId, AskedBy] = {}

    def since(self, first: ApprovalId) -> list[tuple[AskedBy, ApprovalState]]:
        """Those from this id on, oldest first, and whether they wait, were taken back or are over. Reads the store."""
        with self._lock:
            found, known = self._store.unanswered_since(first), self._known
            new = [name for name, version, _ in found if name not in known or known[name].version < version]
            for start in range(0, len(new), _AT_ONCE):
                known |= {one.id: asked_by(one) for one in self._store.approvals_named(new[start : start + _AT_ONCE])}
            self._known = {name: known[name] for name, _, _ in found if name in known}
            return [(self._known[name], state) for name, _, state in found if name in known]

    def waiting_since(self, first: ApprovalId) -> list[AskedBy]:
        """Those of them that wait."""
        return [one for one, state in self.since(first) if state is ApprovalState.PENDING]
