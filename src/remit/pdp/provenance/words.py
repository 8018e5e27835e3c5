"""Words of names and of a request, reduced to what they have in common."""

import re
from functools import lru_cache

MAX_NAME = 512
_BREAK = re.compile(r"[^a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IRREGULAR = {
    "sent": "send", "paid": "pay", "bought": "buy", "made": "make", "told": "tell", "wrote": "write", "written": "write",
    "given": "give", "gave": "give", "sold": "sell", "left": "leave", "ran": "run", "forgot": "forget", "chosen": "choose",
}  # fmt: skip


def words_of(name: str) -> tuple[str, ...]:
    """The words of an identifier, in the singular: `recipientIds` is recipient, id. What is longer than a name has none."""
    return _words_of(name) if len(name) <= MAX_NAME else ()


@lru_cache(4096)
def _words_of(name: str) -> tuple[str, ...]:
    parts = _BREAK.split(_CAMEL.sub("_", name).lower())
    return tuple(singular(part) for part in parts if part)


def singular(word: str) -> str:
    """A noun in the singular, roughly: two forms of one word come out the same."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


@lru_cache(16_384)
def stem(word: str) -> str:
    """A word without its ending, roughly: two forms of one verb come out the same."""
    word = _IRREGULAR.get(word, word)
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word
