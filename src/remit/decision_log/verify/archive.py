"""An archive: a folder of segments, and the signed manifest that says which files they are and to which head they lead."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from .following import Following, read_head
from .notes import Note, Wrong, read_note, read_signature
from .proofs import read_growth
from .report import ArchiveReport, Findings, UnusableInput, shown
from .segments import check_library, read_rows, row_of
from .signing import Signing
from .tree import Tree, grew
from .trust import Trust, read_trust

MANIFEST = "manifest"
SEGMENT = 65_536
"""Entries of a segment."""
HEADER = re.compile("remit-log-archive/1 (.+)")
MAX_MANIFEST = 64 * 1024 * 1024
BUFFER = 1024 * 1024
_SEGMENT = re.compile("segment ([0-9a-f]{64}) ([0-9a-f]{64})")


@dataclass(frozen=True)
class Manifest:
    """What a manifest says: SHA-256 of each segment's file, the root over all entries, and the checkpoint that the log grew to."""

    digests: Sequence[bytes]
    root: bytes
    note: Note


def is_archive(path: str | Path) -> bool:
    """Whether what is there could be an archive: a folder."""
    return os.path.isdir(path)


def verify_archive(
    path: str | Path,
    key: str | None = None,
    *,
    witnesses: Sequence[str] = (),
    policy: bytes | None = None,
    head: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ArchiveReport:
    """Verify an archive; see `verify_export`. `progress` is called with the segments read and those there are.

    Raises `UnusableInput` also where no library for Parquet is installed.
    """
    verification = Verification(Path(path), read_trust(key, witnesses, policy), read_head(head))
    check_library()
    try:
        return verification.run(progress)
    except OSError as error:
        raise UnusableInput(f"`{path}` cannot be read ({error.strerror}): give the folder of an archive") from None


class Verification:
    """What is known of an archive so far."""

    def __init__(self, folder: Path, trust: Trust, head: Note | None) -> None:
        self._folder = folder
        self._findings = Findings()
        self._signing = Signing(trust, self._findings)
        self._following = Following(self._findings, head)
        self._row = 0

    def run(self, progress: Callable[[int, int], None] | None) -> ArchiveReport:
        """Read the manifest, and what it vouches for."""
        try:
            with open(self._folder / MANIFEST, "rb") as file:
                raw = file.read(MAX_MANIFEST + 1)
        except FileNotFoundError:
            raise UnusableInput(f"`{self._folder}` is no archive: it has no file `{MANIFEST}`") from None
        manifest = self._read_manifest(raw)
        # INVARIANT (the log convinces a stranger): nothing is parsed as Parquet that the log's key did not sign.
        if manifest is None or self._findings.count:
            return self._report(None)
        self._check_comparable(manifest)
        self._check_names(len(manifest.digests))
        for n, digest in enumerate(manifest.digests):
            self._read_segment(n, digest)
            if progress is not None:
                progress(n + 1, len(manifest.digests))
        if not self._findings.count and self._following.tree.root() != manifest.root:
            self._findings.add(self._row, "root", "the entries do not have the roots of the manifest: one was changed or moved")
        self._following.check_head(self._signing.key, 0, self._row, manifest.note)
        return self._report(manifest)

    def _read_manifest(self, raw: bytes) -> Manifest | None:
        try:
            text, signature, growth = _parts(raw)
            first, key, *lines = text.split("\n")
            found = HEADER.fullmatch(first)
            if not found or not self._signing.take_name(found[1], key.encode() + b"\n"):
                raise Wrong("its first line is not that of an archive, or of one of another version")
            self._check_signature(text, signature)
            return self._manifest(lines[:-1], growth, raw.count(b"\n"))
        except Wrong as wrong:
            self._findings.add(1, "manifest", f"the manifest cannot be used: {wrong}")
            return None

    def _check_signature(self, text: str, line: str) -> None:
        name, id, signature = read_signature(line)
        key = self._signing.key
        if key is None or (name, id) != (key.name, key.id) or not key.signed(text.encode(), signature):
            self._findings.add(1, "signature", "the log's key did not sign the manifest: it was changed or forged")

    def _manifest(self, lines: Sequence[str], growth: bytes, last: int) -> Manifest:
        named = [_SEGMENT.fullmatch(line) for line in lines]
        if not all(named):
            raise Wrong("it names a segment as no manifest does")
        before, hashes, checkpoint = read_growth(growth)
        note = read_note(checkpoint)
        self._signing.check(note, last - checkpoint.count(b"\n") + 1)
        roots = Tree()
        for one in named:
            roots.add(bytes.fromhex(one[2]) if one else b"")
        if before != len(named) * SEGMENT or before > note.size:
            raise Wrong(f"it has {len(named)} segments, and says that the log grew from {before} entries to {note.size}")
        # Segments are perfect subtrees of one size, so the tree over their roots is that over their entries.
        if not grew(before, roots.root(), note.size, note.root, hashes):
            self._findings.add(1, "root", "the segments are not those that were signed: one was changed, or the proof is forged")
        return Manifest([bytes.fromhex(one[1]) for one in named if one], roots.root(), note)

    def _check_comparable(self, manifest: Manifest) -> None:
        head, size = self._following.head, len(manifest.digests) * SEGMENT
        if head is not None and size < head.size < manifest.note.size:
            raise UnusableInput(
                f"the known head is of {head.size} entries, between the {size} that are archived and the {manifest.note.size} of the "
                "archive's checkpoint: give one of those sizes, or an older one, or verify an export"
            )

    def _check_names(self, count: int) -> None:
        expected = {segment_name(n) for n in range(count)}
        for name in sorted(os.listdir(self._folder)):
            if name.endswith(".parquet") and name not in expected:
                message = f"`{shown(name)}` is not in the manifest, so nothing vouches for it: archive again, or remove it"
                self._findings.add(0, "segment", message)

    def _read_segment(self, n: int, digest: bytes) -> None:
        """Check a segment. After one that cannot be followed, of the others only that they are the files that were signed."""
        name, follow = segment_name(n), self._row == n * SEGMENT
        try:
            with open(self._folder / name, "rb", BUFFER) as file:
                if _digest(file) != digest:
                    raise Wrong("it is not the file that was signed: changed, truncated, or another")
                if follow:
                    file.seek(0)
                    self._follow(file)
                    if self._row != (n + 1) * SEGMENT:
                        raise Wrong(f"it has {self._row - n * SEGMENT} entries instead of {SEGMENT}")
        except FileNotFoundError:
            self._findings.add(n * SEGMENT + 1, "segment", f"`{name}` is missing")
        except Wrong as wrong:
            self._findings.add(n * SEGMENT + 1, "segment", f"`{name}` does not verify: {wrong}")

    def _follow(self, file: BinaryIO) -> None:
        for rows in read_rows(file):
            for at, line in enumerate(rows["line"]):
                if type(line) is not bytes:
                    raise Wrong("it has a row without a line")
                index = self._row
                row = row_of(index, line, self._following.take(index + 1, line))
                wrong = ", ".join(name for name, value in row.items() if rows[name][at] != value)
                if wrong:
                    self._findings.add(index + 1, "column", f"not what the line says stands in {wrong}: it was changed")
                self._row += 1

    def _report(self, manifest: Manifest | None) -> ArchiveReport:
        segments, signed = (len(manifest.digests), manifest.note.size) if manifest else (0, 0)
        return ArchiveReport(**vars(self._following.report(self._signing)), segments=segments, signed=signed)


def segment_name(n: int) -> str:
    """The file of segment `n`, which names its first entry."""
    return f"entries-{n * SEGMENT:012}.parquet"


def _parts(raw: bytes) -> tuple[str, str, bytes]:
    """The signed text, the line that signs it, and how the log grew. Raises `Wrong`."""
    if len(raw) > MAX_MANIFEST:
        raise Wrong("it is too long for a manifest")
    parts = raw.split(b"\n\n", 2)
    try:
        text, signature = (part.decode() for part in parts[:2])
    except ValueError:
        raise Wrong("it has a text, its signature and a proof of growth, with blank lines between") from None
    if len(parts) != 3:
        raise Wrong("it ends before its proof of growth: it was truncated")
    return text + "\n", signature, parts[2]


def _digest(file: BinaryIO) -> bytes:
    found = sha256()
    while piece := file.read(BUFFER):
        found.update(piece)
    return found.digest()
