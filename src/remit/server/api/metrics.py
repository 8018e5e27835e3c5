"""Figures of the server, for Prometheus."""

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from remit.model.errors import refused
from remit.server.callers import caller_of
from remit.server.observing.standing import StoreGauges
from remit.server.permitting import may_see_metrics

PATH = "/metrics"


async def metrics(request: Request) -> Response:
    """`GET /metrics`: figures of all workers, in the text format of Prometheus."""
    if not may_see_metrics(await caller_of(request)):
        raise refused("you may not read metrics: an administrator gives you a token with the role of a monitor")
    standing: StoreGauges = request.app.state.standing
    return Response(await standing.scraped(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"})
