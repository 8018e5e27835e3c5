"""The body of a request: JSON, read strictly, of bounded length, within a bounded time."""

import asyncio
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Receive

from remit.model.errors import malformed
from remit.model.values import MAX_BYTES, read_json
from remit.server.problems import Problem

MAX_BODY = 4 * MAX_BYTES
"""A longer body (bytes) is refused: as many arguments as four calls may have."""
SECONDS = 10.0
"""So long a caller may take to send a body."""
_OF_BODY = frozenset({b"content-type", b"content-encoding", b"content-length"})
JSON = frozenset({b"application/json"})
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
        raise malformed(f"the body is not what is asked for here: {error}") from None


def read_query(request: Request, kind: type[T]) -> T:
    """The query as one of our messages: each parameter once, and none that it does not know. Raises `RemitError` (malformed)."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise malformed("a parameter of the query stands there more than once: send it once")
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise malformed(f"the query is not what is asked for here: {error}") from None


async def read_object(request: Request, kinds: frozenset[bytes] = JSON) -> dict[str, Any]:
    """The JSON object that a request carries, as one of these types of content.

    Raises `Problem`, or `RemitError` (malformed) for what is no JSON.
    """
    if _READ in request.scope:
        read: dict[str, Any] = request.scope[_READ]
        return read
    headers = _headers(request)
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in kinds:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be JSON: send `Content-Type: application/json`")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed: send it as it is")
    value = read_json(await _body(request, headers.get(b"content-length", b"0")))
    if not isinstance(value, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "the body must be one JSON object")
    request.scope[_READ] = value
    return value


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
    try:
        async with asyncio.timeout(SECONDS):
            return await _received(request.receive)
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {SECONDS:g} s") from None


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
