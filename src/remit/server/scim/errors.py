"""Errors as SCIM has them (RFC 7644, section 3.12)."""

from collections.abc import Iterable
from enum import StrEnum
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from remit.model.errors import ErrorKind, RemitError
from remit.server.problems import STATUS, Problem, fault
from remit.server.responding import figures_of

MEDIA = "application/scim+json"
_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
_encode = msgspec.json.Encoder().encode


class Kind(StrEnum):
    """What is wrong with a request, by the words of the standard."""

    INVALID_FILTER = "invalidFilter"
    TOO_MANY = "tooMany"
    UNIQUENESS = "uniqueness"
    MUTABILITY = "mutability"
    INVALID_SYNTAX = "invalidSyntax"
    INVALID_PATH = "invalidPath"
    NO_TARGET = "noTarget"
    INVALID_VALUE = "invalidValue"


class ScimError(Exception):
    """A request that is not done."""

    def __init__(self, kind: Kind | None, detail: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.status = kind, detail, status

    def response(self, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """The answer."""
        told = {"schemas": [_SCHEMA], "status": str(int(self.status)), "detail": self.detail}
        response = Response(
            _encode({**told, **({"scimType": self.kind} if self.kind else {})}), int(self.status), media_type=MEDIA
        )
        response.headers["Cache-Control"] = "no-store"
        for name, value in headers:
            response.headers.append(name, value)
        return response


def invalid(detail: str) -> ScimError:
    """A value that cannot be kept."""
    return ScimError(Kind.INVALID_VALUE, detail)


def too_long(detail: str) -> ScimError:
    """A request that asks for more than one may: `tooMany` is of filters that find too much alone."""
    return ScimError(None, detail, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def of_scim(_request: Request, error: ScimError) -> Response:
    """The answer to what SCIM itself forbids."""
    return error.response()


def of_problem(_request: Request, problem: Problem) -> Response:
    """The answer to a request that cannot be read, or whose sender is not believed."""
    kind = Kind.INVALID_SYNTAX if problem.status is HTTPStatus.BAD_REQUEST else None
    return ScimError(kind, problem.detail, problem.status).response(problem.headers)


def of_error(request: Request, error: RemitError) -> Response:
    """The answer to what Remit refuses."""
    figures_of(request).failed(error)
    kind = Kind.INVALID_VALUE if error.kind is ErrorKind.MALFORMED else None
    return ScimError(kind, error.told, STATUS[error.kind]).response()


def of_http(_request: Request, error: HTTPException) -> Response:
    """The answer to a path or a method that there is not."""
    return ScimError(None, error.detail, HTTPStatus(error.status_code)).response((error.headers or {}).items())


def of_fault(request: Request, error: Exception) -> Response:
    """The answer to a fault of ours."""
    return ScimError(None, fault(error, request.scope).detail, HTTPStatus.INTERNAL_SERVER_ERROR).response()
