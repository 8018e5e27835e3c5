"""Characters that a reader cannot judge by looking: those that nobody sees, and what any character is called."""

import unicodedata
from collections.abc import Iterator
from typing import Any

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Shown as nothing or as a blank, though Unicode calls them letters, marks or symbols."""


def named(char: str) -> str:
    """A character as `U+200B ZERO WIDTH SPACE`."""
    return f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed')}"


def hidden(value: Any, place: str = "") -> Iterator[str]:
    """Each character that no reader sees, as `description: U+200B ZERO WIDTH SPACE (2)` with how often it is there."""
    if isinstance(value, str):
        for char in sorted(filter(_is_hidden, set(value))):
            yield f"{place}: {named(char)} ({value.count(char)})"
    elif isinstance(value, dict):
        for name, item in value.items():
            here = f"{place}.{name}" if place else name
            yield from hidden(name, f"a name in {place or 'it'}")
            yield from hidden(item, here)
    elif isinstance(value, list):
        for item in value:
            yield from hidden(item, place)


def _is_hidden(char: str) -> bool:
    if char.isascii():
        return (ord(char) < 32 and char not in "\n\r\t") or char == "\x7f"
    if char in _UNSEEN or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    return unicodedata.category(char) in ("Cf", "Cc", "Co", "Cn", "Zl", "Zp")
