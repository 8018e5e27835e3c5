"""Which values of a call choose a destination, an object or a command, in whatever shape they come."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.tool import UNANNOTATED, Annotations, ToolEffect
from remit.pdp.compiled import CompiledTool

_FIELD = re.compile("[a-z][A-Za-z_]{0,31}")
"""A name of an object that is structure rather than data."""


def destinations(request: EvaluationRequest, tool: CompiledTool | None) -> list[tuple[str, list[Any]]]:
    """Each authority-bearing argument by name, with its values.

    A tool without complete annotations, or one that acts without naming destinations, has only such arguments.
    """
    if request.action != TOOL_CALL:
        return [("resource", [request.resource.id])]
    values = request.arguments.values
    found = [(name, list(reach(values, name))) for name in _names(values, tool)]
    return [(name, there) for name, there in found if there]


def has_destinations(tool: CompiledTool) -> bool:
    """Whether any call of a tool can have an authority-bearing argument."""
    annotations = tool.tool.annotations
    return bool(annotations.destinations) or may_choose(annotations)


def may_choose(annotations: Annotations) -> bool:
    """Whether arguments that nobody declared may choose a receiver, an object or a command: of all tools but those known to read."""
    return not annotations.complete or annotations.effect is not ToolEffect.READ


def _names(values: Mapping[str, Any], tool: CompiledTool | None) -> Sequence[str]:
    annotations = tool.tool.annotations if tool else UNANNOTATED
    if not may_choose(annotations):
        return annotations.destinations
    return [*annotations.destinations, *dict.fromkeys(undeclared(values, annotations))]


def undeclared(values: Any, annotations: Annotations, path: str = "") -> Iterator[str]:
    """The dotted names of arguments, whole where they can be, that are declared neither destinations nor content."""
    # INVARIANT (fail closed): what nobody declared to be content may choose where an action goes.
    if isinstance(values, list):
        for item in values:
            yield from undeclared(item, annotations, path)
    elif isinstance(values, dict):
        declared = (*annotations.destinations, *annotations.content)
        for name, value in values.items():
            here = f"{path}.{name}" if path else name
            if here in declared:
                continue
            if any(known.startswith(here + ".") for known in declared):
                yield from undeclared(value, annotations, here)
            else:
                yield here


def reach(values: Mapping[str, Any], name: str) -> Iterator[Any]:
    """The values at a dotted name, by that name itself and along its path; both, where an agent sends both."""
    if values.get(name) is not None:
        yield values[name]
    if "." in name:
        yield from _along(dict(values), name.split("."))


def _along(here: Any, path: Sequence[str]) -> Iterator[Any]:
    if here is None:
        return
    if not path:
        yield here
    elif isinstance(here, list):
        for item in here:
            yield from _along(item, path)
    elif isinstance(here, dict):
        if path[0] in here:
            yield from _along(here[path[0]], path[1:])
    else:
        yield here  # not the shape that was declared: all of it counts
