"""Whether words of a request are a name there, or just its words: who could be called like them is for the user to say."""

import re
from collections.abc import Sequence
from functools import lru_cache

from remit.pdp.provenance.searching import Place, apart, folder, segment, whole

_BEFORE = frozenset(
    """to with into in via user users channel channels group contact colleague friend team list room named called invite add message email
    ask tell notify pay call dm text cc bcc name""".split()  # noqa: SIM905 - words, to be read
)
_AFTER = frozenset("channel channels group list room team folder account".split())  # noqa: SIM905
_OPENING, _CLOSED = "\"'`“‘@#(<", re.compile("(?:\\.\\w{2,5})?[\"'`”’)>]")
_QUOTED = re.compile(r"(?<!\w)(?:\"[^\"]{0,300}\"|“[^”]{0,300}”|‘[^’]{0,300}’|`[^`]{0,300}`|'(?:[^']|'(?=\w)){0,300}')(?!\w)")
_FILE, _WORDS = re.compile(r"\A\.\w{2,5}\Z"), re.compile(r"\w")
_WORD = re.compile(r"[^\W\d_]+")
_LAST = re.compile(r"(\w+)\W*\Z")
_NEXT = re.compile(r"\W*(\w+)")
_DOES = re.compile(
    r"(?:'s|’s)?\s+(?:just\s+|has\s+|have\s+|had\s+|is\s+|was\s+)?(?:sent|called|said|asked|asks|says|wants?|wanted|needs?|wrote|told|tells|emailed|"
    r"messaged|texted|informed|reminded|invited|raised|increased|charged|owes?|should|will|must|can|could|may)\b"
)
"""What somebody does: a sentence that begins so begins with a name."""
_DOCUMENT = re.compile(r"\W{1,3}(?:file|document|doc|spreadsheet|presentation|sheet|folder|event|email)s?\b")
_DAY = re.compile(
    "(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october|november"
    "|december",
    re.IGNORECASE,
)
_GIVES = frozenset("send give show reply remind let forward thank answer inform tell".split())  # noqa: SIM905
_GIVEN = frozenset("the a an my our your this that his her their some these those about know what when if".split())  # noqa: SIM905
"""Between one of the first and one of the second stands who receives it: `send kim the notes`."""
_LISTED = re.compile(r"([\w.@+-]*\w)\s*(?:,\s*(?:and\s+)?|\s(?:and|or)\s+)\Z")
_NEGATED = re.compile(
    r"(?:\b(?:not|never|except|excluding|avoid|nobody but)|n't)\b(?!\s+(?:forget|hesitate|only|later|just))[^.;,!?\n]{0,60}\Z"
)
MAX_LIST = 8
_SENTENCE = re.compile(r"(?:\A|[.!?:\n]\s*)\Z")
_NUMBERED = re.compile(r"\d")


@lru_cache(256)
def is_receiver(written: str) -> Place:
    """Counts where a value is named as somebody or some place: a single word without a mark or a digit in it by its capital, a quote,
    or the word before or after it (`to general`, `the general channel`). `written` is the text before its case was folded."""

    def counts(text: str, start: int, stop: int) -> bool:
        if not is_wanted(text, start, stop):
            return False
        return _WORD.fullmatch(text[start:stop]) is None or len(written) != len(text) or _is_one(written, start, stop)

    return counts


def is_wanted(text: str, start: int, stop: int) -> bool:
    """It counts as a name of its own, and not where the sentence says not to (`do not delete payroll`)."""
    return whole(text, start, stop) and not _is_negated(text, start)


def is_thing(text: str, start: int, stop: int) -> bool:
    """The same, and not as a folder on the way to something else: whoever named what is in it did not name all that is."""
    return is_wanted(text, start, stop) and not (text[stop : stop + 1] == "/" and text[stop + 1 : stop + 2].isalnum())


def is_alone(text: str, start: int, stop: int) -> bool:
    """The same, and as no part of a path at all."""
    return apart(text, start, stop) and not _is_negated(text, start)


def is_folder(text: str, start: int, stop: int) -> bool:
    """It counts as what a path begins with."""
    return folder(text, start, stop) and not _is_negated(text, start)


def is_led_to(text: str, start: int, stop: int) -> bool:
    """It counts by itself or as what a path leads to."""
    return segment(text, start, stop) and text[stop : stop + 1] != "/" and not _is_negated(text, start)


def _is_negated(text: str, start: int) -> bool:
    return _NEGATED.search(text[max(0, start - 80) : start]) is not None


def _is_one(written: str, start: int, stop: int, listed: int = 0) -> bool:
    before, after = written[max(0, start - 200) : start], written[stop:]
    if _stands_out(written, start, stop) or (before[-1:] and before[-1] in "@#"):
        return True
    last, following = _LAST.search(before[-40:]), _NEXT.match(after[:40])
    first, then = last[1].lower() if last else "", following[1].lower() if following else ""
    if first in _BEFORE or then in _AFTER or (first in _GIVES and then in _GIVEN):
        return True
    row = _LISTED.search(before) if listed < MAX_LIST else None  # one of several is as good as the one before
    if row is None:
        return False
    at = start - len(before) + row.start(1)
    return _WORD.fullmatch(row[1]) is None or _is_one(written, at, at + len(row[1]), listed + 1)


def _stands_out(written: str, start: int, stop: int) -> bool:
    """In quotes, or with a capital that no sentence begins with but one that says what somebody did."""
    if written[start - 1 : start] in tuple(_OPENING) and _CLOSED.match(written, stop):
        return True
    if _DAY.fullmatch(written[start:stop]):
        return False
    return written[start].isupper() and (_SENTENCE.search(written[:start]) is None or _DOES.match(written, stop) is not None)


def is_name(written: str, words: Sequence[str]) -> bool:
    """Whether these words stand in a text as a name: together in quotes, one of them with a capital that no sentence begins with, or,
    where they are several, with a digit or before what they are the name of (`the meeting minutes file`)."""
    # INVARIANT (words narrow, never widen): a part of what stands in quotes is not what somebody named.
    pattern = re.compile(r"(?<!\w)" + r"\W{1,4}".join(map(re.escape, words)) + r"(?!\w)", re.IGNORECASE)
    for found in pattern.finditer(written):
        start, stop = found.span()
        if any(
            first <= start and stop <= last and _says_more(written, first, start, stop, last) for first, last in _quotes(written)
        ):
            continue
        if _stands_out(written, start, stop) or any(
            _stands_out(written, start + word.start(), start + word.end()) for word in _words(found[0])
        ):
            return True
        if len(words) > 1 and (_NUMBERED.search(found[0]) or _DOCUMENT.match(written, stop)):
            return True
    return False


@lru_cache(256)
def _quotes(written: str) -> list[tuple[int, int]]:
    return [(found.start() + 1, found.end() - 1) for found in _QUOTED.finditer(written)]


def _says_more(written: str, first: int, start: int, stop: int, last: int) -> bool:
    """Whether quotes hold more than what stands from `start` to `stop` and the ending of a document's name."""
    return _WORDS.search(written, first, start) is not None or _WORDS.search(_FILE.sub("", written[stop:last])) is not None


def _words(text: str) -> Sequence[re.Match[str]]:
    return list(re.finditer(r"\w+", text))
