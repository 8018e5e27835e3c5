"""Annotations proposed for a tool that has none, from its name, description and schema: for a reviewer to read, never applied."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from remit.model.tool import Annotations, Reach, Tool, ToolEffect
from remit.pdp.arguments import ArgumentType, argument_types
from remit.pdp.provenance.words import words_of
from remit.pdp.speaking import spoken_effect

_TEXTS = frozenset(
    "body text content message subject title description note comment summary caption reason purpose html markdown memo".split()  # noqa: SIM905
)
_MEASURES = frozenset(
    """amount quantity count limit max min size page offset top total price date time day month year hour minute start end from until
    duration priority rating""".split()  # noqa: SIM905
)
_ADDRESSES = frozenset({"url", "uri", "link", "href", "host", "domain", "website", "webpage", "endpoint"})
_FORMATS_OF_ADDRESSES = frozenset({"uri", "url", "iri", "uri-reference", "hostname", "idn-hostname", "ipv4", "ipv6"})
_FORMATS_OF_VALUES = frozenset({"date", "time", "date-time", "duration"})
_PLACES = frozenset({"path", "file", "filename", "folder", "dir", "directory"})
_ACTS_ON_TEXT = frozenset({ToolEffect.EXECUTE})
MAX_ARGUMENTS = 12
"""Of a tool with more arguments none is proposed: a line that nobody reads is no review."""


def proposed(tool: Tool) -> Annotations | None:
    """What the tool may be annotated with, as far as its name, description and schema say; None where they do not say what it does.

    What the catalogue says already is kept. What is not understood is proposed as a destination, and a reach as outside.
    """
    said = tool.annotations
    effect = said.effect or spoken_effect(tool.name, tool.description)
    if effect is None:
        return None
    fields = argument_types(tool.schema).root.fields
    chosen, content = _roles(tool, fields, effect)
    reach = said.reach or _reach(effect, tool, fields)
    if effect is ToolEffect.READ and reach is not Reach.EXTERNAL:
        chosen, content = (), ()  # what reads inside may be asked for anything
    destinations = said.destinations or chosen
    return replace(said, effect=effect, reach=reach, destinations=destinations, content=said.content or content)


def as_line(annotations: Annotations) -> str:
    """The annotations as the one line of YAML that they are written in."""
    written: dict[str, Any] = msgspec.to_builtins(annotations)
    shown = [f"{name}: {_plain(value)}" for name, value in written.items() if value not in (None, False, [], (), "")]
    return f"annotations: {{{', '.join(shown)}}}"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, str):
        return (
            value
            if value.replace("_", "").isalnum() and value.isascii() and value[0].isalpha()
            else msgspec.json.encode(value).decode()
        )
    return str(value).lower()


def _roles(tool: Tool, fields: Mapping[str, ArgumentType], effect: ToolEffect) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The arguments that may choose something, and those that choose nothing."""
    if len(fields) > MAX_ARGUMENTS:
        return (), ()
    content = tuple(name for name, expected in fields.items() if _is_content(name, expected, _schema(tool, name), effect))
    return tuple(name for name in fields if name not in content), content


def _is_content(name: str, expected: ArgumentType, schema: Mapping[str, Any], effect: ToolEffect) -> bool:
    if expected.kind == "boolean" or expected.choices or schema.get("format") in _FORMATS_OF_VALUES:
        return True
    words = set(words_of(name))
    last = words_of(name)[-1:]
    if expected.kind in ("number", "integer"):
        return expected.kind == "number" or bool(words & _MEASURES)
    texts = _TEXTS if effect not in _ACTS_ON_TEXT else frozenset()
    return expected.kind == "string" and "format" not in schema and bool(last) and last[0] in (texts | _MEASURES)


def _schema(tool: Tool, name: str) -> Mapping[str, Any]:
    properties = (tool.schema or {}).get("properties")
    found = properties.get(name) if isinstance(properties, dict) else None
    return found if isinstance(found, dict) else {}


def _reach(effect: ToolEffect, tool: Tool, fields: Mapping[str, ArgumentType]) -> Reach:
    words = {word for name in fields for word in words_of(name)}
    outside = words & _ADDRESSES or any(_schema(tool, name).get("format") in _FORMATS_OF_ADDRESSES for name in fields)
    if effect is ToolEffect.READ:
        return Reach.EXTERNAL if outside else Reach.INTERNAL
    local = effect in (ToolEffect.WRITE, ToolEffect.DELETE) and words & _PLACES and not outside
    return Reach.INTERNAL if local else Reach.EXTERNAL
