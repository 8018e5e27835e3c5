"""The description as a page for people: `python -m remit.server.reference` prints docs/api.md."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from remit.server.openapi.document import described
from remit.server.routes import OPERATIONS

_BEGINNING = """# The API

Made from the description that a server gives of itself (OpenAPI 3.1, `GET /v1/openapi.json`) by
`python -m remit.server.reference > docs/api.md`. How decisions are asked for is told in [serving](serving.md), who callers are
in [identity](identity.md), how approvals go in [access requests](access-requests.md).

Every body is one JSON object. Errors are problems (RFC 9457). Lists come in pages: at most `limit` items, and with `next_cursor` the
next (`cursor`), until it is empty; a cursor is for the same list and filters alone. What takes an `Idempotency-Key` is done once when it
[comes again](serving.md#the-same-request-again). Times are µs since the epoch.
"""


def reference(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    operations = [(method.upper(), path, told) for path, item in document["paths"].items() for method, told in item.items()]
    parts = [_BEGINNING]
    for tag in document["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n")
        parts += [_operation(*one) for one in operations if tag["name"] in one[2]["tags"]]
    parts.append("## Messages\n")
    parts += [_message(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "\n".join(parts)


def _operation(method: str, path: str, told: Mapping[str, Any]) -> str:
    lines = [f"### `{method} {path}`", "", told["summary"][:1].upper() + told["summary"][1:]]
    rows = [_parameter(one) for one in told.get("parameters", ())]
    if "requestBody" in told:
        [content] = told["requestBody"]["content"].values()
        rows.append(("body", _type(content["schema"]), ""))
    good = [(status, one) for status, one in told["responses"].items() if status < "300"]
    [content] = good[0][1]["content"].values()
    rows.append((" or ".join(status for status, _ in good), _type(content["schema"]), "the answer"))
    failing = ", ".join(status for status in told["responses"] if status >= "300")
    lines += ["", "| | | |", "|---|---|---|", *[f"| `{name}` | {kind} | {words} |" for name, kind, words in rows]]
    lines += ["", f"Problems: {failing}.{' Nobody is asked who they are.' if told.get('security') == [] else ''}", ""]
    return "\n".join(lines)


def _parameter(one: Mapping[str, Any]) -> tuple[str, str, str]:
    words = [one["in"] if one["in"] != "query" else "", one.get("description", ""), _bounds(one["schema"])]
    return one["name"], _type(one["schema"]), "; ".join(word for word in words if word)


def _bounds(schema: Mapping[str, Any]) -> str:
    known = {"minimum": "at least", "maximum": "at most", "maxLength": "at most as many characters:", "default": "without it:"}
    return ", ".join(f"{words} `{schema[name]}`" for name, words in known.items() if schema.get(name, "") != "")


def _message(name: str, schema: Mapping[str, Any]) -> str:
    lines = [f"### `{name}`", "", schema.get("description", "")]
    if "enum" in schema:
        return "\n".join([*lines, "", "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".", ""])
    required = schema.get("required", ())
    rows = [
        f"| `{field}` | {_type(one)} | {'' if field in required else 'optional'} |" for field, one in schema["properties"].items()
    ]
    table = ["", "| member | type | |", "|---|---|---|", *rows] if rows else []
    closed = ["", "Another member is refused."] if schema.get("additionalProperties") is False else []
    return "\n".join([*lines, *table, *closed, ""])


def _type(schema: Mapping[str, Any]) -> str:
    return " or ".join(_types(schema)) or "anything"


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield f"[{name}](#{name.lower()})"
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _types(one)
    elif "enum" in schema:
        yield from (f"`{value}`" for value in schema["enum"])
    elif schema.get("type") == "array":
        inside = schema.get("items")
        yield f"list of {_type(inside)}" if isinstance(inside, dict) and inside else "list"
    elif schema.get("type") == "object":
        inside = schema.get("additionalProperties")
        yield f"object of {_type(inside)}" if isinstance(inside, dict) and inside else "object"
    elif "type" in schema:
        yield str(schema["type"])


if __name__ == "__main__":
    sys.stdout.write(reference(described(OPERATIONS)))
