"""The routes of SCIM, with errors as it has them. It is described by itself, not by OpenAPI."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from remit.model.errors import RemitError
from remit.server.direct import ROUTE
from remit.server.problems import Problem
from remit.server.scim import errors, groups, users
from remit.server.scim.asking import LIST, MOST, PREFIX, asking, told
from remit.server.scim.errors import ScimError
from remit.server.scim.schemas import GROUP, USER, provider

Endpoint = Callable[[Request], Awaitable[Response]]
_KINDS = (USER, GROUP)


async def config(request: Request) -> Response:
    """`GET /scim/v2/ServiceProviderConfig`: what is supported."""
    who = await asking(request)
    return told(provider(who.base, MOST))


def _described(name: str, whole: Callable[[str], list[dict[str, Any]]]) -> list[Route]:
    """What a service reads to know what there is: all of it, and one at a time."""

    async def every(request: Request) -> Response:
        who = await asking(request)
        if "filter" in request.query_params:
            raise ScimError(None, "this is not filtered: read all of it", HTTPStatus.FORBIDDEN)
        found = whole(who.base)
        return told(
            {"schemas": [LIST], "totalResults": len(found), "startIndex": 1, "itemsPerPage": len(found), "Resources": found}
        )

    async def one(request: Request) -> Response:
        who = await asking(request)
        found = [each for each in whole(who.base) if each["id"] == request.path_params["id"]]
        if not found:
            raise ScimError(None, f"there is no such one in `{name}`", HTTPStatus.NOT_FOUND)
        return told(found[0])

    whole_, one_ = _ByMethod(f"{PREFIX}/{name}", GET=every), _ByMethod(f"{PREFIX}/{name}/{{id}}", GET=one)
    return [Route(f"/{name}", whole_.__call__, methods=["GET"]), Route(f"/{name}/{{id}}", one_.__call__, methods=["GET"])]


def _schemas(base: str) -> list[dict[str, Any]]:
    found = [kind.core for kind in _KINDS] + [kind.extension for kind in _KINDS if kind.extension is not None]
    return [one.described(base) for one in found]


def _types(base: str) -> list[dict[str, Any]]:
    return [kind.described(base) for kind in _KINDS]


async def _not_here(request: Request) -> Response:
    await asking(request)
    raise ScimError(None, "this is not supported here", HTTPStatus.NOT_IMPLEMENTED)


class _ByMethod:
    """All that one path takes."""

    def __init__(self, template: str, **answering: Endpoint) -> None:
        self._template, self.answering = template, answering

    async def __call__(self, request: Request) -> Response:
        """Answer a request to the path."""
        request.scope[ROUTE] = self._template
        method = "GET" if request.method == "HEAD" else request.method
        if method not in self.answering:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(self.answering))})
        return await self.answering[method](request)


def _resources(place: str, module: Any) -> list[Route]:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    all_, one = (
        _ByMethod(f"{PREFIX}{place}", GET=module.every, POST=module.create),
        _ByMethod(f"{PREFIX}{place}/{{id}}", GET=module.show, PUT=module.replace_, PATCH=module.patch, DELETE=module.delete),
    )
    return [Route(place, all_.__call__, methods=methods), Route(f"{place}/{{id}}", one.__call__, methods=methods)]


def provisioning(state: State) -> Mount:
    """Where services provision people, on the store that the whole server is on."""
    handlers: dict[Any, Any] = {
        ScimError: errors.of_scim,
        Problem: errors.of_problem,
        RemitError: errors.of_error,
        HTTPException: errors.of_http,
        Exception: errors.of_fault,
    }
    routes = [
        Route("/ServiceProviderConfig", _ByMethod(f"{PREFIX}/ServiceProviderConfig", GET=config).__call__, methods=["GET"]),
        *_described("Schemas", _schemas),
        *_described("ResourceTypes", _types),
        *_resources("/Users", users),
        *_resources("/Groups", groups),
        *[Route(path, _not_here, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]) for path in ("/Me", "/Bulk", "/.search")],
    ]
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state = state
    return Mount(PREFIX, app)
