"""Making a backup: one moment of the store, its log as an export, and what of REMIT_HOME is not made anew."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from remit import __version__
from remit.decision_log.checkpoint import verify_checkpoint
from remit.decision_log.entry import BackupTaken
from remit.decision_log.export import write_export
from remit.decision_log.keys import Ed25519Verifier
from remit.decision_log.whole_files import sync_folder
from remit.local.backup.manifest import (
    FOLLOWING,
    HOME,
    INDEX,
    KEY,
    LOG,
    MANIFEST,
    STATE,
    Manifest,
    Part,
    manifest_text,
    may_hold,
    measured,
)
from remit.local.config import FILE, Settings
from remit.local.head import KEY_FILE
from remit.local.locking import alone_in, is_free
from remit.local.wiring import Embedded
from remit.model.errors import conflict, unavailable
from remit.model.identity import Operator, new_id, random_bytes
from remit.model.signing import VerificationKey
from remit.runtime.administration import begin_backup
from remit.storage.copying import SCHEMA, Snapshot

Told: TypeAlias = Callable[[int, int], None]
"""Called with how many entries of the log are copied, and how many there are."""
_EVERY = 4096
_encode = msgspec.json.Encoder().encode


class Made(msgspec.Struct, frozen=True):
    """A backup that is on disk: where, what it is, and the log's public key."""

    path: str
    manifest: Manifest
    key: str


def create(embedded: Embedded, folder: Path, with_keys: bool, operator: Operator, told: Told) -> Made:
    """Copy everything that a deployment needs, as it is at one moment, into a new folder; whoever uses the store goes on.

    The folder appears whole and durable, or not at all. Raises `RemitError`: conflict where there is something, unavailable where store or
    disk fail, corrupt for a log that is not the one that was signed.
    """
    if folder.exists() or folder.is_symlink():
        raise conflict(f"`{folder}` exists: a backup is never written over another, name a new folder")
    backup = new_id("bkp", embedded.runtime.clock())
    key = VerificationKey.parse(embedded.head.vkey)
    with _aside(folder) as aside:
        begin_backup(embedded.runtime, BackupTaken(backup, with_keys, operator.id, operator.verified_by)).result()
        # Before the store: what a stream's receiver has acknowledged is then in the copy of the log.
        elsewhere = _copy_home(embedded, aside / HOME)
        if with_keys:
            _write(aside / KEY, [_read(embedded.home / KEY_FILE)])
        with embedded.store.snapshot() as taken:
            note = embedded.head.sign_copy(taken.log)
            _write(aside / STATE, (_encode(row) + b"\n" for row in taken.rows()))
            _write(aside / INDEX, (_encode(found) + b"\n" for found in taken.found()))
            write_export(aside / LOG, _counted(taken, told), note, key.text)
        manifest = Manifest(
            backup,
            embedded.runtime.clock(),
            __version__,
            SCHEMA,
            "postgresql" if embedded.settings.store else "embedded",
            taken.size,
            verify_checkpoint(note, Ed25519Verifier(key)).root.hex(),
            with_keys,
            tuple(_parts(aside)),
            tuple(elsewhere),
        )
        _write(aside / MANIFEST, [embedded.head.vouch(manifest_text(manifest, key)).encode()])
        for inner in (HOME, *(f"{HOME}/{name}" for name in FOLLOWING), str(Path(KEY).parent)):
            if (aside / inner).is_dir():
                sync_folder(aside / inner)
    return Made(str(folder), manifest, key.text)


def _counted(taken: Snapshot, told: Told) -> Iterator[bytes]:
    told(0, taken.size)
    for n, line in enumerate(taken.log.lines(0, taken.size), 1):
        if n % _EVERY == 0:
            told(n, taken.size)
        yield line


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder beside it that takes its name once all that is in it is durable, and is gone otherwise."""
    aside = folder.parent / f".{folder.name}.{random_bytes(8).hex()}.partial"
    try:
        _sweep(folder)
        aside.mkdir(mode=0o700)
        with alone_in(aside, f"another process looks after what was left of `{folder}`: repeat") as descriptor:
            yield aside
            os.fsync(descriptor)
            os.rename(aside, folder)
        sync_folder(folder.parent)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise conflict(f"`{folder}` came to be there meanwhile: name a new folder") from None
        raise unavailable(
            f"the backup `{folder}` could not be written ({error.strerror}): free or mend the disk, and repeat"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes left that were ended while they made this backup."""
    for left in folder.parent.glob(f".{folder.name}.*.partial"):
        if is_free(left):  # nobody makes it now
            shutil.rmtree(left)


def home_files(settings: Settings) -> list[str]:
    """The files in REMIT_HOME, unless their paths are absolute, that the settings are and name."""
    named: list[Any] = [settings.witnesses, settings.administration, *(issuer.get("jwks_file") for issuer in settings.issuers)]
    return [FILE, *(name for name in named if isinstance(name, str) and name)]


def _copy_home(embedded: Embedded, copy: Path) -> list[str]:
    """Copy what of REMIT_HOME is not in the store and not made anew; the files that are named and are not for a backup."""
    elsewhere, home = [], embedded.home
    cursors = [f"{name}/{path.name}" for name in FOLLOWING for path in sorted((home / name).glob("*.json"))]
    for name in dict.fromkeys([*home_files(embedded.settings), *cursors]):
        path = Path(os.path.normpath(home / name))
        if not path.is_relative_to(home) or not may_hold(path.relative_to(home).as_posix()):
            elsewhere.append(str(path))
        elif path.exists():
            _write(copy / path.relative_to(home), [_read(path)])
    secrets = [hook.get("secret_file") for hook in embedded.settings.webhooks]  # shared with somebody: theirs to give again
    return elsewhere + [os.path.normpath(home / name) for name in secrets if isinstance(name, str)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unavailable(f"`{path}` cannot be copied ({error.strerror}): nothing was backed up") from None


def _write(path: Path, content: Iterable[bytes]) -> None:
    """A new file that only its owner may read, durable. Raises `OSError`, and whatever `content` raises."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", 1024 * 1024) as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())


def _parts(aside: Path) -> Iterator[Part]:
    for path in sorted(aside.rglob("*")):
        if not path.is_dir():
            yield Part(str(path.relative_to(aside)), *measured(path))
