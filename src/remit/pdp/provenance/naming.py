"""Whether words of a request are a name there, or just its words: who could be called like them is for the user to say."""

import re
from collections.abc import Sequence
from functools import lru_cache

from remit.pdp.provenance.searching import Place, whole

_BEFORE = frozenset(
    """to with into in via user users channel channels group contact colleague friend team list room named called invite add message email
    ask tell notify pay call dm text cc bcc name""".split()  # noqa: SIM905 - words, to be read
)
_AFTER = frozenset("channel channels group list room team folder account".split())  # noqa: SIM905
_OPENING, _CLOSED = "\"'`“‘@#(<", re.compile("(?:\\.\\w{2,5})?[\"'`”’)>]")
_WORD = re.compile(r"[^\W\d_]+")
_LAST = re.compile(r"(\w+)\W*\Z")
_NEXT = re.compile(r"\W*(\w+)")
_DOES = re.compile(
    r"(?:'s|’s)?\s+(?:just\s+|has\s+|have\s+|had\s+|is\s+|was\s+)?(?:sent|called|said|asked|asks|says|wants?|wanted|needs?|wrote|told|tells|emailed|"
    r"messaged|texted|informed|reminded|invited|raised|increased|charged|owes?)\b"
)
"""What somebody does: a sentence that begins so begins with a name."""
_DOCUMENT = re.compile(r"\W{1,3}(?:file|document|doc|spreadsheet|presentation|sheet|folder|event|email)s?\b")
_SENTENCE = re.compile(r"(?:\A|[.!?:\n]\s*)\Z")
_NUMBERED = re.compile(r"\d")


@lru_cache(256)
def is_receiver(written: str) -> Place:
    """Counts where a value is named as somebody or some place: a single word without a mark or a digit in it by its capital, a quote,
    or the word before or after it (`to general`, `the general channel`). `written` is the text before its case was folded."""

    def counts(text: str, start: int, stop: int) -> bool:
        if not whole(text, start, stop):
            return False
        return _WORD.fullmatch(text[start:stop]) is None or len(written) != len(text) or _is_one(written, start, stop)

    return counts


def _is_one(written: str, start: int, stop: int) -> bool:
    before, after = written[:start], written[stop:]
    if _stands_out(written, start, stop) or (before[-1:] and before[-1] in "@#"):
        return True
    last, following = _LAST.search(before[-40:]), _NEXT.match(after[:40])
    return (last is not None and last[1].lower() in _BEFORE) or (following is not None and following[1].lower() in _AFTER)


def _stands_out(written: str, start: int, stop: int) -> bool:
    """In quotes, or with a capital that no sentence begins with but one that says what somebody did."""
    if written[start - 1 : start] in tuple(_OPENING) and _CLOSED.match(written, stop):
        return True
    return written[start].isupper() and (_SENTENCE.search(written[:start]) is None or _DOES.match(written, stop) is not None)


def is_name(written: str, words: Sequence[str]) -> bool:
    """Whether these words stand in a text as a name: together in quotes, one of them with a capital that no sentence begins with, or,
    where they are several, with a digit or before what they are the name of (`the meeting minutes file`)."""
    pattern = re.compile(r"(?<!\w)" + r"\W{1,4}".join(map(re.escape, words)) + r"(?!\w)", re.IGNORECASE)
    for found in pattern.finditer(written):
        start, stop = found.span()
        if _stands_out(written, start, stop) or any(
            _stands_out(written, start + word.start(), start + word.end()) for word in _words(found[0])
        ):
            return True
        if len(words) > 1 and (_NUMBERED.search(found[0]) or _DOCUMENT.match(written, stop)):
            return True
    return False


def _words(text: str) -> Sequence[re.Match[str]]:
    return list(re.finditer(r"\w+", text))
