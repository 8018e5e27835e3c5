"""The PostgreSQL store: what it refuses, what it survives, and that nothing passes while it cannot be relied on."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from remit.local.config import Settings
from remit.local.wiring import Embedded
from remit.local.wiring import open_store as open_settings
from remit.model.decision import Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.kill import KillKind
from remit.runtime import kills
from remit.storage.postgres import store
from remit.storage.postgres.migrate import scripts
from remit.storage.postgres.tables import LOG_VIEW, SCHEMA, metadata
from tests.conftest import OpenStore
from tests.postgres import Server
from tests.runtime.world import ANA, Clock, World, permit, reason

pytestmark = pytest.mark.postgresql


@pytest.fixture
def fresh(server: Server) -> Iterator[Callable[[], str]]:
    """Makes databases that are dropped afterwards."""
    made: list[str] = []

    def make(empty: bool = False) -> str:
        made.append(server.database(empty=True))
        if not empty:
            store.create(server.url(made[-1]))
        return made[-1]

    yield make
    for name in made:
        server.drop(name)


def opening(url: str) -> RemitError:
    """Why a store is not opened."""
    with pytest.raises(RemitError) as caught:
        store.PostgresStore(url, 2.0)
    return caught.value


def backends(server: Server, world: World) -> list[int]:
    """The server's processes for a store's connections, those that listen and integrate included."""
    name = world.store.address._shown.rsplit("/", 1)[1]  # type: ignore[attr-defined]
    found = server.run(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'remit'")
    return [pid for (pid,) in found]


class TestRefused:
    @pytest.mark.parametrize("name", ["synchronous_commit"])
    def test_a_role_or_database_that_does_not_wait_for_its_disk(
        self, server: Server, fresh: Callable[..., str], name: str
    ) -> None:
        database = fresh()
        server.run(f"ALTER DATABASE {database} SET {name} = off")
        refused = opening(server.url(database))
        assert (
            refused.kind is ErrorKind.UNAVAILABLE and f"`{name} = off`" in refused.message and "set it to `on`" in refused.message
        )

    def test_a_server_without_fsync(self, server: Server, fresh: Callable[..., str], open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        permit(world.ask(session, "look"))
        server.run("ALTER SYSTEM SET fsync = off")
        try:
            server.run("SELECT pg_reload_conf()")
            time.sleep(0.3)
            assert "`fsync = off`" in opening(server.url(fresh(empty=True))).message
            denied = world.ask(session, "look")
            assert reason(denied) is Reason.STORE_UNAVAILABLE and "off now" in denied.message
        finally:
            server.run("ALTER SYSTEM RESET fsync")
            server.run("SELECT pg_reload_conf()")
        time.sleep(0.3)
        permit(world.ask(session, "look"))
        world.verified()

    def test_a_read_only_server(self, server: Server, fresh: Callable[..., str]) -> None:
        database = fresh()
        server.run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        assert "name the primary" in opening(server.url(database)).message

    def test_no_store_an_older_and_a_newer_one(self, server: Server, fresh: Callable[..., str]) -> None:
        database = fresh(empty=True)
        assert "run `remit init`" in opening(server.url(database)).message
        store.create(server.url(database))
        server.run("UPDATE alembic_version SET version_num = '0000'", database)
        assert "run `remit store migrate`" in opening(server.url(database)).message
        server.run("UPDATE alembic_version SET version_num = '9999'", database)
        newer = opening(server.url(database))
        assert newer.kind is ErrorKind.CORRUPT and "upgrade Remit" in newer.message
        with pytest.raises(RemitError, match="upgrade Remit"):
            store.upgrade(server.url(database))

    def test_another_encoding(self, server: Server) -> None:
        server.run("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        try:
            assert "ENCODING 'UTF8'" in opening(server.url("latin")).message
        finally:
            server.drop("latin")

    def test_an_address_shows_no_password(self) -> None:
        for url in (
            "postgresql://ana:hunter2@127.0.0.1:1/x",
            "postgresql://ana:hunter2@/x?host=/nowhere",
            "postgresql://ana:hunter2@[::",
        ):
            with pytest.raises(RemitError) as caught:
                store.PostgresStore(url, 1.0)
            assert "hunter2" not in caught.value.message
        assert caught.value.kind is ErrorKind.MALFORMED

    def test_a_role_without_the_rights(self, server: Server, fresh: Callable[..., str]) -> None:
        database = fresh()
        server.run("DROP ROLE IF EXISTS guest")
        server.run("CREATE ROLE guest LOGIN")
        url = server.url(database).replace("postgres@", "guest@")
        refused = opening(url)
        assert refused.kind is ErrorKind.UNAVAILABLE and "grant what docs/storage.md lists" in refused.message


class TestSchema:
    def test_migrations_and_models_say_the_same(self, server: Server, fresh: Callable[..., str]) -> None:
        engine = sa.create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(server.url(database)), poolclass=sa.NullPool
        )
        database = fresh()
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
            assert compare_metadata(context, metadata) == []
            view = connection.execute(sa.text("SELECT count(*) FROM log")).scalar()
        assert view == 0 and "positions" in LOG_VIEW
        assert scripts().get_current_head() == SCHEMA

    def test_two_that_make_it_at_once(self, server: Server, fresh: Callable[..., str]) -> None:
        database, made = fresh(empty=True), []
        threads = [threading.Thread(target=lambda: made.append(store.create(server.url(database)))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert True in made and len(made) == 4
        store.PostgresStore(server.url(database)).close()

    def test_entries_are_only_ever_added(self, server: Server, fresh: Callable[..., str]) -> None:
        """A role with the rights that docs/storage.md lists works, and can neither change nor delete an entry."""
        database = fresh()
        text = (Path(__file__).parents[2] / "docs" / "storage.md").read_text("utf-8")
        grants = text.split("```sql\n", 1)[1].split("```", 1)[0].replace("remit_app", "plain")
        server.run("DROP ROLE IF EXISTS plain")
        server.run(grants, database)
        plain = server.url(database).replace("postgres@", "plain@")
        opened = store.PostgresStore(plain)
        opened.close()
        for statement in ("UPDATE entries SET line = ''", "DELETE FROM entries", "TRUNCATE entries", "DELETE FROM positions"):
            with psycopg.connect(plain) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[call-overload]
        server.run("DROP OWNED BY plain", database)


class TestLost:
    def test_connections_that_are_ended_while_nobody_asks_are_made_anew(self, server: Server, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        permit(world.ask(session, "look"))
        for pid in backends(server, world):
            server.run(f"SELECT pg_terminate_backend({pid})")
        time.sleep(0.3)
        permit(world.ask(session, "look"))
        assert world.store.task(session.task) is not None
        world.verified()

    def test_connections_that_are_ended_while_many_ask(self, server: Server, open_store: OpenStore) -> None:
        """Whatever a caller is told: a permit is in the log, and the log is whole."""
        world = open_store()
        sessions = [world.open_session() for _ in range(4)]
        told: list[str] = []
        over = threading.Event()

        def ask(number: int) -> None:
            while not over.is_set():
                decision = world.ask(sessions[number], "look")
                if isinstance(decision, Permit):
                    told.append(decision.id)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            time.sleep(0.15)
            for pid in backends(server, world):
                server.run(f"SELECT pg_terminate_backend({pid})")
        time.sleep(0.6)
        over.set()
        for thread in threads:
            thread.join()
        time.sleep(0.3)
        permit(world.ask(sessions[0], "look"))
        logged = {made.id for made in world.decisions() if made.effect == "permit"}
        assert len(told) > 20 and set(told) <= logged
        world.verified()

    def test_a_server_that_lacks_what_it_had_committed(self, server: Server, open_store: OpenStore) -> None:
        """As after a failover to a replica that had not got the last commits: nothing goes on as if they had never been."""
        world = open_store()
        session = world.open_session()
        for _ in range(3):
            permit(world.ask(session, "look"))
        name = world.store.address._shown.rsplit("/", 1)[1]  # type: ignore[attr-defined]
        server.run("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)", name)
        for pid in backends(server, world):
            server.run(f"SELECT pg_terminate_backend({pid})")
        time.sleep(0.3)
        denied = world.ask(session, "look")
        assert reason(denied) is Reason.STORE_UNAVAILABLE and "lost what it had committed" in denied.message
        assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE

    def test_a_server_that_does_not_answer_denies_in_time(self, server: Server, open_store: OpenStore) -> None:
        world = open_store(lock_seconds=1.0)
        session = world.open_session()
        permit(world.ask(session, "look"))
        pids = backends(server, world)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            denied = world.ask(session, "look")
            waited = time.monotonic() - began
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert reason(denied) is Reason.STORE_UNAVAILABLE and waited < 8
        deadline = time.monotonic() + 15
        while not isinstance(world.ask(session, "look"), Permit):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        world.verified()

    def test_a_lock_that_somebody_keeps_denies_in_time(self, server: Server, open_store: OpenStore) -> None:
        world = open_store(lock_seconds=0.5)
        session = world.open_session()
        permit(world.ask(session, "look"))
        name = world.store.address._shown.rsplit("/", 1)[1]  # type: ignore[attr-defined]
        with psycopg.connect(server.url(name)) as other:
            other.execute("LOCK TABLE sessions")
            denied = world.ask(session, "look")
            assert reason(denied) is Reason.STORE_UNAVAILABLE and "is busy" in denied.message
        permit(world.ask(session, "look"))

    def test_no_connection_left(self, server: Server, fresh: Callable[..., str]) -> None:
        database = fresh()
        server.run("DROP ROLE IF EXISTS few")
        server.run("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
        server.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO few", database)
        url = server.url(database).replace("postgres@", "few@")
        opened = None
        try:
            opened = store.PostgresStore(url, 1.0)
            with pytest.raises(RemitError, match="no connection left|failed|too many"):
                opened.log.size()
        except RemitError as error:
            assert error.kind is ErrorKind.UNAVAILABLE
        finally:
            if opened is not None:
                opened.close()


class TestProcesses:
    def test_a_change_is_known_without_asking_and_without_hearing(
        self, open_store: OpenStore, store_url: Callable[..., str]
    ) -> None:
        world = open_store()
        other = (
            open_store("other-home", again=True)
            if False
            else World(world.home.parent / "second", world.runtime.clock, 2.0, store_url())
        )
        try:
            session = world.open_session()
            other_session = other.runtime.view.session(session.id)
            assert other_session is not None
            given = permit(other.ask(session, "look"))
            kills.kill(world.runtime, KillKind.ALL, "", "stop", ANA).result()
            assert not other.embedded.may_act(given.id), "the epoch is looked at just before the act"
            assert reason(other.ask(session, "look")) is Reason.KILLED
            kills.release(world.runtime, KillKind.ALL, "", "go on", ANA).result()
            other.store._watcher.close()  # type: ignore[attr-defined]
            kills.kill(world.runtime, KillKind.AGENT, "bot", "stop", ANA).result()
            assert reason(other.ask(session, "look")) is Reason.KILLED, "nothing depends on a notification"
        finally:
            other.close()
        world.verified()

    def test_the_watcher_tells_of_a_change(self, open_store: OpenStore, store_url: Callable[..., str]) -> None:
        world = open_store()
        other = World(world.home.parent / "second", world.runtime.clock, 2.0, store_url())
        try:
            before = other.store.revision
            kills.kill(world.runtime, KillKind.TOOL, "x", "stop", ANA).result()
            deadline = time.monotonic() + 3
            while other.store.revision == before:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            other.close()

    def test_one_tree_over_all_writers(self, open_store: OpenStore, store_url: Callable[..., str]) -> None:
        world = open_store()
        others = [World(world.home.parent / f"p{n}", world.runtime.clock, 2.0, store_url()) for n in range(3)]
        session = world.open_session()
        try:
            for round_ in range(5):
                for one in (world, *others):
                    permit(one.ask(session, "look", {"n": round_}))
        finally:
            for one in others:
                one.close()
        assert [entry.index for entry in world.entries()] == list(range(len(world.entries())))
        assert world.verified().writers == 4
        for entry in world.entries():
            assert entry.seq >= 0

    def test_without_the_extra_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        import sys

        for name in [name for name in sys.modules if name.startswith("remit.storage.postgres")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(RemitError, match=r"install `remit\[postgres\]`"):
            open_settings(tmp_path, Settings(store="postgresql://x/y"))


def test_the_embedded_store_needs_no_migration(tmp_path: Path) -> None:
    from remit.local.wiring import migrate_store

    with pytest.raises(RemitError) as caught:
        migrate_store(tmp_path)
    assert caught.value.kind is ErrorKind.REFUSED


def test_a_permit_of_a_process_that_died_is_settled_once(open_store: OpenStore) -> None:
    world = open_store()
    session = world.open_session()
    given = permit(world.ask(session, "look"))
    world.embedded._open = False
    world.store.close()
    after = open_store(again=True)
    assert [(seen.decision, seen.status) for seen in after.outcomes()] == [(given.id, "unknown")]
    assert isinstance(after.embedded, Embedded) and after.store.writers() == [] and Clock
