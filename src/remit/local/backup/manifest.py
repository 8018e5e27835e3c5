"""What a backup is: which files, with their digests, signed by the log's key (docs/backup.md)."""

import os
import stat
import sys
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from remit.credentials.minting import FOLDER
from remit.decision_log.checkpoint import open_note
from remit.decision_log.keys import Ed25519Verifier
from remit.local import enrolment
from remit.local.head import HEAD_FILE, KEY_FILE
from remit.local.wiring import STORE_FILE
from remit.model.errors import RemitError, corrupt, malformed, not_found, refused, unavailable
from remit.model.signing import VerificationKey
from remit.storage.copying import SCHEMA

HEADER = "remit-backup/1"
MANIFEST = "manifest"
LOG, STATE, INDEX = "log.export", "state.jsonl", "index.jsonl"
HOME, KEY = "home", "keys/log.key"
"""The folder of the files from REMIT_HOME, and the log's private key."""
FOLLOWING = ("streams", "webhooks")
"""The folders of REMIT_HOME that say how far whoever follows the log came."""
MAX_BYTES = 1024 * 1024
_BUFFER = 1024 * 1024
_OTHERS = (FOLDER, enrolment.FILE, "writers", *FOLLOWING)
_BEGINNINGS = (STORE_FILE, HEAD_FILE, KEY_FILE)
_ENDS = (".key", ".lock", ".partial", ".pem", ".secret")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: its path in the backup with `/`, its length, and SHA-256 (hex) of what it holds."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`taken` is when (µs), `version` and `schema` by which Remit, `store` from which kind. The log has `size` entries and this root (hex).
    `elsewhere` are files that the settings name and that lie outside of REMIT_HOME: they are not in it."""

    backup: str
    taken: int
    version: str
    schema: int
    store: str
    size: int
    root: str
    keys: bool
    parts: tuple[Part, ...]
    elsewhere: tuple[str, ...]


def manifest_text(manifest: Manifest, key: VerificationKey) -> str:
    """What is signed."""
    return f"{HEADER} {key.name}\nkey {key.text}\n{msgspec.json.encode(manifest).decode()}\n"


def read_manifest(folder: Path, trusted: VerificationKey | None) -> tuple[Manifest, VerificationKey]:
    """The manifest of a backup and the key that signed it, which must be the trusted one, if any is.

    Raises `RemitError`: not-found, malformed for what is no backup or a newer Remit's, refused for another log's, corrupt if changed.
    """
    note = _note(folder)
    first, second, *_ = [*note.split("\n"), "", ""]
    if not first.startswith(f"{HEADER} "):
        newer = first.startswith("remit-backup/")
        raise malformed(
            f"`{folder}` is a backup of a newer Remit (`{first.split(' ')[0]}`): restore it with that"
            if newer
            else f"`{folder}` is no backup: its manifest begins otherwise"
        )
    key = VerificationKey.parse(second.removeprefix("key "))
    if first != f"{HEADER} {key.name}":
        raise corrupt(f"the backup `{folder}` is of one log, its key of another: it was changed")
    if trusted is not None and key != trusted:
        raise refused(f"`{folder}` is a backup of another log: its key is `{key.text}`, not `{trusted.text}`")
    try:
        document = open_note(note, Ed25519Verifier(key), "the manifest").split("\n")[2]
    except RemitError as error:
        raise corrupt(f"the manifest of `{folder}` cannot be believed ({error.message}): take another backup") from None
    return _read(folder, document), key


def _note(folder: Path) -> str:
    path = folder / MANIFEST
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise malformed(f"`{path}` is too long for a manifest: `{folder}` is no backup")
        return content.decode()
    except (FileNotFoundError, NotADirectoryError):
        raise not_found(f"there is no backup in `{folder}`: give the folder that `remit backup create` made") from None
    except UnicodeDecodeError:
        raise malformed(f"`{path}` is no text: `{folder}` is no backup") from None
    except OSError as error:
        raise unavailable(f"the backup `{folder}` cannot be read ({error.strerror})") from None


def _read(folder: Path, document: str) -> Manifest:
    try:
        schema = msgspec.json.decode(document, type=dict[str, msgspec.Raw]).get("schema", msgspec.Raw(b"0"))
        if msgspec.json.decode(schema, type=int) > SCHEMA:
            raise malformed(f"`{folder}` was written by a newer Remit (schema {bytes(schema).decode()}): restore it with that")
        manifest = msgspec.json.decode(document, type=Manifest)
    except msgspec.MsgspecError as error:
        raise malformed(f"the manifest of `{folder}` cannot be read ({error}): restore it with the Remit that made it") from None
    names = [part.name for part in manifest.parts]
    wanted = {LOG, STATE, INDEX, *([KEY] if manifest.keys else [])}
    if len(names) != len(set(names)) or not wanted <= set(names) or not all(map(_is_name, set(names) - wanted)):
        raise malformed(f"the manifest of `{folder}` names other files than a backup has: it is none")
    return manifest


def _is_name(name: str) -> bool:
    """Whether it is the path of a file from REMIT_HOME that a backup may hold, which leads nowhere else."""
    path = PurePosixPath(name)
    inside = (
        path.parts[:1] == (HOME,) and len(path.parts) > 1 and ".." not in path.parts and str(path) == name and "\0" not in name
    )
    return inside and may_hold(name.removeprefix(f"{HOME}/"))


def may_hold(name: str) -> bool:
    """Whether a backup may hold this file of REMIT_HOME: none of a store, no key, lock or secret, none that is hidden."""
    # INVARIANT (fail closed): nothing that lies beside a store is put where whoever opens that would take it for a part of it.
    first, *further = parts = name.casefold().split("/")
    if any(part.startswith(".") or part.endswith(_ENDS) for part in parts):
        return False
    if first in FOLLOWING:
        return len(further) == 1 and further[0].endswith(".json")
    return first not in _OTHERS and not first.startswith(_BEGINNINGS)


def copy_parts(folder: Path, manifest: Manifest, private: Path) -> None:
    """Copy what was signed into a new folder. Raises `RemitError`: corrupt unless the backup has exactly these files, each as it was
    written; unavailable where they cannot be copied."""
    have = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    expected = {part.name for part in manifest.parts} | {MANIFEST}
    for name in sorted(expected - have):
        raise corrupt(f"the backup `{folder}` lacks `{name}`: it was cut short; take another backup")
    for name in sorted(have - expected):
        raise corrupt(f"the backup `{folder}` has a file more, `{name}`: it was changed; remove it if you know whose it is")
    private.mkdir(mode=0o700)
    for part in manifest.parts:
        length, digest = _copied(folder / part.name, private / part.name, part.bytes)
        if (length, digest) != (part.bytes, part.sha256):
            how = f"it has {length} bytes of {part.bytes}" if length < part.bytes else "it was changed"
            raise corrupt(f"`{part.name}` of the backup `{folder}` is not what was written ({how}): take another backup")


def _copied(path: Path, copy: Path, most: int) -> tuple[int, str]:
    """Copy a file, or a little more than `most` bytes of it; the length and SHA-256 (hex) of what was copied."""
    with _opened(path) as file:
        try:
            copy.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
            with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                os.fchmod(out.fileno(), os.fstat(file.fileno()).st_mode & 0o066 | 0o600)  # a key that others can read is refused
                return _passed(file, most, out)
        except OSError as error:
            raise unavailable(f"`{path}` cannot be copied to be checked ({error.strerror}): free or mend the disk") from None


def measured(path: Path) -> tuple[int, str]:
    """The length of a file and SHA-256 (hex) of what it holds. Raises `RemitError` (corrupt, unavailable)."""
    with _opened(path) as file:
        try:
            return _passed(file, sys.maxsize, None)
        except OSError as error:
            raise unavailable(f"`{path}` cannot be read ({error.strerror})") from None


def _opened(path: Path) -> BinaryIO:
    """A file that is one, and no link to one. Raises `RemitError` (corrupt, unavailable)."""
    try:
        # Without waiting: nobody might ever write into a pipe.
        file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise unavailable(f"`{path}` cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise corrupt(f"`{path}` is no file: it was put there")
    return file


def _passed(file: BinaryIO, most: int, out: BinaryIO | None) -> tuple[int, str]:
    length, digest = 0, sha256()
    while length <= most and (block := file.read(_BUFFER)):
        length += len(block)
        digest.update(block)
        if out is not None:
            out.write(block)
    return length, digest.hexdigest()
