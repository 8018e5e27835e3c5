"""Traces and figures by OTLP, as a real receiver gets them from a real server; and that no receiver is in the way of a decision."""

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

from remit.local.wiring import wall_clock
from remit.model.decision import Deny, Permit
from remit.model.request import EvaluationRequest
from remit.pep.remote.client import Remote
from remit.server.observing.reporting import reporting
from remit.server.observing.tracing import Wanted, wanted
from remit.server.observing.written import Format
from tests.conftest import OpenStore
from tests.otlp import Receiver, attributes, receiving
from tests.runtime.world import AGENT, NOON, World, asked
from tests.server import test_metrics
from tests.server.serving import Client, kill, start

pytestmark = pytest.mark.sqlite
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ENDPOINT = "http://127.0.0.1:4318"


class Net(NamedTuple):
    """A server that sends to a receiver, on a store with an agent in its task."""

    world: World
    client: Client
    receiver: Receiver
    session: Any

    def ask(self, tool: str = "look", **headers: str) -> Any:
        return self.client.post("evaluation", test_metrics.asked(self.session, tool, to="in-an-argument"), **headers)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        yield receiver


def begun(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[World, Any, "subprocess.Popen[str]", Client]:
    world = open_store("home", clock=wall_clock)
    session = world.open_session(world.open_task())
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    return world, session, *start(tmp_path)


@pytest.fixture
def net(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> Iterator[Net]:
    world, session, server, client = begun(open_store, tmp_path, monkeypatch)
    yield Net(world, client, receiver, session)
    server.terminate()
    _, errors = server.communicate(timeout=20)
    assert server.returncode == 0 and "s3cret" not in errors and "in-an-argument" not in errors


def test_a_decision_is_a_span_in_the_trace_of_its_caller(net: Net) -> None:
    answer = net.ask(traceparent=f"00-{TRACE}-{PARENT}-01", **{"X-Request-ID": "mine"})
    spans = net.receiver
    [request] = spans.until(lambda: spans.named("POST /access/v1/evaluation"))
    assert (request.trace_id.hex(), request.parent_span_id.hex(), request.kind) == (TRACE, PARENT, 2)
    told = attributes(request)
    assert told == {
        "http.request.method": "POST",
        "http.route": "/access/v1/evaluation",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "remit.request.id": "mine",
        "remit.caller": "nobody#development",
        "remit.decision.id": answer.body["context"]["id"],
    }
    [evaluate] = spans.until(lambda: spans.named("remit.evaluate"))
    assert evaluate.parent_span_id == request.span_id
    assert attributes(evaluate) == {
        "remit.decision.id": answer.body["context"]["id"],
        "remit.decision.effect": "permit",
        "remit.decision.reason": "permitted",
        "remit.action": "tool.call",
        "remit.tier": "low",
        "remit.task.id": net.session.task,
        "gen_ai.agent.id": AGENT,
        "gen_ai.tool.name": "look",
        "gen_ai.conversation.id": net.session.id,
    }
    stages = [spans.until(lambda name=name: spans.named(f"remit.{name}"))[0] for name in ("load", "decide", "commit")]
    ends = [evaluate.start_time_unix_nano]
    for stage in stages:
        assert stage.parent_span_id == evaluate.span_id and ends[-1] <= stage.start_time_unix_nano <= stage.end_time_unix_nano
        ends.append(stage.end_time_unix_nano)
    assert ends[-1] <= evaluate.end_time_unix_nano
    assert request.start_time_unix_nano <= evaluate.start_time_unix_nano + 2_000_000  # two clocks, one of µs
    assert spans.resources[0] | {"service.name": "remit", "deployment.environment.name": "test"} == spans.resources[0]
    assert spans.headers[0]["api-key"] == "s3cret" and b"in-an-argument" not in spans.raw


def test_a_batch_a_wait_and_what_goes_wrong(net: Net) -> None:
    held = net.ask("pay").body["context"]["remit"]["approval"]
    net.client.send("GET", f"/v1/approvals/{held}?wait=0.2&x=in-a-query", None, {})
    several = [test_metrics.asked(net.session, "look"), test_metrics.asked(net.session, "never")]
    net.client.post("evaluations", {"evaluations": several})
    net.client.send("GET", "/v1/in-a-path", None, {"traceparent": "00-nonsense"})
    spans = net.receiver
    [wait] = spans.until(lambda: spans.named("remit.wait"))
    [waited] = spans.until(lambda: spans.named("GET /v1/approvals/{id}"))
    assert wait.parent_span_id == waited.span_id and wait.end_time_unix_nano - wait.start_time_unix_nano >= 200_000_000
    [batch] = spans.until(lambda: spans.named("POST /access/v1/evaluations"))
    spans.until(lambda: len([one for one in spans.named("remit.evaluate") if one.parent_span_id == batch.span_id]) == 2)
    [other] = spans.until(lambda: spans.named("GET other"))
    assert attributes(other)["http.response.status_code"] == 404 and other.parent_span_id == b""
    for word in (b"in-a-path", b"in-a-query", b"in-an-argument"):
        assert word not in spans.raw


def test_figures_that_are_sent_are_those_of_a_scrape(net: Net) -> None:
    for _ in range(3):
        net.ask()
    scraped = test_metrics.scrape(net.client)

    def latest(name: str) -> Any:
        return [one for one in net.receiver.metrics if one.name == name][-1]

    def counted() -> int:
        points = [point for one in net.receiver.metrics[-40:] if one.name == "remit_decisions" for point in one.sum.data_points]
        return sum(int(point.as_double) for point in points[-1:])

    net.receiver.until(lambda: counted() == 3)
    decisions = latest("remit_decisions").sum
    assert decisions.is_monotonic and decisions.aggregation_temporality == 2
    [point] = decisions.data_points
    assert [one.name for one in net.receiver.metrics if one.WhichOneof("data") is None] == []
    assert attributes(point) == {"effect": "permit", "reason": "permitted"}
    seconds = latest("remit_decision_seconds")
    [told] = seconds.histogram.data_points
    assert (seconds.unit, told.count, sum(told.bucket_counts)) == ("s", 3, 3)
    assert len(told.bucket_counts) == len(told.explicit_bounds) + 1
    assert told.sum == pytest.approx(test_metrics.figure(scraped, "remit_decision_seconds_sum"))
    for bound, count in zip(told.explicit_bounds, told.bucket_counts, strict=False):
        below = sum(many for many, at in zip(told.bucket_counts, told.explicit_bounds, strict=False) if at <= bound)
        assert below == test_metrics.figure(scraped, "remit_decision_seconds_bucket", le=repr(bound)) and count >= 0
    assert latest("remit_store_up").gauge.data_points[0].as_double == 1
    assert latest("remit_log_entries").gauge.data_points[0].as_double == net.world.store.log.size()


def refusing() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("how", ["down", "hanging", "failing", "babbling"])
def test_a_receiver_that_does_not_do_its_work_is_in_nobodys_way(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, how: str
) -> None:
    listener, url = refusing()  # takes connections, and never says anything
    if how == "down":
        listener.close()
    if how in ("down", "hanging"):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    receiver.status = {"failing": 503, "babbling": 299}.get(how, 200)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "32")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
    _world, session, server, client = begun(open_store, tmp_path, monkeypatch)
    try:
        slowest = 0.0
        for _ in range(60):  # more than the queue of spans holds
            began = time.monotonic()
            assert client.post("evaluation", test_metrics.asked(session, "look")).body["decision"] is True
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 5  # an export may take ten seconds, and is tried again for longer
        assert (
            test_metrics.figure(test_metrics.scrape(client), "remit_decisions_total", effect="permit", reason="permitted") == 60
        )
        began = time.monotonic()
        server.terminate()
        assert server.wait(20) == 0 and time.monotonic() - began < 12
    finally:
        kill(server) if server.poll() is None else server.communicate()
        listener.close()


def test_what_the_variables_ask_for() -> None:
    told: list[str] = []

    def asked_for(**variables: str) -> Wanted:
        return wanted(variables, told.append)

    assert asked_for() == asked_for(OTEL_SERVICE_NAME="x") == Wanted(False, False)
    assert asked_for(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT) == Wanted(True, True)
    assert asked_for(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT, OTEL_SDK_DISABLED="True") == Wanted(False, False)
    assert asked_for(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ENDPOINT) == Wanted(True, False)
    assert asked_for(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT, OTEL_METRICS_EXPORTER="none") == Wanted(True, False)
    assert asked_for(OTEL_TRACES_EXPORTER="otlp") == Wanted(True, False)
    assert asked_for(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf") == Wanted(True, True)
    assert told == []
    assert asked_for(OTEL_TRACES_EXPORTER="zipkin") == Wanted(False, False)
    assert asked_for(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") == Wanted(False, False)
    assert len(told) == 3 and "`OTEL_TRACES_EXPORTER`" in told[0] and "http/protobuf" in told[1]


def test_keys_of_the_receiver_are_in_no_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As its libraries say what is wrong: with the address, and with the headers."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api key s3cret")
    with reporting(Format.JSON, lambda: NOON):
        OTLPSpanExporter("http://127.0.0.1:1").shutdown()
        for address in ("http://u:s3cret@127.0.0.1:1/s3cret?key=s3cret", "s3cret/v1/traces"):
            try:
                requests.post(address, timeout=5)
            except requests.RequestException as error:
                logging.getLogger("opentelemetry.exporter").warning("Transient error %s encountered", error)
    text = capfd.readouterr().err
    assert "s3cret" not in text.replace("https://s3cret", ""), "of what has no scheme the first part is taken for a host"
    assert all(words in text for words in ("Header format invalid!", "127.0.0.1", "Connection refused", "No scheme supplied"))


CHECK = """
import json, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry" and {hidden}: raise ImportError(name)
sys.meta_path.insert(0, Missing())
sys.argv = ["remit", "serve", "--dev", "--port", "0"]
import atexit
atexit.register(lambda: print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"opentelemetry", "requests"}}))))
from remit.cli.main import main
main()
"""


@pytest.mark.parametrize(("hidden", "endpoint"), [(False, ""), (True, ENDPOINT)])
def test_without_it_nothing_of_it_is_there_and_the_server_serves(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: bool, endpoint: str
) -> None:
    home = world.home
    world.close()
    monkeypatch.setenv("REMIT_HOME", str(home))
    if endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    command = [sys.executable, "-P", "-c", CHECK.format(hidden=hidden)]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline().rpartition(":")[2])
    assert Client(port).send("GET", "/healthz", None, {}).status == 200
    server.terminate()
    said, errors = server.communicate(timeout=20)
    assert server.returncode == 0 and json.loads(said.splitlines()[-1]) == []
    assert ("install `remit[otel]`" in errors) is hidden


def test_a_guard_sends_the_trace_that_it_is_in_and_nothing_else_that_is_carried(net: Net) -> None:
    from opentelemetry import baggage, context

    remote = Remote(f"http://127.0.0.1:{net.client.port}")
    request: EvaluationRequest = asked(net.session, "look")
    tracer = TracerProvider().get_tracer("an agent")
    found: list[Any] = []

    async def awaited() -> None:
        found.append(await remote.evaluate(request))

    with tracer.start_as_current_span("a step of an agent") as span:
        token = context.attach(baggage.set_baggage("secret", "in-baggage"))
        found.append(remote.evaluate(request).result())
        import asyncio

        asyncio.run(awaited())
        context.detach(token)
    found.append(remote.evaluate(request).result())
    remote.close()
    assert all(isinstance(decision, Permit) for decision in found)
    spans = net.receiver
    spans.until(lambda: len(spans.named("POST /access/v1/evaluation")) == 3)
    within = span.get_span_context()
    parents = [(one.trace_id.hex(), one.parent_span_id.hex()) for one in spans.named("POST /access/v1/evaluation")]
    assert parents[:2] == [(f"{within.trace_id:032x}", f"{within.span_id:016x}")] * 2 and parents[2][1] == ""
    assert b"in-baggage" not in spans.raw


def test_a_tracing_that_is_broken_keeps_nobody_from_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    from remit.pep.remote.tracing import trace_headers

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    provider = TracerProvider()
    with trace.use_span(provider.get_tracer("an agent").start_span("step")):
        assert list(trace_headers()) == ["traceparent"]
        monkeypatch.setattr(TraceContextTextMapPropagator, "inject", broken)
        assert trace_headers() == {}
    # Nobody listens there: what a broken tracing must not become is an error instead of a denial.
    remote = Remote("http://127.0.0.1:9")
    assert isinstance(remote.evaluate(asked(None, "look")).result(), Deny)
    remote.close()
