"""A real OPA server for the tests, where its binary is at hand: in `.bin` (put there by `.ci/run`), on the path, or named by REMIT_TEST_OPA."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def binary() -> str:
    """The binary; skips the test where there is none."""
    found = os.environ.get("REMIT_TEST_OPA") or shutil.which("opa", path=f"{ROOT / '.bin'}:{os.environ.get('PATH', '')}")
    if not found:
        pytest.skip("no OPA binary: `.ci/run` installs one where Go is at hand")
    return found


def free_port() -> int:
    """A port of this machine that nobody listens on, and that the kernel gives to nobody who asks for any."""
    while True:
        port = 10_000 + int.from_bytes(os.urandom(2), "big") % 20_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class OpaServer:
    """One server; it can be stopped, and started again with another bundle on the same port."""

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start(*arguments)

    def start(self, *arguments: str) -> None:
        """Start it, and wait until it answers with its bundles loaded."""
        command = [binary(), "run", "--server", "--addr", f"127.0.0.1:{self.port}", "--disable-telemetry", "--log-level", "error"]
        self._process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health?bundles", timeout=2).read()
                return
            except OSError:
                assert self._process.poll() is None and time.monotonic() < until, "OPA did not start"
                time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def served(*arguments: str) -> Iterator[OpaServer]:
    """A server for as long as the block runs."""
    server = OpaServer(*arguments)
    try:
        yield server
    finally:
        server.stop()
