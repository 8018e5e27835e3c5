"""The description of a server (OpenAPI 3.1), made of its operations."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from remit import __version__
from remit.server.openapi.operation import Operation, Repeated
from remit.server.repeating.answers import MAX_KEY

VERSION = "3.1.0"
JSON, PROBLEM_TYPE, TEXT = "application/json", "application/problem+json", "text/plain"
_REF = "#/components/schemas/{name}"
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "a token that whoever has it can use"},
    "dpop": {
        "type": "http",
        "scheme": "DPoP",
        "description": "a token bound to a key, with a proof of it in the header `DPoP` (RFC 9449); one bound to a client certificate "
        "(RFC 8705) comes as a bearer token over that connection",
    },
}


class ProblemDetails(msgspec.Struct, frozen=True):
    """An error (RFC 9457): `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str


def described(operations: Sequence[Operation], url: str = "/", asked: bool = True) -> dict[str, Any]:
    """The document of these operations, served at `url`, where callers are `asked` who they are."""
    kinds = [kind for one in operations for kind in (one.answer, one.body, one.query) if kind not in (None, str)]
    schemas, components = msgspec.json.schema_components([*kinds, ProblemDetails], schema_hook=_hook, ref_template=_REF)
    known = dict(zip(map(repr, [*kinds, ProblemDetails]), schemas, strict=True))

    def schema_of(kind: Any) -> dict[str, Any]:
        return {"type": "string"} if kind is str else known[repr(kind)]

    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.template, {})[one.method.lower()] = _operation(one, schema_of, components)
    messages = [kind for one in operations for kind in (one.answer, one.body)]
    for name in {_name(schema_of(one.query)) for one in operations if one.query is not None and one.query not in messages}:
        del components[name]  # its members are parameters
    return {
        "openapi": VERSION,
        "info": {
            "title": "Remit",
            "version": __version__,
            "description": "Runtime authorization for AI agents: decisions (AuthZEN 1.0), doors without a store, management.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "security": [{name: []} for name in _SECURITY] if asked else [],
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {"securitySchemes": _SECURITY, "schemas": _tidied(components)},
    }


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"].rpartition("/")[2])


def _hook(kind: type) -> dict[str, Any]:
    if kind is msgspec.Raw:
        return {}  # JSON as it is
    raise NotImplementedError(kind)


def _operation(one: Operation, schema_of: Callable[[Any], dict[str, Any]], components: dict[str, Any]) -> dict[str, Any]:
    words = " ".join(one.stated[2].split())
    told: dict[str, Any] = {"operationId": one.id, "tags": [one.tag], "summary": words}
    parameters = [*_in_path(one), *_in_query(one, schema_of, components), *_in_headers(one)]
    if parameters:
        told["parameters"] = parameters
    if one.body is not None:
        told["requestBody"] = {"required": not one.bodiless, "content": {JSON: {"schema": schema_of(one.body)}}}
    if one.open:
        told["security"] = []
    media = TEXT if one.answer is str else JSON
    good = {"content": {media: {"schema": schema_of(one.answer)}}}
    told["responses"] = {
        **{str(status): {"description": HTTPStatus(status).phrase, **good} for status in (one.status, *one.also)},
        **{str(status): _problem(status, schema_of) for status in one.statuses},
    }
    return told


def _problem(status: int, schema_of: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {PROBLEM_TYPE: {"schema": schema_of(ProblemDetails)}}}


def _in_path(one: Operation) -> Iterable[dict[str, Any]]:
    for name in one.parameters:
        whole = f"{{{name}:int}}" in one.path
        schema = {"type": "integer", "minimum": 0} if whole else {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(one: Operation, schema_of: Callable[[Any], dict[str, Any]], components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if one.query is None:
        return
    whole = components[_name(schema_of(one.query))]
    for name, schema in whole["properties"].items():
        yield {"name": name, "in": "query", "required": name in whole["required"], "schema": schema}


def _in_headers(one: Operation) -> Iterable[dict[str, Any]]:
    if one.repeated is not Repeated.NOT:
        words = "under it, the same request of the same caller is answered as it was and done once, for a while"
        schema = {"type": "string", "maxLength": MAX_KEY}
        yield {"name": "Idempotency-Key", "in": "header", "required": False, "description": words, "schema": schema}
    for name, words in one.headers.items():
        yield {"name": name, "in": "header", "required": False, "description": words, "schema": {"type": "string"}}


def _tidied(components: dict[str, Any]) -> dict[str, Any]:
    """The schemas, with their descriptions on one line, and as generators of clients read them."""
    for schema in components.values():
        if "description" in schema:
            schema["description"] = " ".join(inspect.cleandoc(schema["description"]).split())
        _without_rest(schema)
    return components


def _without_rest(schema: Any) -> None:
    """Leave out that a list has nothing behind its last item where its length says so: some generators read no schema that is `false`."""
    if isinstance(schema, dict):
        if schema.get("items") is False and schema.get("maxItems") == len(schema.get("prefixItems", ())):
            del schema["items"]
        for inside in schema.values():
            _without_rest(inside)
    elif isinstance(schema, list):
        for inside in schema:
            _without_rest(inside)
