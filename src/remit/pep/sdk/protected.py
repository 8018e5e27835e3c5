"""What the authorizer of this process keeps for itself, its store, token and key: no tool may be pointed at it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remit.model.errors import malformed

_MAX_PATH = 4096


def check_protected(places: Sequence[str], data: Mapping[str, Any]) -> None:
    """Raise `RemitError` (malformed) if an argument names one of these places (real paths) or anything in it, by whatever link.

    Bounds a misled model: a tool that puts its paths together itself can still go there (SECURITY.md).
    """
    if not places:
        return
    folded = tuple([place.casefold() for place in places])  # some file systems ignore case
    for name, value in data.items():
        if any(_is_within(text, folded) for text in _texts(value)):
            raise malformed(f"`{name}` names a file of Remit's own store, or its token or key, which no tool may touch")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _is_within(text: str, places: Sequence[str]) -> bool:
    if not text or len(text) > _MAX_PATH:
        return False
    try:
        real = os.path.realpath(os.path.expanduser(text.removeprefix("file://"))).casefold()
    except (OSError, ValueError):
        return False  # what is no path names nothing
    return any(real == place or real.startswith(place + os.sep) for place in places)
