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
from remit.local.people import Import
from remit.local.wiring import open_store as open_settings
from remit.model.decision import Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.kill import KillKind
from remit.runtime import administration, kills, people, tasks
from remit.storage.postgres import store
from remit.storage.postgres.groups import _Transaction
from remit.storage.postgres.migrate import scripts
from remit.storage.postgres.tables import SCHEMA, metadata
from tests.backup.building import made
from tests.conftest import OpenStore
from tests.faults.processes import python, rest
from tests.postgres import Server, served
from tests.runtime.world import ANA, Clock, World, permit, reason, small_bundle

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


def name_of(world: World) -> str:
    """The database of a store."""
    name: str = world.store.groups.link.connection().info.dbname  # type: ignore[attr-defined]
    return name


def lose(server: Server, world: World) -> None:
    """End every connection of a store."""
    for pid in backends(server, world):
        server.run(f"SELECT pg_terminate_backend({pid})")
    time.sleep(0.3)


def backends(server: Server, world: World) -> list[int]:
    """The server's processes for a store's connections, those that listen and integrate included."""
    name = name_of(world)
    found = server.run(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'remit'")
    return [pid for (pid,) in found]


class TestRefused:
    def test_a_database_that_does_not_wait_for_its_disk(self, server: Server, fresh: Callable[..., str]) -> None:
        database = fresh()
        server.run(f"ALTER DATABASE {database} SET synchronous_commit = off")
        refused = opening(server.url(database))
        assert refused.kind is ErrorKind.UNAVAILABLE
        assert "`synchronous_commit = off`" in refused.message and "set it to `on`" in refused.message

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
        assert view == 0
        assert scripts().get_current_head() == SCHEMA

    def test_init_makes_it_and_everything_else_works_on_it(
        self, server: Server, fresh: Callable[..., str], tmp_path: Path
    ) -> None:
        """What docs/storage.md says: set `store`, then `remit init`."""
        environment = {"REMIT_STORE": server.url(fresh(empty=True)), "REMIT_HOME": str(tmp_path / "home")}

        def remit(*arguments: str) -> str:
            with python("-m", "remit.cli.main", *arguments, **environment) as process:
                return "\n".join(rest(process))

        assert "made the tables" in remit("init", "--policy", str(tmp_path / "policy"), "--agent", "bot")
        assert "bot" in remit("agent", "list")
        assert f"the schema is {SCHEMA}" in remit("store", "migrate")
        assert "state: as the log says" in remit("log", "verify")
        assert not (tmp_path / "home" / "remit.db").exists()

    def test_two_that_make_it_at_once(self, server: Server, fresh: Callable[..., str]) -> None:
        database, made = fresh(empty=True), []
        threads = [threading.Thread(target=lambda: made.append(store.create(server.url(database)))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert True in made and len(made) == 4
        store.PostgresStore(server.url(database)).close()

    def test_entries_are_only_ever_added(self, server: Server, fresh: Callable[..., str], tmp_path: Path, clock: Clock) -> None:
        """A role with the rights that docs/storage.md lists works, and can neither change nor delete an entry."""
        database = fresh()
        text = (Path(__file__).parents[2] / "docs" / "storage.md").read_text("utf-8")
        grants = text.split("```sql\n", 1)[1].split("```", 1)[0].replace("remit_app", "plain")
        server.run("DROP ROLE IF EXISTS plain")
        server.run(grants, database)
        plain = server.url(database).replace("postgres@", "plain@")
        world = World(tmp_path / "plain", clock, store=plain)
        world.publish(small_bundle())
        world.register()
        session = world.open_session()
        while world.store.log.size() < 300:
            permit(world.ask(session, "look"))
        world.perform(session, "read", "something")
        kills.kill(world.runtime, KillKind.TOOL, "look", "stop", ANA).result()
        kills.release(world.runtime, KillKind.TOOL, "look", "go on", ANA).result()
        tasks.close_task(world.runtime, session.task, "ana").result()
        administration.erase(world.runtime, session.task, ANA).result()
        for content in ("id,user_name\n1,anne\n", "id,user_name\n1,anna\n"):
            [*_, anne] = Import(content.encode(), "file:csv", whole=True, most=20).apply(world.embedded, ANA).people
        people.erase_person(world.runtime, anne.id, ANA).result()
        assert world.embedded.head.prove_entry(5)
        made(world, tmp_path / "backup")
        world.verified()
        world.close()
        for statement in ("UPDATE entries SET line = ''", "DELETE FROM entries", "TRUNCATE entries", "DELETE FROM positions"):
            with psycopg.connect(plain) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[call-overload]
        server.run("DROP OWNED BY plain", database)


class TestLost:
    def test_connections_that_are_ended_while_nobody_asks_are_made_anew(self, server: Server, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        permit(world.ask(session, "look"))
        lose(server, world)
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

    @pytest.mark.parametrize("committed", [True, False])
    def test_an_answer_to_a_commit_that_is_lost(
        self, open_store: OpenStore, committed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever asked is denied, whether or not it is in the log; the chain goes on from where it really ends."""
        world = open_store()
        session = world.open_session()
        permit(world.ask(session, "look"))
        finish = _Transaction.finish

        def lost(group: _Transaction) -> None:
            assert group.connection is not None
            if committed:
                finish(group)
            group.committing = True
            group.connection.close()
            raise psycopg.OperationalError("the connection was lost")

        with monkeypatch.context() as patched:
            patched.setattr(_Transaction, "finish", lost)
            denied = world.ask(session, "look")
        assert reason(denied) is Reason.STORE_UNAVAILABLE
        given = permit(world.ask(session, "look"))
        logged = [made.id for made in world.decisions()]
        assert logged[-1] == given.id and (denied.id in logged) is committed
        world.verified()
        world.close()
        open_store(again=True).verified()

    @pytest.mark.parametrize("between", ["nothing", "another statement", "a commit that fails"])
    def test_a_server_that_lacks_what_it_had_committed(self, server: Server, open_store: OpenStore, between: str) -> None:
        """As after a failover to a replica that had not got the last commits: nothing goes on as if they had never been."""
        world = open_store()
        session = world.open_session()
        for _ in range(3):
            permit(world.ask(session, "look"))
        name = name_of(world)
        server.run("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)", name)
        lose(server, world)
        if between == "another statement":
            world.store.scrub()
        if between == "a commit that fails":
            with psycopg.connect(server.url(name)) as other:
                other.execute("LOCK TABLE sessions")
                assert "is busy" in world.ask(session, "look").message
        denied = world.ask(session, "look")
        assert reason(denied) is Reason.STORE_UNAVAILABLE and "lost what it had committed" in denied.message
        assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE

    def test_a_chain_that_was_taken_for_ended_goes_on(
        self, server: Server, open_store: OpenStore, store_url: Callable[..., str]
    ) -> None:
        world = open_store()
        other = World(world.home.parent / "second", world.runtime.clock, 2.0, store_url())
        try:
            session = world.open_session()
            permit(world.ask(session, "look"))
            assert other.store.log.size() > 0
            server.run("UPDATE chains SET ended = true", name_of(world))
            lose(server, world)
            given = permit(world.ask(session, "look"))
            assert [made.id for made in other.decisions()][-1] == given.id
        finally:
            other.close()
        world.verified()

    def test_a_server_that_is_killed_and_started_again(self, open_store: OpenStore) -> None:
        """`kill -9` of the whole server: denied at once while it is gone, permitted when it is back, and nothing acknowledged is lost."""
        with served() as mortal:
            world = World(mortal.folder / "home", Clock(), 1.0, mortal.url(mortal.database()))
            world.publish(small_bundle())
            world.register()
            session = world.open_session()
            told = [permit(world.ask(session, "look")).id for _ in range(5)]
            mortal.kill()
            began = time.monotonic()
            assert reason(world.ask(session, "look")) is Reason.STORE_UNAVAILABLE
            assert time.monotonic() - began < 5
            mortal.start()
            deadline = time.monotonic() + 20
            while not isinstance(given := world.ask(session, "look"), Permit):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert [made.id for made in world.decisions() if made.effect == "permit"] == [*told, given.id]
            world.verified()
            world.close()

    def test_a_store_without_its_revision(self, server: Server, open_store: OpenStore) -> None:
        world = open_store()
        session = world.open_session()
        server.run("DELETE FROM meta WHERE name = 'revision'", name_of(world))
        assert "restore a backup" in world.ask(session, "look").message

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
        name = name_of(world)
        with psycopg.connect(server.url(name)) as other:
            other.execute("LOCK TABLE sessions")
            denied = world.ask(session, "look")
            assert reason(denied) is Reason.STORE_UNAVAILABLE and "is busy" in denied.message
        permit(world.ask(session, "look"))

    def test_no_connection_left(self, server: Server, fresh: Callable[..., str]) -> None:
        database = fresh()
        server.run("DROP ROLE IF EXISTS few")
        server.run("CREATE ROLE few LOGIN CONNECTION LIMIT 1")
        server.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO few", database)
        opened = store.PostgresStore(server.url(database).replace("postgres@", "few@"), 1.0)
        try:
            with pytest.raises(RemitError, match="has no connection left") as caught:
                opened.standing(())
            assert caught.value.kind is ErrorKind.UNAVAILABLE
        finally:
            opened.close()
            server.run("DROP OWNED BY few", database)


class TestProcesses:
    def test_a_change_is_known_without_asking_and_without_hearing(
        self, open_store: OpenStore, store_url: Callable[..., str]
    ) -> None:
        world = open_store()
        other = World(world.home.parent / "second", world.runtime.clock, 2.0, store_url())
        try:
            session = world.open_session()
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

    def test_who_lives_is_not_taken_for_dead_whatever_connection_is_lost(
        self, server: Server, open_store: OpenStore, store_url: Callable[..., str]
    ) -> None:
        world = open_store()
        other = World(world.home.parent / "second", world.runtime.clock, 2.0, store_url())
        try:
            given = permit(world.ask(world.open_session(), "look"))
            [writer] = world.store.writers()
            locks = "FROM pg_locks WHERE locktype = 'advisory' AND ((classid::bigint << 32) | objid::bigint) = hashtextextended"

            def holding(seed: int) -> list[int]:
                return [pid for (pid,) in server.run(f"SELECT pid {locks}('{writer}', {seed})", name_of(world))]

            def until(true: Callable[[], object]) -> None:
                end = time.monotonic() + 5
                while not true():
                    assert time.monotonic() < end
                    time.sleep(0.02)

            until(lambda: holding(1))
            [writing], [watching] = holding(0), holding(1)
            assert writing != watching
            server.run(f"SELECT pg_terminate_backend({writing}, 5000)")
            for _ in range(10):
                assert holding(0) == [] and other.store.gone() == [], "the watcher shows that it lives"
            lose(server, world)
            assert world.store.gone() == [], "nobody takes themselves for dead"
            until(lambda: holding(1) and other.store.gone() == [])
            assert holding(1) != [watching] and world.embedded.may_act(given.id)
            world.embedded._open = False
            world.store.close()
            until(lambda: other.store.gone() == [writer])
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
    assert after.store.writers() == []
