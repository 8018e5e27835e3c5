"""Outcomes and approvals, joined to the decisions they belong to."""

from hashlib import sha256
from typing import Any

from .entries import Entry
from .report import MAX_FINDINGS, Findings, Restored, shown

OPEN = "a permit without an outcome"
DONE = "a permit with its outcome"
DENIED = "a denial"
PENDING = "an access request nobody answered"
APPROVED = "an approval nobody used"
REFUSED = "a refused access request"
USED = "an approval that was used"
ENDED = "an access request that a restore ended"


class Joins:
    """What became of each decision and approval so far. Ids are kept as 16-byte digests, so that a million fit into memory."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._states: dict[str, dict[bytes, str]] = {"decision": {}, "approval": {}}
        self.permits = self.denials = self.outcomes = self.open = 0
        self.restored: list[Restored] = []

    def join(self, line: int, kind: str, entry: Entry, index: int) -> None:
        """Check that what an entry, which has this index in the log, refers to stands above it, and is as it must be then."""
        if kind == "decision":
            self._decision(line, entry)
        elif kind == "outcome":
            self.outcomes += 1
            self.open -= self._step(line, "decision", entry.get("decision"), OPEN, DONE)
        elif kind == "approval.requested":
            self._step(line, "decision", entry.get("decision"), DENIED, DENIED)
            self._step(line, "approval", entry.get("id"), None, PENDING)
        elif kind == "approval.submitted":
            self._step(line, "approval", entry.get("id"), PENDING, PENDING)
        elif kind == "approval":
            answer = APPROVED if entry.get("state") == "approved" else REFUSED
            self._step(line, "approval", entry.get("id"), PENDING, answer)
        elif kind == "log.restored":
            self._restored(line, entry, index)

    def _restored(self, line: int, entry: Entry, index: int) -> None:
        """The store was put back: what could be used then can be used no longer."""
        size, known = entry.get("size"), entry.get("known")
        if type(size) is not int or type(known) is not int or size != index - 1:
            message = f"it says that {shown(size)} entries were restored, above it stand {index}, its writer's first included"
            self._findings.add(line, "join", f"{message}: an entry was dropped, moved or forged")
            return
        states = self._states["approval"]
        states.update(dict.fromkeys([id for id, state in states.items() if state in (PENDING, APPROVED)], ENDED))
        if len(self.restored) < MAX_FINDINGS:
            self.restored.append(Restored(index, size, known))

    def _decision(self, line: int, entry: Entry) -> None:
        effect, approval = entry.get("effect"), entry.get("approval")
        if effect == "permit":
            self.permits += 1
            self.open += self._step(line, "decision", entry.get("id"), None, OPEN)
            if approval is not None:
                self._step(line, "approval", approval, APPROVED, USED)
        elif effect == "deny":
            self.denials += 1
            self._step(line, "decision", entry.get("id"), None, DENIED)
        else:
            self._findings.add(line, "entry", f"the effect of a decision is permit or deny, not `{shown(effect)}`")

    def _step(self, line: int, what: str, id: Any, before: str | None, after: str) -> bool:
        """Take a decision or approval from one state to the next, if it is in the one before."""
        states = self._states[what]
        try:
            digest = sha256(id.encode()).digest()[:16]
        except (AttributeError, UnicodeEncodeError):
            self._findings.add(line, "entry", f"it does not name its {what}: `{shown(id)}` is no id")
            return False
        state = states.get(digest)
        if state != before:
            message = f"{what} `{shown(id)}` must be {before or 'new'} here, but is {state or 'not in the log above'}"
            self._findings.add(line, "join", f"{message}: an entry was dropped, moved, repeated or forged")
            return False
        states[digest] = after
        return True
