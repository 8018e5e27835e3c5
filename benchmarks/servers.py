"""Servers to measure, and what puts them under load: each a process of its own, the servers on one core and the load on another."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO

import msgspec
import psutil

from benchmarks.asking import Message
from benchmarks.loading import Load, Reached
from benchmarks.workplace import ROOT
from remit.local.trust import own_issuer
from remit.local.wiring import wall_clock
from remit.model.caller import Role

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
_SERVERS, _LOADS = (_CORES[-1:], _CORES[:1]) if len(_CORES) > 1 else ([], [])


class Server:
    """A server that listens."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.port, self.token = port, ""
        self._process = psutil.Process(process.pid)

    def shown(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages with the token that this server wants, if it wants one."""
        more = (("Authorization", f"Bearer {self.token}"),) if self.token else ()
        return tuple([msgspec.structs.replace(message, headers=(*message.headers, *more)) for message in messages])

    @property
    def cpu(self) -> float:
        """The µs of processor time it has taken so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system) * 1e6


@contextmanager
def service(home: Path) -> Iterator[Server]:
    """`remit serve` on a store, and the token of an enforcement point for it."""
    with _listening(["-P", "-m", "remit.cli.main", "serve", "--port", "0"], {"REMIT_HOME": str(home)}) as server:
        url = f"http://127.0.0.1:{server.port}"
        server.token = own_issuer(home, url, wall_clock).operator_token("door", [Role.ENFORCEMENT_POINT], url, 3600)
        yield server


@contextmanager
def endpoint(home: Path, session: dict[str, str]) -> Iterator[Server]:
    """The bare endpoint, with policies and entities from a store."""
    with _listening(["-m", "benchmarks.endpoint", str(home), session["task"], session["session"]]) as server:
        yield server


class Loader:
    """Puts servers under load, one after the other."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def reach(self, load: Load) -> Reached:
        """What a load reaches."""
        into, out = _pipe(self._process.stdin), _pipe(self._process.stdout)
        into.write(msgspec.json.encode(load) + b"\n")
        into.flush()
        line = out.readline()
        assert line, "the load has failed: see above"
        return msgspec.json.decode(line, type=Reached)


@contextmanager
def loader() -> Iterator[Loader]:
    """The program that makes load."""
    with _started(["-m", "benchmarks.loading"], _LOADS, {}, stdin=subprocess.PIPE) as process:
        yield Loader(process)


@contextmanager
def _listening(arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Server]:
    with _started(arguments, _SERVERS, environment, stderr=subprocess.DEVNULL) as process:
        line = _pipe(process.stdout).readline().decode()
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        assert found is not None, f"the server has not started: {line}"
        yield Server(process, int(found[1]))


@contextmanager
def _started(
    arguments: Sequence[str],
    cores: Sequence[int],
    environment: Mapping[str, str],
    stdin: int | None = None,
    stderr: int | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("REMIT_")}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    command, given = [sys.executable, *arguments], {**known, "PYTHONPATH": paths, **environment}
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=given)
    try:
        if cores:
            os.sched_setaffinity(process.pid, cores)
        yield process
    finally:
        process.kill()  # an end by signal would first settle each permit that nobody reports
        process.communicate()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
