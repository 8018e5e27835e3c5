"""Traces and figures by OTLP, where the standard variables ask for them and OpenTelemetry is installed; else nothing of it is there."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

from starlette.applications import Starlette

from remit.local.wiring import Embedded
from remit.runtime.observing import Observer
from remit.server.direct import Message
from remit.server.observing.figures import Figures
from remit.server.observing.standing import StoreGauges

PROTOCOL = "http/protobuf"
_log = logging.getLogger("remit.server")


class Traced(Protocol):
    """A request whose answer is under way."""

    @property
    def trace(self) -> str:
        """The id of its trace, in hex."""
        ...

    def end(self, about: Mapping[str, str | int | float], fault: str) -> None:
        """It was answered; `about` is what lines say of it, `fault` the kind of a fault of ours, if it met one."""
        ...


class Tracing(Observer, Protocol):
    """Traces requests and decisions, and sends what it has; nothing of it waits, or raises."""

    def begin(self, scope: Message, traceparent: bytes, tracestate: bytes) -> Traced:
        """A request begins, in the trace that its caller is in."""
        ...

    def waiting(self) -> AbstractContextManager[object]:
        """Somebody waits for an answer by a person meanwhile."""
        ...

    def close(self) -> None:
        """Send what there is, for a while."""
        ...


class Wanted(NamedTuple):
    """What is to be sent."""

    traces: bool
    metrics: bool


def wanted(environment: Mapping[str, str], told: Callable[[str], None]) -> Wanted:
    """What the standard variables ask for. `told` is told of what they ask for that there is not."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Wanted(False, False)
    return Wanted(_is_wanted(environment, "TRACES", told), _is_wanted(environment, "METRICS", told))


def _is_wanted(environment: Mapping[str, str], signal: str, told: Callable[[str], None]) -> bool:
    placed = any(environment.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT") for part in ("", f"{signal}_"))
    exporter = environment.get(f"OTEL_{signal}_EXPORTER", "").strip() or ("otlp" if placed else "none")
    if exporter == "none":
        return False
    if exporter != "otlp":
        told(f"`OTEL_{signal}_EXPORTER` asks for an exporter that there is not: `otlp` or `none`")
        return False
    protocol = environment.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", PROTOCOL):
        told(f"the variables ask for a protocol of OTLP that there is not: `{PROTOCOL}` alone is spoken")
        return False
    return True


def tracing(embedded: Embedded, figures: Figures) -> Tracing | None:
    """What traces and sends, if the variables ask for it; then it is told of the store's decisions."""
    asked = wanted(os.environ, _log.warning)
    if not (asked.traces or asked.metrics):
        return None
    try:
        from remit.server.observing.otel import Otel

        found: Tracing = Otel(asked.traces, asked.metrics, figures.instruments, StoreGauges(embedded, figures))
    except ImportError:
        _log.warning(
            "the variables `OTEL_*` ask for OpenTelemetry, which is not installed: install `remit[otel]` (docs/operating.md "
            "says how), or unset them"
        )
        return None
    except Exception as error:  # whatever the variables say: who watches must not keep the server from deciding
        _log.error("OpenTelemetry cannot be begun with these variables `OTEL_*`", exc_info=error)
        return None
    embedded.runtime.observers.append(found)
    return found


def waiting(app: Starlette) -> AbstractContextManager[object]:
    """Somebody waits for an answer by a person meanwhile."""
    found: Tracing | None = app.state.tracing
    return nullcontext() if found is None else found.waiting()
