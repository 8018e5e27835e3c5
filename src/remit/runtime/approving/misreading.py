"""What an approver may misread of an access request, said in words: characters that hide, look alike or turn a line around."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from remit.model.characters import hidden, named
from remit.model.values import thaw
from remit.pdp.provenance.folding import folded
from remit.runtime.approving.approvals import Shown

_MIXED = re.compile("[A-Za-z]")
"""Letters of another script that look like these are marked in a word that has these; a text in that script is left alone."""
_LEFTWARDS = frozenset({"R", "AL", "AN"})
"""Classes of characters beside which a terminal may show what has no direction of its own, as numbers, in another order."""
_WORDS, _SHOWN = 1000, 80
_LONG, _MOST = 4000, 100_000
"""Arguments of more characters are read closely by nobody; of more still, not looked through here either, where lists wait for it."""


def readable(shown: Shown) -> str:
    """The arguments as they were passed."""
    return msgspec.json.encode(thaw(bytes(shown.arguments)).values).decode()


def marks(shown: Shown) -> Iterator[str]:
    """What a reader may take for something else: letters beyond ASCII where the call goes, lookalikes among ASCII letters and hidden
    characters anywhere in it or in what an agent wrote as the purpose, text from right to left, and what is too long to be read closely."""
    whole = readable(shown)
    if len(whole) > _LONG:
        unsearched = ", and were not looked through for characters that mislead" if len(whole) > _MOST else ""
        yield f"the arguments have {len(whole)} characters{unsearched}: what matters may stand anywhere in them"
    arguments = thaw(bytes(shown.arguments)).values if len(whole) <= _MOST else {}
    said = bytes(shown.said).decode()
    if len(said) > _MOST:
        yield f"what was said with it has {len(said)} characters, and was not looked through for characters that mislead"
    beside = thaw(bytes(shown.said)).values if len(said) <= _MOST else {}
    written = shown.purpose if shown.purpose_by else ""
    places = [(f"`{s.argument}`", s.value) for s in shown.steering]
    places += [("what it wants", shown.resource)]
    texts = (*_texts(arguments), *_texts(beside), written)
    words = {word: None for text in texts if not text.isascii() for word in text.split()}
    mixed = [word for word in words if not word.isascii() and _MIXED.search(word)]
    if len(mixed) > _WORDS:
        yield f"{len(mixed)} words have letters beyond ASCII among others; {_WORDS} were looked at"
    places += [(f"`{word[:_SHOWN]}`", "".join(filter(_is_lookalike, set(word)))) for word in mixed[:_WORDS]]
    told: set[str] = set()
    for place, text in places:
        found = sorted({_mark(char) for char in set(text) if not char.isascii()} - told)
        told.update(found)
        if found:
            yield f"{place} has {', '.join(found)}"
    for text in (
        *hidden(shown.resource, "what it wants"),
        *hidden(arguments),
        *hidden(beside),
        *hidden(written, "what the agent says"),
    ):
        yield f"hidden in {text}"
    if any(
        unicodedata.bidirectional(char) in _LEFTWARDS for char in {*shown.resource, *whole, *said, *written} if not char.isascii()
    ):
        yield "text from right to left: what stands beside it may be shown in another order than it is in"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)


@lru_cache(4096)
def _is_lookalike(char: str) -> bool:
    return not char.isascii() and not named(char).split()[1].startswith("LATIN") and _like(char) != ""


def _like(char: str) -> str:
    like = folded(char) if char.isprintable() else ""
    return like if like.isascii() else ""


def _mark(char: str) -> str:
    return named(char) + (f", which looks like `{_like(char)}`" if _like(char) else "")
