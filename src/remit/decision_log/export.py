"""The log as one file that convinces a stranger: entries as they were hashed, and the signed checkpoint over them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec

from remit.decision_log.checkpoint import Checkpoint, split_note, verify_checkpoint
from remit.decision_log.keys import Ed25519Verifier
from remit.decision_log.merkle import Frontier, leaf_hash
from remit.decision_log.whole_files import new_file
from remit.model.errors import conflict, corrupt, malformed, refused, unavailable
from remit.model.signing import VerificationKey

HEADER = "remit-log-export/1"


class ExportSummary(msgspec.Struct, frozen=True):
    """What was written: `size` entries in `bytes` bytes, and the root (32 bytes) that the checkpoint signs."""

    path: str
    origin: str
    size: int
    root: bytes
    bytes: int


def write_export(
    path: Path, lines: Iterable[bytes], note: str, vkey: str, overwrite: bool = False, as_is: bool = False
) -> ExportSummary:
    """Write the lines (without newlines), the key (C2SP vkey text) and the signed checkpoint over exactly these lines.

    With `as_is`, the lines need not be those that the checkpoint signs: the file is for a verifier to say what is wrong with them.
    Lines are streamed, and the file appears whole (mode 0600) and durable, or not at all. The grammar is in docs/log-format.md.
    Raises `RemitError`: conflict where the file exists and is not to be overwritten, refused or malformed where the note is not this
    key's or has signatures that an export cannot carry, corrupt where the lines are not those the checkpoint signs, unavailable where
    the disk fails.
    """
    key = VerificationKey.parse(vkey)
    checkpoint = verify_checkpoint(note, Ed25519Verifier(key))
    _check_signature_order(note, key)
    with new_export(path, overwrite) as file:
        file.write(f"{HEADER} {key.name}\nkey {key.text}\n".encode())
        if as_is:
            file.writelines(line + b"\n" for line in lines)
        else:
            _write_lines(file, lines, checkpoint)
        file.write(b"\n" + note.encode())
        written = file.tell()
    return ExportSummary(str(path), key.name, checkpoint.size, checkpoint.root, written)


@contextmanager
def new_export(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A new file that appears whole (mode 0600) and durable when the block ends, or not at all.

    Raises `RemitError`: conflict where the file exists and is not to be overwritten, unavailable where the disk fails.
    """
    if not overwrite and path.exists():
        raise _exists(path)
    try:
        with new_file(path, overwrite) as file:
            yield file
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise unavailable(
            f"the export `{path}` could not be written ({error.strerror}): free or mend the disk and export again"
        ) from None


def _check_signature_order(note: str, key: VerificationKey) -> None:
    # INVARIANT (the log convinces a stranger): every byte of an export is covered, so signature lines have one order and no repeats.
    _, signatures = split_note(note)
    names = [(signature.name, signature.key_id) for signature in signatures]
    if names[0] != (key.name, key.id) or any(a >= b for a, b in pairwise(names[1:])):
        raise refused("an export carries the log's signature first, then one of each witness, sorted by name: order the note so")
    if (key.name, key.id) in names[1:]:
        raise refused(f"the checkpoint is signed twice by `{key.name}`: an export carries one signature of each key")


def _write_lines(file: BinaryIO, lines: Iterable[bytes], checkpoint: Checkpoint) -> None:
    frontier = Frontier()
    for line in lines:
        if not line or b"\n" in line:
            raise malformed(f"entry {frontier.size} is empty or has a newline in it: verify the log")
        frontier.append(leaf_hash(line))
        file.write(line + b"\n")
    if frontier.size != checkpoint.size:
        raise corrupt(f"the checkpoint is of {checkpoint.size} entries, {frontier.size} were read: export them to its size")
    if frontier.root() != checkpoint.root:
        raise corrupt("the entries are not those the checkpoint signs: the stored log was changed, verify it")


def _exists(path: Path) -> Exception:
    return conflict(f"`{path}` exists: give another path, or replace it with `--overwrite`")
