"""The body of a request: JSON, read strictly, of bounded length, within a bounded time."""

import asyncio
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from remit.model.errors import malformed
from remit.model.values import MAX_BYTES, read_json
from remit.server.problems import Problem

MAX_BODY = 4 * MAX_BYTES
"""A longer body (bytes) is refused: as many arguments as four calls may have."""
SECONDS = 10.0
"""So long a caller may take to send a body."""
T = TypeVar("T")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of what needs no more than its path: `{}`."""


async def read_as(request: Request, kind: type[T]) -> T:
    """The body as one of our messages; a member that it does not know is refused. Raises `Problem`, `RemitError` (malformed)."""
    try:
        return msgspec.convert(await read_object(request), kind)
    except msgspec.ValidationError as error:
        raise malformed(f"the body is not what is asked for here: {error}") from None


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries. Raises `Problem`, or `RemitError` (malformed) for what is no JSON."""
    for name in ("content-type", "content-encoding", "content-length"):
        if len(request.headers.getlist(name)) > 1:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the header `{name}` stands there more than once: send it once")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be JSON: send `Content-Type: application/json`")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed: send it as it is")
    body = await _body(request)
    value = read_json(body)
    if not isinstance(value, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "the body must be one JSON object")
    return value


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body must have at most {MAX_BODY} bytes")
    try:
        async with asyncio.timeout(SECONDS):
            parts, size = [], 0
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY:
                    raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body must have at most {MAX_BODY} bytes")
                parts.append(part)
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {SECONDS:g} s") from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the caller went away") from None
    return b"".join(parts)
