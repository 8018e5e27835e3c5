"""Outputs that are records: fields that a platform wrote, kept apart from the prose that anybody may have written into them."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_TEXT = 1 << 18
"""Longer outputs (characters) are taken for prose, and so are those of more nesting or fields."""
MAX_YAML = 1 << 16
"""The same for YAML, which takes longer to read."""
MAX_NESTING = 32
MAX_FIELDS = 20_000

_NAME = re.compile(r"[A-Za-z][\w-]{0,40}(?: [\w-]{1,20}){0,3}")
"""A name of a mapping that is structure; any other is data."""
_YAML = re.compile(r"- |[A-Za-z_][\w ]{0,40}:(?:\s|\Z)")
_ANCHOR = re.compile(r"(?:^|[\s\[{,:-])[&*][A-Za-z0-9]", re.MULTILINE)
_LITERAL = re.compile(
    r"""(?:
        [\s\[({,:]
        | [\])}](?=\s*(?:[,:\])}]|\Z))
        | (?:-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,9})?|True|False|None)(?=\s*[,:\])}])
        | b?'[^'\\\n]*+(?:\\[\\'"abfnrtuUvx0][^'\\\n]*+)*+'
        | b?"[^"\\\n]*+(?:\\[\\'"abfnrtuUvx0][^"\\\n]*+)*+"
    )++""",
    re.VERBOSE,
)
"""Python literals as `repr` writes them: nothing that is computed, called or looked up, so that nothing is nested without brackets."""


class Field(NamedTuple):
    """One value of a record: the name it has there (empty for a bare value of a list), and which record of the output it is in
    (-1: none)."""

    name: str
    value: str
    record: int


def fields_of(text: str) -> tuple[Field, ...] | None:
    """The fields of an output that is, as a whole, JSON, a Python literal or a YAML document; None for any other text."""
    value = _parsed(text.strip()) if len(text) <= MAX_TEXT else None
    if not isinstance(value, dict | list):
        return None
    walk = _Walk()
    try:
        walk.take(value, "", -1, 0)
    except _TooMuch:
        return None
    return tuple(walk.fields)


def _parsed(text: str) -> Any:
    if text[:1] in ("{", "["):
        if _nests(text):
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
        # INVARIANT (fail closed): Python's parser is shown no other text; some of it ends the process or has no end.
        if not _LITERAL.fullmatch(text):
            return None
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    if len(text) <= MAX_YAML and _YAML.match(text) and not _ANCHOR.search(text):
        return _yaml(text)
    return None


def _nests(text: str) -> bool:
    depth = deepest = 0
    for char in re.sub(r"[^\[\](){}]", "", text):
        depth += 1 if char in "([{" else -1
        deepest = max(deepest, depth)
    return deepest > MAX_NESTING


def _yaml(text: str) -> Any:
    from remit.pdp.provenance.composing import composed  # only where an output looks like it: it costs a first call's time

    return composed(text, MAX_NESTING)


class _TooMuch(Exception):
    """More than is looked at."""


class _Walk:
    """Collects the fields of a value: each mapping with a scalar of its own is a record."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self._records = 0

    def take(self, value: Any, name: str, record: int, depth: int) -> None:
        """Add what is in a value that stands under `name` in a record."""
        if depth > MAX_NESTING or len(self.fields) > MAX_FIELDS:
            raise _TooMuch
        if isinstance(value, dict):
            self._mapping(value, name, record, depth)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                self.take(item, name, record, depth + 1)
        elif value is not None:
            self.fields.append(Field(name, str(value), record))

    def _mapping(self, value: dict[Any, Any], name: str, record: int, depth: int) -> None:
        named = {str(key): item for key, item in value.items()}
        here = record
        if any(_NAME.fullmatch(key) and not isinstance(item, dict | list | tuple) for key, item in named.items()):
            here, self._records = self._records, self._records + 1
        for key, item in named.items():
            if not _NAME.fullmatch(key):  # a name that is data, like an address that is given a permission
                self.fields.append(Field(name, key, here if not name else record))
                self.take(item, "" if isinstance(item, dict) else name, here, depth + 1)
                continue
            if isinstance(item, dict):
                self.fields.append(Field("", key, self._records))  # what names the record that comes now
            self.take(item, key, here, depth + 1)


def prose_of(fields: tuple[Field, ...]) -> Iterator[str]:
    """The values of fields, each once: text that anybody may have written, apart from the field that it fills."""
    yield from dict.fromkeys(field.value for field in fields)
