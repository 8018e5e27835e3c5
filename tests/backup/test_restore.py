"""What comes back of a backup, from either kind of store into either: everything that was, and nothing that could act."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from remit.decision_log.entry import BackupTaken, LogRestored, PeopleConfirmed
from remit.decision_log.keys import Ed25519Signer
from remit.decision_log.verify import verify_export
from remit.decision_log.whole_files import sync_folder
from remit.inventory.agents import with_status
from remit.local.backup import restoring
from remit.local.backup.checking import Checked, Trusted, check
from remit.local.config import read_settings
from remit.local.people import Import
from remit.local.wiring import Embedded, fill_server
from remit.local.witnessing import ask_witnesses, load_policy
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import Stage
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import AgentStatus, Operator
from remit.model.kill import KillKind
from remit.model.labels import Confidentiality
from remit.model.signing import VerificationKey
from remit.model.task import TaskStatus
from remit.runtime import kills, people
from remit.runtime.administration import change_agent
from remit.runtime.approving import answering
from remit.runtime.audit import differences
from remit.runtime.emergency import break_glass
from remit.storage.copying import (
    AnyRow,
    ApprovalRow,
    BreakGlassRow,
    KillRow,
    MemoryRow,
    MetaRow,
    ObservationRow,
    PermitRow,
    SessionRow,
    TaskRow,
)
from tests.backup.building import Lived, live, made, put_back, verified
from tests.conftest import STORES, OpenStore, StoreUrl
from tests.people.test_directory import IN_THE_FILE, asked_for, person, refusal, tell
from tests.postgres import Server
from tests.runtime.world import ANA, CARL, Clock, World, permit, reason, small_bundle
from tests.witness import served

OpenIn = Callable[[Path], World]


@pytest.fixture
def lived(open_store: OpenStore) -> Lived:
    return live(open_store)


@pytest.fixture
def into(store_kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[OpenIn]:
    """Opens what was restored, of the other kind of store than it was taken from: the harder way."""
    opened: list[World] = []

    def open_(home: Path) -> World:
        opened.append(World(home, clock))
        return opened[-1]

    other = STORES[1 - STORES.index(store_kind)]
    name = ""
    if other == "postgresql":
        server: Server = request.getfixturevalue("server")
        name = server.database(empty=True)
        monkeypatch.setenv("REMIT_STORE", server.url(name))
    else:
        monkeypatch.setenv("REMIT_STORE", "")
    yield open_
    for world in opened:
        world.close()
    if name:
        request.getfixturevalue("server").drop(name)


def rows_of(world: World) -> list[AnyRow]:
    with world.store.snapshot() as taken:
        return list(taken.rows())


def same(rows: list[AnyRow]) -> list[AnyRow]:
    """Rows that a restore leaves as they were, and that opening the store, which settles what was left, does not change."""
    changed = (MetaRow, TaskRow, ApprovalRow, MemoryRow, KillRow, PermitRow, SessionRow, ObservationRow, BreakGlassRow)
    return [row for row in rows if not isinstance(row, changed)]


def test_everything_comes_back_and_the_log_goes_on(lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock) -> None:
    world = lived.world
    before = made(world, tmp_path / "backup")
    rows, entries = rows_of(world), world.entries()
    indexed = world.store.log.by_task(lived.task.id), world.store.log.by_decision(lived.unreported)
    assert entries[-1].body == BackupTaken(before.manifest.backup, True, "ben", "os") and before.manifest.size == len(entries)
    world.close()
    clock.forward(60)
    done = put_back(tmp_path / "home", tmp_path / "backup", clock.now)
    assert (
        structs.asdict(done.ended) == {"tasks": 1, "approvals": 3, "permits": 1, "memories": 1, "break_glasses": 2, "people": 0}
        and done.lost == 0
    )
    back = into(tmp_path / "home")
    assert [entry.line for entry in back.entries()][: len(entries)] == [entry.line for entry in entries]
    restored = back.entries()[len(entries) + 1]
    assert restored.body == LogRestored(
        before.manifest.backup, clock.now - 60_000_000, len(entries), before.manifest.root, 0, "", False, "carl", "os"
    )
    assert same(rows_of(back)) == same(rows)
    found = back.store.log.by_task(lived.task.id), back.store.log.by_decision(lived.unreported)
    for now, then in zip(found, indexed, strict=True):
        assert [entry.line for entry in now][: len(then)] == [entry.line for entry in then]
    assert differences(back.store.log, back.store) == []
    glasses = back.store.break_glasses()
    assert {one.stage for one in glasses} == {Stage.REVIEWED, Stage.ENDED, Stage.WITHDRAWN} and len(glasses) == 3, (
        "none is open, and what was open waits for its review"
    )
    report = back.verified()
    assert [vars(one) for one in report.restored] == [{"index": len(entries) + 1, "size": len(entries), "known": 0}]
    said = f"restored: entry {len(entries) + 1} says that the store was put back from a backup of {len(entries)} entries"
    assert said in report.to_text()
    assert report.key == before.key, "under the same key"


def test_nothing_that_could_act_can(lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock) -> None:
    made(lived.world, tmp_path / "backup")
    revision = lived.world.store.revision
    put_back(tmp_path / "home", tmp_path / "backup", clock.now)
    back = into(tmp_path / "home")
    assert {(kill.kind, kill.name) for kill in back.store.kills()} == {(KillKind.ALL, ""), (KillKind.TOOL, "gone")}
    assert reason(back.ask(None, "look")) is Reason.KILLED, "not even what needs no task"
    kills.release(back.runtime, KillKind.ALL, "", "looked at", ANA).result()
    assert back.store.task(lived.task.id).task.status is TaskStatus.CLOSED
    assert reason(back.ask(lived.session, "look")) is Reason.TASK_CLOSED
    for approval in (lived.approved, lived.free, lived.pending):
        found = back.store.approval(approval)
        assert found is not None and found.state is ApprovalState.EXPIRED
    again = back.ask(None, "pay", {"to": "b"})
    assert isinstance(again, Deny) and again.reason is Reason.APPROVAL_REQUIRED and again.approval != lived.free
    assert not back.embedded.may_act(lived.unreported)
    [outcome] = [body for body in back.outcomes() if body.decision == lived.unreported]
    assert outcome.status == "unknown"
    notes = back.store.memory("notes")
    assert notes is not None and notes.label.confidentiality is Confidentiality.RESTRICTED and notes.label.untrusted
    assert back.store.secret(lived.erased.id) is None, "what was erased stays so"
    assert back.store.revision > revision + (1 << 31)
    session = back.open_session()
    permit(back.ask(session, "look"))  # and it works
    assert differences(back.store.log, back.store) == []
    back.faithful()


def test_whom_the_backup_alone_has_acts_for_nobody_until_somebody_speaks_of_them(
    lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock
) -> None:
    names = [person(lived.world, name, external_id=name) for name in ("ben", "carl", "dora")]
    tell(lived.world, *names, person(lived.world, "eve", source="file:other"))
    made(lived.world, tmp_path / "backup")
    clock.forward(60)
    assert put_back(tmp_path / "home", tmp_path / "backup", clock.now).ended.people == 4
    back = into(tmp_path / "home")
    kills.release(back.runtime, KillKind.ALL, "", "looked at", ANA).result()
    assert back.store.unconfirmed() == {IN_THE_FILE: 3, "file:other": 1} and differences(back.store.log, back.store) == []
    session = back.open_session()
    asked = permit(back.ask(session, "look")), asked_for(back, "pay", session)
    for name in ("carl", "eve"):
        assert "nobody has said that" in refusal(back, asked[1], name)
    with pytest.raises(RemitError, match="nobody has said"):
        break_glass.ask(
            back.runtime, break_glass.EmergencyRequest("it is stuck", "INC-7", agent="bot", tools=("pay",)), CARL
        ).result()
    with pytest.raises(RemitError, match="say it first"):
        people.erase_person(back.runtime, names[2].id, ANA).result()
    told = "id,user_name\nben,ben\ncarl,carl\n"
    Import(told.encode(), IN_THE_FILE, whole=True, most=50).apply(back.embedded, ANA)
    assert back.store.unconfirmed() == {"file:other": 1}, "a file that has everybody says who is there, and who is not"
    permit(back.ask(session, "look"))
    assert [made.owner for made in back.decisions() if made.resource == "look"][-2:] == ["", "active"], "unknown, then there"
    people.erase_person(back.runtime, names[2].id, ANA).result()
    assert "is gone" in refusal(back, asked[1], "dora") and "nobody has said" in refusal(back, asked[1], "eve")
    answering.resolve(back.runtime, asked[1], CARL, True).result()
    assert people.confirm_people(back.runtime, "", ANA).result() == 1 and back.store.unconfirmed() == {}
    assert back.entries()[-1].body == PeopleConfirmed("", 1, "ana", "os")
    with pytest.raises(RemitError, match="waits to be confirmed"):
        people.confirm_people(back.runtime, "", ANA).result()
    answering.resolve(back.runtime, asked_for(back, "pay"), Operator("eve", "os"), True).result()
    assert differences(back.store.log, back.store) == []


def test_memories_keep_their_labels_if_that_is_said(lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock) -> None:
    before = lived.world.store.memory("notes")
    made(lived.world, tmp_path / "backup")
    done = put_back(tmp_path / "home", tmp_path / "backup", clock.now, memories_trusted=True)
    back = into(tmp_path / "home")
    assert done.ended.memories == 0 and back.store.memory("notes") == before
    [said] = [entry.body for entry in back.entries() if isinstance(entry.body, LogRestored)]
    assert said.memories_trusted


def test_a_restored_store_can_be_backed_up_and_restored_again(
    lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(lived.world, tmp_path / "first")
    put_back(tmp_path / "home", tmp_path / "first", clock.now)
    back = into(tmp_path / "home")
    clock.forward(5)
    made(back, tmp_path / "second")
    back.close()
    monkeypatch.setenv("REMIT_STORE", "")
    put_back(tmp_path / "again", tmp_path / "second", clock.now)
    last = World(tmp_path / "again", clock)
    try:
        assert len(last.verified().restored) == 2 and differences(last.store.log, last.store) == []
        assert len(last.store.kills()) == 2
    finally:
        last.close()


def test_entries_that_a_known_head_has_are_not_lost_in_silence(lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock) -> None:
    world = lived.world
    made(world, tmp_path / "backup")
    world.perform(lived.session, "look", "it is there still")
    note = world.embedded.head.sign()
    later = tmp_path / "later"
    world.embedded.head.export(later, overwrite=False)
    with pytest.raises(RemitError, match="2 would be lost") as caught:
        put_back(tmp_path / "home", tmp_path / "backup", clock.now, trusted=Trusted(heads=(note,)))
    assert caught.value.kind is ErrorKind.REFUSED and [path.name for path in (tmp_path / "home").iterdir()] == []
    # The head that lies in REMIT_HOME is known, too.
    (tmp_path / "home" / "log.head").write_bytes((world.home / "log.head").read_bytes())
    early = verified_head(tmp_path / "backup")
    for heads in ((), (early,)):
        with pytest.raises(RemitError, match="2 would be lost"):
            put_back(tmp_path / "home", tmp_path / "backup", clock.now, trusted=Trusted(heads=heads))
    done = put_back(tmp_path / "home", tmp_path / "backup", clock.now, accept_loss=True)
    assert done.lost == 2 and Path(done.aside).read_bytes() == (world.home / "log.head").read_bytes()
    back = into(tmp_path / "home")
    size = len(world.entries())
    [said] = [entry.body for entry in back.entries() if isinstance(entry.body, LogRestored)]
    assert (said.known, said.size) == (size, size - 2)
    # Whoever kept the head from before sees that the log does not lead to it, and what the log says of that.
    back.embedded.head.export(tmp_path / "now", overwrite=False)
    report = verify_export(tmp_path / "now", back.embedded.head.vkey, head=note)
    assert not report.verified and [finding.problem for finding in report.findings] == ["head"]
    assert "that a known head had are lost" in report.findings[0].message
    assert verify_export(tmp_path / "now", back.embedded.head.vkey).verified
    # So does another machine that still has the head of before: its owner must say that it is so.
    back.close()
    (tmp_path / "home" / "log.head").write_bytes((world.home / "log.head").read_bytes())
    with pytest.raises(RemitError, match=r"`carl` put back bkp_") as caught:
        World(tmp_path / "home", clock)
    assert caught.value.kind is ErrorKind.CORRUPT
    (tmp_path / "home" / "log.head").unlink()
    into(tmp_path / "home")


def verified_head(backup: Path) -> str:
    """The head in a backup."""
    return (backup / "log.export").read_text().partition("\n\n")[2]


def test_only_into_an_empty_place(lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock, store_url: StoreUrl) -> None:
    made(lived.world, tmp_path / "backup")
    put_back(tmp_path / "home", tmp_path / "backup", clock.now)
    back = into(tmp_path / "home")
    entries = back.store.log.size()
    with pytest.raises(RemitError) as caught:
        put_back(tmp_path / "home" if not back.url else tmp_path / "other", tmp_path / "backup", clock.now)
    assert caught.value.kind is ErrorKind.CONFLICT and back.store.log.size() == entries
    if back.url:
        assert not (tmp_path / "other" / "remit.db").exists()


def test_without_the_key_somebody_must_bring_it(lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock) -> None:
    key = made(lived.world, tmp_path / "backup", with_keys=False).key
    assert not list((tmp_path / "backup").rglob("*.key"))
    with pytest.raises(RemitError, match="--log-key") as caught:
        put_back(tmp_path / "home", tmp_path / "backup", clock.now)
    assert caught.value.kind is ErrorKind.REFUSED and key in caught.value.message
    other = World(tmp_path / "other", clock, store="")
    other.close()
    with pytest.raises(RemitError, match="is not the log's"):
        put_back(tmp_path / "home", tmp_path / "backup", clock.now, log_key=tmp_path / "other" / "log.key")
    done = put_back(tmp_path / "home", tmp_path / "backup", clock.now, log_key=lived.world.home / "log.key")
    assert done.key == key and (tmp_path / "home" / "log.key").stat().st_mode & 0o777 == 0o600
    into(tmp_path / "home").verified()


@pytest.mark.sqlite
def test_a_lost_key_and_another_name(lived: Lived, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    (lived.world.home / "config.toml").write_text(
        '# mine\norigin = "remit.local/log"\nlock_seconds = 3.0\n[[issuers]]\nissuer="https://a.example"\n'
    )
    key = made(lived.world, tmp_path / "backup", with_keys=False).key
    done = put_back(tmp_path / "home", tmp_path / "backup", clock.now, new_log_key=True, origin="corp.example/log-2")
    assert done.key != key and done.key.startswith("corp.example/log-2+")
    text = (tmp_path / "home" / "config.toml").read_text()
    assert text.startswith('origin = "corp.example/log-2"\n# mine\nlock_seconds') and text.count("origin") == 1
    again = Embedded(tmp_path / "home", read_settings(tmp_path / "home"), clock)
    again.close()


@pytest.mark.sqlite
def test_a_witness_of_what_is_lost_is_not_persuaded_and_another_name_is_honest(
    lived: Lived, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, name = lived.world, "corp.example/log-2"
    old = VerificationKey.parse(world.embedded.head.vkey)
    new = VerificationKey(name, old.public)
    with served("one.example/w", tmp_path / "one", old.text, new.text) as witness:

        def cosigned(embedded: Embedded, key: VerificationKey) -> tuple[str, ...]:
            (embedded.home / "policy").write_text(f"log {key.text}\nwitness one {' '.join(witness)}\nquorum one\n")
            return ask_witnesses(embedded.head, load_policy(embedded.home, "policy")).cosigned

        made(world, tmp_path / "backup")
        world.perform(lived.session, "look", "it is there still")
        assert cosigned(world.embedded, old) == ("one",)
        put_back(tmp_path / "same", tmp_path / "backup", clock.now)
        same = World(tmp_path / "same", clock, store="")
        for _ in range(2):  # the log has become longer than what the witness saw, and still is not that
            with pytest.raises(RemitError, match="has seen"):
                cosigned(same.embedded, old)
            same.publish(small_bundle())
        same.close()
        put_back(tmp_path / "other", tmp_path / "backup", clock.now, origin=name)
        other = Embedded(tmp_path / "other", read_settings(tmp_path / "other"), clock)
        try:
            assert other.head.vkey == new.text and cosigned(other, new) == ("one",)
        finally:
            other.close()


def test_agents_are_as_they_were_then(lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock) -> None:
    """What happened since is not known: it stands still until somebody has done that again."""
    made(lived.world, tmp_path / "backup")
    change_agent(lived.world.runtime, "bot", lambda known: with_status(known, "bot", AgentStatus.RETIRED), ANA).result()
    put_back(tmp_path / "home", tmp_path / "backup", clock.now)
    back = into(tmp_path / "home")
    assert back.store.agents()[0].status is AgentStatus.ACTIVE
    assert reason(back.ask(None, "look")) is Reason.KILLED
    with pytest.raises(RemitError, match="no task is opened"):
        back.open_task()


def test_verify_says_the_same_without_any_store(lived: Lived, tmp_path: Path) -> None:
    head = lived.world.embedded.head.sign()
    made(lived.world, tmp_path / "backup")
    ended = verified(tmp_path / "backup", lived.world.embedded.head.vkey, head)
    assert structs.asdict(ended) == {"tasks": 1, "approvals": 3, "permits": 1, "memories": 1, "break_glasses": 2, "people": 0}


def test_what_is_put_back_is_what_was_checked(
    lived: Lived, into: OpenIn, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's key is needed to write into a backup's folder: whatever is changed there after the check changes nothing."""
    backup, config = tmp_path / "backup", "lock_seconds = 9.0\n"
    (lived.world.home / "config.toml").write_text(config)
    key = made(lived.world, backup).key
    entries, rows = lived.world.entries(), same(rows_of(lived.world))
    lived.world.close()

    def then_changed(*arguments: Any) -> Checked:
        checked = check(*arguments)
        for name in ("log.export", "state.jsonl"):
            text = (backup / name).read_bytes()
            assert b"ben" in text or name == "state.jsonl"
            (backup / name).write_bytes(
                text.replace(b'"operator":"ben"', b'"operator":"eve"').replace(b'["agents"', b'["agentz"')
            )
        (backup / "home" / "config.toml").write_text(f'{config}[[issuers]]\nissuer = "https://evil.example"\n')
        (backup / "keys" / "log.key").unlink()
        Ed25519Signer.generate("remit.local/log").save(backup / "keys" / "log.key")
        return checked

    monkeypatch.setattr(restoring, "check", then_changed)
    done = put_back(tmp_path / "home", backup, clock.now, trusted=Trusted(key))
    assert done.key == key and done.key_pinned and (tmp_path / "home" / "config.toml").read_text() == config
    back = into(tmp_path / "home")
    assert [entry.line for entry in back.entries()][: len(entries)] == [entry.line for entry in entries]
    assert same(rows_of(back)) == rows and back.verified().key == key
    with pytest.raises(RemitError, match="was changed"):
        verified(backup)


def test_a_store_that_is_another_than_was_checked_is_taken_away_again(
    lived: Lived,
    into: OpenIn,
    tmp_path: Path,
    store_kind: str,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Whoever has come between: no head is signed, no key, no file stays."""
    (lived.world.home / "streams").mkdir()
    (lived.world.home / "streams" / "siem.json").write_text('{"next":3,"leaf":"00"}')
    made(lived.world, tmp_path / "backup")
    home = tmp_path / "home"
    filled, synced = fill_server, sync_folder
    server: Server | None = request.getfixturevalue("server") if store_kind == "sqlite" else None
    changes = {
        "DELETE FROM kills WHERE kind = 'all'": "not everything is stopped",
        "UPDATE tasks SET status = 'open'": "not as its log says",
        "UPDATE entries SET line = replace(CAST(line AS TEXT), 'ben', 'eve')": "is not the backup's",
    }
    for change, said in changes.items():
        if server is None:

            def then_changed(folder: Path, change: str = change) -> None:
                synced(folder)
                with sqlite3.connect(folder / "remit.db") as database:
                    assert database.execute(change).rowcount
                database.close()

            with monkeypatch.context() as patched, pytest.raises(RemitError, match=said) as caught:
                patched.setattr(restoring, "sync_folder", then_changed)
                put_back(home, tmp_path / "backup", clock.now)
        else:
            name = server.database(empty=True)
            monkeypatch.setenv("REMIT_STORE", server.url(name))

            def then(*given: Any, change: str = change, name: str = name) -> None:
                filled(*given)
                change = change.replace("CAST(line AS TEXT)", "convert_from(line, 'UTF8')").replace(
                    "replace(", "convert_to(replace("
                )
                server.run(change.replace("'eve')", "'eve'), 'UTF8')"), name)

            with monkeypatch.context() as patched, pytest.raises(RemitError, match=f"{said}.*drop the database") as caught:
                patched.setattr(restoring, "fill_server", then)
                put_back(home, tmp_path / "backup", clock.now)
            server.drop(name)
        assert caught.value.kind is ErrorKind.CORRUPT and list(home.iterdir()) == [], change
