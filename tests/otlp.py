"""A receiver of OTLP over HTTP: decodes what it is sent with the messages that OpenTelemetry publishes, and keeps it."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """What came, in the order in which it came. `status` is what each sender is answered; `held` keeps them waiting until it is set."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        self.asked = 0
        self.status = 200
        self.held: threading.Event | None = None
        self.url = ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """One message."""
        self.raw += body
        self.headers.append(headers)
        if path == "/v1/traces":
            for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append({one.key: one.value.string_value for one in of.resource.attributes})
                self.spans += [span for scope in of.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.resources.append({one.key: one.value.string_value for one in group.resource.attributes})
                self.metrics += [metric for scope in group.scope_metrics for metric in scope.metrics]

    def until(self, there: Callable[[], Any]) -> Any:
        """Wait until something is there; fails after a while."""
        end = time.monotonic() + 30
        while not (found := there()):
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.01)
        return found

    def named(self, name: str) -> list[Any]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span or a data point."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            receiver.asked += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if receiver.held is not None:
                receiver.held.wait(60)
            if receiver.status == 200:
                receiver.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(receiver.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="otlp", daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.held is not None:
            receiver.held.set()
        server.shutdown()
        server.server_close()
        thread.join(20)
