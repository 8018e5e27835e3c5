"""A store that is locked, gone, exchanged, read-only, full or failing permits nothing, says why, and loses nothing it had."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import remit
from remit.local.wiring import wall_clock
from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.task import Session
from tests.conftest import OpenStore
from tests.faults.disk import DISK_FULL, FSYNC_FAILED, WRITE_FAILED, failing_at
from tests.faults.processes import ROOT, line, python, rest, tell
from tests.places import on_disk
from tests.runtime.world import World, permit, reason

pytestmark = [pytest.mark.sqlite, pytest.mark.disk]

HOLD = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
store.execute("ROLLBACK")
print("let go", flush=True)
"""


class TestLocked:
    def test_while_another_process_holds_it_nothing_is_permitted(self, open_store: OpenStore) -> None:
        world = open_store(lock_seconds=0.2)
        session = world.open_session()
        with python("-c", HOLD, str(world.home / "remit.db")) as other:
            assert line(other) == "held"
            denied = world.ask(session, "look")
            assert reason(denied) is Reason.STORE_UNAVAILABLE
            assert "locked" in denied.message
            with pytest.raises(RemitError) as caught:
                world.open_task()
            assert caught.value.kind is ErrorKind.UNAVAILABLE
            tell(other)
            assert line(other) == "let go"
        permit(world.ask(session, "look"))
        assert [made.effect for made in world.decisions()] == ["permit"]
        assert world.verified()

    def test_a_guarded_function_does_not_run(self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
        world = open_store(lock_seconds=0.2)
        monkeypatch.setenv("REMIT_HOME", str(world.home))
        world.enter_default()
        ran = []

        @remit.guard
        def look() -> None:
            ran.append(1)

        with remit.task("look around", agent="bot"), python("-c", HOLD, str(world.home / "remit.db")) as other:
            assert line(other) == "held"
            with pytest.raises(remit.Denied) as caught:
                look()
            tell(other)
            assert line(other) == "let go"
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
        assert ran == []

    def test_a_short_wait_is_no_fault(self, open_store: OpenStore) -> None:
        world = open_store(lock_seconds=20)
        session = world.open_session()
        with python("-c", HOLD, str(world.home / "remit.db")) as other:
            assert line(other) == "held"
            tell(other)
            permit(world.ask(session, "look"))

    def test_no_second_start_while_it_is_locked(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        world.perform(session, "look", "")
        world.close()
        with python("-c", HOLD, str(world.home / "remit.db")) as other:
            assert line(other) == "held"
            again = open_store(again=True, lock_seconds=0.2)
            assert reason(again.ask(session, "look")) is Reason.STORE_UNAVAILABLE


def unlink(home: Path) -> None:
    (home / "remit.db").unlink()


def unlink_wal(home: Path) -> None:
    (home / "remit.db-wal").unlink()


def remove_folder(home: Path) -> None:
    shutil.rmtree(home)


def move_folder(home: Path) -> None:
    home.rename(home.with_name("moved"))
    home.mkdir()


def exchange(home: Path) -> None:
    copy = home / "copy.db"
    shutil.copy(home / "remit.db", copy)
    copy.rename(home / "remit.db")


def exchange_wal(home: Path) -> None:
    copy = home / "copy.wal"
    shutil.copy(home / "remit.db-wal", copy)
    copy.rename(home / "remit.db-wal")


class TestGone:
    @pytest.mark.parametrize("remove", [unlink, unlink_wal, remove_folder, move_folder, exchange, exchange_wal])
    def test_a_store_that_was_taken_away_while_in_use_permits_nothing_more(
        self, open_store: OpenStore, remove: Callable[[Path], None]
    ) -> None:
        world = open_store()
        session = world.open_session()
        permit(world.ask(session, "look"))
        remove(world.home)
        for _ in range(2):
            assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE

    def test_putting_it_back_does_not_mend_this_process(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        moved = world.home.with_name("moved")
        world.home.rename(moved)
        assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE
        moved.rename(world.home)
        assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE
        world.close()
        permit(open_store(again=True).ask(session, "look"))

    def test_two_processes_that_see_different_shared_memory_notice(self, open_store: OpenStore) -> None:
        """The lock of a write-ahead log lies in `-shm`: whoever opens it anew after it was removed does not see who else writes."""
        world = open_store(clock=wall_clock)
        session = world.open_session()
        permit(world.ask(session, "look"))
        (world.home / "remit.db-shm").unlink()
        ids = []
        with python("-m", "tests.faults.asker", str(world.home), session.id) as other:
            assert line(other) == "ready"
            for _ in range(3):
                decision = world.ask(session, "look")
                if not isinstance(decision, Deny):
                    ids.append(decision.id)
                tell(other)
                effect, said = line(other).split(" ", 1)
                if effect == "permit":
                    ids.append(said)
            assert other.stdin is not None
            other.stdin.close()
            other.stdin = None
            rest(other)
        world.close()
        # Read by a process of its own: in this one SQLite still knows the shared memory that was removed.
        environment = {**os.environ, "REMIT_HOME": str(world.home), "PYTHONPATH": os.pathsep.join(sys.path)}
        verbs = [["decision", "list", "--json"], ["log", "verify"]]
        listed, verified = (
            subprocess.run(
                [sys.executable, "-m", "remit.cli.main", *verb], env=environment, capture_output=True, timeout=60, check=False
            )
            for verb in verbs
        )
        assert {made["id"] for made in json.loads(listed.stdout)}.issuperset(ids), "no permit without an entry"
        assert verified.returncode == 0, verified.stdout + verified.stderr

    @pytest.mark.parametrize("content", [b"", b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
    def test_what_is_no_store_is_not_opened(self, open_store: OpenStore, tmp_path: Path, content: bytes) -> None:
        home = tmp_path / "store"
        world = open_store()
        world.close()
        (home / "remit.db").write_bytes(content)
        with pytest.raises(RemitError) as caught:
            open_store(again=True)
        assert caught.value.kind in (ErrorKind.CORRUPT, ErrorKind.UNAVAILABLE)

    @pytest.mark.parametrize("mode", [0o666, 0o604, 0o620, 0o602])
    def test_a_store_that_others_can_read_or_change_is_not_opened(self, open_store: OpenStore, mode: int) -> None:
        world = open_store()
        world.close()
        (world.home / "remit.db").chmod(mode)
        with pytest.raises(RemitError):
            open_store(again=True)
        (world.home / "remit.db").chmod(0o600)

    def test_a_store_is_for_its_owner_alone(self, world: World) -> None:
        world.perform(world.open_session(), "look", "text")
        world.verified()
        modes = {path.name: path.stat().st_mode & 0o077 for path in world.home.rglob("*") if path.is_file()}
        assert not any(mode for name, mode in modes.items() if not name.endswith(".lock")), modes
        assert world.home.stat().st_mode & 0o077 == 0

    def test_an_older_copy_is_noticed(self, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        world.close()
        old = (world.home / "remit.db").read_bytes()
        world = open_store(again=True)
        permit(world.ask(session, "look"))
        world.close()
        (world.home / "remit.db").write_bytes(old)
        with pytest.raises(RemitError) as caught:
            open_store(again=True)
        assert caught.value.kind is ErrorKind.CORRUPT

    @pytest.mark.parametrize("table", ["sessions", "tasks", "agents", "bundles", "data_keys"])
    def test_rows_that_cannot_be_read_deny(self, open_store: OpenStore, table: str) -> None:
        world = open_store()
        session = world.open_session()
        world.close()
        column = {"sessions": "state", "tasks": "task", "agents": "state", "bundles": "document", "data_keys": "secret"}
        raw = sqlite3.connect(world.home / "remit.db")
        raw.execute(f"UPDATE {table} SET {column[table]} = x'c1ffff'")
        raw.commit()
        raw.close()
        world = open_store(again=True)
        assert isinstance(world.ask(session, "look"), Deny)


class TestFailingCommits:
    @pytest.mark.parametrize("error", [FSYNC_FAILED, WRITE_FAILED], ids=["fsync", "write"])
    def test_after_a_commit_that_failed_in_the_disk_only_a_restart_helps(
        self, open_store: OpenStore, error: sqlite3.Error
    ) -> None:
        """What is on the disk after a failed fsync nobody knows; a second fsync that succeeds proves nothing."""
        world = open_store()
        session = world.open_session()
        given = permit(world.ask(session, "look"))
        disk = failing_at(world, "COMMIT", error)
        denied = world.ask(session, "look")
        assert reason(denied) is Reason.STORE_UNAVAILABLE
        disk.mend()
        for _ in range(3):
            assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE
        for act in (
            world.open_task,
            lambda: world.register("second"),
            lambda: world.report(given, session, OutcomeStatus.SUCCEEDED, ""),
        ):
            with pytest.raises(RemitError) as caught:
                act()
            assert caught.value.kind is ErrorKind.UNAVAILABLE
        world.close()
        world = open_store(again=True)
        permit(world.ask(session, "look"))
        assert [made.id for made in world.decisions()][0] == given.id
        assert denied.id not in {made.id for made in world.decisions()}
        assert world.verified()

    @pytest.mark.parametrize(
        "statement", ["BEGIN", "INSERT INTO entries", "INSERT INTO sessions (id", "INSERT INTO permits", "COMMIT"]
    )
    def test_a_full_disk_permits_nothing_and_is_no_fault_once_there_is_room(self, world: World, statement: str) -> None:
        session = world.open_session()
        permit(world.ask(session, "look"))
        disk = failing_at(world, statement, DISK_FULL, times=3)
        for _ in range(3):
            denied = world.ask(session, "look")
            assert reason(denied) is Reason.STORE_UNAVAILABLE
            assert "full" in denied.message
        disk.mend()
        permit(world.ask(session, "look"))
        stored = world.store.session(session.id)
        assert stored is not None and stored.calls == {"look": 2}
        assert len(world.decisions()) == 2
        assert world.verified()

    def test_a_group_stands_or_falls_together(self, world: World) -> None:
        session = world.open_session()
        disk = failing_at(world, "INSERT INTO sessions (id", DISK_FULL)
        decisions = []
        threads = [threading.Thread(target=lambda: decisions.append(world.ask(session, "look"))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        disk.mend()
        told = {decision.id for decision in decisions if not isinstance(decision, Deny)}
        assert told == {made.id for made in world.decisions() if made.effect == "permit"}
        stored = world.store.session(session.id)
        assert stored is not None and stored.calls == {"look": len(told)}


@pytest.fixture(scope="session")
def failing_disk() -> Iterator[Path]:
    """The library that makes system calls fail; needs a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the same faults are injected into the connection above")
    source = Path(__file__).with_name("failing_disk.c")
    with on_disk() as folder:
        library = folder / "failing_disk.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True, capture_output=True
        )
        yield library


class TestSystemCalls:
    """The same at the boundary of the operating system: a process whose fsync or write fails."""

    @pytest.fixture
    def session(self, open_store: OpenStore) -> Session:
        world = open_store(clock=wall_clock)
        session = world.open_session()
        world.close()
        return session

    @pytest.mark.parametrize("fault", ["fsync", "eio", "full"])
    def test_a_call_that_fails_in_the_kernel(
        self, open_store: OpenStore, session: Session, failing_disk: Path, tmp_path: Path, fault: str
    ) -> None:
        flag = tmp_path / "fault"
        environment = {"LD_PRELOAD": str(failing_disk), "REMIT_TEST_FAULT": str(flag)}
        with python("-m", "tests.faults.asker", str(tmp_path / "store"), session.id, **environment) as process:
            assert line(process) == "ready"
            tell(process)
            effect, first = line(process).split(" ", 1)
            assert effect == "permit"
            flag.write_text(fault)
            tell(process)
            assert line(process).startswith("deny store-unavailable"), "the fault did not reach SQLite, or was not noticed"
            flag.unlink()
            tell(process)
            later = line(process)
        if fault == "full":
            assert later.startswith("permit"), "there is room again, and nothing was written meanwhile"
        else:
            assert later.startswith("deny store-unavailable")
        after = open_store(again=True, clock=wall_clock)
        permits = [made.id for made in after.decisions() if made.effect == "permit"]
        assert permits[0] == first
        assert {seen.decision: seen.status for seen in after.outcomes()} == dict.fromkeys(permits, "unknown")
        permit(after.ask(session, "look"))
        assert after.verified()

    def test_a_file_that_may_not_grow(self, open_store: OpenStore, session: Session, tmp_path: Path) -> None:
        """RLIMIT_FSIZE: writing beyond it fails with EFBIG, without any compiler or mount."""
        with python("-m", "tests.faults.asker", str(tmp_path / "store"), session.id, "300000") as process:
            assert line(process) == "ready"
            said = []
            for _ in range(30):
                tell(process)
                said.append(line(process))
            tell(process, "unlimit")
        permits = [words.split()[1] for words in said if words.startswith("permit")]
        assert 0 < len(permits) < 30
        assert all(words.startswith(("permit", "deny store-unavailable")) for words in said)
        assert said[-1].startswith("deny store-unavailable")
        after = open_store(again=True, clock=wall_clock)
        assert [made.id for made in after.decisions() if made.effect == "permit"][: len(permits)] == permits
        assert after.verified()


SMALL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
mount = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", str(mount)], check=True)
print("mounted", flush=True)
from tests.runtime.world import Clock, World, small_bundle
from remit.model.decision import Permit
from remit.model.errors import RemitError
world = World(mount / "store", Clock())
world.publish(small_bundle())
world.register()
session = world.open_session()
ask = lambda: world.ask(session, "look", {"text": "x" * 9000})
def told(decision):
    return ["permit", decision.id] if isinstance(decision, Permit) else ["deny", decision.reason.value]
if sys.argv[2] == "full":
    said = [told(ask()) for _ in range(60)]
    (mount / "room").unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,size=4m", str(mount)], check=True)
    more = [told(ask()) for _ in range(5)]
else:
    said = [told(ask())]
    world.close()
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    try:
        world = World(mount / "store", Clock())
        said.append(told(ask()))
    except RemitError as error:
        said.append(["refused", error.kind.value])
    subprocess.run(["mount", "-o", "remount,rw", str(mount)], check=True)
    world = World(mount / "store", Clock())
    more = [told(ask())]
logged = [made.id for made in world.decisions() if made.effect == "permit"]
print(json.dumps({"said": said, "more": more, "logged": logged, "verified": world.verified().verified}), flush=True)
"""


class TestFileSystems:
    """A file system of its own, in a mount namespace that ends with its process."""

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> "Iterator[Callable[[str], dict[str, object]]]":
        unshare = shutil.which("unshare")
        if unshare is None or sys.platform != "linux":
            pytest.skip("no mount namespaces here: other tests fill a file")
        prefix = [unshare, "--mount"] if os.geteuid() == 0 else [unshare, "--user", "--map-root-user", "--mount"]
        mount = tmp_path / "disk"
        mount.mkdir()

        def run(what: str) -> dict[str, object]:
            done = subprocess.run(
                [*prefix, sys.executable, "-c", textwrap.dedent(SMALL_DISK), str(mount), what],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"},
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            if "mounted" not in done.stdout:
                pytest.skip(f"mounting is not allowed here: {done.stderr[-200:]}")
            assert done.returncode == 0, done.stderr[-2000:]
            found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
            return found

        yield run

    def test_a_disk_that_fills_up(self, small_disk: "Callable[[str], dict[str, object]]") -> None:
        found = small_disk("full")
        said, more, logged = found["said"], found["more"], found["logged"]
        assert isinstance(said, list) and isinstance(more, list) and isinstance(logged, list)
        assert said[0][0] == "permit" and said[-1] == ["deny", "store-unavailable"]
        told = [id_ for effect, id_ in [*said, *more] if effect == "permit"]
        assert logged == told
        assert found["verified"]

    def test_a_disk_that_becomes_read_only(self, small_disk: "Callable[[str], dict[str, object]]") -> None:
        found = small_disk("read-only")
        said, more = found["said"], found["more"]
        assert isinstance(said, list) and isinstance(more, list)
        assert said[0][0] == "permit"
        assert said[1] in (["refused", "unavailable"], ["deny", "store-unavailable"])
        assert more[0][0] == "permit"
        assert found["verified"]
