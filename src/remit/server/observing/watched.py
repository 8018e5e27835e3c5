"""Every request, from its first byte to the last of its answer: its id, how long it took, and what came of it."""

import logging
import re
from http import HTTPStatus
from itertools import count
from time import perf_counter
from typing import Any

from remit.model.identity import random_bytes
from remit.server.callers import CALLER, REFUSED
from remit.server.direct import DECISION, ROUTE, App, Message
from remit.server.observing.reporting import TOLD
from remit.server.observing.whole import Observed
from remit.server.observing.written import Value
from remit.server.problems import fault, fault_id

REQUEST_ID, TRACEPARENT, TRACESTATE = b"x-request-id", b"traceparent", b"tracestate"
_BELONGING = frozenset({REQUEST_ID, TRACEPARENT, TRACESTATE})
MAX_REQUEST_ID = 200
"""Of a longer one lines have the beginning."""
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked again and again by machines: no line tells of these, if all is well."""
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2."""
_OURS, _number = random_bytes(8).hex().encode(), count()
"""Ids of our own: of this process, by number."""
_log = logging.getLogger("remit.server")


class _Answering:
    """One request being answered: its status once that is known, and the id that goes with the answer."""

    __slots__ = ("_send", "id", "status")

    def __init__(self, id: bytes, send: Any) -> None:
        self.id, self._send, self.status = id, send, 0

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (REQUEST_ID, self.id)]
        await self._send(message)


def watched(app: App, by: Observed) -> App:
    """The application, watched. A request id comes back as it came; a request without one is given one. What it raises ends here."""
    figures, lines, tracing = by

    async def watching(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began, sent = perf_counter(), _sent(scope)
        given = sent.get(REQUEST_ID, b"")
        answering = _Answering(given or b"%s-%d" % (_OURS, next(_number)), send)
        trace, failed = sent.get(TRACEPARENT, b""), ""
        traced = tracing.begin(scope, trace, sent.get(TRACESTATE, b"")) if tracing is not None else None
        try:
            await app(scope, receive, answering)
        except Exception as error:  # the edge: the server goes on, and says what it was
            figures.faulted()
            failed = type(error).__name__
            if not answering.status:
                await fault(error, scope).response()(scope, receive, answering)
            told = {"fault": fault_id(scope), **_about(scope, answering, trace)}
            _log.error("a fault of ours", exc_info=error, extra={TOLD: told})
        finally:
            seconds = perf_counter() - began
            route = scope.get(ROUTE, "")
            figures.answered(scope["method"], route, answering.status, seconds)
            about = _about(scope, answering, trace) if by.told else {}
            if traced is not None:
                about["trace"] = traced.trace or about.get("trace", "")
                traced.end(about, failed)
            if lines is not None and not (route in QUIET and answering.status == HTTPStatus.OK):
                lines.write("info", "request", **about, seconds=round(seconds, 6))

    return watching


def _sent(scope: Message) -> dict[bytes, bytes]:
    """The first of each header that says what a request belongs to."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _BELONGING:
            found.setdefault(name, value)
    return found


def _about(scope: Message, answering: _Answering, trace: bytes) -> dict[str, Value]:
    """What lines say of a request: neither its path nor its query, headers or body."""
    told: dict[str, Value] = {"request": answering.id[:MAX_REQUEST_ID].decode("latin-1")}
    if (found := _TRACEPARENT.match(trace)) is not None:
        told["trace"] = found[1].decode()
    known = scope.get(CALLER)
    if known is not None:
        told["caller"] = known.caller.id
    elif (word := scope.get(REFUSED)) is not None:
        told["refused"] = word
    told["method"], told["route"], told["status"] = scope["method"], scope.get(ROUTE, ""), answering.status
    if (decision := scope.get(DECISION)) is not None:
        told["decisions" if isinstance(decision, int) else "decision"] = decision
    return told
