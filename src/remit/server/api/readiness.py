"""Whether this process lives, and whether it can decide."""

import asyncio
import time
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from remit.decision_log.append import Conflict, Ticket
from remit.local.wiring import Embedded
from remit.model.clock import SECOND
from remit.model.errors import RemitError
from remit.pdp.checks import CLOCK_TOLERANCE
from remit.runtime.writes import ProveWritable, Write
from remit.server.problems import Problem
from remit.server.responding import embedded_of, figures_of

SECONDS = 1.0
"""So long what was found out holds: whoever asks often does not keep the store busy."""
PATIENCE = 5.0


async def lives(_request: Request) -> Response:
    """`GET /healthz`: is it there."""
    return Response("ok\n", media_type="text/plain")


async def ready(request: Request) -> Response:
    """`GET /readyz`: whether it can decide; 503 says what is missing."""
    embedded, known = embedded_of(request), request.app.state.readiness
    if embedded.ending:
        raise _unready("this server is being stopped")
    if known is None or time.monotonic() >= known[0]:
        try:
            missing = why = await _missing(embedded)
        except RemitError as error:  # strangers may ask: where the store is, and what it answered, is for the log
            missing = "the store cannot be written: the server's log says why"
            why = f"the store cannot be written: {error.message}"
        known = request.app.state.readiness = time.monotonic() + SECONDS, missing
        figures_of(request).decides(why)
    if known[1]:
        raise _unready(known[1])
    return Response("ready\n", media_type="text/plain", headers={"Cache-Control": "no-store"})


async def _missing(embedded: Embedded) -> str:
    """What it cannot decide without; empty if it can. Raises `RemitError` where the store fails."""
    try:
        async with asyncio.timeout(PATIENCE):
            proof = ProveWritable(f"ready {embedded.runtime.appender.writer}")  # one that writes nothing needs no room
            asked: Ticket[Write] = Ticket((), (proof,), embedded.store.revision, embedded.runtime.clock())
            await embedded.runtime.appender.submit(asked)  # a commit, as of a decision
        published = await asyncio.to_thread(embedded.store.active_bundle)
    except Conflict:
        return _clock(embedded)  # the store answers, and something administrative has just changed
    except TimeoutError:
        return f"the store does not commit within {PATIENCE:g} s"
    return _clock(embedded) if published is not None else "no bundle is published: run `remit policy publish`"


def _clock(embedded: Embedded) -> str:
    """That this process denies every decision until its clock has caught up (`check_clock`); empty if it does not.

    Not by the log: another machine whose clock is ahead would take this one, whose clock is right, out of use.
    """
    behind = embedded.runtime.view.latest - embedded.runtime.clock()
    return f"the clock is {behind / SECOND:.1f} s behind the last decision: set it right" if behind > CLOCK_TOLERANCE else ""


def _unready(detail: str) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, [("Retry-After", "5"), ("Cache-Control", "no-store")])
