"""What is served, and how it is."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit import __version__
from remit.local.wiring import Embedded
from remit.model.errors import refused
from remit.runtime.emergency.overview import status
from remit.server.callers import caller_of
from remit.server.permitting import may_look
from remit.server.responding import answer, embedded_of


class Health(msgspec.Struct, frozen=True):
    """What is served: by which Remit, from which kind of store, under which bundle (empty for none) and mode. `revision` counts
    administrative changes, `entries` what the log has, `signed` how many of them its kept head signs, `kills` what is stopped. Of
    break-glass it counts what is `open`, what is over and not reviewed, and how much of that is overdue."""

    version: str
    store: str
    bundle: str
    mode: str
    revision: int
    entries: int
    signed: int
    kills: int
    break_glass_open: int
    break_glass_unreviewed: int
    break_glass_overdue: int


async def health(request: Request) -> Response:
    """`GET /v1/health`: what is served, asked of the store just now; 503 where it does not answer."""
    if not may_look(await caller_of(request)):
        raise refused("you may not see how the server is: ask `/healthz` whether it is there")
    return answer(await asyncio.to_thread(_health, embedded_of(request)))


def _health(embedded: Embedded) -> Health:
    store, active = embedded.store, embedded.store.active_bundle()
    glass = status(embedded.runtime)
    return Health(
        __version__,
        "postgresql" if embedded.settings.store else "embedded",
        active[0] if active is not None else "",
        embedded.mode,
        store.standing(())[0],
        store.log.size(),
        embedded.head.size,
        len(store.kills()),
        len(glass.open),
        len(glass.unreviewed),
        glass.overdue,
    )
