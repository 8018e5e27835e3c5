"""The control plane as one ASGI application: its routes, request ids, and errors."""

import re
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from remit.local.webhooks.settings import read_webhooks
from remit.local.wiring import Embedded
from remit.model.errors import RemitError
from remit.pdp.administration import Administration
from remit.server.api import access, approvals, callback, enforcing, requestable, requests, tasks
from remit.server.api.metadata import metadata
from remit.server.callers import Callers
from remit.server.direct import App, Message, directly
from remit.server.problems import Problem, fault, problem_of
from remit.server.repeating import Repeats
from remit.server.unused import Unused

REQUEST_ID = b"x-request-id"
MAX_REQUEST_ID = 200
_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?", re.ASCII)


def application(embedded: Embedded, hosts: frozenset[str], url: str, callers: Callers, administration: Administration) -> App:
    """The application on a store. `hosts` are the names that it answers to: a page that a browser shows under another reaches nothing.
    `url` is where callers reach it, `callers` tells who they are, and `administration` what they may."""
    deciding = {"/access/v1/evaluation": access.evaluation, "/access/v1/evaluations": access.evaluations}
    routes = [
        *[Route(path, endpoint, methods=["POST"]) for path, endpoint in deciding.items()],
        Route("/access/v1/search/subject", access.search_subject, methods=["POST"]),
        Route("/access/v1/search/resource", access.search_resource, methods=["POST"]),
        Route("/access/v1/search/action", access.search_action, methods=["POST"]),
        Route(requestable.REQUESTS, requests.submission, methods=["POST"]),
        Route(f"{requestable.REQUESTS}/{{id}}", requests.status, methods=["GET"]),
        Route(f"{requestable.REQUESTS}/{{id}}/cancel", requests.cancellation, methods=["POST"]),
        Route("/v1/approvals", approvals.listed, methods=["GET"]),
        Route("/v1/approvals/callback", callback.called, methods=["POST"]),
        Route("/v1/approvals/{id}", approvals.shown, methods=["GET"]),
        Route("/v1/approvals/{id}/answer", approvals.answered, methods=["POST"]),
        Route("/v1/tasks", tasks.open_, methods=["POST"]),
        Route("/v1/tasks/{id}", tasks.task, methods=["GET"]),
        Route("/v1/tasks/{id}/close", tasks.close, methods=["POST"]),
        Route("/v1/tasks/{id}/sessions", tasks.begin, methods=["POST"]),
        Route("/v1/sessions/{id}", tasks.session, methods=["GET"]),
        Route("/v1/sessions/{id}/resume", tasks.resume, methods=["POST"]),
        Route("/v1/sessions/{id}/inherit", tasks.inherit, methods=["POST"]),
        Route("/v1/decisions/{id}/act", enforcing.act, methods=["POST"]),
        Route("/v1/decisions/{id}/outcome", enforcing.outcome, methods=["POST"]),
        Route("/v1/watch", enforcing.watch, methods=["GET"]),
        Route("/.well-known/authzen-configuration", metadata, methods=["GET"]),
        Route("/healthz", _healthy, methods=["GET"]),
    ]
    handlers: dict[Any, Any] = {Problem: _problem, RemitError: _error, HTTPException: _unknown, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.embedded = embedded
    app.state.callers, app.state.url, app.state.administration = callers, url, administration
    app.state.webhooks, app.state.callbacks = read_webhooks(embedded.settings, embedded.home), callback.Once()
    app.state.repeats, app.state.unused = Repeats(), Unused()
    return _with_request_id(_for_hosts(directly(app, deciding), hosts))


async def _healthy(_request: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


def _problem(_request: Request, problem: Problem) -> Response:
    return problem.response()


def _error(_request: Request, error: RemitError) -> Response:
    return problem_of(error).response()


def _unknown(_request: Request, error: HTTPException) -> Response:
    return Problem(HTTPStatus(error.status_code), error.detail, (error.headers or {}).items()).response()


def _fault(_request: Request, error: Exception) -> Response:
    return fault(error).response()


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


def _with_request_id(app: App) -> App:
    """A request id comes back as it came."""

    async def echoing(scope: Message, receive: Any, send: Any) -> None:
        given = next((value for name, value in scope.get("headers", ()) if name == REQUEST_ID), b"")
        if not given or len(given) > MAX_REQUEST_ID:
            await app(scope, receive, send)
            return

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (REQUEST_ID, given)]}
            await send(message)

        await app(scope, receive, answering)

    return echoing
