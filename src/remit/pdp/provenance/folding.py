"""Text made comparable: folded widely where a match taints, hardly at all where a match gives trust."""

import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

_LOWER = {0: " "} | {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
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
MAX_MARKS = 16
"""So many signs may follow each other before those that combine with a letter are left out: putting them in order takes quadratic time."""
_MARKS = re.compile(rf"(?:[^\w\s\x00-\x7f]|[\uff9e\uff9f]){{{MAX_MARKS + 1},}}")
_UNSEEN = re.compile(
    "[\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""What shows nothing: format characters, and those that Unicode (DerivedCoreProperties) calls ignorable."""
_SIGNS = re.compile(r"[\W_]+")
_ASCII_SIGNS = {code: None for code in range(128) if not chr(code).isalnum()}
_ZEROS = re.compile(r"(?<=&#)0+(?=[0-9])")
_NO_CHARACTER = re.compile(r"&#[0-9]{8,};?")


def exact(text: str) -> str:
    """Text as it is compared where a match gives trust: ASCII case and white space aside, nothing is folded (RFC 5891: `straße.de`
    is not `strasse.de`)."""
    return " ".join(text.translate(_LOWER).split())


def folded(text: str) -> str:
    """Fold what a reader would call the same: compatibility forms, case, white space, invisible characters, lookalike letters."""
    if not text.isascii():
        # The two that are taken out stand for whole sentences: nothing else grows to more than six times its length.
        text = _MARKS.sub(_without_marks, _UNSEEN.sub("", text).replace("\ufdfa", "").replace("\ufdfb", ""))
        text = unicodedata.normalize("NFKC", text).casefold().translate(_LOOKALIKES)
    return " ".join(text.replace("\x00", " ").casefold().split())


def _without_marks(run: re.Match[str]) -> str:
    return "".join(char for char in run[0] if not unicodedata.combining(char))


def squashed(text: str) -> str:
    """Folded text without anything but letters and digits: what is left when somebody spaces, dots or breaks a value apart."""
    return bare(folded(text))


def bare(text: str) -> str:
    """The letters and digits of folded text."""
    return text.translate(_ASCII_SIGNS) if text.isascii() else _SIGNS.sub("", text)


def decodings(text: str) -> Iterator[str]:
    """What stands in a text in other clothes: URL escapes, HTML entities, Base64 words. Bounded by the length of the text."""
    if "%" in text and (plain := unquote(text)) != text:
        yield plain
    if "&" in text and (plain := _unescaped(text)) != text:
        yield plain
    for found in _TOKEN.finditer(text):
        plain = _base64(found[0])
        if plain:
            yield plain


def _unescaped(text: str) -> str:
    if "&#" in text:  # the library refuses numbers of thousands of digits, and zeros before a number are digits, too
        text = _NO_CHARACTER.sub("\ufffd", _ZEROS.sub("", text))
    return html.unescape(text)


def _base64(word: str) -> str:
    """The text behind a Base64 word, empty if it is none that anybody could read."""
    digits = word.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = binascii.a2b_base64(digits + "=" * (-len(digits) % 4)).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text if text.isprintable() else ""
