"""Backups under faults: disks that fail, processes that are ended, stores that go away, callers that go on, files that were changed."""

import errno
import os
import resource
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remit.decision_log.verify import verify_export
from remit.local.backup import making
from remit.local.backup.checking import Trusted, check, parts
from remit.local.backup.ending import Ending
from remit.local.backup.manifest import HEADER, manifest_text, read_manifest
from remit.local.config import read_settings
from remit.local.wiring import Embedded, wall_clock
from remit.model.authorizer import OutcomeStatus
from remit.model.errors import ErrorKind, RemitError
from remit.model.signing import VerificationKey
from remit.storage.copying import SCHEMA, TABLES, fields_of, table_of
from remit.storage.postgres import store
from remit.storage.postgres.tables import metadata
from remit.storage.sqlite.database import MIGRATIONS
from tests.backup.building import BUNDLE, Lived, live, made, put_back, verified
from tests.conftest import OpenStore
from tests.faults.processes import python
from tests.postgres import Server
from tests.runtime.world import BEN, Clock, World, permit


@pytest.fixture
def lived(open_store: OpenStore) -> Lived:
    return live(open_store)


@pytest.fixture
def backup(lived: Lived, tmp_path: Path) -> Path:
    """A backup, with the key."""
    (lived.world.home / "config.toml").write_text("lock_seconds = 2.0\n")
    (lived.world.home / "streams").mkdir()
    (lived.world.home / "streams" / "siem.json").write_text('{"next":3,"leaf":"00"}')
    made(lived.world, tmp_path / "backup")
    return tmp_path / "backup"


def fails(folder: Path, home: Path | None = None) -> RemitError:
    """What verifying and restoring a backup both end with; nothing is restored then."""
    with pytest.raises(RemitError) as caught:
        verified(folder)
    if home is not None:
        with pytest.raises(RemitError) as again:
            put_back(home, folder, 0)
        assert again.value.message == caught.value.message and not any(home.glob("*"))
    return caught.value


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".partial")]


# The disk.


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process can become larger: a write in its middle fails, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_in_the_middle(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = tmp_path / "full"
    full.mkdir()
    real = os.fsync
    for name in ("state.jsonl", "index.jsonl", "log.export", "manifest", "log.key"):

        def fsync(descriptor: int, name: str = name) -> None:
            if name in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(errno.ENOSPC, "No space left on device")
            real(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync)
            with pytest.raises(RemitError, match="No space left") as caught:
                made(lived.world, full / "backup")
        assert caught.value.kind is ErrorKind.UNAVAILABLE and list(full.iterdir()) == [], name
    made(lived.world, full / "backup")
    verified(full / "backup")


@pytest.mark.sqlite
def test_a_disk_that_is_full_while_restoring(backup: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with files_end_at(16_384), pytest.raises(RemitError) as caught:
        put_back(tmp_path / "home", backup, clock.now)
    assert caught.value.kind is ErrorKind.UNAVAILABLE and list((tmp_path / "home").iterdir()) == []
    put_back(tmp_path / "home", backup, clock.now)


def test_a_store_that_goes_away(lived: Lived, tmp_path: Path, store_kind: str, request: pytest.FixtureRequest) -> None:
    server: Server | None = request.getfixturevalue("server") if store_kind == "postgresql" else None
    there = tmp_path / "there"
    there.mkdir()
    counted: list[int] = []

    def told(done: int, total: int) -> None:
        counted.append(total)
        if server is not None:
            server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'remit'")
        else:
            (lived.world.home / "remit.db").rename(tmp_path / "moved")

    with pytest.raises(RemitError) as caught:
        making.create(lived.world.embedded, there / "backup", False, BEN, told)
    assert counted and caught.value.kind is ErrorKind.UNAVAILABLE and list(there.iterdir()) == []
    if server is None:
        (tmp_path / "moved").rename(lived.world.home / "remit.db")


# Processes that are ended.


@pytest.mark.sqlite
def test_killed_while_it_is_made(lived: Lived, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with python("-m", "tests.backup.killed", str(lived.world.home), str(there / "backup"), "create", "write_export") as process:
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert not (there / "backup").exists() and len(leftovers(there)) == 1
    made(lived.world, there / "backup")
    verified(there / "backup")
    assert leftovers(there) == [], "what the other left is gone"


@pytest.mark.parametrize(("moment", "is_there"), [("_install", False), ("_forget", True)])
@pytest.mark.sqlite
def test_killed_while_it_is_put_back(backup: Path, tmp_path: Path, moment: str, is_there: bool, clock: Clock) -> None:
    home = tmp_path / "home"
    with python("-m", "tests.backup.killed", str(home), str(backup), "restore", moment) as process:
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert (home / "remit.db").exists() is is_there
    if not is_there:
        put_back(home, backup, clock.now)
    assert list(home.glob(".remit.db.*")) == [], "the copy of the backup, which has keys, does not stay"
    back = World(home, wall_clock, store="")
    try:
        assert len(back.verified().restored) == 1 and back.store.kills()
    finally:
        back.close()


@pytest.mark.sqlite
def test_killed_while_a_database_is_filled(backup: Path, tmp_path: Path, server: Server) -> None:
    """The other half of a PostgreSQL restore: all of it is one transaction."""
    name = server.database(empty=True)
    url = server.url(name)
    found = check(backup, Trusted(), tmp_path / "copy")

    def cut(lines: Any) -> Iterator[Any]:
        for n, line in enumerate(lines):
            if n == found.manifest.size - 1:
                server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            yield line

    ending = Ending(found.manifest, None, BEN, 1)
    rows, lines = parts(found, ending)
    with pytest.raises(RemitError) as caught:
        store.fill(url, 5, rows, cut(lines))
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    for table in ("entries", "tasks", "agents", "kills", "positions"):
        assert server.run(f"SELECT count(*) FROM {table}", name) == [(0,)], table
    store.fill(url, 5, *parts(found, Ending(found.manifest, None, BEN, 1)))
    assert server.run("SELECT count(*) FROM positions", name)[0][0] > found.manifest.size
    with pytest.raises(RemitError, match="is not empty"):
        store.fill(url, 5, *parts(found, Ending(found.manifest, None, BEN, 1)))
    server.drop(name)


# Callers who go on.


def test_while_others_decide(open_store: OpenStore, tmp_path: Path) -> None:
    """Each of several backups, taken while decisions are made as fast as they can be, is of one moment: state and log agree."""
    world = open_store(bundle=BUNDLE, lock_seconds=30.0)
    other = open_store(again=True)
    ended, sizes, failed = threading.Event(), [], []

    def decide() -> None:
        try:
            session = other.open_session()
            while not ended.is_set():
                other.report(permit(other.ask(session, "read")), session, OutcomeStatus.SUCCEEDED, "from elsewhere")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=decide)
    thread.start()
    try:
        for n in range(3):
            before = world.store.log.size()
            while world.store.log.size() < before + 30 and not failed:
                pass
            sizes.append(made(world, tmp_path / f"backup{n}").manifest.size)
    finally:
        ended.set()
        thread.join()
    assert not failed and sizes == sorted(sizes) and sizes[0] > 30
    for n in range(3):
        verified(tmp_path / f"backup{n}")
        note = (tmp_path / f"backup{n}" / "log.export").read_text().partition("\n\n")[2]
        world.embedded.head.export(tmp_path / "now", overwrite=True)
        assert verify_export(tmp_path / "now", world.embedded.head.vkey, head=note).verified, "the log goes on from each of them"


# Whoever can change the files.


@pytest.mark.sqlite
def test_no_byte_can_be_changed_and_no_file_cut_short_added_or_taken_away(backup: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("manifest", "log.export", "state.jsonl", "index.jsonl", "home/config.toml", "keys/log.key"):
        path = backup / name
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 2}:
            for changed in (content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], content[:place]):
                path.write_bytes(changed)
                error = fails(backup, home)
                assert error.kind in (ErrorKind.CORRUPT, ErrorKind.MALFORMED, ErrorKind.REFUSED), (name, place)
        path.unlink()
        assert fails(backup, home).kind in (ErrorKind.CORRUPT, ErrorKind.NOT_FOUND)
        path.write_bytes(content)
        path.chmod(0o600)
    for more in ("home/more", "state.jsonl.1"):
        (backup / more).write_text("planted")
        assert fails(backup, home).kind is ErrorKind.CORRUPT
        (backup / more).unlink()
    (backup / "state.jsonl").rename(tmp_path / "state")
    (backup / "state.jsonl").symlink_to(tmp_path / "state")
    assert fails(backup, home).kind in (ErrorKind.CORRUPT, ErrorKind.UNAVAILABLE)
    (backup / "state.jsonl").unlink()
    (tmp_path / "state").rename(backup / "state.jsonl")
    verified(backup)


@pytest.mark.sqlite
def test_backups_of_a_newer_remit_and_what_is_none(backup: Path, tmp_path: Path, lived: Lived) -> None:
    home = tmp_path / "home"
    manifest = backup / "manifest"
    note, vouch = manifest.read_text(), lived.world.embedded.head.vouch
    text = note.rpartition("\n\n")[0] + "\n"
    manifest.write_text(note.replace(HEADER, "remit-backup/2"))
    assert "a newer Remit" in fails(backup, home).message
    manifest.write_text(vouch(text.replace(f'"schema":{SCHEMA}', f'"schema":{SCHEMA + 1}')))
    error = fails(backup, home)
    assert error.kind is ErrorKind.MALFORMED and f"newer Remit (schema {SCHEMA + 1})" in error.message
    inside = "remit.db-wal REMIT.DB-journal remit.db log.key log.head enrolment writers/wri_1 issuer/signing.pem chat.secret streams/a.lock"
    inside += " streams/a/b.json webhooks .remit.db.1.partial"
    others = ("home/../../x", "/etc/passwd", "home/./config.toml", "home", "log.export")
    for named in (*others, *[f"home/{name}" for name in inside.split()]):
        manifest.write_text(vouch(text.replace('"home/config.toml"', f'"{named}"')))
        assert "names other files" in fails(backup, home).message, named
    manifest.write_text("holiday\n")
    assert "is no backup" in fails(backup, home).message
    manifest.write_bytes(b"\xff")
    assert fails(backup, home).kind is ErrorKind.MALFORMED
    assert fails(tmp_path / "nowhere", home).kind is ErrorKind.NOT_FOUND
    assert fails(manifest, home).kind is ErrorKind.NOT_FOUND


@pytest.mark.sqlite
def test_whoever_holds_the_key_cannot_make_state_say_otherwise_than_the_log(backup: Path, tmp_path: Path, lived: Lived) -> None:
    """The state is compared with the log, whoever signed it."""
    state = backup / "state.jsonl"
    content = state.read_bytes()
    changes: list[Callable[[bytes], bytes]] = [
        lambda text: b"".join(line + b"\n" for line in text.splitlines() if not line.startswith(b'["kills"')),
        lambda text: b"".join(line + b"\n" for line in text.splitlines() if not line.startswith(b'["agents"')),
        lambda text: b"".join(line + b"\n" for line in text.splitlines() if not line.startswith(b'["memories"')),
    ]
    for change in changes:
        state.write_bytes(change(content))
        _sign_again(backup, lived)
        error = fails(backup, tmp_path / "home")
        assert error.kind is ErrorKind.CORRUPT and "not as its log says" in error.message
    state.write_bytes(content.replace(b'["tasks"', b'["chores"'))
    _sign_again(backup, lived)
    assert "cannot be read" in fails(backup, tmp_path / "home").message
    state.write_bytes(content)
    index = backup / "index.jsonl"
    whole = index.read_bytes()
    for changed in (whole + b"[null,null]\n", whole.partition(b"\n")[2]):
        index.write_bytes(changed)
        _sign_again(backup, lived)
        assert fails(backup, tmp_path / "home").kind is ErrorKind.CORRUPT


def _sign_again(backup: Path, lived: Lived) -> None:
    manifest, key = read_manifest(backup, None)
    files = tuple(part for part in making._parts(backup) if part.name != "manifest")
    (backup / "manifest").write_text(lived.world.embedded.head.vouch(manifest_text(replace(manifest, parts=files), key)))


@pytest.mark.sqlite
def test_a_backup_of_another_log(backup: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    other = World(tmp_path / "other", clock, store="")
    key, head = other.embedded.head.vkey, other.embedded.head.sign()
    other.close()
    with pytest.raises(RemitError, match="another log") as caught:
        verified(backup, key)
    assert caught.value.kind is ErrorKind.REFUSED
    with pytest.raises(RemitError, match="not signed by"):
        verified(backup, head=head)
    (tmp_path / "home").mkdir()
    shutil.copy(tmp_path / "other" / "log.key", tmp_path / "home" / "log.key")
    with pytest.raises(RemitError, match="another log"):
        put_back(tmp_path / "home", backup, clock.now)
    (tmp_path / "home" / "log.key").unlink()
    monkeypatch.setenv("REMIT_ORIGIN", "corp.example/log")
    with pytest.raises(RemitError, match="here `origin` is `corp.example/log`"):
        put_back(tmp_path / "home", backup, clock.now)
    assert VerificationKey.parse(key).name == "remit.local/log"


@pytest.mark.sqlite
def test_what_is_there_is_not_written_over(lived: Lived, backup: Path, tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(RemitError, match="never written over") as caught:
        made(lived.world, backup)
    assert caught.value.kind is ErrorKind.CONFLICT
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("lock_seconds = 9.0\n")
    done = put_back(tmp_path / "home", backup, clock.now)
    assert done.kept == ("config.toml",) and "9.0" in (tmp_path / "home" / "config.toml").read_text()


@pytest.mark.sqlite
def test_files_that_nothing_names_and_files_that_no_backup_may_hold(lived: Lived, tmp_path: Path, clock: Clock) -> None:
    home, backup = lived.world.home, tmp_path / "backup"
    (home / "config.toml").write_text('administration = ".rules.cedar"\nwitnesses = "policy/witnesses"\n')
    (home / "policy").mkdir()
    for name in (".rules.cedar", "policy/witnesses"):
        (home / name).write_text("# a file\n")
    embedded = Embedded(home, read_settings(home), clock)
    try:
        taken = making.create(embedded, backup, True, BEN, lambda done, total: None)
    finally:
        embedded.close()
    assert taken.manifest.elsewhere == (str(home / ".rules.cedar"),), "said, for it is not in it"
    (backup / "home" / "more").write_text("planted by whoever has the key")
    _sign_again(backup, lived)
    verified(backup)
    done = put_back(tmp_path / "home", backup, clock.now)
    assert done.unnamed == ("more",) and not (tmp_path / "home" / "more").exists()
    assert (tmp_path / "home" / "policy" / "witnesses").read_text() == "# a file\n"


@pytest.mark.sqlite
def test_a_backup_whose_files_are_swapped_for_what_never_ends(backup: Path, tmp_path: Path) -> None:
    """A pipe that nobody writes into keeps nobody waiting, a link leads nowhere, and no more is copied than was signed."""
    puts: list[Callable[[Path], None]] = [os.mkfifo, lambda path: path.symlink_to("/dev/zero")]
    for put in puts:
        (backup / "index.jsonl").rename(tmp_path / "index")
        put(backup / "index.jsonl")
        assert fails(backup, tmp_path / "home").kind in (ErrorKind.CORRUPT, ErrorKind.UNAVAILABLE)
        (backup / "index.jsonl").unlink()
        (tmp_path / "index").rename(backup / "index.jsonl")
    with (backup / "index.jsonl").open("ab") as file:
        file.truncate(1 << 40)  # as long as a disk, and holds nothing
    assert "was changed" in fails(backup, tmp_path / "home").message


@pytest.mark.sqlite
def test_what_sqlite_would_take_for_a_part_of_the_store_is_no_empty_place(backup: Path, tmp_path: Path, clock: Clock) -> None:
    for end in ("-wal", "-shm", "-journal"):
        left = tmp_path / end / f"remit.db{end}"
        left.parent.mkdir()
        left.write_bytes(b"x")
        with pytest.raises(RemitError, match="there is a store"):
            put_back(left.parent, backup, clock.now)
        assert list(left.parent.iterdir()) == [left]


@pytest.mark.sqlite
def test_files_are_for_their_owner_alone(backup: Path, tmp_path: Path, clock: Clock) -> None:
    put_back(tmp_path / "home", backup, clock.now)
    assert (tmp_path / "home" / "streams" / "siem.json").read_text() == '{"next":3,"leaf":"00"}', "how far a receiver came"
    for folder in (backup, tmp_path / "home"):
        assert folder.stat().st_mode & 0o077 == 0
        assert [
            path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock" and path.stat().st_mode & 0o077
        ] == []


# What a backup has.


def test_every_column_of_every_table_is_copied_or_made_anew() -> None:
    """A migration that adds a table or a column must think of backups: copy it, and raise `SCHEMA`."""
    with sqlite3.connect(":memory:") as database:
        for step in MIGRATIONS:
            database.executescript(step)
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")] for name in tables}
    database.close()
    copied = {table_of(kind): fields_of(kind) for kind in TABLES}
    derived = {"entries", "tiles"}
    assert set(columns) == set(copied) | derived | {"task_spans"}
    assert {name: tuple(column for column in columns[name] if column != "n") for name in copied} == copied
    of_postgres = {name: tuple(column.name for column in table.columns) for name, table in metadata.tables.items()}
    assert set(of_postgres) == set(copied) | derived | {"chains", "positions"}
    for name, fields in copied.items():
        assert set(of_postgres[name]) - {"n"} - ({"task"} if name == "sessions" else set()) == set(fields), name
