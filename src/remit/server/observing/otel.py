"""OpenTelemetry: spans of requests and decisions, and the figures, sent by OTLP over HTTP by threads of their own."""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from remit import __version__
from remit.local.wiring import wall_clock
from remit.model.decision import Decision
from remit.model.identity import AGENT, random_bytes
from remit.model.request import EvaluationRequest
from remit.runtime.observing import Course
from remit.server.direct import Message
from remit.server.observing.figures import OTHER, effect_of
from remit.server.observing.instruments import Instruments
from remit.server.observing.measured import Measured
from remit.server.observing.standing import StoreGauges

LAST_SECONDS = 2.0
"""So long the end waits for the last to be sent."""
TOOL_TYPE = "Tool"
MOST = 256
"""Characters of a value that came from a caller."""
_METHODS = frozenset({"GET", "HEAD", "POST"})
_log = logging.getLogger("remit.server")


class Otel:
    """Traces and figures of one process, as the variables `OTEL_*` say."""

    def __init__(self, traces: bool, metrics: bool, instruments: Instruments, standing: StoreGauges) -> None:
        resource = _resource()
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if traces:
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("remit", __version__) if traces else trace.NoOpTracer()
        self._propagator = TraceContextTextMapPropagator()
        self._sending = _Sending(Measured(resource, instruments, standing)) if metrics else None

    def begin(self, scope: Message, traceparent: bytes, tracestate: bytes) -> "_Request":
        """A request begins, in the trace that its caller is in."""
        try:
            carrier = {"traceparent": traceparent.decode("latin-1"), "tracestate": tracestate.decode("latin-1")}
            parent = self._propagator.extract({name: value for name, value in carrier.items() if value}, context.Context())
            span = self._tracer.start_span(scope["method"] if scope["method"] in _METHODS else "HTTP", parent, SpanKind.SERVER)
        except Exception as error:  # whatever is wrong with tracing, the request is answered
            _log.error("a request cannot be traced", exc_info=error)
            span = trace.INVALID_SPAN
        return _Request(span, scope.get("scheme", "http"))

    def decided(self, request: EvaluationRequest, decision: Decision, course: Course) -> None:
        """A decision, within the request that asked for it: its stages are told with the times that they had."""
        if not trace.get_current_span().is_recording():
            return
        shift = wall_clock() * 1000 - course.ended
        span = self._tracer.start_span("remit.evaluate", attributes=_told(request, decision), start_time=course.began + shift)
        within = trace.set_span_in_context(span)
        for stage, began, ended in course.stages:
            self._tracer.start_span(f"remit.{stage}", within, start_time=began + shift).end(ended + shift)
        span.end(course.ended + shift)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Somebody waits for an answer by a person meanwhile."""
        with self._tracer.start_as_current_span("remit.wait", record_exception=False, set_status_on_exception=False):
            yield

    def close(self) -> None:
        """Send what there is, for a while."""
        ending = threading.Thread(target=self._close, name="remit-otel-end", daemon=True)
        ending.start()
        ending.join(LAST_SECONDS)

    def _close(self) -> None:
        if self._sending is not None:
            self._sending.close()
        self._provider.shutdown()


class _Request:
    """The span of one request, current until it ends."""

    def __init__(self, span: trace.Span, scheme: str) -> None:
        self._span, self._scheme = span, scheme
        self._token = context.attach(trace.set_span_in_context(span))

    @property
    def trace(self) -> str:
        """The id of its trace, in hex."""
        found = self._span.get_span_context()
        return f"{found.trace_id:032x}" if found.is_valid else ""

    def end(self, about: Mapping[str, str | int | float], fault: str) -> None:
        """It was answered."""
        try:
            context.detach(self._token)
            self._end(about, fault)
        except Exception as error:  # whatever is wrong with tracing, the request is answered
            _log.error("a request cannot be traced", exc_info=error)

    def _end(self, about: Mapping[str, str | int | float], fault: str) -> None:
        if self._span.is_recording():
            method = about["method"] if about["method"] in _METHODS else "_OTHER"
            self._span.update_name(f"{method if method != '_OTHER' else 'HTTP'} {about['route'] or OTHER}")
            told: dict[str, Any] = {"http.request.method": method, "url.scheme": self._scheme}
            told["http.response.status_code"] = about["status"]
            names = {
                "route": "http.route",
                "request": "remit.request.id",
                "caller": "remit.caller",
                "decision": "remit.decision.id",
            }
            told |= {given: _cut(about[name]) for name, given in names.items() if about.get(name)}
            status = int(about["status"])
            if fault or status >= 500 or status == 0:
                told["error.type"] = fault or str(status)
                self._span.set_status(StatusCode.ERROR)
            self._span.set_attributes(told)
        self._span.end()


def _told(request: EvaluationRequest, decision: Decision) -> dict[str, Any]:
    """What a span says of a decision, in the words of OpenTelemetry's conventions for GenAI where these have some; no argument."""
    told = {
        "remit.decision.id": decision.id,
        "remit.decision.effect": effect_of(decision),
        "remit.decision.reason": decision.reason.value,
        "remit.action": request.action,
        "gen_ai.agent.id": request.subject.id if request.subject.type == AGENT else "",
        "gen_ai.tool.name": request.resource.id if request.resource.type == TOOL_TYPE else "",
        "gen_ai.conversation.id": request.session or "",
        "remit.task.id": request.task or "",
        "remit.tier": decision.tier.value if decision.tier is not None else "",
    }
    return {name: _cut(value) for name, value in told.items() if value}


def _cut(value: Any) -> Any:
    return value[:MOST] if isinstance(value, str) else value


def _resource() -> Resource:
    ours = {"service.name": "remit", "service.version": __version__, "service.instance.id": random_bytes(16).hex()}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


class _Sending:
    """Sends figures again and again, by a thread of its own, which a receiver may keep waiting."""

    def __init__(self, measured: Measured) -> None:
        self._measured, self._exporter = measured, OTLPMetricExporter()
        self._every = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or 60_000) / 1000
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remit-otel-metrics", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            self._send()
        self._send()

    def _send(self) -> None:
        try:
            self._exporter.export(self._measured.data())
        except Exception as error:  # the edge of a thread: what cannot be sent now may be the next time
            _log.warning("figures could not be sent", exc_info=error)

    def close(self) -> None:
        """Send once more."""
        self._ending.set()
        self._thread.join(LAST_SECONDS)
        self._exporter.shutdown()
