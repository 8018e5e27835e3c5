"""Putting a backup back: into an empty place only, checked before, standing still after."""

import os
import re
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from remit.credentials.minting import FOLDER
from remit.decision_log.checkpoint import verify_checkpoint
from remit.decision_log.export import new_export
from remit.decision_log.keys import Ed25519Signer, Ed25519Verifier
from remit.decision_log.whole_files import sync_folder
from remit.local import enrolment
from remit.local.backup.checking import Checked, Trusted, check, confirm, parts, rebuild
from remit.local.backup.ending import Ended, Ending
from remit.local.backup.making import home_files
from remit.local.backup.manifest import FOLLOWING, HOME, KEY, Manifest, read_manifest
from remit.local.config import FILE, Settings, read_settings
from remit.local.head import HEAD_FILE, KEY_FILE, kept_note
from remit.local.locking import alone_in
from remit.local.wiring import STORE_FILE, Embedded, fill_server, open_store
from remit.model.clock import SECOND, Clock
from remit.model.errors import RemitError, conflict, refused, unavailable
from remit.model.identity import Operator, random_bytes
from remit.model.signing import check_key_name
from remit.storage.sqlite.copying import files, remove

_ORIGIN = re.compile(r"^[ \t]*origin[ \t]*=.*\n?", re.MULTILINE)


class Wanted(msgspec.Struct, frozen=True):
    """How to restore. `trusted` is what is known of the log from elsewhere. `log_key` is the file with its private key, where the
    backup has none; with `new_log_key` another is made. `origin` is the log's new name, empty to keep it. `accept_loss`: also where a
    known head has more than the backup. `memories_trusted`: memories keep their labels."""

    trusted: Trusted = Trusted()
    log_key: Path | None = None
    new_log_key: bool = False
    origin: str = ""
    accept_loss: bool = False
    memories_trusted: bool = False


class Restored(msgspec.Struct, frozen=True):
    """What was put back and ended; `lost` entries of a known head are not in it. `head` is the signed head of the log as it now is, `kept`
    are files of REMIT_HOME that were there, are not as in the backup, and were left; `unnamed` are files in the backup that no setting
    names: they were not put back."""

    manifest: Manifest
    ended: Ended
    lost: int
    head: str
    key: str
    key_pinned: bool
    kept: tuple[str, ...]
    unnamed: tuple[str, ...]
    aside: str


def restore(home: Path, folder: Path, wanted: Wanted, operator: Operator, clock: Clock) -> Restored:
    """Make a store of a backup, in which everything is stopped and nothing from before can act.

    It is there whole or not at all. Raises `RemitError`: conflict where the place is not empty, refused where the backup is another log's,
    the key lacks, or entries would be lost and that was not accepted; and what `check` and `rebuild` raise.
    """
    if wanted.origin:
        check_key_name(wanted.origin)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone_in(home, f"another process restores into `{home}`: let it, or end it"):
            return _restore(home, folder, wanted, operator, clock)
    except OSError as error:
        raise unavailable(f"the backup could not be put back into `{home}` ({error.strerror}): mend it, and repeat") from None


def _restore(home: Path, folder: Path, wanted: Wanted, operator: Operator, clock: Clock) -> Restored:
    for left in home.glob(f".{STORE_FILE}.*.partial"):  # by a process that was ended in here
        shutil.rmtree(left)
    work = home / f".{STORE_FILE}.{random_bytes(8).hex()}.partial"
    work.mkdir(mode=0o700)
    try:
        checked = check(folder, _known(home, folder, wanted), work / "backup")
        settings = read_settings(home if (home / FILE).exists() else checked.folder / HOME)
        _check_place(home, settings, checked, wanted)
        signer = _key(home, checked, wanted)
        now = clock()
        endings = [Ending(checked.manifest, checked.known, operator, now, wanted.memories_trusted) for _ in range(2)]
        made = work / STORE_FILE
        ended = rebuild(checked, endings[0], made)
        with ExitStack() as undo:
            kept, unnamed = _install(home, checked, wanted, settings, signer, undo)
            _place(home, made, settings, checked, endings[1], undo)
            undo.pop_all()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    aside = _forget(home, checked)
    opened = Embedded(home, read_settings(home), clock)
    try:
        head, vkey = opened.head.sign(), opened.head.vkey
    finally:
        opened.close()
    # A token names the second in which it was made, and one that was made in this second is not told from those of before.
    time.sleep(max(0, SECOND - now % SECOND - (clock() - now)) / SECOND)
    pinned = checked.report.key_pinned and wanted.trusted.key is not None
    return Restored(checked.manifest, ended, checked.lost, head, vkey, pinned, kept, unnamed, aside)


def _check_place(home: Path, settings: Settings, checked: Checked, wanted: Wanted) -> None:
    """Raises `RemitError` (conflict, refused) where it is not to be restored here."""
    if not settings.store and any(file.exists() for file in files(home / STORE_FILE)):
        raise conflict(f"there is a store in `{home}`: restore into an empty folder, or move what is there away first")
    if not wanted.origin and settings.origin != checked.key.name:
        raise refused(f"the backup is of the log `{checked.key.name}`, here `origin` is `{settings.origin}`: mend the setting")
    if checked.lost and not wanted.accept_loss:
        raise refused(
            f"a head is known of {checked.known.size if checked.known else 0} entries, the backup has {checked.manifest.size}: "
            f"{checked.lost} would be lost; look for a later backup, or say `--accept-loss`"
        )


def _place(home: Path, made: Path, settings: Settings, checked: Checked, ending: Ending, undo: ExitStack) -> None:
    """Put the store into its place, and look once more at what stands there, before its log is signed. Raises `RemitError`."""
    if settings.store:
        fill_server(settings, *parts(checked, ending))
    else:
        undo.callback(remove, home / STORE_FILE)
        os.rename(made, home / STORE_FILE)
        sync_folder(home)
    # INVARIANT (the log convinces a stranger): no head is signed but over what was checked.
    try:
        store = open_store(home, settings)
        try:
            confirm(store, checked)
        finally:
            store.close()
    except RemitError as wrong:
        if not settings.store:
            raise
        more = "; drop the database, which was filled, and restore into a new one"
        raise RemitError(wrong.kind, f"{wrong.message}{more}") from None


def _known(home: Path, folder: Path, wanted: Wanted) -> Trusted:
    """What is known of the log: by the caller, and by what lies in REMIT_HOME still. Raises `RemitError`."""
    heads = wanted.trusted.heads
    if (home / HEAD_FILE).exists():
        heads = (*heads, kept_note(home / HEAD_FILE))
    key = wanted.trusted.key
    if key is None and (home / KEY_FILE).exists():
        name = read_manifest(folder, None)[1].name
        key = Ed25519Signer.load(name, home / KEY_FILE).key.text
    return Trusted(key, heads)


def _key(home: Path, checked: Checked, wanted: Wanted) -> Ed25519Signer | None:
    """The log's private key, from where it is to be had; None if another is to be made, or it is in its place."""
    if (home / KEY_FILE).exists():
        return None
    if wanted.log_key is not None:
        signer = Ed25519Signer.load(checked.key.name, wanted.log_key)
        if signer.key != checked.key:
            raise refused(f"the key in `{wanted.log_key}` is not the log's, which is `{checked.key.text}`: give that")
        return signer
    if wanted.new_log_key:
        return None
    if checked.manifest.keys:
        return Ed25519Signer.load(checked.key.name, checked.folder / KEY)
    raise refused(
        f"the backup has no private key (it was made without `--with-keys`), and without `{checked.key.text}` its log cannot be signed "
        "further: name the file that holds it by `--log-key`, or say `--new-log-key` if it is lost"
    )


def _install(
    home: Path, checked: Checked, wanted: Wanted, settings: Settings, signer: Ed25519Signer | None, undo: ExitStack
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put the files into their places: those that the settings name, as far as they are not there. The names of those that are there and
    say otherwise, and of those that no setting names. `undo` takes them away again."""
    if signer is not None:
        signer.save(home / KEY_FILE)
        undo.callback((home / KEY_FILE).unlink)
    named = {os.path.relpath(os.path.normpath(home / name), home) for name in home_files(settings)}
    kept, unnamed = [], []
    for part in checked.manifest.parts:
        if not part.name.startswith(f"{HOME}/"):
            continue
        name = part.name.removeprefix(f"{HOME}/")
        content, path = (checked.folder / part.name).read_bytes(), home / name
        if name not in named and not name.startswith(tuple(f"{folder}/" for folder in FOLLOWING)):
            unnamed.append(name)
        elif not path.exists():
            for above in [one for one in reversed(path.parents) if not one.exists()]:
                above.mkdir(mode=0o700)
                undo.callback(above.rmdir)
            undo.callback(path.unlink, missing_ok=True)
            _put(path, content)
        elif path.read_bytes() != content:
            kept.append(name)
    if wanted.origin:
        config = home / FILE
        if config.exists():
            undo.callback(_put, config, config.read_bytes())
        else:
            undo.callback(config.unlink, missing_ok=True)
        _rename(config, wanted.origin)
    return tuple(kept), tuple(unnamed)


def _rename(config: Path, origin: str) -> None:
    """Set the log's name in the configuration, and leave all else in it as it is."""
    text = config.read_text("utf-8") if config.exists() else ""
    first = re.search(r"^[ \t]*\[", text, re.MULTILINE)
    top, tables = (text[: first.start()], text[first.start() :]) if first else (text, "")
    _put(config, f"origin = {msgspec.json.encode(origin).decode()}\n{_ORIGIN.sub('', top)}{tables}".encode())


def _put(path: Path, content: bytes) -> None:
    with new_export(path, overwrite=True) as file:
        file.write(content)


def _forget(home: Path, checked: Checked) -> str:
    """Let go of what was good before: tokens, the link for a first administrator, and a head that the log does not lead to. Where that is.

    A process that is ended in here leaves a head which refuses the store: it says what to do.
    """
    # INVARIANT (fail closed): a token that was taken back since must not be good again.
    if (home / FOLDER).exists():
        shutil.rmtree(home / FOLDER)
    (home / enrolment.FILE).unlink(missing_ok=True)
    head = home / HEAD_FILE
    if not head.exists() or _leads(home, checked):
        return ""
    aside = home / f"{HEAD_FILE}.before-{checked.manifest.backup}"
    os.rename(head, aside)
    sync_folder(home)
    return str(aside)


def _leads(home: Path, checked: Checked) -> bool:
    """Whether the restored log, under the key and the name that it has now, begins with what the head in REMIT_HOME signed."""
    try:
        key = Ed25519Signer.load(read_settings(home).origin, home / KEY_FILE).key
        return verify_checkpoint(kept_note(home / HEAD_FILE), Ed25519Verifier(key)).size <= checked.manifest.size
    except RemitError:
        return False
