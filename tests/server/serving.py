"""A real server in a process of its own, and requests to it."""

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn

from remit.local.wiring import Embedded
from remit.pap.administration import read_administration
from remit.server.app import application
from remit.server.callers import Believed, Callers
from remit.server.observing.figures import Figures
from remit.server.observing.whole import Observed
from remit.server.running import LOOPBACK
from remit.server.tls import WithCertificate
from tests.pap.bundles import ROOT

CERTIFICATION = ROOT / "examples/bundles/authzen-certification"


class Answer(NamedTuple):
    """What came back: status, headers in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    text: bytes

    @property
    def body(self) -> Any:
        """The body, from JSON."""
        return json.loads(self.text)


class Client:
    """Asks one server, a new connection each time."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Any request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, message: object, **headers: str) -> Answer:
        """A message of the decision API, or, to a path, of any other."""
        where = path if path.startswith("/") else f"/access/v1/{path}"
        return self.send("POST", where, json.dumps(message).encode(), {"Content-Type": "application/json", **headers})


@contextmanager
def serving(
    embedded: Embedded, callers: Callers | None = None, figures: Figures | None = None, most: int | None = None
) -> Iterator[Client]:
    """A store of this process, served over HTTP by a thread of it: its clock and all else stay in the test's hands.

    `most` bounds the connections that there are, and the requests under way.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        application(
            embedded,
            LOOPBACK,
            url,
            callers or Believed(),
            read_administration(),
            observed=Observed(figures) if figures is not None else None,
        ),
        http=WithCertificate,
        log_config=None,
        lifespan="on",
        access_log=False,
        limit_concurrency=most,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="serving")
    thread.start()
    try:
        yield Client(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def start(
    folder: Path, *arguments: str, port: int = 0, dev: bool = True, program: Sequence[str] = ("-m", "remit.cli.main")
) -> tuple["subprocess.Popen[str]", Client]:
    """A process of `remit serve`, once it takes connections; whoever starts it ends it."""
    command = [sys.executable, "-P", *program, "serve", *["--dev"][:dev], "--port", str(port), *arguments]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stderr is not None
    line = server.stdout.readline()
    found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
    assert found is not None, line + server.stderr.read()
    return server, Client(int(found[1]))


def kill(server: "subprocess.Popen[str]") -> None:
    """End it as the kernel would when memory runs out."""
    server.kill()
    server.communicate(timeout=20)


@contextmanager
def served(folder: Path, *arguments: str, dev: bool = True) -> Iterator[Client]:
    """A server of `remit serve` (for development, unless said otherwise) on a free port; stopped by a signal, and must end well."""
    server, client = start(folder, *arguments, dev=dev)
    try:
        yield client
    finally:
        server.terminate()
        said, errors = server.communicate(timeout=20)
    assert server.returncode == 0 and "stopped" in said, errors
    assert ("DEVELOPMENT MODE" in errors) is dev
