"""What a backup is: which files, with their digests, signed by the log's key (docs/backup.md)."""

import os
import stat
from hashlib import sha256
from pathlib import Path, PurePosixPath

import msgspec

from remit.decision_log.checkpoint import open_note
from remit.decision_log.keys import Ed25519Verifier
from remit.model.errors import RemitError, corrupt, malformed, not_found, refused, unavailable
from remit.model.signing import VerificationKey
from remit.storage.copying import SCHEMA

HEADER = "remit-backup/1"
MANIFEST = "manifest"
LOG, STATE, INDEX = "log.export", "state.jsonl", "index.jsonl"
HOME, KEY = "home", "keys/log.key"
"""The folder of the files from REMIT_HOME, and the log's private key."""
MAX_BYTES = 1024 * 1024
_BUFFER = 1024 * 1024


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
    """Whether it is the path of a file from REMIT_HOME, which leads nowhere else."""
    path = PurePosixPath(name)
    return path.parts[:1] == (HOME,) and len(path.parts) > 1 and ".." not in path.parts and str(path) == name and "\0" not in name


def check_parts(folder: Path, manifest: Manifest) -> None:
    """Raises `RemitError` (corrupt) unless the folder has exactly the files that were signed, each as it was written."""
    have = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    expected = {part.name for part in manifest.parts} | {MANIFEST}
    for name in sorted(expected - have):
        raise corrupt(f"the backup `{folder}` lacks `{name}`: it was cut short; take another backup")
    for name in sorted(have - expected):
        raise corrupt(f"the backup `{folder}` has a file more, `{name}`: it was changed; remove it if you know whose it is")
    for part in manifest.parts:
        length, digest = measured(folder / part.name)
        if (length, digest) != (part.bytes, part.sha256):
            how = f"it has {length} bytes of {part.bytes}" if length != part.bytes else "it was changed"
            raise corrupt(f"`{part.name}` of the backup `{folder}` is not what was written ({how}): take another backup")


def measured(path: Path) -> tuple[int, str]:
    """The length of a file and SHA-256 (hex) of what it holds. Raises `RemitError` (corrupt, unavailable)."""
    length, digest = 0, sha256()
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise corrupt(f"`{path}` is no file: it was put there")
            while block := file.read(_BUFFER):
                length += len(block)
                digest.update(block)
    except OSError as error:
        raise unavailable(f"`{path}` cannot be read ({error.strerror})") from None
    return length, digest.hexdigest()
