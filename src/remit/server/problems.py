"""Errors that concern a whole request, as RFC 9457 problems."""

from collections.abc import Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import random_bytes

STATUS: Mapping[ErrorKind, HTTPStatus] = {
    ErrorKind.MALFORMED: HTTPStatus.BAD_REQUEST,
    ErrorKind.REFUSED: HTTPStatus.FORBIDDEN,
    ErrorKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorKind.CONFLICT: HTTPStatus.CONFLICT,
    ErrorKind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.CORRUPT: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_encode = msgspec.json.Encoder().encode


class Problem(Exception):
    """An answer that is an error: its status, what to do about it in words, and its type, where a standard has one."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Iterable[tuple[str, str]] = (), type: str = "about:blank"
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.type = status, detail, tuple(headers), type

    def response(self) -> Response:
        """The response, of type `application/problem+json`."""
        body = {"type": self.type, "title": self.status.phrase, "status": int(self.status), "detail": self.detail}
        response = Response(_encode(body), int(self.status), media_type="application/problem+json")
        for name, value in self.headers:
            response.headers.append(name, value)  # some stand there more than once
        return response


def problem_of(error: RemitError) -> Problem:
    """The problem that an error of ours is."""
    return Problem(STATUS[error.kind], error.told)


FAULT = "remit.fault"
"""The id of a fault, in the scope of the request that met it."""


def fault(error: Exception, scope: MutableMapping[str, Any]) -> Problem:
    """The problem that a fault of ours is: of the error only its kind is told, and the id under which the server says more."""
    detail = f"a fault of ours ({type(error).__name__}), which the server's lines have as `{fault_id(scope)}`: please report it"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def fault_id(scope: MutableMapping[str, Any]) -> str:
    """The id of the fault that the request of this scope has met."""
    known: str = scope.setdefault(FAULT, random_bytes(8).hex())
    return known
