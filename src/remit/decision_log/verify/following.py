"""The entries of a log, followed from the first to the last: their tree, chains, joins and break-glass, and a head kept from before."""

import base64
from hashlib import sha256

from .break_glass import BreakGlasses
from .chains import Chains
from .entries import KNOWN_KINDS, Entry, Envelope, read_entry
from .joins import Joins
from .notes import Key, Note, Wrong, read_note
from .report import Findings, Report, UnusableInput, shown
from .signing import Signing
from .tree import Tree


def read_head(head: str | None) -> Note | None:
    """A signed checkpoint that was kept from before. Raises `UnusableInput` for what is none."""
    try:
        return read_note(head.encode()) if head is not None else None
    except Wrong as wrong:
        raise UnusableInput(str(wrong)) from None


class Following:
    """What is known of the entries so far."""

    def __init__(self, findings: Findings, head: Note | None) -> None:
        self._findings = findings
        self._chains, self._joins, self._glasses = Chains(findings), Joins(findings), BreakGlasses(findings)
        self._kinds: dict[str, int] = {}
        self.tree = Tree()
        self.head = head
        self._head_root = self.tree.root()

    def take(self, number: int, line: bytes) -> tuple[Envelope, Entry] | None:
        """Check the next entry, of which findings say `number`; what it says, if it is one."""
        leaf = sha256(b"\x00" + line).digest()
        self.tree.add(leaf)
        if self.head is not None and self.head.size == self.tree.size:
            self._head_root = self.tree.root()
        try:
            if b"\n" in line:
                raise Wrong("it has more than one line")
            envelope, entry = read_entry(line)
        except Wrong as wrong:
            self._findings.add(number, "entry", f"this is no entry: {wrong}")
            return None
        kind = envelope[0]
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        self._chains.follow(number, envelope, leaf.hex())
        self._joins.join(number, kind, entry, self.tree.size - 1)
        self._glasses.follow(number, kind, entry)
        return envelope, entry

    def check_head(self, key: Key | None, key_line: int, last_line: int, grown: Note | None = None) -> None:
        """Compare with the known head, whose key must be the log's; one of the size of `grown`, to which the entries lead, with that."""
        head, root = self.head, self._head_root
        if head is None:
            return
        if not _signed_by(head, key):
            message = "the known head is not signed by the key of this log: another log, or a forged one"
            self._findings.add(key_line, "head", message)
            return
        if grown is not None and grown.size == head.size:
            root = grown.root
        elif head.size > self.tree.size:
            message = f"the log had {head.size} entries before, here are {self.tree.size}: it was truncated or rolled back"
            self._findings.add(last_line, "head", message + self._why())
            return
        if head.root != root:
            message = f"the first {head.size} entries are not those of the known head: the log was rewritten"
            self._findings.add(last_line, "head", message + self._why())

    def _why(self) -> str:
        """What the log itself says of why it does not go on from a head that was kept."""
        return f" ({self._joins.restored[-1].words})" if self._joins.restored else ""

    def report(self, signing: Signing) -> Report:
        """What was verified."""
        joins, kinds, chains = self._joins, self._kinds, self._chains.writers.values()
        return Report(
            verified=self._findings.count == 0,
            origin=signing.origin,
            key=signing.key.text if signing.key else "",
            key_pinned=signing.pinned,
            size=self.tree.size,
            root=base64.b64encode(self.tree.root()).decode(),
            unwitnessed=not signing.cosigned,
            witnesses=signing.cosigned,
            head=self.head.size if self.head else None,
            writers=len(chains),
            kinds=kinds,
            unknown_kinds={shown(kind): count for kind, count in kinds.items() if kind not in KNOWN_KINDS},
            permits=joins.permits,
            denials=joins.denials,
            outcomes=joins.outcomes,
            open=joins.open,
            restored=tuple(joins.restored),
            first_time=min((chain.first_time for chain in chains), default=None),
            last_time=max((chain.time for chain in chains), default=None),
            finding_count=self._findings.count,
            findings=tuple(self._findings.first),
        )


def _signed_by(note: Note, key: Key | None) -> bool:
    signatures = [signature for name, id, signature in note.signatures if key and (name, id) == (key.name, key.id)]
    return bool(key and signatures) and all(key.signed(note.text.encode(), one) for one in signatures if key)
