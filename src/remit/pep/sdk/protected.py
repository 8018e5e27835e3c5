"""The folder in which the authorizer of this process keeps its own store: no tool may be pointed at it."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from remit.model.errors import malformed

_MAX_PATH = 4096


def check_protected(folder: str, data: Mapping[str, Any]) -> None:
    """Raise `RemitError` (malformed) if an argument names `folder` (its real path; empty for none) or anything in it, by whatever link.

    Bounds a misled model: a tool that puts its paths together itself can still go there (SECURITY.md).
    """
    if not folder:
        return
    for name, value in data.items():
        if any(_is_within(text, folder.casefold()) for text in _texts(value)):
            raise malformed(f"`{name}` names a file of Remit's own store, which no tool may touch")


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


def _is_within(text: str, folder: str) -> bool:
    if not text or len(text) > _MAX_PATH:
        return False
    try:
        real = os.path.realpath(os.path.expanduser(text.removeprefix("file://"))).casefold()  # some file systems ignore case
    except (OSError, ValueError):
        return False  # what is no path names nothing
    return real == folder or real.startswith(folder + os.sep)
