"""A request that comes again under its `Idempotency-Key` is answered as it was, and not done twice."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias

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
Key: TypeAlias = tuple[str, str]
"""Who asks, with whose authority, and under which `Idempotency-Key`."""
Answering: TypeAlias = Callable[[], Awaitable[Response]]


class Passing(Response):
    """An answer that is given again only as long as it `holds`; then the same is decided anew."""

    def __init__(self, answer: Response, holds: Callable[[], bool]) -> None:
        super().__init__(answer.body, answer.status_code)
        self.raw_headers, self.holds = answer.raw_headers, holds


class Once(Protocol):
    """Answers a message once under a key, be it sent again to this process or to another of this server."""

    async def once(self, key: Key, message: Mapping[str, Any], decide: Answering, changes: bool = False) -> Response:
        """The answer to a message. What `changes` something is not done again where nobody knows whether it was done.

        Raises `Problem` for a key that was another message's, and whatever `decide` raises: then the same may be asked again.
        """
        ...


class Repeats:
    """The latest answers of this process, by who asked and under which key."""

    def __init__(self, kept: int = MAX_KEPT) -> None:
        self._kept = kept
        self._known: dict[Key, tuple[bytes, asyncio.Task[Response]]] = {}

    async def once(self, key: Key, message: Mapping[str, Any], decide: Answering, changes: bool = False) -> Response:  # noqa: ARG002 - by itself a process knows
        """The answer to a message, decided once under a key; see `Once`."""
        digest = checked_digest(key, message)
        known = self.known(key, digest)
        if known is None:
            # It goes on when whoever asked hangs up: the same question, asked again, must find its answer.
            known = asyncio.ensure_future(self._decided(key, decide))
            self._known[key] = digest, known
            self._forget()
        return await asyncio.shield(known)

    def known(self, key: Key, digest: bytes) -> "asyncio.Task[Response] | None":
        """The answer under a key, which may still be under way; None if there is none, or none that holds. Raises `Problem` for another
        message's, and `RemitError` where the store does not say whether it holds."""
        known = self._known.get(key)
        if known is None:
            return None
        if known[0] != digest:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "this `Idempotency-Key` was sent with another request: take a new one")
        if _is_over(known[1]):
            del self._known[key]
            return None
        return known[1]

    async def _decided(self, key: Key, decide: Answering) -> Response:
        try:
            return await decide()
        except BaseException:
            self._known.pop(key, None)  # nothing was decided, so it may be asked again
            raise

    def _forget(self) -> None:
        if len(self._known) > self._kept:
            for key in [key for key, (_, asked) in self._known.items() if asked.done()][: self._kept // 10 + 1]:
                del self._known[key]


def _is_over(asked: "asyncio.Task[Response]") -> bool:
    if not asked.done() or asked.cancelled() or asked.exception() is not None:
        return False
    answer = asked.result()
    return isinstance(answer, Passing) and not answer.holds()


def checked_digest(key: Key, message: Mapping[str, Any]) -> bytes:
    """A digest of a message that is sent under this key. Raises `Problem` for a key that is too long."""
    if len(key[1]) > MAX_KEY:
        raise Problem(HTTPStatus.BAD_REQUEST, f"an `Idempotency-Key` has at most {MAX_KEY} characters")
    return hashlib.sha256(_digested(message)).digest()


def repeatable(endpoint: Endpoint) -> Endpoint:
    """An endpoint that does what it does once for each `Idempotency-Key` of a caller. What failed is not kept: it may be asked again."""

    async def asked(request: Request) -> Response:
        key = request.headers.get(HEADER, "")
        if not key:
            return await endpoint(request)
        caller, body = await caller_of(request), await read_object(request)
        message = {"method": request.method, "path": request.scope["path"], "query": str(request.url.query), "body": body}
        repeats: Once = request.app.state.repeats
        return await repeats.once((caller.caller.whole, key), message, lambda: endpoint(request), changes=True)

    return asked
