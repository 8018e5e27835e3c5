"""Archives: whole segments and no more, the same whoever writes them, going on where the last left off, verified without the store."""

import base64
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remit.decision_log import verify
from remit.decision_log.verify import UnusableInput
from remit.local.archiving import archive, export_parquet
from remit.model.errors import ErrorKind, RemitError
from tests.archive.building import (
    KEY,
    SMALL,
    MemoryLog,
    archived,
    checked,
    forge,
    head_of,
    long,
    manifest,
    problems,
    rows,
)
from tests.conftest import OpenStore
from tests.decision_log.building import cosignature, leaf, naive_root, private_key, signed_note, vkey
from tests.decision_log.test_verify import run_alone

LINES = long(3 * SMALL + 40)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_whole_segments_are_archived_and_verify(tmp_path: Path) -> None:
    folder, log = tmp_path / "archive", MemoryLog(LINES)
    done = archived(tmp_path / "home", folder, log)
    assert (done.segments, done.new, done.entries, done.size) == (3, 3, 3 * SMALL, len(LINES))
    names = [f"entries-{n * SMALL:012}.parquet" for n in range(3)]
    assert sorted(files(folder)) == [*names, "manifest"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    report = checked(folder)
    assert report.verified and report.key_pinned and not problems(report)
    assert (report.segments, report.size, report.signed) == (3, 3 * SMALL, len(LINES))
    assert report.root == base64.b64encode(naive_root([leaf(line) for line in LINES[: 3 * SMALL]])).decode()
    assert "archive: 3 segments, of a log that had 808 entries then" in report.to_text()
    assert json.loads(report.to_json())["segments"] == 3
    kept = [line for n in range(3) for line in pq.read_table(folder / names[n], columns=["line"])["line"].to_pylist()]
    assert kept == LINES[: 3 * SMALL]


def test_what_the_writer_says_is_what_the_document_says(tmp_path: Path) -> None:
    """Manifest and rows as they are made by the naive way, from the document and not from the code."""
    folder = tmp_path / "archive"
    archived(tmp_path / "home", folder, MemoryLog(LINES))
    forged = forge(tmp_path / "forged", [rows(LINES[at : at + SMALL], at) for at in range(0, 3 * SMALL, SMALL)], LINES)
    assert checked(forged).verified
    for n in range(3):
        name = f"entries-{n * SMALL:012}.parquet"
        assert pq.read_table(folder / name).to_pylist() == pq.read_table(forged / name).to_pylist()
    ours, theirs = (path.read_text().split("\n\n")[2:] for path in (folder / "manifest", forged / "manifest"))
    assert ours == theirs


@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 2 * SMALL])
def test_every_size_verifies(tmp_path: Path, size: int) -> None:
    done = archived(tmp_path / "home", tmp_path / "archive", MemoryLog(LINES[:size]))
    report = checked(tmp_path / "archive")
    assert report.verified and (done.segments, report.segments, report.signed) == (size // SMALL, size // SMALL, size)


def test_a_second_run_adds_what_is_new_and_touches_nothing_else(tmp_path: Path) -> None:
    folder, log = tmp_path / "archive", MemoryLog(LINES[: SMALL + 9])
    assert archived(tmp_path / "home", folder, log).new == 1
    before = files(folder)
    log.stored = LINES[: 2 * SMALL + 3]
    assert (done := archived(tmp_path / "home", folder, log)).new == 1 and done.segments == 2
    log.stored = list(LINES)
    assert archived(tmp_path / "home", folder, log).new == 1
    assert archived(tmp_path / "home", folder, log).new == 0
    after = files(folder)
    assert after["entries-000000000000.parquet"] == before["entries-000000000000.parquet"] and len(after) == 4
    assert checked(folder).verified
    archived(tmp_path / "home", tmp_path / "whole", log)
    assert files(tmp_path / "whole").keys() == after.keys()
    assert files(tmp_path / "whole")["manifest"] == after["manifest"], "the same files, whether written in one run or in three"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=9), max_size=4), st.text()
)
def test_any_entry_has_true_columns(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, object], text: str) -> None:
    from tests.decision_log.building import Log

    folder, log = tmp_path_factory.mktemp("any"), Log()
    odd = {"id": 7, "enforced": "yes", "task": ["t"], "status": text, "label": None, "resource": text + "\0", "session": {"a": 1}}
    envelope = {"kind", "v", "writer", "seq", "time", "prev"}
    for n in range(SMALL):
        log.add(f"note {n % 3}", **({name: value for name, value in fields.items() if name not in envelope} if n % 2 else odd))
    archived(folder / "home", folder / "archive", MemoryLog(log.lines))
    report = checked(folder / "archive")
    assert report.verified, report.to_text()


def test_others_read_it(tmp_path: Path) -> None:
    """Another implementation of Parquet: columns are typed, the line is there to the byte."""
    folder = tmp_path / "archive"
    archived(tmp_path / "home", folder, MemoryLog(LINES))
    query = f"SELECT count(*), min(index), max(index), min(time), max(time) FROM '{folder}/entries-*.parquet'"
    [(count, first, last, begin, end)] = duckdb.sql("SET TimeZone = 'UTC'; " + query).fetchall()
    assert (count, first, last) == (3 * SMALL, 0, 3 * SMALL - 1)
    assert begin.timestamp() * 1e6 == 1_800_000_000_000_000 and end.timestamp() * 1e6 == 1_800_000_000_000_000 + last
    by = f"SELECT resource, enforced, line FROM '{folder}/entries-*.parquet' WHERE kind = 'decision' AND id = 'd300'"
    assert duckdb.sql(by).fetchall() == [("resource of d300", True, LINES[300])]
    kinds = dict(duckdb.sql(f"SELECT kind, count(*) FROM '{folder}/entries-*.parquet' GROUP BY 1").fetchall())
    assert kinds == checked(folder).kinds


@pytest.mark.parametrize("size", [0, 5, SMALL, 2 * SMALL + 7, 3 * SMALL])
def test_an_archive_that_goes_on_from_the_known_head_verifies(tmp_path: Path, size: int) -> None:
    archived(tmp_path / "home", tmp_path / "archive", MemoryLog(LINES))
    report = checked(tmp_path / "archive", head=signed_note(LINES[:size]))
    assert (report.verified, report.head) == (True, size)
    rewritten = [*LINES[:3], LINES[3] + b" ", *LINES[4:size]] if size > 4 else None
    if rewritten:
        assert problems(checked(tmp_path / "archive", head=signed_note(rewritten))) == [(3 * SMALL, "head")]


def test_a_head_that_is_newer_than_the_segments_is_compared_with_the_checkpoint(tmp_path: Path) -> None:
    archived(tmp_path / "home", tmp_path / "archive", MemoryLog(LINES))
    assert checked(tmp_path / "archive", head=signed_note(LINES)).verified
    other = [*LINES[:-1], LINES[-1] + b" "]
    assert problems(checked(tmp_path / "archive", head=signed_note(other))) == [(3 * SMALL, "head")]
    with pytest.raises(UnusableInput, match="between the 768 that are archived and the 808"):
        checked(tmp_path / "archive", head=signed_note(LINES[:800]))
    assert problems(checked(tmp_path / "archive", head=signed_note(long(900)))) == [(3 * SMALL, "head")]


def test_cosignatures_go_along(tmp_path: Path) -> None:
    log, witness = MemoryLog(LINES), private_key(2)
    head = head_of(tmp_path / "home", log)
    text = head.sign().partition("\n\n")[0] + "\n"
    head.add_cosignatures([cosignature(witness, text, "w.org/w", 77).rstrip("\n")])
    archive(tmp_path / "archive", head, log, lambda done, total: None)
    known = [vkey(witness, "w.org/w", 4)]
    report = checked(tmp_path / "archive", witnesses=known)
    assert report.verified and report.witnesses == {"w.org/w": 77}
    assert [problem for _, problem in problems(checked(tmp_path / "archive"))] == ["signature"], "nobody can check it"
    policy = f"log {KEY}\nwitness one {known[0]}\nquorum one\n".encode()
    assert checked(tmp_path / "archive", None, policy=policy).verified
    archived(tmp_path / "home2", tmp_path / "without", log)
    assert [problem for _, problem in problems(checked(tmp_path / "without", None, policy=policy))] == ["quorum"]


def test_a_stores_log_is_archived(open_store: OpenStore, tmp_path: Path) -> None:
    world = open_store()
    session = world.open_session()
    while world.store.log.size() < SMALL + 20:
        world.perform(session, "look", "something", {"who": "x"})
    folder = tmp_path / "archive"
    done = archive(folder, world.embedded.head, world.store.log, lambda done, total: None)
    assert done.segments == 1
    report = checked(folder, world.embedded.head.vkey)
    assert report.verified and report.permits > 100, report.to_text()
    again = archive(folder, world.embedded.head, world.store.log, lambda done, total: None)
    assert (again.new, again.segments) == (0, 1) and checked(folder, world.embedded.head.vkey).verified
    [row] = duckdb.sql(
        f"SELECT DISTINCT effect, enforced, subject, action, resource, task, session, status FROM '{folder}/*.parquet' "
        "WHERE kind = 'decision'"
    ).fetchall()
    assert row == ("permit", True, "Agent::bot", "tool.call", "look", session.task, session.id, None)


def test_without_the_library_both_say_what_to_install(tmp_path: Path) -> None:
    archived(tmp_path / "home", tmp_path / "archive", MemoryLog(LINES[:SMALL]))
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from remit.local.archiving import parquet_writer\n"
        "from remit.model.errors import RemitError\n"
        "from remit.decision_log.verify.__main__ import main\n"
        "try: parquet_writer()\nexcept RemitError as error: print(error.kind, error.message)\n"
        f"sys.exit(main([{str(tmp_path / 'archive')!r}]))"
    )
    path = [str(Path(__file__).parents[2] / "src")]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path}\n{program}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "install `remit[archive]`" in done.stdout, done.stderr
    assert done.stdout.startswith(ErrorKind.UNAVAILABLE) and "needs `pyarrow`" in done.stderr


def test_copied_out_the_verifier_checks_archives_alone(tmp_path: Path) -> None:
    archived(tmp_path / "home", tmp_path / "archive", MemoryLog(LINES))
    shutil.copytree(Path(verify.__file__).parent, tmp_path / "verify", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "verify" / "archive.py"
    source.write_text(source.read_text().replace("SEGMENT = 65_536", f"SEGMENT = {SMALL}"))
    true = run_alone(tmp_path, str(tmp_path / "archive"), "--key", KEY, "--json")
    assert (true.returncode, true.stderr) == (0, "") and json.loads(true.stdout)["size"] == 3 * SMALL
    (tmp_path / "archive" / "entries-000000000256.parquet").unlink()
    false = run_alone(tmp_path, str(tmp_path / "archive"), "--key", KEY)
    assert false.returncode == 1 and "line 257: segment: `entries-000000000256.parquet` is missing" in false.stdout


def test_row_groups_are_small_whatever_the_lines(tmp_path: Path) -> None:
    """Memory holds one group of rows at a time: so many bytes, or so many rows."""
    file = tmp_path / "export"
    line = LINES[0][:-1] + b',"text":"' + b"x" * 1_000_000 + b'"}'
    assert export_parquet(file, iter([line] * 40), overwrite=False) == 40
    groups = [pq.ParquetFile(file).metadata.row_group(n).num_rows for n in range(pq.ParquetFile(file).num_row_groups)]
    assert sum(groups) == 40 and max(groups) <= 17
    assert export_parquet(file, (LINES[0] for _ in range(20_000)), overwrite=True) == 20_000
    assert pq.ParquetFile(file).num_row_groups == 3 and pq.read_table(file)["index"].to_pylist() == list(range(20_000))
    assert export_parquet(file, iter([]), overwrite=True) == 0 and pq.read_table(file).num_rows == 0


def test_an_archive_of_nothing_is_one(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    archived(tmp_path / "home", tmp_path / "archive", MemoryLog([]))
    report = checked(tmp_path / "archive")
    assert report.verified and report.segments == report.size == report.signed == 0
    note = manifest("", 0, LINES)
    (tmp_path / "archive" / "manifest").write_text(note.replace("old 0\n", f"old 0\n{base64.b64encode(bytes(32)).decode()}\n"))
    assert [problem for _, problem in problems(checked(tmp_path / "archive"))] == ["root"]


def test_lines_that_are_no_entries_are_not_archived(tmp_path: Path) -> None:
    log = MemoryLog(LINES)
    log.stored[10] = b"{}"
    with pytest.raises(RemitError, match="entry 10 cannot be read") as caught:
        archived(tmp_path / "home", tmp_path / "archive", log)
    assert caught.value.kind is ErrorKind.CORRUPT and sorted(files(tmp_path / "archive")) == ["manifest"]
