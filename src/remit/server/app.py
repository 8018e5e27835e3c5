"""The control plane as one ASGI application: its routes, request ids, and errors."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from remit.local.webhooks.settings import read_webhooks
from remit.local.wiring import Embedded
from remit.model.errors import RemitError
from remit.pdp.administration import Administration
from remit.server.api.callback import CallbacksInMemory
from remit.server.callers import Believed, Callers
from remit.server.direct import App, Message, directly
from remit.server.observing.figures import Figures
from remit.server.observing.standing import StoreGauges
from remit.server.observing.watched import watched
from remit.server.observing.whole import Observed
from remit.server.openapi.document import described
from remit.server.openapi.operation import routes_of
from remit.server.problems import Problem, fault, problem_of
from remit.server.recovering import recover
from remit.server.repeating.repeats import Repeats
from remit.server.responding import figures_of
from remit.server.routes import OPERATIONS
from remit.server.scim.application import provisioning
from remit.server.searches import Searches
from remit.server.shared import Shared
from remit.server.unreported import Unreported
from remit.server.waits import Waits

_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?", re.ASCII)


def application(
    embedded: Embedded,
    hosts: frozenset[str],
    url: str,
    callers: Callers,
    administration: Administration,
    shared: Shared | None = None,
    *,
    observed: Observed | None = None,
) -> App:
    """The application on a store. `hosts` are the names that it answers to: a page that a browser shows under another reaches nothing.
    `url` is where callers reach it, `callers` tells who they are, and `administration` what they may. `shared` is what it has in
    common with the other processes that serve with this one, `observed` what watches it all."""
    deciding = {one.path: one.endpoint for one in OPERATIONS if one.path.startswith("/access/v1/evaluation")}
    watching = observed or Observed(Figures())
    app = routed(embedded, url, callers, administration, shared, watching)
    return watched(_for_hosts(directly(app, deciding), hosts), watching)


def routed(
    embedded: Embedded,
    url: str,
    callers: Callers,
    administration: Administration,
    shared: Shared | None = None,
    observed: Observed | None = None,
) -> Starlette:
    """The routes of the table, and what their endpoints work with."""
    peers = shared.peers if shared is not None else None
    watching = observed or Observed(Figures())
    counting = watching.figures

    @asynccontextmanager
    async def together(_app: Starlette) -> AsyncIterator[None]:
        if peers is not None:
            await peers.listen(embedded)
        recovering = asyncio.ensure_future(recover(embedded, counting.settled))
        try:
            yield
        finally:
            recovering.cancel()
            if peers is not None:
                peers.close()

    handlers: dict[Any, Any] = {Problem: _problem, RemitError: _error, HTTPException: _unknown, Exception: _fault}
    app = Starlette(routes=routes_of(OPERATIONS), exception_handlers=handlers, lifespan=together)
    app.router.redirect_slashes = False  # a path is what it says; behind a proxy it would lead back without TLS, tokens and all
    app.state.embedded = embedded
    app.state.callers, app.state.url, app.state.administration = callers, url, administration
    app.state.webhooks = read_webhooks(embedded.settings, embedded.home)
    app.state.callbacks = shared.callbacks if shared is not None else CallbacksInMemory()
    app.state.document = described(OPERATIONS, url, asked=not isinstance(callers, Believed))
    app.state.repeats, app.state.peers = peers or Repeats(embedded.runtime.clock), peers
    app.state.unreported, app.state.waits = Unreported(embedded, counting.settled), Waits(embedded, told=counting.waiting)
    app.state.searches = Searches()
    app.state.readiness, app.state.tracing = None, watching.tracing
    app.state.figures, app.state.standing = counting, StoreGauges(embedded, counting)
    app.routes.append(provisioning(app.state))
    return app


def _problem(_request: Request, problem: Problem) -> Response:
    return problem.response()


def _error(request: Request, error: RemitError) -> Response:
    figures_of(request).failed(error)
    return problem_of(error).response()


def _unknown(_request: Request, error: HTTPException) -> Response:
    headers = error.headers or {}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"this path answers other methods: {headers['Allow']}"
    else:
        detail = "there is no such path: `GET /v1/openapi.json` has those that there are"
    return Problem(HTTPStatus(error.status_code), detail, headers.items()).response()


def _fault(request: Request, error: Exception) -> Response:
    return fault(error, request.scope).response()


def _for_hosts(app: App, hosts: frozenset[str]) -> App:
    """Only for requests that name this server: an address behind another name is somebody's trick on a browser."""

    async def checked(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(named) == 1 and (found := _HOST.fullmatch(named[0])) is not None and found[1].lower() in hosts:
            await app(scope, receive, send)
        else:
            await Problem(HTTPStatus.MISDIRECTED_REQUEST, "this server does not answer to that host").response()(
                scope, receive, send
            )

    return checked
