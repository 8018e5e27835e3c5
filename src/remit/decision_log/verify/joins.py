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
        self._quorums: dict[bytes, set[str]] = {}
        """Who approved each request that waits for two people."""
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
            if self._step(line, "approval", entry.get("id"), None, PENDING) and entry.get("rule") == "two":
                self._quorums[_digest(entry["id"])] = set()
        elif kind in ("approval.submitted", "approval.escalated"):
            self._step(line, "approval", entry.get("id"), PENDING, PENDING)
        elif kind == "approval.given":
            if self._step(line, "approval", entry.get("id"), PENDING, PENDING):
                self._given(line, entry)
        elif kind == "approval":
            answer = APPROVED if entry.get("state") == "approved" else REFUSED
            if self._step(line, "approval", entry.get("id"), PENDING, answer):
                self._answered(line, entry, answer)
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
        self._quorums.clear()
        if len(self.restored) < MAX_FINDINGS:
            self.restored.append(Restored(index, size, known))

    def _given(self, line: int, entry: Entry) -> None:
        """One of the two approvals that a request needs, which must be those of two people."""
        given, by = self._quorums.get(_digest(entry["id"])), _person(entry)
        if given is None:
            self._findings.add(
                line, "join", f"approval `{shown(entry['id'])}` needs one person, but is given in part: an entry was forged"
            )
        elif by in given:
            self._findings.add(
                line, "join", f"approval `{shown(entry['id'])}` was given twice by one person: an entry was repeated or forged"
            )
        else:
            given.add(by)

    def _answered(self, line: int, entry: Entry, answer: str) -> None:
        given = self._quorums.pop(_digest(entry["id"]), None)
        if answer == APPROVED and given is not None and not given - {_person(entry)}:
            message = (
                f"approval `{shown(entry['id'])}` needs two people, and only one approved it: an entry was dropped or forged"
            )
            self._findings.add(line, "join", message)

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
            digest = _digest(id)
        except (AttributeError, UnicodeEncodeError):
            self._findings.add(line, "entry", f"it does not name its {what}: `{shown(id)}` is no id")
            return False
        state = states.get(digest)
        if state != before:
            found = f"by then it is {state}" if state else "no entry before this one has it"
            message = f"this entry needs {what} `{shown(id)}` to be {before or 'new'}, and {found}"
            self._findings.add(line, "join", f"{message}: an entry was dropped, moved, repeated or forged")
            return False
        states[digest] = after
        return True


def _digest(id: str) -> bytes:
    return sha256(id.encode()).digest()[:16]


def _person(entry: Entry) -> str:
    """Who an answer is by; nobody is two people by writing their name in another case."""
    by = entry.get("operator")
    return by.casefold() if isinstance(by, str) else ""
