"""A request that comes again under its `Idempotency-Key` is answered as it was, and not done twice."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.server.callers import caller_of
from remit.server.direct import Endpoint
from remit.server.problems import Problem
from remit.server.reading import read_object

HEADER = "idempotency-key"
MAX_KEY = 128
MAX_KEPT = 10_000
"""So many of the latest answers are kept."""
_digested = msgspec.json.Encoder(order="deterministic").encode
T = TypeVar("T")


class Repeats:
    """The latest answers of this process, by who asked and under which key."""

    def __init__(self, kept: int = MAX_KEPT) -> None:
        self._kept = kept
        self._known: dict[tuple[str, str], tuple[bytes, asyncio.Task[Any]]] = {}

    async def once(self, key: tuple[str, str], message: Mapping[str, Any], decide: Callable[[], Awaitable[T]]) -> T:
        """The answer to a message, decided once under a key. Raises `Problem` for a key that was another message's."""
        if len(key[1]) > MAX_KEY:
            raise Problem(HTTPStatus.BAD_REQUEST, f"an `Idempotency-Key` has at most {MAX_KEY} characters")
        digest = hashlib.sha256(_digested(message)).digest()
        known = self._known.get(key)
        if known is None:
            # It goes on when whoever asked hangs up: the same question, asked again, must find its answer.
            known = self._known[key] = digest, asyncio.ensure_future(_awaited(decide))
            self._forget()
        elif known[0] != digest:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "this `Idempotency-Key` was sent with another request: take a new one")
        try:
            answer: T = await asyncio.shield(known[1])
        except Exception:
            self._known.pop(key, None)  # nothing was decided, so it may be asked again
            raise
        return answer

    def _forget(self) -> None:
        if len(self._known) > self._kept:
            for key in [key for key, (_, asked) in self._known.items() if asked.done()][: self._kept // 10 + 1]:
                del self._known[key]


async def _awaited(decide: Callable[[], Awaitable[T]]) -> T:
    return await decide()


def repeatable(endpoint: Endpoint) -> Endpoint:
    """An endpoint that does what it does once for each `Idempotency-Key` of a caller. What failed is not kept: it may be asked again."""

    async def asked(request: Request) -> Response:
        key = request.headers.get(HEADER, "")
        if not key:
            return await endpoint(request)
        caller, body = await caller_of(request), await read_object(request)
        message = {"method": request.method, "path": request.scope["path"], "query": str(request.url.query), "body": body}
        repeats: Repeats = request.app.state.repeats
        return await repeats.once((caller.caller.whole, key), message, lambda: endpoint(request))

    return asked
