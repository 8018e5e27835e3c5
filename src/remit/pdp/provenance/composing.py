"""YAML that a tool returned, as text, lists and mappings: nothing in it can overflow the stack."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import yaml

MAX_EVENTS = 50_000
"""So many parts of a document are read."""

_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def composed(text: str, levels: int) -> Any:
    """The text, lists and mappings of one document; None for anything else: aliases, names that are no text, more levels or parts."""
    try:
        return _composed(islice(yaml.parse(text, Loader=_LOADER), MAX_EVENTS), levels)
    except (yaml.YAMLError, ValueError):
        return None


def _composed(events: Iterator[Any], levels: int) -> Any:
    # INVARIANT (fail closed): the library's own composer calls itself for each level, and a stack that overflows ends the process.
    above: list[list[Any]] = []
    here: list[Any] = []
    for event in events:
        match event:
            case yaml.ScalarEvent():
                here.append(event.value)
            case yaml.CollectionStartEvent():
                if len(above) >= levels:
                    return None
                above.append(here)
                here = []
            case yaml.CollectionEndEvent():
                made = here if isinstance(event, yaml.SequenceEndEvent) else _mapping(here)
                if made is None:
                    return None
                here = above.pop()
                here.append(made)
            case yaml.AliasEvent():
                return None
            case yaml.StreamEndEvent():
                return here[0] if len(here) == 1 else None
    return None


def _mapping(parts: list[Any]) -> dict[str, Any] | None:
    names = parts[::2]
    return dict(zip(names, parts[1::2], strict=True)) if all(isinstance(name, str) for name in names) else None
