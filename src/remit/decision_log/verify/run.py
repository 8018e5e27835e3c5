"""One export, read once from its first byte to its last."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from .following import Following, read_head
from .notes import Note, Wrong, read_note
from .report import Findings, Report, UnusableInput
from .signing import Signing
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
    verification = Verification(read_trust(key, witnesses, policy), read_head(head))
    try:
        with open(path, "rb", BUFFER) as stream:
            total = os.fstat(stream.fileno()).st_size
            return verification.run(stream, lambda done: progress(done, total) if progress else None)
    except OSError as error:
        raise UnusableInput(f"`{path}` cannot be read ({error.strerror}): give the path of an export") from None


class Verification:
    """What is known of an export so far."""

    def __init__(self, trust: Trust, head: Note | None) -> None:
        self._findings = Findings()
        self._signing = Signing(trust, self._findings)
        self._following = Following(self._findings, head)
        self._line = 0

    def run(self, stream: BinaryIO, progress: Callable[[int], None]) -> Report:
        """Read header, entries and checkpoint."""
        if self._read_header(stream.readline(MAX_NOTE), stream.readline(MAX_NOTE)):
            self._read_entries(stream, progress)
        return self._following.report(self._signing)

    def _read_header(self, first: bytes, second: bytes) -> bool:
        found = HEADER.fullmatch(first.decode(errors="surrogateescape"))
        if not found or not self._signing.take_name(found[1], second):
            self._findings.add(1, "header", "this is no export of a decision log, or one of another version")
            return False
        self._line = 2
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
            self._following.take(self._line, raw[:-1])
            if self._line % PROGRESS_EVERY == 0:
                progress(stream.tell())
        message = "the export ends before its checkpoint, in or after this line: it was truncated"
        self._findings.add(self._line, "truncated", message)

    def _read_checkpoint(self, raw: bytes) -> None:
        try:
            note = read_note(raw)
        except Wrong as wrong:
            self._findings.add(self._line + 1, "checkpoint", f"it was truncated or changed: {wrong}")
            return
        self._signing.check(note, self._line + 1)
        tree = self._following.tree
        have, signed = tree.size, note.size
        if signed != have:
            what = "entries at the end are gone" if signed > have else "entries were added"
            message = f"the checkpoint is of {signed} entries, the export has {have}: {what}, or the checkpoint is forged"
            self._findings.add(self._line + 2, "size", message)
        elif note.root != tree.root():
            message = "the entries do not have this root: one was changed or moved, or the checkpoint is forged"
            self._findings.add(self._line + 3, "root", message)
        self._following.check_head(self._signing.key, 2, self._line)
