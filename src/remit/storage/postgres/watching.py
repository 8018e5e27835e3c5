"""The thread of a store that hears of changes, looks again in case it did not hear, integrates, shows that this process
lives, and cuts what does not answer."""

import logging
import threading
from collections.abc import Callable, Sequence

import psycopg

from remit.model.errors import RemitError
from remit.storage.postgres.connecting import Address, Connection, Link, check_schema, usable
from remit.storage.postgres.groups import CHANNEL
from remit.storage.postgres.integrating import Integrator
from remit.storage.postgres.writers import SHOW

BEAT = 0.1
"""So often (s) the revision is read again, whatever was or was not heard."""
_INTEGRATE_EVERY, _END_EVERY = 10, 600
_log = logging.getLogger("remit")


class Watcher:
    """Tells `changed` each revision it sees. Nothing is decided by it: every commit and every act compares the revision itself.

    It makes other processes' changes known before the next decision would find out, and nothing worse than that is lost with it.
    """

    def __init__(self, address: Address, integrator: Integrator, links: Sequence[Link], changed: Callable[[int], None]) -> None:
        self._link = Link(address, lambda connection: self._prepare(connection, address))
        self._integrator = integrator
        self._links = (*links, integrator.link)
        self._changed = changed
        self._writers: list[str] = []
        self._shown = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="remit-watcher", daemon=True)
        self._cutter = threading.Thread(target=self._cut, name="remit-cutter", daemon=True)
        self._thread.start()
        self._cutter.start()

    def show(self, writer: str) -> None:
        """Show to other processes from the next beat on, as long as this one lives, that it writes as `writer`."""
        self._writers.append(writer)

    def _prepare(self, connection: Connection, address: Address) -> None:
        check_schema(connection, address)
        self._shown = 0
        self._show(connection)
        connection.execute(f"LISTEN {CHANNEL}")

    def _show(self, connection: Connection) -> None:
        for writer in self._writers[self._shown :]:
            connection.execute(SHOW, (writer,))
            self._shown += 1

    def _serve(self) -> None:
        beats = 0
        while not self._stop.is_set():
            try:
                self._beat(beats)
            except (psycopg.Error, RemitError) as error:
                _log.debug("the store is not there: %s", error)
                self._stop.wait(BEAT)
            beats += 1

    def _beat(self, beats: int) -> None:
        connection = self._link.connection()
        try:
            with self._link.asking():
                self._show(connection)
                for _ in connection.notifies(timeout=BEAT, stop_after=1):
                    pass
                row = connection.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
        except psycopg.Error:
            if not usable(connection):
                self._link.drop()
            raise
        if row is not None:
            self._changed(row[0])
        if beats % _INTEGRATE_EVERY == 0:
            self._integrator()
        if beats % _END_EVERY == 0:
            self._integrator.end_chains()

    def _cut(self) -> None:
        """Cut the links that do not answer, this thread's other half included; it asks nothing itself, so nothing can hold it."""
        while not self._stop.wait(BEAT):
            for link in (*self._links, self._link):
                link.cut_if_late()

    def close(self) -> None:
        """Stop both threads."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2)
        self._cutter.join(timeout=2)
        self._link.close()
