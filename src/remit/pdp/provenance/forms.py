"""Values of a form in a text: what `the address in this file` can mean."""

import re
from collections.abc import Iterable, Iterator

from remit.pdp.provenance.folding import folded, squashed
from remit.pdp.provenance.intent import URLS, url_key
from remit.pdp.provenance.roles import ADDRESS

MAX_FOUND = 1000
"""So many values of a text are looked at; of a text with more, nobody can say which is meant."""
_BEHIND = 60
"""So many characters behind its label a value may begin."""
_IBAN = r"(?:[a-z]{2}\d{2}[a-z0-9]{8,30}|[a-z]{2}\d{2}(?:[ -](?=[a-z]*\d|[a-z]{4}[ -]\d)[a-z0-9]{4}){2,7}(?:[ -]\d{1,4})?)"
_PATTERNS = {
    "email": ADDRESS,
    "url": URLS,
    "host": URLS,
    "iban": re.compile(rf"(?<![^\W_]){_IBAN}(?![^\W_])", re.IGNORECASE),
    "account": re.compile(rf"(?<![^\W_])(?:{_IBAN}|\d(?: ?\d){{7,19}})(?![^\W_])", re.IGNORECASE),
    "amount": re.compile(r"(?<![\w.,:/-])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w:/-])|(?<![\w.,:/-])\d+(?:\.\d+)?(?![\w:/-])"),
    "phone": re.compile(r"(?<!\w)\+?\d(?:[ ()./-]{0,2}\d){6,14}(?!\w)"),
}
_EDGES = "'\"`.,;:!?<>()[]{}|*"


def values_in(text: str, form: str, label: str = "") -> Iterator[str]:
    """The values of a form in a folded text, made comparable; with a label only the first behind each time it stands there."""
    pattern = _PATTERNS[form]
    if not label:
        yield from (plain(form, found[0]) for found in pattern.finditer(text))
        return
    for place in re.finditer(rf"(?<!\w){re.escape(folded(label))}(?!\w)", text):
        found = pattern.search(text, place.end())
        if found is not None and found.start() - place.end() <= _BEHIND:
            yield plain(form, found[0])


def has_form(form: str, value: str) -> bool:
    """Whether a value as a whole is of a form."""
    return _PATTERNS[form].fullmatch(folded(value)) is not None


def plain(form: str, value: str) -> str:
    """A value as it is compared with others of its form."""
    text = folded(value).strip(_EDGES)
    match form:
        case "url":
            return url_key(text)
        case "host":
            return re.split(r"[/?#:]", url_key(text), maxsplit=1)[0]
        case "iban" | "account":
            return squashed(text)
        case "phone":
            return re.sub(r"\D", "", text)
        case "amount":
            return _number(text)
        case _:
            return text


def _number(text: str) -> str:
    try:
        return repr(float(text.replace(",", "")))
    except ValueError:
        return text


def only(values: Iterable[str]) -> frozenset[str] | None:
    """The different ones among them; None where there are more than anybody looks at."""
    found: set[str] = set()
    for value in values:
        found.add(value)
        if len(found) > MAX_FOUND:
            return None
    return frozenset(found)
