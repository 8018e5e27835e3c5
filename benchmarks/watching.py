"""`./run bench watching [--json] [--quick]`: what it costs a decision over HTTP that it is counted, told and traced."""

import argparse
import asyncio
import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

from benchmarks import asking, bundles, figures
from benchmarks.asking import Message
from benchmarks.figures import Report
from benchmarks.furnishing import AGENT, OPERATOR, call_once, furnish, opened
from benchmarks.workplace import temporary_folder
from remit.local.wiring import Embedded, wall_clock
from remit.pap.administration import read_administration
from remit.runtime import sessions, tasks
from remit.runtime.tasks import Opening
from remit.server.api.messages import request_of
from remit.server.app import application
from remit.server.callers import Believed
from remit.server.direct import App
from remit.server.observing import watched
from remit.server.observing.figures import Figures
from remit.server.observing.instruments import SHARED, environment_of_worker
from remit.server.observing.lines import Lines
from remit.server.observing.tracing import tracing
from remit.server.observing.whole import Observed
from remit.server.observing.written import Format

CONNECTIONS = 32
POLICIES = 100
TOGETHER = 4
_OFF, _COUNTED, _SHARED, _TOLD, _TRACED = (
    "unwatched",
    "counted",
    "counted in files of workers",
    "counted and told",
    "counted and traced",
)
_HEADERS = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"accept", b"*/*")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0; a bar that does not hold is told, not an error."""
    parser = argparse.ArgumentParser(prog="./run bench watching", description="Measure what being watched costs a decision.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a few seconds")
    given = parser.parse_args(arguments)
    report = measured(20 if given.quick else 120)
    print(report.to_json() if given.json else report.to_text())
    return 0


def measured(rounds: int) -> Report:
    """The processor time of a decision, watched in each way, beside one that nobody watches."""
    report = Report()
    with temporary_folder() as folder, ExitStack() as ending:
        bundles.write_served(folder / "bundle", POLICIES)
        embedded = ending.enter_context(opened(folder / "home"))
        furnish(embedded, folder / "bundle")
        messages = _messages(embedded)
        ways = _ways(embedded, folder, ending)
        spent, traced = asyncio.run(_both(ways, messages, rounds))
    _tell(report, spent)
    report.tell(
        f"{_TRACED}: processor time added to a decision over HTTP",
        median(each - off for each, off in zip(traced[_TRACED], traced[_OFF], strict=True)),
        "µs",
    )
    return report


def _tell(report: Report, spent: Mapping[str, Sequence[float]]) -> None:
    for way in list(spent)[1:]:
        more = median(each - off for each, off in zip(spent[way], spent[_OFF], strict=True))
        if way == _COUNTED:
            report.judge(figures.COUNTED, 100 * more / median(spent[_OFF]))
        report.tell(f"{way}: processor time added to a decision over HTTP", more, "µs")
    report.tell("a decision over HTTP that nobody watches, without the HTTP server: processor time", median(spent[_OFF]), "µs")


def _messages(embedded: Embedded) -> Sequence[Message]:
    found = []
    for _ in range(CONNECTIONS):
        task = tasks.open_task(embedded.runtime, Opening(AGENT, "be measured"), OPERATOR).result()
        session = {"task": task.id, "session": sessions.open_session(embedded.runtime, task.id).result().id}
        call_once(embedded, request_of(asking.small(session)))
        found.append(asking.single(asking.small(session)))
    return found


class _Way:
    """One way of being watched: the application, and what is to be done before and after it is measured."""

    def __init__(self, app: App, begin: Callable[[], object], end: Callable[[], object]) -> None:
        self.app, self.begin, self.end = app, begin, end


def _ways(embedded: Embedded, folder: Path, ending: ExitStack) -> Mapping[str, _Way]:
    counted = Figures()
    sink = os.open(os.devnull, os.O_WRONLY)
    ending.callback(os.close, sink)
    lines = Lines(sink, Format.JSON, wall_clock)
    ending.callback(lines.close)
    (folder / "figures").mkdir()
    os.environ |= environment_of_worker(folder / "figures", 0)
    shared = Figures()
    del os.environ[SHARED]
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = ending.enter_context(_receiver())
    traced = tracing(embedded, counted)
    assert traced is not None
    ending.callback(traced.close)

    def way(observed: Observed) -> _Way:
        observed.figures.follow(embedded)
        ending.callback(observed.figures.leave, embedded)
        told = embedded.runtime.appender.told[-1]

        def begin() -> None:
            embedded.runtime.appender.told[:] = [told]
            embedded.runtime.observers[:] = [observed.figures, *([observed.tracing] if observed.tracing is not None else [])]

        return _Way(_served(embedded, observed), begin, observed.figures.count)

    def nobody() -> None:
        embedded.runtime.appender.told.clear()
        embedded.runtime.observers.clear()

    return {
        _OFF: _Way(_unwatched(embedded), nobody, lambda: None),
        _COUNTED: way(Observed(counted)),
        _SHARED: way(Observed(shared)),
        _TOLD: way(Observed(counted, lines)),
        _TRACED: way(Observed(counted, None, traced)),
    }


def _served(embedded: Embedded, observed: Observed) -> App:
    return application(
        embedded, frozenset({"localhost"}), "http://localhost", Believed(), read_administration(), observed=observed
    )


def _unwatched(embedded: Embedded) -> App:
    """The same application without what is around it to watch it: what a server has that knows nothing of figures."""
    from remit.server import app

    kept, app.watched = app.watched, lambda inner, _by: inner  # type: ignore[assignment]
    try:
        return _served(embedded, Observed(Figures()))
    finally:
        app.watched = kept
        assert app.watched is watched.watched


async def _both(ways: Mapping[str, _Way], messages: Sequence[Message], rounds: int) -> Sequence[Mapping[str, Sequence[float]]]:
    """All ways but the traced one, then that one apart: what traces sends in a thread of its own, when it comes to it."""
    gc.collect()
    gc.freeze()  # as the server does
    without = {name: way for name, way in ways.items() if name != _TRACED}
    return [
        await _rounds(without, messages, rounds),
        await _rounds({name: ways[name] for name in (_OFF, _TRACED)}, messages, rounds // 4),
    ]


async def _rounds(ways: Mapping[str, _Way], messages: Sequence[Message], rounds: int) -> Mapping[str, Sequence[float]]:
    """For each way the µs of processor time of a request, one value for each round: short ones in turn, for all to meet the same noise."""
    value = asking.FIRST
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-TOGETHER, rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            way = ways[name]
            way.begin()
            begun = time.process_time()
            for _ in range(TOGETHER):
                value += 1
                await asyncio.gather(*(_asked(way.app, str(value).join(message.parts)) for message in messages))
            way.end()
            if number >= 0:
                spent[name].append((time.process_time() - begun) / (TOGETHER * CONNECTIONS) * 1e6)
    return spent


async def _asked(app: App, body: str) -> None:
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": asking.EVALUATION,
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
    }
    await app(scope, receive, send)
    assert json.loads(told[1]["body"])["decision"] is True, "a benchmark of denials would measure something else"


@contextmanager
def _receiver() -> Iterator[str]:
    """What takes whatever it is sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    raise SystemExit(main())
