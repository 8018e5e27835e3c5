"""The trace that a call is in, sent along where the agent's process uses OpenTelemetry; nothing is imported for it."""

import sys
from collections.abc import Mapping

_SENT = ("traceparent", "tracestate")


def trace_headers() -> Mapping[str, str]:
    """What says which trace the caller is in (W3C Trace Context), and nothing else that it carries; empty where there is none."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    carried: dict[str, str] = {}
    try:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carried)
    except Exception:  # whatever is wrong with somebody's tracing, the question is asked
        return {}
    return {name: value for name, value in carried.items() if name in _SENT and value.isascii() and value.isprintable()}
