"""A real replica that streams, promoted without the last commits: nothing goes on as if they had never been."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remit.local.config import Settings
from remit.local.wiring import Embedded
from remit.model.decision import Reason
from remit.model.errors import ErrorKind, RemitError
from remit.storage.postgres import store
from tests.clusters import Cluster, folder
from tests.runtime.world import Clock, World, permit, reason, small_bundle

pytestmark = pytest.mark.postgresql


class Pair:
    """A primary at one address, and a standby that takes it over."""

    def __init__(self, place: Path) -> None:
        self.primary = Cluster.made(place / "one")
        self.primary.run("CREATE DATABASE remit TEMPLATE template0 ENCODING 'UTF8'")
        self.url = f"postgresql://postgres@/remit?host={place / 'one'}"
        store.create(self.url)
        self.standby = self.primary.replica(place / "two")
        self.standby.start()
        self.address = place / "one"

    def catch_up(self) -> None:
        """Wait until the standby has replayed everything."""
        [(end,)] = self.primary.run("SELECT pg_current_wal_lsn()")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if self.standby.run(f"SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '{end}') >= 0") == [(True,)]:
                return
            time.sleep(0.05)
        raise AssertionError("the standby does not keep up")

    def fail_over(self) -> None:
        """The primary is gone; the standby takes over its address with what it has."""
        self.primary.stop("immediate")
        self.standby.options["unix_socket_directories"] = str(self.address)
        self.standby.start()
        self.standby.call("pg_ctl", "-w", "-D", str(self.standby.data), "promote")

    def stop(self) -> None:
        """End both."""
        for cluster in (self.primary, self.standby):
            if (cluster.data / "postmaster.pid").exists():
                cluster.stop("immediate")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with folder() as place:
        made = Pair(place)
        try:
            yield made
        finally:
            made.stop()


def test_a_replica_that_lacks_the_last_commits(pair: Pair, tmp_path: Path) -> None:
    world = World(tmp_path / "home", Clock(), 2.0, pair.url)
    world.publish(small_bundle())
    world.register()
    session = world.open_session()
    permit(world.ask(session, "look"))
    pair.catch_up()
    pair.standby.stop()
    acknowledged = [permit(world.ask(session, "look")).id for _ in range(3)]
    world.embedded.head.sign()
    pair.fail_over()
    # The process that was told of those commits writes nothing more, and says why.
    denied = [world.ask(session, "look") for _ in range(3)]
    assert {reason(one) for one in denied} == {Reason.STORE_UNAVAILABLE}
    assert "lost what it had committed" in denied[0].message
    world.close()
    # Whoever starts anew with the head that was signed is told that the log is not the one that was signed.
    with pytest.raises(RemitError) as refused:
        Embedded(tmp_path / "home", Settings(store=pair.url), Clock())
    assert refused.value.kind is ErrorKind.CORRUPT and "truncated" in refused.value.message
    # Once the loss is understood, the log goes on from what there is, and the lost permits are in no log.
    (tmp_path / "home" / "log.head").unlink()
    again = World(tmp_path / "home", Clock(), 2.0, pair.url)
    try:
        assert not {made.id for made in again.decisions()} & set(acknowledged)
        permit(again.ask(again.open_session(), "look"))
        again.verified()
    finally:
        again.close()


def test_a_replica_that_has_everything_goes_on(pair: Pair, tmp_path: Path) -> None:
    world = World(tmp_path / "home", Clock(), 2.0, pair.url)
    world.publish(small_bundle())
    world.register()
    session = world.open_session()
    told = [permit(world.ask(session, "look")).id for _ in range(3)]
    pair.catch_up()
    pair.standby.stop()
    pair.fail_over()
    told.append(permit(world.ask(session, "look")).id)
    assert [made.id for made in world.decisions()] == told
    world.verified()
    world.close()


def test_a_standby_is_no_store(pair: Pair) -> None:
    pair.catch_up()
    with pytest.raises(RemitError, match="standby|read-only"):
        store.PostgresStore(f"postgresql://postgres@/remit?host={pair.standby.folder}", 1.0)
