"""Checking a backup without the store it is of: its files, its log, and whether a store can be made of it that is as its log says."""

import base64
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TypeVar

import msgspec

from remit.decision_log.checkpoint import Checkpoint, verify_checkpoint
from remit.decision_log.encoding import decode
from remit.decision_log.keys import Ed25519Signer, Ed25519Verifier
from remit.decision_log.merkle import Frontier, leaf_hash
from remit.decision_log.store import Line
from remit.decision_log.verify import Report, UnusableInput, verify_export
from remit.local.backup.ending import Ended, Ending
from remit.local.backup.manifest import INDEX, KEY, LOG, STATE, Manifest, copy_parts, read_manifest
from remit.local.wiring import Store
from remit.model.errors import corrupt, malformed
from remit.model.kill import KillKind
from remit.model.signing import VerificationKey
from remit.runtime.audit import differences
from remit.storage.copying import AnyRow, Found
from remit.storage.sqlite.copying import fill, remove
from remit.storage.sqlite.store import SqliteStore

T = TypeVar("T")


class Trusted(msgspec.Struct, frozen=True):
    """What the caller knows from elsewhere: the log's public key, and signed heads (whole notes) kept from before."""

    key: str | None = None
    heads: tuple[str, ...] = ()


class Checked(msgspec.Struct, frozen=True):
    """A backup whose files and log are as they were signed, in a copy of it (`folder`) that nobody else writes. `known` is the largest head
    kept from before: where it has more entries than the backup, these are not in it."""

    folder: Path
    manifest: Manifest
    key: VerificationKey
    report: Report
    known: Checkpoint | None

    @property
    def lost(self) -> int:
        """How many entries a known head has that the backup has not."""
        return max(0, self.known.size - self.manifest.size) if self.known is not None else 0

    def rows(self) -> Iterator[AnyRow]:
        """The rows of the state. Raises `RemitError` (corrupt)."""
        return _read(self.folder / STATE, msgspec.json.Decoder(AnyRow))

    def lines(self) -> Iterator[Line]:
        """The log's entries as a store takes them. Raises `RemitError` (corrupt), also for entries of a newer Remit."""
        found: Iterator[Found] = _read(self.folder / INDEX, msgspec.json.Decoder(Found))
        with open(self.folder / LOG, "rb") as file:
            file.readline(), file.readline()
            for index in range(self.manifest.size):
                line, by = file.readline()[:-1], next(found, None)
                if by is None:
                    raise corrupt(f"`{INDEX}` of the backup ends before entry {index}: take another backup")
                entry = decode(index, line)
                kind = str(entry.body.__struct_config__.tag)
                yield Line(entry.writer, entry.seq, entry.time, leaf_hash(line), line, kind, by.decision, by.task)
        if next(found, None) is not None:
            raise corrupt(f"`{INDEX}` of the backup goes on after its last entry: take another backup")


def check(folder: Path, trusted: Trusted, private: Path) -> Checked:
    """What a backup shows, copied into a new folder `private`, in which nobody else can write.

    Raises `RemitError`: not-found, malformed, refused for another log's, corrupt if it was changed, unavailable where it cannot be copied.
    """
    # INVARIANT (fail closed): whoever writes to the backup meanwhile changes nothing of what was checked, which is what is put back.
    key = VerificationKey.parse(trusted.key) if trusted.key is not None else None
    manifest, key = read_manifest(folder, key)
    copy_parts(folder, manifest, private)
    heads = {verify_checkpoint(head, Ed25519Verifier(key)): head for head in trusted.heads}
    known = max(heads, key=lambda head: head.size, default=None)
    within = max([head for head in heads if head.size <= manifest.size], key=lambda head: head.size, default=None)
    if manifest.keys and Ed25519Signer.load(key.name, private / KEY).key != key:
        raise corrupt(f"`{KEY}` of the backup is not the key that signed it: it was changed")
    try:
        report = verify_export(private / LOG, key.text, head=heads[within] if within is not None else None)
    except UnusableInput as unusable:
        raise malformed(str(unusable)) from None
    if not report.verified:
        first = report.findings[0]
        raise corrupt(f"the log in the backup does not verify (line {first.line}: {first.message}): take another backup")
    if (report.size, report.root) != (manifest.size, _base64(manifest.root)):
        raise corrupt("the log in the backup is not the one that its manifest names: it was changed")
    return Checked(private, manifest, key, report, known)


def rebuild(checked: Checked, ending: Ending, file: Path) -> Ended:
    """Make an embedded store of it in a new file, with what the restore ends, and compare it with its log.

    Raises `RemitError`: corrupt where the two differ, unavailable where the disk fails; then there is no file.
    """
    fill(file, *parts(checked, ending))
    try:
        made = SqliteStore(file)
        try:
            confirm(made, checked)
        finally:
            made.close()
    except BaseException:  # whatever ended it: half a store must not be taken for one
        remove(file)
        raise
    return ending.ended


def confirm(store: Store, checked: Checked) -> None:
    """Raises `RemitError` (corrupt) unless a store that was made of it begins with its log, is as its log says, and stands still."""
    said, leaves = checked.manifest, Frontier()
    for line in store.log.lines(0, said.size):
        leaves.append(leaf_hash(line))
    if (leaves.size, leaves.root().hex()) != (said.size, said.root):
        raise corrupt("the log of the store that was made is not the backup's: something else writes there, or its disk fails")
    if all(kill.kind is not KillKind.ALL for kill in store.kills()):
        raise corrupt("not everything is stopped in the store that was made: something else writes there")
    if wrong := differences(store.log, store):
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise corrupt(f"what the backup holds is not as its log says ({wrong[0]}{more}): take another backup")


def parts(checked: Checked, ending: Ending) -> tuple[Iterable[AnyRow], Iterable[Line]]:
    """Rows and lines to make a store of; the lines are to be read after the rows."""
    return ending.rows(checked.rows()), chain(checked.lines(), ending.lines(checked.report.last_time or 0))


def _read(path: Path, decoder: msgspec.json.Decoder[T]) -> Iterator[T]:
    with open(path, "rb") as file:
        for n, line in enumerate(file, 1):
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise corrupt(
                    f"line {n} of `{path.name}` cannot be read ({error}): restore it with the Remit that made it"
                ) from None


def _base64(root: str) -> str:
    return base64.b64encode(bytes.fromhex(root)).decode()
