"""Erasing a task with archives and exports in the world: what is written after holds none of its words, what was written before opens no more."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from remit.cli import verbs
from remit.cli.main import app
from remit.decision_log.encoding import decode
from remit.decision_log.entry import DecisionMade
from remit.decision_log.ocsf.events import write_ocsf
from remit.decision_log.plain import write_plain
from remit.decision_log.sealed import open_sealed
from remit.decision_log.sealing import SealKey
from remit.decision_log.verify import verify_archive
from remit.local.archiving import archive, export_parquet
from remit.model.errors import RemitError
from remit.model.identity import TaskId
from remit.runtime import administration
from tests.archive.building import SMALL
from tests.conftest import OpenStore
from tests.faults.test_erasure import NAME, PERSONAL, erase, filled, found
from tests.runtime.world import ANA, World

if not app.registered_commands:
    verbs.register(app)


def written(world: World, folder: Path) -> Path:
    """The log in every form in which it leaves the store."""
    folder.mkdir()
    log = world.store.log
    world.embedded.head.export(folder / "signed", overwrite=False)
    write_plain(folder / "jsonl", "remit.local/log", log.lines())
    write_ocsf(folder / "ocsf", "remit.local/log", log.lines())
    export_parquet(folder / "parquet", log.lines(), overwrite=False)
    archive(folder / "archive", world.embedded.head, log, lambda done, total: None)
    (folder / "proof").write_text(world.embedded.head.prove_entry(log.size() - 1))
    return folder


def readable(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All that can be read there: bytes as they are, what Parquet holds compressed, and Base64 as what it is of."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if content.startswith(b"PAR1"):
            cells = [cell for column in pq.read_table(path).columns for cell in column.to_pylist()]
            content += b"\n".join(cell if type(cell) is bytes else str(cell).encode() for cell in cells)
        yield path.name, content
        for word in set(content.replace(b'"', b" ").split()):
            if len(word) % 4 == 0 and len(word) > 20:
                try:
                    yield path.name, base64.b64decode(word, validate=True)
                except ValueError:
                    continue


def words_in(folder: Path, words: list[bytes]) -> list[tuple[str, bytes]]:
    return [(name, word) for name, content in readable(folder) for word in words if word in content]


def grown(world: World) -> None:
    """So many entries that the archive has segments."""
    other = world.open_session(purpose="something else")
    while world.store.log.size() < 2 * SMALL:
        world.ask(other, "never", {"n": 1})


def test_nothing_of_it_is_in_what_is_written_after(
    open_store: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = open_store()
    session = filled(world)
    secret = world.store.secret(session.task or TaskId("")) or b"?"
    grown(world)
    erase(world, session)
    after = written(world, tmp_path / "after")
    assert words_in(after, [*PERSONAL, secret, secret.hex().encode(), base64.b64encode(secret)]) == []
    assert found(world.home, [*PERSONAL, secret]) == []
    assert not any(word.decode() in caplog.text for word in PERSONAL), "nor in what processes log"
    report = verify_archive(after / "archive", world.embedded.head.vkey)
    assert report.verified and report.segments == 2, report.to_text()
    assert world.verified().kinds["key.destroyed"] == 1


def test_what_was_written_before_opens_no_more(open_store: OpenStore, tmp_path: Path) -> None:
    """The words are in earlier files too, but sealed: with the key they open, and the key is gone from the store."""
    world = open_store()
    session = filled(world)
    secret = world.store.secret(session.task or TaskId("")) or b"?"
    grown(world)
    before = written(world, tmp_path / "before")
    assert words_in(before, PERSONAL) == [], "not even before is a word of it there in plain"
    lines = pq.read_table(before / "archive" / "entries-000000000000.parquet")["line"].to_pylist()
    bodies = [decode(index, line).body for index, line in enumerate(lines)]
    sealed = [body for body in bodies if isinstance(body, DecisionMade) and body.task == session.task]
    assert len(sealed) == 4
    opened = [open_sealed(body, SealKey(secret)) for body in sealed]
    assert all(one is not None and NAME.encode() in bytes(one.arguments) for one in opened), "as long as the key exists"
    erase(world, session)
    assert world.store.secret(session.task or TaskId("")) is None and found(world.home, [secret]) == []
    for body in sealed:
        with pytest.raises(RemitError):
            open_sealed(body, SealKey(bytes(32)))
    archive(before / "archive", world.embedded.head, world.store.log, lambda done, total: None)
    assert verify_archive(before / "archive", world.embedded.head.vkey).verified, "the archive goes on, and no hash has changed"
    old, new = (line_of(world, n) for n in (0, SMALL))
    assert old == lines[0] and new


def line_of(world: World, index: int) -> bytes:
    return next(iter(world.store.log.lines(index, index + 1)))


@pytest.mark.sqlite
def test_no_verb_shows_it_any_more(guarded: World) -> None:
    session = filled(guarded)
    ids = [made.id for made in guarded.decisions()]
    task = str(session.task)
    before = said("task", "show", task) + "".join(said("decision", "show", one) for one in ids)
    assert NAME in before, "it was shown before"
    erase(guarded, session)
    approval = guarded.store.approvals(None, 10)[0].id
    shown = [said("task", "list"), said("task", "show", task), said("decision", "list"), said("approval", "list", "--all")]
    shown += [said("approval", "show", approval)]
    shown += [said(*verb, one, *json_) for one in ids for verb in VERBS for json_ in ((), ("--json",))]
    assert [word for word in PERSONAL for text in shown if word.decode() in text] == []
    with pytest.raises(RemitError):
        administration.erase(guarded.runtime, TaskId("tsk_none"), ANA).result()


VERBS: list[tuple[str, ...]] = [("decision", "show"), ("decision", "explain")]


def said(*arguments: str) -> str:
    """All that a verb says, whether it succeeds or not."""
    result = CliRunner().invoke(app, list(arguments))
    error: Any = result.exception
    return json.dumps([result.output, str(error)], ensure_ascii=False)
