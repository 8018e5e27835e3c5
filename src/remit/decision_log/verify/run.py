"""One export, read once from its first byte to its last."""

import base64
import os
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from .chains import Chains
from .entries import KNOWN_KINDS, read_entry
from .joins import Joins
from .notes import LOG_KEY, Key, Note, Wrong, is_name, read_key, read_note
from .report import Findings, Report, UnusableInput, shown
from .tree import Tree
from .trust import Trust, read_trust

HEADER = re.compile("remit-log-export/1 (.+)\n")
MAX_LINE, MAX_NOTE = 64 * 1024 * 1024, 1024 * 1024
PROGRESS_EVERY = 8192
BUFFER = 1024 * 1024

Progress = Callable[[int, int], None]
"""Called every few thousand lines with the bytes read and the bytes there are."""


def verify_export(
    path: str | Path,
    key: str | None = None,
    *,
    witnesses: Sequence[str] = (),
    policy: bytes | None = None,
    head: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verify an exported log. `key` is the log's, got from elsewhere; `witnesses` are theirs (C2SP vkey texts).

    `policy` is a file that names logs, witnesses and how many must have cosigned (C2SP tlog-policy). `head` is a signed checkpoint (its
    whole note) kept from before: the log must still begin with it. Raises `UnusableInput`.
    """
    verification = Verification(read_trust(key, witnesses, policy), head)
    try:
        with open(path, "rb", BUFFER) as stream:
            total = os.fstat(stream.fileno()).st_size
            return verification.run(stream, lambda done: progress(done, total) if progress else None)
    except OSError as error:
        raise UnusableInput(f"`{path}` cannot be read ({error.strerror}): give the path of an export") from None


class Verification:
    """What is known of an export so far."""

    def __init__(self, trust: Trust, head: str | None) -> None:
        """Raises `UnusableInput` for a head that is none."""
        self._trust = trust
        try:
            self._head = read_note(head.encode()) if head is not None else None
        except Wrong as wrong:
            raise UnusableInput(str(wrong)) from None
        self._findings = Findings()
        self._tree, self._chains, self._joins = Tree(), Chains(self._findings), Joins(self._findings)
        self._key: Key | None = next(iter(trust.logs), None)
        self._origin, self._line = "", 0
        self._cosigned: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._head_root = self._tree.root()

    def run(self, stream: BinaryIO, progress: Callable[[int], None]) -> Report:
        """Read header, entries and checkpoint."""
        if self._read_header(stream.readline(MAX_NOTE), stream.readline(MAX_NOTE)):
            self._read_entries(stream, progress)
        return self._report()

    def _read_header(self, first: bytes, second: bytes) -> bool:
        found = HEADER.fullmatch(first.decode(errors="surrogateescape"))
        if not found or not is_name(found[1]):
            self._findings.add(1, "header", "this is no export of a decision log, or one of another version")
            return False
        self._origin, self._line = found[1], 2
        try:
            key = _key_of_line(second)
        except Wrong as wrong:
            self._findings.add(2, "key", str(wrong))
            return True
        trusted = not self._trust.logs or key in self._trust.logs
        if not trusted:
            self._findings.add(2, "key", "the export names another key than the one given: another log's, or forged")
        elif key.name != self._origin:
            self._findings.add(2, "key", f"the key is of `{shown(key.name)}`, the export of `{shown(self._origin)}`")
        if trusted:
            self._key = key
        return True

    def _read_entries(self, stream: BinaryIO, progress: Callable[[int], None]) -> None:
        while raw := stream.readline(MAX_LINE):
            self._line += 1
            if raw == b"\n":
                note = stream.read(MAX_NOTE + 1)
                progress(stream.tell())
                self._read_checkpoint(note)
                return
            if raw[-1:] != b"\n":
                break
            self._read_line(raw[:-1])
            if self._line % PROGRESS_EVERY == 0:
                progress(stream.tell())
        message = "the export ends before its checkpoint, in or after this line: it was truncated"
        self._findings.add(self._line, "truncated", message)

    def _read_line(self, line: bytes) -> None:
        leaf = sha256(b"\x00" + line).digest()
        self._tree.add(leaf)
        if self._head is not None and self._head.size == self._tree.size:
            self._head_root = self._tree.root()
        try:
            envelope, entry = read_entry(line)
        except Wrong as wrong:
            self._findings.add(self._line, "entry", f"this is no entry: {wrong}")
            return
        kind = envelope[0]
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        self._chains.follow(self._line, envelope, leaf.hex())
        self._joins.join(self._line, kind, entry)

    def _read_checkpoint(self, raw: bytes) -> None:
        try:
            note = read_note(raw)
        except Wrong as wrong:
            self._findings.add(self._line + 1, "checkpoint", f"it was truncated or changed: {wrong}")
            return
        self._check_signatures(note, self._line + 5)
        if note.origin != self._origin:
            message = f"the checkpoint is of `{shown(note.origin)}`, the export of `{shown(self._origin)}`"
            self._findings.add(self._line + 1, "checkpoint", message)
        have, signed = self._tree.size, note.size
        if signed != have:
            what = "entries at the end are gone" if signed > have else "entries were added"
            message = f"the checkpoint is of {signed} entries, the export has {have}: {what}, or the checkpoint is forged"
            self._findings.add(self._line + 2, "size", message)
        elif note.root != self._tree.root():
            message = "the entries do not have this root: one was changed or moved, or the checkpoint is forged"
            self._findings.add(self._line + 3, "root", message)
        self._check_head()

    def _check_signatures(self, note: Note, line: int) -> None:
        name, id, signature = note.signatures[0]
        if self._key is None or (name, id) != (self._key.name, self._key.id):
            self._findings.add(line, "signature", "the checkpoint is not signed by the key of the log: it is forged")
        elif not self._key.signed(note.text.encode(), signature):
            self._findings.add(line, "signature", "the log's key did not sign this checkpoint: it was changed or forged")
        before, cosigned = ("", b""), set[Key]()
        for name, id, signature in note.signatures[1:]:
            line += 1
            witness = self._trust.witness(name, id)
            second = witness.cosigned(note, signature) if witness else None
            if witness is None or second is None:
                # INVARIANT (the log convinces a stranger): a signature that cannot be checked would be bytes nothing covers.
                why = "it is not of this checkpoint" if witness else "its key was not given"
                self._findings.add(line, "signature", f"the signature of `{shown(name)}` does not verify: {why}")
            elif (name, id) <= before:
                self._findings.add(line, "signature", "witnesses are not in the order of their names, or one stands twice")
            else:
                self._cosigned[name] = second
                cosigned.add(witness)
            before = (name, id)
        if not self._trust.enough(cosigned):
            self._findings.add(line, "quorum", "fewer witnesses cosigned the checkpoint than the policy demands")

    def _check_head(self) -> None:
        head = self._head
        if head is None:
            return
        if not _signed_by(head, self._key):
            message = "the known head is not signed by the key of this export: another log, or a forged one"
            self._findings.add(2, "head", message)
        elif head.size > self._tree.size:
            message = f"the log had {head.size} entries before, here are {self._tree.size}: it was truncated or rolled back"
            self._findings.add(self._line, "head", message)
        elif head.root != self._head_root:
            message = f"the first {head.size} entries are not those of the known head: the log was rewritten"
            self._findings.add(self._line, "head", message)

    def _report(self) -> Report:
        joins, kinds, chains = self._joins, self._kinds, self._chains.writers.values()
        return Report(
            verified=self._findings.count == 0,
            origin=self._origin,
            key=self._key.text if self._key else "",
            key_pinned=bool(self._trust.logs),
            size=self._tree.size,
            root=base64.b64encode(self._tree.root()).decode(),
            unwitnessed=not self._cosigned,
            witnesses=self._cosigned,
            head=self._head.size if self._head else None,
            writers=len(chains),
            kinds=kinds,
            unknown_kinds={shown(kind): count for kind, count in kinds.items() if kind not in KNOWN_KINDS},
            permits=joins.permits,
            denials=joins.denials,
            outcomes=joins.outcomes,
            open=joins.open,
            first_time=min((chain.first_time for chain in chains), default=None),
            last_time=max((chain.time for chain in chains), default=None),
            finding_count=self._findings.count,
            findings=tuple(self._findings.first),
        )


def _key_of_line(line: bytes) -> Key:
    if not line.startswith(b"key ") or not line.endswith(b"\n"):
        raise Wrong("the second line of an export is `key` and the log's key")
    return read_key(line[4:-1].decode(errors="surrogateescape"), LOG_KEY)


def _signed_by(note: Note, key: Key | None) -> bool:
    signatures = [signature for name, id, signature in note.signatures if key and (name, id) == (key.name, key.id)]
    return bool(key and signatures) and all(key.signed(note.text.encode(), one) for one in signatures if key)
