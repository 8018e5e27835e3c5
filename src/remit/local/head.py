"""The head of the log: signed, kept beside the store, and exported or proven from with the entries it covers."""

import json
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from remit.decision_log.archive import SEGMENT, Segment, manifest_text, read_manifest
from remit.decision_log.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
    split_note,
    verify_checkpoint,
    with_signatures,
)
from remit.decision_log.entry import LogRestored
from remit.decision_log.export import ExportSummary, write_export
from remit.decision_log.keys import Ed25519Signer, Ed25519Verifier
from remit.decision_log.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from remit.decision_log.proofs import growth_text, inclusion_text
from remit.decision_log.store import LogReader
from remit.decision_log.tiles import Tiles
from remit.model.errors import ErrorKind, RemitError, corrupt, unavailable

KEY_FILE = "log.key"
HEAD_FILE = "log.head"


class _Kept(msgspec.Struct, frozen=True):
    note: str


def kept_note(file: Path) -> str:
    """The signed head in a file that keeps one. Raises `RemitError` (corrupt)."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Kept).note
    except (OSError, msgspec.MsgspecError) as error:
        raise corrupt(f"the log's head `{file}` cannot be read ({error}): restore it, or move it away") from None


class KeptHead(NamedTuple):
    """How many entries a head signs, how many witnesses have cosigned it, and since when (µs) it is kept as it is."""

    size: int
    cosignatures: int
    since: int


class Head:
    """Signs the log's size and root, and remembers the last it signed in a file of its own.

    A store that does not begin with what that head signed was truncated, written anew or replaced, and is refused: raises `RemitError`
    (corrupt).
    """

    def __init__(self, home: Path, origin: str, log: LogReader) -> None:
        self._file = home / HEAD_FILE
        self._log = log
        self._signer = _signer(home / KEY_FILE, origin)
        self._lock = threading.RLock()
        self._note, self._signed = self._remembered()
        self._check_size(log.size())
        if Tiles(log, self._signed.size).root(0, self._signed.size) != self._signed.root:
            raise self._regress(
                f"its first {self._signed.size} entries are not those of its last signed head: it was written anew"
            )

    @property
    def vkey(self) -> str:
        """The public key, as an auditor pins it (C2SP vkey)."""
        return self._signer.key.text

    @property
    def note(self) -> str:
        """The head that is kept, with the cosignatures it has; empty before the first."""
        return self._note

    @property
    def size(self) -> int:
        """How many entries the head signs."""
        return self._signed.size

    def kept(self) -> "KeptHead | None":
        """The head as it is kept, whichever process has signed it; None before the first. Raises `RemitError` (corrupt)."""
        try:
            since = self._file.stat().st_mtime_ns // 1000
        except OSError:
            return None
        note, signed = self._remembered()
        return KeptHead(signed.size, max(0, len(split_note(note)[1]) - 1) if note else 0, since)

    def _check_size(self, size: int) -> None:
        if self._signed.size > size:
            raise self._regress(f"it has {size} entries, its last signed head has {self._signed.size}: it was truncated")

    def _regress(self, what: str) -> RemitError:
        for entry in self._log.by_kind("log.restored", 1):
            if isinstance(said := entry.body, LogRestored):
                return corrupt(
                    f"the log is not the one that was signed: {what} or replaced. Its entry {entry.index} says that `{said.operator}` put "
                    f"back {said.backup}, of {said.size} entries: if that is so, move `{self._file}` away, and start again"
                )
        return corrupt(
            f"the log is not the one that was signed: {what} or replaced; restore a backup, or move `{self._file}` away if the loss is "
            "understood"
        )

    def _remembered(self) -> tuple[str, Checkpoint]:
        if not self._file.exists():
            return "", Checkpoint(self._signer.name, 0, EMPTY_ROOT)
        note = kept_note(self._file)
        try:
            return note, verify_checkpoint(note, Ed25519Verifier(self._signer.key))
        except (ValueError, RemitError) as error:
            named = _log_of(note)
            if named not in ("", self._signer.name):
                raise corrupt(
                    f"the log's head `{self._file}` is signed as `{named}`, the setting `origin` says `{self._signer.name}`: put it back"
                ) from None
            raise corrupt(f"the log's head `{self._file}` cannot be read ({error}): restore it, or move it away") from None

    def sign(self) -> str:
        """Sign the log as it is now, keep that head, and return the signed note.

        Raises `RemitError` (corrupt) where the log did not only grow since what was signed before.
        """
        with self._lock:
            return self._sign()

    def _sign(self) -> str:
        size = self._log.size()
        self._check_size(size)
        if size == self._signed.size and self._note:
            return self._note
        before = self._signed
        tiles = Tiles(self._log, size, before.size)
        checkpoint = Checkpoint(self._signer.name, size, tiles.root(0, size))
        # INVARIANT (the log convinces a stranger): nothing is signed that does not extend every head signed before.
        proof = consistency_proof(tiles.root, before.size, size)
        if not verify_consistency(before.size, before.root, size, checkpoint.root, proof):
            raise self._regress(f"its first {before.size} entries are not those of its last signed head: it was written anew")
        note = sign_checkpoint(checkpoint, self._signer)
        self._keep(checkpoint, note)
        self._note, self._signed = note, checkpoint
        return note

    def signed(self) -> tuple[str, Checkpoint]:
        """The head as of now: the signed note, and what it says. Raises as `sign` does."""
        with self._lock:
            return self.sign(), self._signed

    def sign_copy(self, log: LogReader) -> str:
        """The signed note of a copy of the log, made just now. Raises `RemitError` (corrupt) where that does not extend what was signed."""
        with self._lock:
            size, before = log.size(), self._signed
            tiles = Tiles(log, size, before.size)
            checkpoint = Checkpoint(self._signer.name, size, tiles.root(0, size))
            proof = consistency_proof(tiles.root, before.size, size) if before.size <= size else ()
            if not verify_consistency(before.size, before.root, size, checkpoint.root, proof):
                raise self._regress(f"its first {before.size} entries are not those of its last signed head: it was written anew")
            note = sign_checkpoint(checkpoint, self._signer)
            self._keep(checkpoint, note)
            return note

    def vouch(self, text: str) -> str:
        """A signed note of a text whose first line has a blank in it, so that it can be no checkpoint."""
        assert " " in text.partition("\n")[0]
        return sign_note(text, self._signer)

    def _keep(self, checkpoint: Checkpoint, note: str) -> None:
        if self._remembered()[1].size > checkpoint.size:
            return  # another process signed a later head meanwhile
        partial = self._file.with_suffix(f".{os.getpid()}.partial")
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(json.dumps({"note": note}))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self._file)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise unavailable(f"the log's head could not be kept in `{self._file}` ({error.strerror})") from None

    def add_cosignatures(self, lines: Iterable[str]) -> str:
        """Keep what witnesses signed below the head; returns the note. Raises `RemitError` (malformed) for a line that is none."""
        with self._lock:
            note = with_signatures(self._note, lines)
            if note != self._note:
                self._keep(self._signed, note)
                self._note = note
            return note

    def prove_entry(self, index: int) -> str:
        """That one entry is in the log, under the head as of now (C2SP tlog-proof).

        Raises `RemitError`: malformed if there is no such entry, corrupt if it is not the one that was logged.
        """
        note, head = self.signed()
        proof = inclusion_proof(Tiles(self._log, head.size, index).root, index, head.size)
        line = next(iter(self._log.lines(index, index + 1)))
        if not verify_inclusion(leaf_hash(line), index, head.size, proof, head.root):
            raise corrupt(f"entry {index} is not the one that was signed: run `remit log verify`, and restore a backup")
        return inclusion_text(line, index, proof, note)

    def prove_growth(self, kept: str) -> str:
        """That the log, under its head as of now, only grew since the signed head `kept`.

        Raises `RemitError`: malformed or refused if that is no head of this log, corrupt if the log does not begin with it.
        """
        before = verify_checkpoint(kept, Ed25519Verifier(self._signer.key))
        note, head = self.signed()
        if before.size > head.size:
            raise corrupt(f"the log has {head.size} entries, that head has {before.size}: it was truncated or replaced")
        proof = consistency_proof(Tiles(self._log, head.size, before.size).root, before.size, head.size)
        if not verify_consistency(before.size, before.root, head.size, head.root, proof):
            raise corrupt(f"the first {before.size} entries are not those of that head: one key signed two logs")
        return growth_text(before.size, proof, note)

    def growth_from(self, size: int) -> str:
        """What a witness is asked with that saw `size` entries: how the log grew from there to the signed head."""
        proof = consistency_proof(Tiles(self._log, self._signed.size, size).root, size, self._signed.size)
        return growth_text(size, proof, self._note)

    def manifest(self, segments: Sequence[Segment]) -> str:
        """The signed manifest of an archive of these segments, which leads to the signed head.

        Raises `RemitError` (corrupt) where that head does not sign exactly their entries.
        """
        size, head = len(segments) * SEGMENT, self._signed
        if size > head.size:
            raise corrupt(f"{size} entries were archived, the log has {head.size}: it was truncated or replaced")
        proof = consistency_proof(Tiles(self._log, head.size, size).root, size, head.size)
        # INVARIANT (the log convinces a stranger): no segment is signed whose entries are not those of the head. Segments are perfect
        # subtrees of one size, so the tree over their roots is that over their entries.
        if not verify_consistency(size, root_of(segment.root for segment in segments), head.size, head.root, proof):
            raise corrupt(f"the first {size} entries are not those that were archived: the log was written anew, verify it")
        return manifest_text(segments, self._signer, growth_text(size, proof, self._note))

    def read_manifest(self, text: str) -> list[Segment]:
        """The segments of an archive of this log; see `decision_log.archive.read_manifest`."""
        return read_manifest(text, Ed25519Verifier(self._signer.key))

    def export(self, path: Path, overwrite: bool, as_is: bool = False) -> ExportSummary:
        """Write the whole log, as of now, with its signed head. Raises as `write_export` does."""
        note = self.sign()
        return write_export(path, self._log.lines(0, self._signed.size), note, self.vkey, overwrite, as_is)


def _log_of(note: str) -> str:
    """The log that a note says it is the head of; empty where it is no head."""
    try:
        return parse_checkpoint(split_note(note)[0]).origin
    except (ValueError, RemitError):
        return ""


def _signer(path: Path, origin: str) -> Ed25519Signer:
    if not path.exists():
        try:
            Ed25519Signer.generate(origin).save(path)
        except RemitError as error:
            if error.kind is not ErrorKind.CONFLICT:  # another process that starts now has made it
                raise
    return Ed25519Signer.load(origin, path)
