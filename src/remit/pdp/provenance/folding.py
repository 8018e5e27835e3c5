"""Text made comparable: folded widely where a match taints, hardly at all where a match gives trust."""

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
# Letters of other scripts that look like Latin ones (Unicode UTS 39, the single-character lookalikes of a-z and digits), after casefolding.
_LOOKALIKES = str.maketrans(
    {
        char: letter
        for letter, chars in {
            "a": "аɑαάàáâãäåāăą",
            "b": "ьƅ",
            "c": "сϲçćč",
            "d": "ԁď",
            "e": "еёєèéêëēėęě",
            "g": "ɡց",
            "h": "һհ",
            "i": "іїıιίìíîïīį",
            "j": "јϳ",
            "k": "кκĸ",
            "l": "ӏⅼł",
            "m": "м",
            "n": "ոпηñńň",
            "o": "оοόօôöòóõøōő",
            "p": "рρϱ",
            "q": "ԛ",
            "r": "г",
            "s": "ѕšśş",
            "t": "тτ",
            "u": "υսùúûüūůű",
            "v": "νѵ",
            "w": "ѡωԝ",
            "x": "хχ",
            "y": "уүγÿý",
            "z": "žżź",
        }.items()
        for char in chars
    }
)
_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{16,4096}={0,2}")
MAX_DECODED = 200
"""So many encoded words of one text are looked into."""


def exact(text: str) -> str:
    """Text as it is compared where a match gives trust: ASCII case and white space aside, nothing is folded (RFC 5891: `straße.de`
    is not `strasse.de`)."""
    return " ".join(text.translate(_LOWER).split())


def folded(text: str) -> str:
    """Fold what a reader would call the same: compatibility forms, case, white space, invisible characters, lookalike letters."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
        text = text.casefold().translate(_LOOKALIKES)
    return " ".join(text.casefold().split())


def squashed(text: str) -> str:
    """Folded text without anything but letters and digits: what is left when somebody spaces, dots or breaks a value apart."""
    return "".join(char for char in folded(text) if char.isalnum())


def decodings(text: str) -> Iterator[str]:
    """What stands in a text in other clothes: URL escapes, HTML entities, Base64 words. Bounded by the length of the text."""
    if "%" in text and (plain := unquote(text)) != text:
        yield plain
    if "&" in text and (plain := html.unescape(text)) != text:
        yield plain
    for found, _ in zip(_TOKEN.finditer(text), range(MAX_DECODED), strict=False):
        plain = _base64(found[0])
        if plain:
            yield plain


def all_decoded(text: str) -> bool:
    """Whether `decodings` looks into every encoded word of a text."""
    return len(text) <= 16 * MAX_DECODED or sum(1 for _ in _TOKEN.finditer(text)) <= MAX_DECODED


def _base64(word: str) -> str:
    """The text behind a Base64 word, empty if it is none that anybody could read."""
    bare = word.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text if text.isprintable() else ""
