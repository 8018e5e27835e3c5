"""One operation of the server: where it is, what answers, and what goes in and out. Routes and their description are both made of it."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.routing import Route, request_response
from starlette.types import Receive, Scope, Send

from remit.server.direct import ROUTE, Endpoint
from remit.server.repeating.endpoint import repeatable

_CONVERTED = re.compile(r"\{(\w+):\w+\}")
_STATED = re.compile(r"`(GET|POST) ([^`?]+)[^`]*`(?:: (.*))?", re.DOTALL)


class Repeated(Enum):
    """What an `Idempotency-Key` does."""

    NOT = "not"
    """Nothing: it changes nothing, or can be said again as it is."""
    ONCE = "once"
    """It is done once for each key of a caller."""
    ITSELF = "itself"
    """The endpoint itself sees to it."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. `body` and `query` are the messages that it reads, `answer` the one that it gives with `status`, each by its
    type; with `bodiless` no body need come; `fails` are further statuses of problems, `also` further ones of the same answer.
    `open` asks nobody who they are."""

    method: Literal["GET", "POST"]
    path: str
    endpoint: Endpoint
    tag: str
    answer: Any
    status: int = 200
    body: Any = None
    bodiless: bool = False
    query: Any = None
    repeated: Repeated = Repeated.NOT
    fails: tuple[int, ...] = ()
    also: tuple[int, ...] = ()
    headers: Mapping[str, str] = {}
    open: bool = False

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return _CONVERTED.sub(r"{\1}", self.path)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(re.findall(r"\{(\w+)\}", self.template))

    @property
    def stated(self) -> tuple[str, str, str]:
        """Method, path and words of the endpoint's own documentation; empty where it has none."""
        found = _STATED.match(inspect.getdoc(self.endpoint) or "")
        return (found[1], found[2], found[3] or "") if found is not None else ("", "", "")

    @property
    def id(self) -> str:
        """A name of the operation that stays."""
        words = [
            word for word in re.split(r"[^a-z0-9]+", self.path.replace("{", " by-").lower()) if word not in ("", "path", "int")
        ]
        return "-".join([self.method.lower(), *words])

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status of a problem that it can answer with."""
        found = {400, 421, 500, 503, *self.fails}
        found |= set() if self.open else {401, 403}
        found |= {404} if self.parameters else set()
        found |= {408, 413, 415} if self.body is not None else set()
        found |= {422} if self.repeated is not Repeated.NOT else set()
        found |= {409, 429} if self.repeated is Repeated.ONCE else set()
        return tuple(sorted(found))

    @property
    def served(self) -> Endpoint:
        """What answers it."""
        return repeatable(self.endpoint) if self.repeated is Repeated.ONCE else self.endpoint


class OfPath:
    """All that one path takes. Another method is not allowed, be there a later path that would fit, too."""

    def __init__(self, template: str, operations: Iterable[Operation]) -> None:
        self._template = template
        self._answering = {one.method: request_response(one.served) for one in operations}
        self.methods = frozenset({*self._answering, *(("HEAD",) if "GET" in self._answering else ())})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to the path."""
        scope[ROUTE] = self._template
        method: Any = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in self._answering:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(self.methods))})
        await self._answering[method](scope, receive, send)


def routes_of(operations: Sequence[Operation]) -> list[Route]:
    """The routes to operations, one for each path, in the order of the table: of paths that fit a request, the first counts."""
    paths = {one.path: one.template for one in operations}
    return [Route(path, OfPath(template, [one for one in operations if one.path == path])) for path, template in paths.items()]
