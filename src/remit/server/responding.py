"""What every endpoint answers with, and the store that it works on."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.wiring import Embedded
from remit.server.observing.figures import Figures
from remit.server.waits import Waits

_encode = msgspec.json.Encoder().encode


def answer(body: Any, status: int = 200) -> Response:
    """An answer in JSON, which nobody keeps."""
    return Response(_encode(body), status, media_type="application/json", headers={"Cache-Control": "no-store"})


def embedded_of(request: Request) -> Embedded:
    """The store that is served."""
    embedded: Embedded = request.app.state.embedded
    return embedded


def waits_of(request: Request) -> Waits:
    """Who waits at this server."""
    waits: Waits = request.app.state.waits
    return waits


def figures_of(request: Request) -> Figures:
    """What the server counts."""
    figures: Figures = request.app.state.figures
    return figures
