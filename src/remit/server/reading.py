"""The body of a request: JSON, read strictly, of bounded length, within a bounded time."""

import asyncio
from collections.abc import Coroutine, Generator
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Receive

from remit.model.errors import malformed
from remit.model.values import MAX_BYTES, read_json
from remit.server.problems import Problem
from remit.server.wanted import explained

MAX_BODY = 4 * MAX_BYTES
"""A longer body (bytes) is refused: as many arguments as four calls may have."""
SECONDS = 10.0
"""So long a caller may take to send a body."""
_OF_BODY = frozenset({b"content-type", b"content-encoding", b"content-length"})
JSON = frozenset({b"application/json"})
OTHER = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
"""What another type of content is answered with."""
_READ = "remit.body"
"""The body, in a scope, once it was read."""
T = TypeVar("T")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of what needs no more than its path: `{}`."""


async def read_as(request: Request, kind: type[T]) -> T:
    """The body as one of our messages; a member that it does not know is refused. Raises `Problem`, `RemitError` (malformed)."""
    try:
        return msgspec.convert(await read_object(request), kind)
    except msgspec.ValidationError as error:
        raise malformed(f"the body is not what is asked for here: {explained(error, kind)}") from None


def read_query(request: Request, kind: type[T]) -> T:
    """The query as one of our messages: each parameter once, and none that it does not know. Raises `RemitError` (malformed)."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise malformed("a parameter of the query stands there more than once: send it once")
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise malformed(f"the query is not what is asked for here: {explained(error, kind)}") from None


async def read_object(request: Request, kinds: frozenset[bytes] = JSON, other: HTTPStatus = OTHER) -> dict[str, Any]:
    """The JSON object that a request carries, as one of these types of content.

    Raises `Problem`, or `RemitError` (malformed) for what is no JSON.
    """
    if _READ in request.scope:
        read: dict[str, Any] = request.scope[_READ]
        return read
    value = request.scope[_READ] = object_in(await read_body(request, kinds, other))
    return value


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises `Problem`, or `RemitError` (malformed) for what is no JSON."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "the body must be one JSON object")
    return value


async def read_body(request: Request, kinds: frozenset[bytes] = JSON, other: HTTPStatus = OTHER) -> bytes:
    """The body of a request that says it is of one of these types, once it is there whole. Raises `Problem`."""
    headers = _headers(request)
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in kinds:
        raise Problem(other, "the body must be JSON: send `Content-Type: application/json`")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed: send it as it is")
    return await _body(request, headers.get(b"content-length", b"0"))


async def read_bytes(request: Request) -> tuple[bytes, str]:
    """The body as it came, and what it says it is. Raises `Problem`."""
    headers = _headers(request)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed: send it as it is")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    return await _body(request, headers.get(b"content-length", b"0")), kind


async def read_optional(request: Request) -> dict[str, Any]:
    """The same, where a request need not carry anything."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return {}
    return await read_object(request)


def _headers(request: Request) -> dict[bytes, bytes]:
    """The headers that say what the body is, in one pass over all."""
    found: dict[bytes, bytes] = {}
    for name, value in request.scope["headers"]:
        if name not in _OF_BODY:
            continue
        if name in found:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the header `{name.decode()}` stands there more than once: send it once")
        found[name] = value
    return found


async def _body(request: Request, length: bytes) -> bytes:
    if not length.isdigit() or int(length) > MAX_BODY:
        raise _too_long()
    received = _received(request.receive)
    try:
        first = received.send(None)
    except StopIteration as whole:  # it came with the headers, as nearly all do: nobody waits, and no clock is set
        body: bytes = whole.value
        return body
    try:
        async with asyncio.timeout(SECONDS):
            return await _Rest(first, received)
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {SECONDS:g} s") from None


class _Rest:
    """What is left of a coroutine that was begun, and waits for `first`."""

    def __init__(self, first: Any, begun: Coroutine[Any, Any, bytes]) -> None:
        self._first, self._begun = first, begun

    def __await__(self) -> Generator[Any, Any, bytes]:
        yield self._first
        return (yield from self._begun.__await__())


async def _received(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(HTTPStatus.BAD_REQUEST, "the caller went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise _too_long()
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_long() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body must have at most {MAX_BODY} bytes")
