"""What a request asks for: who asks, what is in it, and which part of an answer is wanted."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.wiring import Embedded
from remit.model.errors import RemitError, refused
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.permitting import may_provision
from remit.server.reading import read_object
from remit.server.responding import embedded_of
from remit.server.scim.errors import MEDIA, Kind, ScimError, invalid
from remit.server.scim.paths import Name, read_path
from remit.server.scim.resources import SCIM
from remit.server.scim.schemas import ResourceType, attribute_of, sub_of
from remit.server.scim.values import Resource, place_of

PREFIX = "/scim/v2"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
MOST = 200
"""So many resources are in one answer."""
_CONTENT = frozenset({b"application/scim+json", b"application/json"})
_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class Provisioner(msgspec.Struct, frozen=True):
    """A service that provisions people, and the store that it does so in."""

    caller: Known
    embedded: Embedded
    base: str

    @property
    def source(self) -> str:
        """The source that its people are of."""
        # INVARIANT (fail closed): a service sees and changes whom it provisions itself, not those of its name by another issuer.
        return f"{SCIM}{self.caller.caller.id}"


async def asking(request: Request) -> Provisioner:
    """Who asks. Raises `Problem` (401), `RemitError` (refused) for whoever may not provision."""
    caller = await caller_of(request)
    if not may_provision(caller):
        raise refused("you may not provision people: that is for the role `provisioner`")
    return Provisioner(caller, embedded_of(request), f"{request.app.state.url}{PREFIX}")


async def body_of(request: Request, schema: str = "") -> dict[str, Any]:
    """What the request carries, of this schema if one is named. Raises `Problem`, `RemitError`, `ScimError`."""
    try:
        sent = await read_object(request, _CONTENT)
    except RemitError as error:
        raise ScimError(Kind.INVALID_SYNTAX, error.message) from None
    schemas = next((value for name, value in sent.items() if name.lower() == "schemas"), None)
    if schema and (not isinstance(schemas, list) or schema.lower() not in [str(one).lower() for one in schemas]):
        raise ScimError(Kind.INVALID_SYNTAX, f"`schemas` must name `{schema}`")
    return sent


class Shape(msgspec.Struct, frozen=True):
    """Which attributes are wanted (RFC 7644, section 3.9): these alone, or all but those."""

    only: tuple[Name, ...] = ()
    without: tuple[Name, ...] = ()


def shape_of(request: Request) -> Shape:
    """Raises `ScimError`."""
    wanted, unwanted = (_names(request.query_params.get(name, "")) for name in ("attributes", "excludedAttributes"))
    if wanted and unwanted:
        raise invalid("`attributes` and `excludedAttributes` exclude each other")
    return Shape(wanted, unwanted)


def _names(text: str) -> tuple[Name, ...]:
    return tuple([read_path(one.strip(), Kind.INVALID_VALUE).what for one in text.split(",") if one.strip()])


def shaped(kind: ResourceType, resource: Resource, shape: Shape) -> Resource:
    """A resource with the attributes that are wanted; `schemas` and `id` always are."""
    if not shape.only and not shape.without:
        return resource
    always = {name: resource[name] for name in ("schemas", "id")}
    if shape.without:
        left = deepcopy(resource)
        for name in shape.without:
            _drop(kind, left, name)
        return {**left, **always}
    found: Resource = {}
    for name in shape.only:
        attribute = attribute_of(kind, name.schema, name.name)
        value = place_of(resource, kind, name.schema).get(attribute.name) if attribute is not None else None
        if attribute is None or value is None:
            continue
        inner = sub_of(attribute, name.sub) if name.sub else None
        if inner is not None:
            value = _part(value, inner.name)
        place_of(found, kind, name.schema, make=True)[attribute.name] = value
    return {**found, **always}


def _drop(kind: ResourceType, resource: Resource, name: Name) -> None:
    attribute = attribute_of(kind, name.schema, name.name)
    place = place_of(resource, kind, name.schema)
    if attribute is None or attribute.name not in place:
        return
    inner = sub_of(attribute, name.sub) if name.sub else None
    if inner is None:
        del place[attribute.name]
    else:
        value = place[attribute.name]
        rest = [{n: p for n, p in one.items() if n != inner.name} for one in (value if isinstance(value, list) else [value])]
        place[attribute.name] = rest if isinstance(value, list) else rest[0]


def _part(value: Any, name: str) -> Any:
    parts = [{name: one[name]} for one in (value if isinstance(value, list) else [value]) if name in one]
    return parts if isinstance(value, list) else parts[0] if parts else {}


def listed(
    request: Request, kind: ResourceType, found: Sequence[T], show: Callable[[Sequence[T]], Sequence[Resource]]
) -> Response:
    """The page that is asked for, of all that was found (RFC 7644, section 3.4.2.4). Raises `ScimError`."""
    shape = shape_of(request)
    start, count = max(1, _number(request, "startIndex", 1)), min(MOST, max(0, _number(request, "count", MOST)))
    page = found[start - 1 : start - 1 + count]
    return told(
        {
            "schemas": [LIST],
            "totalResults": len(found),
            "startIndex": start,
            "itemsPerPage": len(page),
            "Resources": [shaped(kind, one, shape) for one in show(page)],
        }
    )


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return otherwise
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 10:
        raise invalid(f"`{name}` must be a whole number")
    return int(text)


def told(value: Any, status: int = 200) -> Response:
    """An answer, which nobody keeps."""
    return Response(_encode(value), status, media_type=MEDIA, headers={"Cache-Control": "no-store"})


def one_told(request: Request, kind: ResourceType, resource: Resource, status: int = 200) -> Response:
    """One resource, with its tag and place."""
    tag = resource["meta"]["version"]
    if status == 200 and request.method == "GET" and tag in _tags(request, "if-none-match"):
        return Response(status_code=304, headers={"ETag": tag})
    response = told(shaped(kind, resource, shape_of(request)), status)
    response.headers["ETag"] = tag
    if status == 201:
        response.headers["Location"] = resource["meta"]["location"]
    return response


def _tags(request: Request, header: str) -> list[str]:
    return [one.strip() for one in request.headers.get(header, "").split(",") if one.strip()]


def check_tag(request: Request, tag: str) -> None:
    """Raises `ScimError` (412) where another version was meant than there is."""
    wanted = _tags(request, "if-match")
    if wanted and "*" not in wanted and tag not in wanted:
        raise ScimError(None, f"it is version {tag} by now: read it again", HTTPStatus.PRECONDITION_FAILED)
