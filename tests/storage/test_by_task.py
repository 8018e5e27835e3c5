"""The entries of one task, found wherever in the log they are."""

import sqlite3

import pytest

from remit.decision_log.encoding import decode
from remit.decision_log.entry import Entry
from remit.model.decision import Reason
from remit.model.identity import DecisionId
from remit.model.labels import PUBLIC_TRUSTED
from remit.model.task import Session
from remit.runtime.store import OpenPermit
from remit.storage.sqlite.database import SPAN
from remit.storage.staging import encode
from tests.conftest import OpenStore
from tests.faults.disk import DISK_FULL, failing_at
from tests.runtime.world import World, permit, reason

pytestmark = pytest.mark.sqlite  # where it is no index that the database keeps


def filled(world: World, session: Session, entries: int) -> None:
    while world.store.log.size() < entries:
        permit(world.ask(session, "look"))


def of_task(world: World, session: Session, kind: str = "") -> list[Entry]:
    """What the whole log has of the task, read entry by entry."""
    entries = [decode(index, line) for index, line in enumerate(world.store.log.lines())]
    kinds = [entry for entry in entries if not kind or entry.line.startswith(f'{{"kind":"{kind}"'.encode())]
    return [entry for entry in kinds if getattr(entry.body, "task", None) == session.task]


def test_all_entries_of_a_task_are_found_in_order_and_no_others(world: World) -> None:
    one, other = world.open_session(), world.open_session()
    filled(world, one, SPAN + 10)
    permit(world.ask(other, "look"))
    filled(world, one, 2 * SPAN + 10)
    log = world.store.log
    for session in (one, other):
        assert log.by_task(session.task or "") == of_task(world, session)
    newest = of_task(world, one, "decision")[::-1]
    assert log.by_kind("decision", 5, None, one.task or "") == newest[:5]
    assert log.by_kind("decision", SPAN, newest[3].index, one.task or "") == newest[4 : 4 + SPAN]
    assert log.by_task("tsk_none") == log.by_kind("decision", 5, None, "tsk_none") == []


def test_a_commit_that_was_taken_back_leaves_no_entry_that_is_not_found(world: World) -> None:
    """The first of a span: that its task is in there must be written again with the commit that succeeds."""
    session = world.open_session()
    filled(world, session, SPAN)
    disk = failing_at(world, "INSERT INTO sessions (id", DISK_FULL)
    assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE
    disk.mend()
    permit(world.ask(session, "look"))
    assert world.store.log.size() > SPAN
    assert world.store.log.by_task(session.task or "") == of_task(world, session)


def test_a_store_of_before_is_brought_on(open_store: OpenStore) -> None:
    world = open_store()
    session = world.open_session()
    filled(world, session, SPAN + 10)
    world.close()
    left = OpenPermit(DecisionId("dec_left"), "wri_gone", session.id, session.task, "look", 0, PUBLIC_TRUSTED)
    with sqlite3.connect(world.home / "remit.db", isolation_level=None) as before:
        before.executescript("""
            DROP TABLE task_spans; DROP INDEX entries_sessions; DROP TABLE permits; DROP TABLE break_glass; DROP TABLE people; DROP TABLE person_names; DROP TABLE people_groups;
            CREATE INDEX entries_task ON entries (task, idx) WHERE task IS NOT NULL;
            CREATE TABLE permits (decision TEXT PRIMARY KEY, writer TEXT NOT NULL, permit BLOB NOT NULL) WITHOUT ROWID;
            PRAGMA user_version = 5;
        """)
        before.execute("INSERT INTO permits VALUES (?, ?, ?)", (left.decision, left.writer, encode(left)))
    before.close()
    world = open_store(again=True)
    [outcome] = world.store.log.by_decision(left.decision)
    assert b'"kind":"outcome"' in outcome.line and b'"status":"unknown"' in outcome.line
    permit(world.ask(session, "look"))
    assert world.store.log.by_task(session.task or "") == of_task(world, session)
