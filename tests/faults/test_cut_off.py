"""A process whose network to the store is cut while a kill is issued: it acts no more, and learns of the kill when it is back."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from remit.local.wiring import wall_clock
from remit.model.errors import ErrorKind, RemitError
from remit.model.kill import KillKind
from remit.runtime.kills import kill
from remit.storage.postgres import store
from tests.clusters import Cluster, folder
from tests.faults.processes import ROOT
from tests.opa import free_port
from tests.runtime.world import AGENT, ANA, World, small_bundle

pytestmark = pytest.mark.postgresql
HERE, THERE = "192.0.2.1", "192.0.2.2"  # TEST-NET-1: nobody's (RFC 5737), and only within these two namespaces


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Network:
    """Two namespaces with one link between them: the server is in `here`, the process in `there`."""

    def __init__(self) -> None:
        self.here, self.there = f"remit-here-{os.getpid()}", f"remit-there-{os.getpid()}"
        try:
            _ip("netns", "add", self.here)
            _ip("netns", "add", self.there)
            _ip("-n", self.here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.there)
            for name, address in ((self.here, HERE), (self.there, THERE)):
                _ip("-n", name, "addr", "add", f"{address}/30", "dev", "eth0")
                _ip("-n", name, "link", "set", "eth0", "up")
                _ip("-n", name, "link", "set", "lo", "up")
        except BaseException:
            self.remove()
            raise

    def cut(self) -> None:
        """Nothing comes through any more, in neither direction, and nobody is told."""
        _ip("-n", self.here, "link", "set", "eth0", "down")

    def mend(self) -> None:
        """It does again."""
        _ip("-n", self.here, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """Take it away."""
        for name in (self.here, self.there):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", name)


@pytest.fixture
def network() -> Iterator[Network]:
    if os.getuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2: `.ci/run` has both")
    try:
        made = Network()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.strip()}")
    try:
        yield made
    finally:
        made.remove()


class Acting:
    """The process behind the link, and what it has said."""

    def __init__(self, network: Network, *arguments: str) -> None:
        command = ["ip", "netns", "exec", network.there, sys.executable, "-m", "tests.faults.cut_off", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        self.lines: list[list[str]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.split())

    def wait_for(self, what: str, seconds: float = 30, after: float = 0) -> None:
        """Wait until it says something, of what began after a moment."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            if any(what in line and (len(line) == 1 or float(line[1]) > after) for line in list(self.lines)):
                return
            time.sleep(0.02)
        assert self.process.poll() is None, self.process.stderr.read()[-2000:]  # type: ignore[union-attr]
        raise AssertionError(f"it did not say `{what}`: {self.lines[-5:]}")

    def begin(self) -> None:
        """Let it act."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def kill_in_the_end(world: World, seconds: float) -> None:
    """Kill the agent; tried again where what was cut off in the middle of a commit still holds the store."""
    until = time.monotonic() + seconds
    while True:
        try:
            kill(world.runtime, KillKind.AGENT, AGENT, "it went astray", ANA).result()
            return
        except RemitError as error:
            assert error.kind is ErrorKind.UNAVAILABLE and "try again" in error.message and time.monotonic() < until, error


def test_it_acts_no_more_and_learns_of_the_kill(network: Network, tmp_path: Path) -> None:
    with folder() as place:
        cluster = Cluster.made(place / "one", network.here, listen_addresses=HERE, port=str(free_port()))
        url = f"postgresql://postgres@/remit?host={place / 'one'}&port={cluster.options['port']}"
        acting: Acting | None = None
        try:
            cluster.run("CREATE DATABASE remit TEMPLATE template0 ENCODING 'UTF8'")
            store.create(url)
            world = World(tmp_path / "home", wall_clock, 2.0, url)
            world.publish(small_bundle())
            world.register()
            session = world.open_session()
            away = f"postgresql://postgres@{HERE}:{cluster.options['port']}/remit"
            acting = Acting(network, str(tmp_path / "away"), away, session.id)
            acting.wait_for("ready")
            acting.begin()
            acting.wait_for("acted")
            network.cut()
            cut = time.monotonic()
            kill_in_the_end(world, seconds=20)
            killed = time.monotonic()
            acting.wait_for("store-unavailable", after=cut)
            time.sleep(1)
            network.mend()
            acting.wait_for("killed", after=killed)
            acted = [line for line in acting.lines if line[0] == "acted"]
            assert acted and not [line for line in acted if float(line[2]) > killed]
            unanswered = [float(line[2]) - float(line[1]) for line in acting.lines if line[-1] == "store-unavailable"]
            assert unanswered and max(unanswered) < 15
            world.close()
        finally:
            if acting is not None:
                acting.end()
            cluster.stop("immediate")
