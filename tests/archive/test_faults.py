"""Archives under faults: disks that fail, processes that are ended, files that were changed, and whoever holds the log's key."""

import errno
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from remit.decision_log.keys import Ed25519Signer
from remit.decision_log.verify import UnusableInput
from remit.local.archiving import _alone
from remit.local.head import KEY_FILE
from remit.model.errors import ErrorKind, RemitError
from tests.archive.building import SMALL, MemoryLog, archived, checked, forge, long, manifest, problems, rows
from tests.decision_log.building import leaf, private_key, signed_note, vkey
from tests.faults.processes import line, python, tell

pytestmark = pytest.mark.disk

LINES = long(3 * SMALL + 40)
TABLES = [rows(LINES[at : at + SMALL], at) for at in range(0, 3 * SMALL, SMALL)]
FIRST, SECOND, THIRD = (f"entries-{n * SMALL:012}.parquet" for n in range(3))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """An archive of three segments."""
    archived(tmp_path / "home", tmp_path / "whole", MemoryLog(LINES))
    return tmp_path / "whole"


def refused(home: Path, folder: Path, log: MemoryLog) -> RemitError:
    with pytest.raises(RemitError) as caught:
        archived(home, folder, log)
    return caught.value


def is_whole(home: Path, folder: Path) -> None:
    """The next run goes on to a whole archive, and leaves nothing else."""
    archived(home, folder, MemoryLog(LINES))
    assert sorted(path.name for path in folder.iterdir()) == [FIRST, SECOND, THIRD, "manifest"]
    report = checked(folder)
    assert report.verified and report.size == 3 * SMALL


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


def test_a_disk_that_is_full_in_the_middle_of_a_segment(tmp_path: Path) -> None:
    home, folder, log = tmp_path / "home", tmp_path / "archive", MemoryLog(LINES[: SMALL + 2])
    archived(home, folder, log)
    log.stored = list(LINES)
    with files_end_at(4096):
        error = refused(home, folder, log)
    assert error.kind is ErrorKind.UNAVAILABLE and SECOND in error.message and "could not be written" in error.message
    assert sorted(path.name for path in folder.iterdir()) == [FIRST, "manifest"]
    assert (report := checked(folder)).verified and report.size == SMALL, "what was archived before still verifies"
    is_whole(home, folder)


@pytest.mark.parametrize("broken", ["fsync", "replace", "write"])
@pytest.mark.parametrize("file", ["entries-", "manifest"])
def test_a_disk_that_fails_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, file: str) -> None:
    home, folder, log = tmp_path / "home", tmp_path / "archive", MemoryLog(LINES[: SMALL + 2])
    archived(home, folder, log)
    log.stored = list(LINES)
    real = {name: getattr(os, name) for name in ("open", "fsync", "replace")}

    def name_of(descriptor: int) -> str:
        return os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))

    def open_(path: Any, *rest: Any) -> int:
        if broken == "write" and f".{file}" in str(path):
            return real["open"]("/dev/full", os.O_WRONLY)
        return real["open"](path, *rest)

    def fsync(descriptor: int) -> None:
        if broken == "fsync" and f".{file}" in name_of(descriptor):
            raise OSError(errno.EIO, "Input/output error")
        real["fsync"](descriptor)

    def replace(source: Any, target: Any) -> None:
        if broken == "replace" and f".{file}" in str(source):
            raise OSError(errno.ENOSPC, "No space left on device")
        real["replace"](source, target)

    with monkeypatch.context() as patched:
        for name, failing in (("open", open_), ("fsync", fsync), ("replace", replace)):
            patched.setattr(os, name, failing)
        error = refused(home, folder, log)
    assert error.kind is ErrorKind.UNAVAILABLE
    assert [path.name for path in folder.iterdir() if path.name.endswith(".partial")] == []
    assert checked(folder).size == SMALL
    is_whole(home, folder)


def test_a_folder_that_cannot_be_made_or_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert refused(tmp_path / "home", tmp_path / "file", MemoryLog(LINES)).kind is ErrorKind.CONFLICT
    assert refused(tmp_path / "home", tmp_path / "no" / "such", MemoryLog(LINES)).kind is ErrorKind.UNAVAILABLE


# Processes that are ended, and several at once.


def test_killed_between_a_segment_and_the_manifest(tmp_path: Path) -> None:
    for keeps in (1, 2, 3):
        folder, home = tmp_path / f"archive{keeps}", tmp_path / f"home{keeps}"
        with python("-m", "tests.archive.killed", str(home), str(folder), "manifest", str(keeps)) as killed:
            assert killed.wait(timeout=60) == -9
        assert (folder / f"entries-{(keeps - 1) * SMALL:012}.parquet").exists()
        report = checked(folder)
        assert problems(report) == [(0, "segment")] and report.size == (keeps - 1) * SMALL
        assert "archive again" in report.findings[0].message
        is_whole(home, folder)


def test_killed_in_the_middle_of_a_segment(tmp_path: Path) -> None:
    folder, home = tmp_path / "archive", tmp_path / "home"
    with python("-m", "tests.archive.killed", str(home), str(folder), "segment", "2") as killed:
        assert killed.wait(timeout=60) == -9
    assert [path.name for path in folder.iterdir() if path.name.endswith(".partial")], "it was in the middle of it"
    assert (report := checked(folder)).verified and report.size == SMALL
    is_whole(home, folder)


def test_two_at_once(tmp_path: Path) -> None:
    folder, home = tmp_path / "archive", tmp_path / "home"
    with python("-m", "tests.archive.killed", str(home), str(folder), "wait", "2") as first:
        assert line(first) == "waiting"
        error = refused(home, folder, MemoryLog(LINES))
        assert error.kind is ErrorKind.CONFLICT and "another process archives" in error.message
        tell(first)
        assert first.wait(timeout=60) == 0
    is_whole(home, folder)
    with _alone(folder), pytest.raises(RemitError), _alone(folder):
        pass


# The log and the folder are not what they were.


def test_a_folder_that_is_no_archive(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(UnusableInput, match="is no archive"):
        checked(folder)
    (folder / "me.png").write_text("mine")
    error = refused(tmp_path / "home", folder, MemoryLog(LINES))
    assert error.kind is ErrorKind.CONFLICT and [path.name for path in folder.iterdir()] == ["me.png"]
    for text, kind in (("", ErrorKind.MALFORMED), ("remit-log-archive/2 x\n", ErrorKind.MALFORMED)):
        (whole / "manifest").write_text(text)
        assert refused(tmp_path / "home", whole, MemoryLog(LINES)).kind is kind


def test_an_archive_of_another_log_is_left_alone(tmp_path: Path, whole: Path) -> None:
    before = (whole / "manifest").read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    Ed25519Signer("example.com/log", private_key(9)).save(other / KEY_FILE)
    assert refused(other, whole, MemoryLog(LINES)).kind is ErrorKind.REFUSED
    changed = long(4 * SMALL)
    changed[5] = changed[5].replace(b'"v":1', b'"v":1 ')
    error = refused(tmp_path / "fresh", whole, MemoryLog(changed))
    assert error.kind is ErrorKind.CORRUPT and "written anew" in error.message
    error = refused(tmp_path / "fresh2", whole, MemoryLog(LINES[:300]))
    assert error.kind is ErrorKind.CORRUPT and "truncated" in error.message
    assert (whole / "manifest").read_bytes() == before


def test_a_changed_manifest_or_a_missing_segment_is_not_built_upon(tmp_path: Path, whole: Path) -> None:
    text = (whole / "manifest").read_text()
    for changed in (text.replace("segment ", "segment  ", 1), text.replace("segment a", "segment b", 1), text[:60]):
        if changed != text:
            (whole / "manifest").write_text(changed)
            assert refused(tmp_path / "home", whole, MemoryLog(LINES)).kind in (ErrorKind.CORRUPT, ErrorKind.REFUSED)
    (whole / "manifest").write_bytes(b"\xff")
    assert refused(tmp_path / "home", whole, MemoryLog(LINES)).kind is ErrorKind.CORRUPT
    (whole / "manifest").write_text(text)
    (whole / SECOND).unlink()
    error = refused(tmp_path / "home", whole, MemoryLog(LINES))
    assert error.kind is ErrorKind.CORRUPT and SECOND in error.message


def test_a_store_that_was_changed_is_not_archived(tmp_path: Path) -> None:
    """Lines that are not those of the tree: whoever changed them changed nothing else."""
    log = MemoryLog(LINES)
    leaves = [leaf(line) for line in LINES]
    log.leaves = lambda start=0, stop=None: iter(leaves[start:stop])  # type: ignore[method-assign]
    log.stored[SMALL + 1] = log.stored[SMALL + 1].replace(b'"seq"', b'"seq" ')
    error = refused(tmp_path / "home", tmp_path / "archive", log)
    assert error.kind is ErrorKind.CORRUPT and "not those of the tree" in error.message
    assert sorted(path.name for path in (tmp_path / "archive").iterdir()) == [FIRST, "manifest"]
    assert checked(tmp_path / "archive").verified


@pytest.mark.parametrize(
    "change", [(b'"seq":0', b'"seq":9223372036854775808'), (b'"note"', b'"\\ud800"'), (b'"time":', b'"time":9e9,"x":')]
)
def test_lines_that_fit_no_column_are_corrupt(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    log = MemoryLog([line.replace(*change) for line in LINES])
    assert log.stored != LINES and refused(tmp_path / "home", tmp_path / "archive", log).kind is ErrorKind.CORRUPT
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["manifest"]


# Whoever can change the files.


def test_no_byte_of_the_manifest_can_be_changed(whole: Path) -> None:
    manifest_, content = whole / "manifest", (whole / "manifest").read_bytes()
    for place in range(len(content)):
        for changed in (
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :],
            content[:place] + content[place + 1 :],
            content[:place] + content[place : place + 1] + content[place:],
            content[:place],
        ):
            if changed == content:
                continue
            manifest_.unlink()
            manifest_.write_bytes(changed)
            assert not checked(whole).verified, (place, changed)
    manifest_.write_bytes(content)
    assert checked(whole).verified


def test_no_byte_of_a_segment_can_be_changed(whole: Path) -> None:
    content = (whole / SECOND).read_bytes()
    for place in range(0, len(content), 89):
        (whole / SECOND).unlink()
        (whole / SECOND).write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        report = checked(whole)
        assert problems(report) == [(SMALL + 1, "segment")], "and nothing else: what comes after is not blamed"
        assert SECOND in report.findings[0].message and report.size == SMALL


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda folder: (folder / FIRST).unlink(), [(1, "segment")]),
        (lambda folder: (folder / THIRD).unlink(), [(2 * SMALL + 1, "segment")]),
        (lambda folder: (folder / THIRD).write_bytes((folder / THIRD).read_bytes()[:-1]), [(2 * SMALL + 1, "segment")]),
        (lambda folder: (folder / THIRD).write_bytes(b""), [(2 * SMALL + 1, "segment")]),
        (lambda folder: shutil.copy(folder / FIRST, folder / SECOND), [(SMALL + 1, "segment")]),
        (lambda folder: shutil.copy(folder / FIRST, folder / "entries-000000000768.parquet"), [(0, "segment")]),
        (lambda folder: shutil.copy(folder / FIRST, folder / "more.parquet"), [(0, "segment")]),
    ],
    ids=["dropped", "dropped-last", "truncated", "emptied", "repeated", "added", "planted"],
)
def test_segments_that_are_not_those_of_the_manifest(whole: Path, change: Callable[[Path], object], found: list[Any]) -> None:
    change(whole)
    assert problems(checked(whole)) == found


def test_swapped_segments_and_those_of_another_log(tmp_path: Path, whole: Path) -> None:
    first, second = (whole / FIRST).read_bytes(), (whole / SECOND).read_bytes()
    (whole / FIRST).write_bytes(second)
    (whole / SECOND).write_bytes(first)
    assert problems(checked(whole)) == [(1, "segment"), (SMALL + 1, "segment")]
    (whole / FIRST).write_bytes(first)
    other = [line.replace(b'"d', b'"e') for line in LINES]
    foreign = forge(tmp_path / "foreign", [rows(other[at : at + SMALL], at) for at in (0, SMALL)], other[: 2 * SMALL])
    shutil.copy(foreign / SECOND, whole / SECOND)
    assert problems(checked(whole)) == [(SMALL + 1, "segment")]


def test_what_the_key_did_not_sign_is_not_parsed(whole: Path, tmp_path: Path) -> None:
    report = checked(whole, None)
    assert report.verified and not report.key_pinned
    report = checked(whole, vkey(private_key(2)))
    assert "key" in [problem for _, problem in problems(report)] and report.size == 0


def test_an_older_manifest_is_noticed_by_who_knows_a_later_head(tmp_path: Path) -> None:
    log = MemoryLog(LINES[: SMALL + 1])
    archived(tmp_path / "home", tmp_path / "archive", log)
    old = (tmp_path / "archive" / "manifest").read_bytes()
    log.stored = list(LINES)
    archived(tmp_path / "home", tmp_path / "archive", log)
    (tmp_path / "archive" / "manifest").write_bytes(old)
    assert problems(checked(tmp_path / "archive")) == [(0, "segment")] * 2, "two files that it does not name"
    for name in (SECOND, THIRD):
        (tmp_path / "archive" / name).unlink()
    assert checked(tmp_path / "archive").verified, "an older true archive"
    assert problems(checked(tmp_path / "archive", head=signed_note(LINES))) == [(SMALL, "head")]


# Whoever holds the log's key.


def test_an_archive_that_was_cut_and_signed_again_is_noticed_by_who_knows_its_head(tmp_path: Path) -> None:
    shorter = forge(tmp_path / "shorter", TABLES[:2], LINES[: 2 * SMALL])
    assert checked(shorter).verified
    assert problems(checked(shorter, head=signed_note(LINES))) == [(2 * SMALL, "head")]


@pytest.mark.parametrize("column", [name for name in TABLES[0].column_names if name != "line"])
def test_a_column_that_says_otherwise_than_its_line_is_found(tmp_path: Path, column: str) -> None:
    table = TABLES[1]
    at = next((n for n, value in enumerate(table[column].to_pylist()) if value is not None), 0)
    assert column == "approval" or table[column][at].as_py() is not None
    other = pa.scalar(7, pa.int64()).cast(table[column].type) if table[column].type != pa.string() else pa.scalar("other")
    if column == "enforced":
        other = pa.scalar(False)
    changed = pc.if_else(pa.array([n == at for n in range(SMALL)]), other, table[column])
    tables = [TABLES[0], table.set_column(table.column_names.index(column), column, changed), TABLES[2]]
    report = checked(forge(tmp_path / "forged", tables, LINES))
    assert problems(report) == [(SMALL + 1 + at, "column")]
    assert report.findings[0].message.startswith(f"not what the line says stands in {column}:")


def test_a_column_that_was_emptied_is_found(tmp_path: Path) -> None:
    emptied = TABLES[0].set_column(7, "id", pa.nulls(SMALL, pa.string()))
    assert emptied.column_names == TABLES[0].column_names
    report = checked(forge(tmp_path / "forged", [emptied, *TABLES[1:]], LINES))
    assert {problem for _, problem in problems(report)} == {"column"} and report.finding_count > 20


@pytest.mark.parametrize(
    "table",
    [
        TABLES[1].drop_columns(["approval"]),
        TABLES[1].append_column("more", pa.array(["x"] * SMALL)),
        TABLES[1].select(list(reversed(TABLES[1].column_names))),
        TABLES[1].set_column(0, "index", TABLES[1]["index"].cast(pa.int32())),
        TABLES[1].slice(0, SMALL - 1),
        pa.concat_tables([TABLES[1], TABLES[2].slice(0, 1)]),
        TABLES[1].set_column(1, "line", pa.array([None, *LINES[SMALL + 1 : 2 * SMALL]], pa.binary())),
    ],
    ids=["lacks", "more", "order", "type", "short", "long", "empty"],
)
def test_what_has_not_the_form_of_a_segment_is_found(tmp_path: Path, table: pa.Table) -> None:
    report = checked(forge(tmp_path / "forged", [TABLES[0], table, TABLES[2]], LINES))
    assert (SMALL + 1, "segment") in problems(report)


def test_what_is_no_parquet_is_found(tmp_path: Path) -> None:
    folder = forge(tmp_path / "forged", TABLES[:1], LINES)
    for content in (b"", b"PAR1", b"PAR1" + bytes(200) + b"PAR1", (folder / FIRST).read_bytes()[:-9] + b"\xff" * 9):
        (folder / FIRST).write_bytes(content)
        root = (folder / "manifest").read_text().split("segment ")[1].split()[1]
        (folder / "manifest").write_text(manifest(f"segment {sha256(content).hexdigest()} {root}\n", SMALL, LINES))
        assert problems(checked(folder)) == [(1, "segment")]


def test_other_lines_than_those_of_the_checkpoint_are_found(tmp_path: Path) -> None:
    changed = [*LINES[:9], LINES[9].replace(b'"v":1', b'"v": 1'), *LINES[10:]]
    tables = [rows(changed[:SMALL]), *TABLES[1:]]
    kinds = {problem for _, problem in problems(checked(forge(tmp_path / "columns", tables, LINES)))}
    assert kinds == {"changed"} or "root" in kinds
    note = signed_note(LINES)
    assert problems(checked(forge(tmp_path / "note", tables, changed, note))) == [(1, "root")], "the roots do not lead there"
    assert [problem for _, problem in problems(checked(forge(tmp_path / "all", tables, changed)))] == ["changed"]


def test_entries_moved_between_segments_are_found(tmp_path: Path) -> None:
    swapped = [*LINES[SMALL : 2 * SMALL], *LINES[:SMALL], *LINES[2 * SMALL :]]
    tables = [rows(swapped[at : at + SMALL], at) for at in range(0, 3 * SMALL, SMALL)]
    assert {"missing", "reordered"} <= {problem for _, problem in problems(checked(forge(tmp_path / "a", tables, swapped)))}
