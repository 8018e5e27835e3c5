"""A real server in a process of its own, and requests to it."""

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

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
        """A message of the decision API."""
        return self.send(
            "POST", f"/access/v1/{path}", json.dumps(message).encode(), {"Content-Type": "application/json", **headers}
        )


@contextmanager
def served(folder: Path, *arguments: str, dev: bool = True) -> Iterator[Client]:
    """A server of `remit serve` (for development, unless said otherwise) on a free port; stopped by a signal, and must end well."""
    command = [sys.executable, "-P", "-m", "remit.cli.main", "serve", *["--dev"][:dev], "--port", "0", *arguments]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and server.stderr is not None
        line = server.stdout.readline()
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        assert found is not None, line + server.stderr.read()
        yield Client(int(found[1]))
    finally:
        server.terminate()
        said, errors = server.communicate(timeout=20)
    assert server.returncode == 0 and "stopped" in said, errors
    assert ("DEVELOPMENT MODE" in errors) is dev
