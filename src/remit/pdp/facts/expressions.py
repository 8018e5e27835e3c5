"""JMESPath: expressions over JSON that always end, have sums and counts, and can change nothing."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

MAX_EXPRESSION = 2000
"""Longer expressions (characters) are refused: nobody can review them."""

Path = tuple[str, ...]


class NoExpression(Exception):
    """Why a text is no JMESPath expression."""


class NoValue(Exception):
    """An expression could not be evaluated: a function was given what it is not for."""


class Expression:
    """One expression, parsed. `paths` are the names that it reads from what it is given, as far as they are plain: `args.user_id`."""

    def __init__(self, text: str) -> None:
        """Raises `NoExpression`."""
        if len(text) > MAX_EXPRESSION:
            raise NoExpression(f"it is longer than {MAX_EXPRESSION} characters")
        try:
            self._parsed = jmespath.compile(text)
        except (JMESPathError, RecursionError) as problem:
            raise NoExpression(" ".join(str(problem).split())) from None
        self.text = text
        self.paths = frozenset(_paths(self._parsed.parsed))

    @property
    def faults(self) -> tuple[str, ...]:
        """Why it can never have a value, whatever it is given: functions that there are not, or that are given too little or too much."""
        return tuple(dict.fromkeys(_faults(self._parsed.parsed)))

    def of(self, document: Any) -> Any:
        """Its value; null for what is not there. Raises `NoValue`."""
        try:
            return self._parsed.search(document)
        except (JMESPathError, RecursionError, ArithmeticError, ValueError, TypeError, AttributeError) as problem:
            raise NoValue(str(problem)) from None


_FUNCTIONS = {name: known["signature"] for name, known in Functions.FUNCTION_TABLE.items()}
FUNCTIONS = frozenset(_FUNCTIONS)
"""The functions that there are."""


def _faults(node: Any) -> Iterator[str]:
    if not isinstance(node, dict):
        return
    if node["type"] == "function_expression":
        yield from _call_faults(node["value"], node["children"])
    if node["type"] != "literal":
        for child in node["children"]:
            yield from _faults(child)


def _call_faults(name: str, given: list[dict[str, Any]]) -> Iterator[str]:
    signature = _FUNCTIONS.get(name)
    if signature is None:
        yield f"there is no function `{name}`"
        return
    least, more = len(signature), any(one.get("variadic") for one in signature)
    if len(given) < least or (len(given) > least and not more):
        yield f"`{name}` takes {least}{' or more' if more else ''}, and is given {len(given)}"
        return
    for wanted, one in zip(signature, given, strict=False):
        takes = wanted["types"] == ["expref"]
        if takes is not (one["type"] == "expref"):
            yield f"`{name}` takes an expression (`&…`) {'where it is given none' if takes else 'in another place'}"


_FIRST_ALONE = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten", "pipe", "slice"}
)
"""Only the first part of these is given what the whole is given; the rest go on from there."""


def _paths(node: dict[str, Any]) -> Iterator[Path]:
    """The paths from the document's root that this syntax tree reads."""
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield (node["value"],)
    elif kind == "subexpression":
        yield from _chain(children)
    elif kind in _FIRST_ALONE:
        yield from _paths(children[0])
    elif kind not in ("literal", "current", "identity", "expref", "index"):
        for child in children:
            if isinstance(child, dict):
                yield from _paths(child)


def _chain(children: list[dict[str, Any]]) -> Iterator[Path]:
    """`a.b`: one path, where both sides are plain."""
    first, *rest = children
    if first["type"] not in ("field", "subexpression"):
        yield from _paths(first)
        return
    plain = list(takewhile(lambda step: step["type"] == "field", rest))
    for path in _paths(first):
        yield (*path, *(step["value"] for step in plain))
