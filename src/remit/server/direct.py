"""Endpoints that are asked for every action, reached without routing and middlewares."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from remit.model.errors import RemitError
from remit.server.problems import Problem, fault, problem_of

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
ROUTE = "remit.route"
"""The template of the path that answers a request, in its scope once that is known."""
DECISION = "remit.decision"
"""The decision that a request is about, in its scope once that is known; of several, their number."""


def directly(app: Starlette, endpoints: Mapping[str, Endpoint]) -> App:
    """The application, with a POST to these paths taken to its endpoint at once. The endpoint meets what it would behind its route, and
    its errors are answered as the application answers them."""

    async def reached(scope: Message, receive: Any, send: Any) -> None:
        endpoint = endpoints.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if endpoint is None:
            await app(scope, receive, send)
            return
        scope["app"], scope[ROUTE] = app, scope["path"]
        try:
            response = await endpoint(Request(scope, receive))
        except Problem as problem:
            response = problem.response()
        except RemitError as error:
            app.state.figures.failed(error)
            response = problem_of(error).response()
        except Exception as error:  # the edge: whoever asked is told that it was us, and the server says what
            await fault(error, scope).response()(scope, receive, send)
            raise
        await response(scope, receive, send)

    return reached
