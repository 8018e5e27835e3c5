"""The store of many processes: one PostgreSQL database behind every protocol that the parts declare."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remit.decision_log.store import Line
from remit.storage.postgres import writers
from remit.storage.postgres.connecting import Address, check_server, explained
from remit.storage.postgres.groups import Groups
from remit.storage.postgres.integrating import Integrator
from remit.storage.postgres.locks import END_TURN, TAKE_TURN
from remit.storage.postgres.reading import PostgresLog, PostgresState, Reading
from remit.storage.postgres.watching import Watcher

if TYPE_CHECKING:
    from remit.storage.copying import AnyRow, Snapshot  # whoever decides does without

_ERASED = ("data_keys", "observations", "people", "person_names", "tasks")


class PostgresStore(PostgresState):
    """State, log and groups of one process on one database. Four connections: it writes, reads, integrates and listens.

    Raises `RemitError`: malformed for the address, unavailable or corrupt if the database cannot be used as a durable store.
    """

    def __init__(self, url: str, lock_seconds: float = 5.0) -> None:
        self.address = Address(url, lock_seconds)
        self._reading = Reading(self.address)
        super().__init__(self._reading)
        self._integrator = Integrator(self.address)
        self.log = PostgresLog(self._reading, self._integrator)
        self.groups = Groups(self.address)
        self._watcher = Watcher(self.address, self._integrator, [self.groups.link, self._reading.link], self._see)

    def _see(self, revision: int) -> None:
        if revision > self.groups.revision:  # what was read before a commit may be told after it
            self.groups.revision = revision

    @property
    def revision(self) -> int:
        """Administrative changes as last seen by this process."""
        return self.groups.revision

    def take_turn(self) -> None:
        """From now on no other process commits, until as many times `end_turn` was called, or this connection is lost."""
        self.groups.ask(TAKE_TURN)

    def end_turn(self) -> None:
        """Let others commit again."""
        self.groups.ask(END_TURN)

    def hold(self, writer: str) -> None:
        """Say that this process writes as `writer`. Raises `RemitError` (unavailable)."""
        self.groups.hold(writer)
        self._watcher.show(writer)

    def gone(self) -> list[str]:
        """The writers that have open permits and no process. Raises `RemitError` (unavailable)."""
        return writers.gone(self._reading, self.groups.writers)

    def scrub(self) -> None:
        """Make the room of what was overwritten free to be used again. Raises `RemitError` (unavailable).

        The server's write-ahead log, its replicas and backups keep what they had until they are recycled: that is the operator's.
        """
        for table in _ERASED:
            self.groups.ask(f"VACUUM {table}")

    @contextmanager
    def snapshot(self) -> "Iterator[Snapshot]":
        """The whole store as it is now, while others go on. Raises `RemitError` (unavailable, corrupt)."""
        from remit.storage.postgres.copying import snapshot

        with snapshot(self.groups, self._integrator) as taken:
            yield taken

    def close(self) -> None:
        """Close all connections."""
        self._watcher.close()
        for link in (self._reading.link, self._integrator.link, self.groups.link):
            link.close()


def create(url: str, lock_seconds: float = 5.0) -> bool:
    """Make the tables if the database has none of ours; whether they were made. Raises `RemitError` (unavailable, malformed)."""
    address = Address(url, lock_seconds)
    with explained(address), address.connect() as connection:
        check_server(connection, address)
        there = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    if there is not None and there[0] is not None:
        return False
    upgrade(url, lock_seconds)
    return True


def fill(url: str, lock_seconds: float, rows: "Iterable[AnyRow]", lines: Iterable[Line]) -> None:
    """Fill an empty store with what was copied, its tables made if there are none; see `copying.fill`."""
    from remit.storage.postgres import copying

    create(url, lock_seconds)
    copying.fill(url, lock_seconds, rows, lines)


def upgrade(url: str, lock_seconds: float = 5.0) -> tuple[str, str]:
    """Bring the schema up to date; see `migrate`."""
    from remit.storage.postgres.migrate import migrate  # SQLAlchemy and Alembic are not loaded by whoever decides

    return migrate(Address(url, lock_seconds))
