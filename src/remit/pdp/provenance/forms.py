"""Values of a form: strict where a match grants something, generous where it shows that nobody can say which value is meant."""

import re
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from remit.pdp.provenance.folding import exact
from remit.pdp.provenance.searching import EDGE

_HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,10}[a-z]{2,63}"
_STRICT = {
    "email": re.compile(rf"[a-z0-9._%+'-]{{1,64}}@{_HOST}"),
    "host": re.compile(_HOST),
    "iban": re.compile(r"[a-z]{2}\d{2}[a-z0-9]{11,30}"),
    "account": re.compile(r"(?=(?:\D*\d){6})[a-z0-9]{6,34}"),
    "phone": re.compile(r"\+?\d{6,15}"),
    "amount": re.compile(r"\d{1,15}(?:\.\d{1,4})?"),
}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,4})?(?!\d|[.,:/-]\d|\w|\s?%)"
_AMOUNT = re.compile(rf"(?<![\w.,:/-]){_NUMBER}")
_BEHIND = re.compile(rf"[^\w{EDGE}]{{0,40}}(?:(?:eur|usd|gbp|chf|jpy)[^\w{EDGE}]{{0,5}})?")
_FILES = "csv|doc|docx|gz|htm|html|jpeg|jpg|js|json|log|md|pdf|png|ppt|pptx|py|tar|toml|txt|xls|xlsx|xml|yaml|yml|zip"
_LINK = re.compile(
    rf"://|\bwww\.|(?<![@\w.-])(?:[\w-]+\.)+(?!(?:{_FILES})\b)[^\W\d_]{{2,}}(?![\w.-])|(?<![\d.])\d+(?:\.\d+){{3}}(?![\d.])"
)
_LONG_ACCOUNT = re.compile(r"[a-z]{2}\W?\d{2}(?:[\s._/-]{0,2}(?:(?=[a-z]{0,7}\d)[a-z0-9]{1,8}|[a-z]{4}(?![a-z]))){2,12}")
_DIGITS = re.compile(r"\d{8}|\d{3,7}(?:[\s._/-]\d{3,7})+")
_SUSPICIOUS = {
    "email": ((re.compile(r"@|[(\[{]\s?at\s?[)\]}]"), 0),),
    "url": ((_LINK, 0),),
    "host": ((_LINK, 0),),
    "iban": ((_LONG_ACCOUNT, 8),),
    "account": ((_LONG_ACCOUNT, 8), (_DIGITS, 6)),
    "phone": ((re.compile(r"\d(?:[\s()./-]{0,2}\d){6}"), 0),),
}
"""What a reader could take for a value of the form, wherever it stands and however it is written, with so many digits."""
_SPACED = {"iban": "[ -]?", "account": "[ -]?", "phone": "[ ()./-]{0,2}"}
MAX_LABELS = 64
"""A label that stands in a text more often names no value."""


def strict(form: str, text: str) -> str | None:
    """The value that a text as a whole is, as it is compared; None where it is none of the form. Only ASCII is."""
    if not text.isascii() or len(text) > 2000:
        return None
    value = exact(text)
    match form:
        case "url":
            return _address(value)
        case "iban":
            value = re.sub("[ -]", "", value)
            return value if _STRICT[form].fullmatch(value) and _checks(value) else None
        case "account":
            value = re.sub("[ -]", "", value)
        case "phone":
            value = value[:1] + re.sub(r"[ ()./-]", "", value[1:])
        case "amount":
            return _sum(value) if _STRICT[form].fullmatch(value) else None
    return value if _STRICT[form].fullmatch(value) else None


def _address(value: str) -> str | None:
    """An address on the web without its scheme: http or https, a plain host, nobody's name before it."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or re.search(r"[\\\s\"'<>^`{|}]", value):
        return None
    return value.partition("://")[2] or value if _STRICT["host"].fullmatch(parts.hostname or "") else None


def _checks(iban: str) -> bool:
    """The check digits of ISO 13616 (modulus 97)."""
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def _sum(text: str) -> str:
    return repr(float(text.replace(",", "")))


def stands(form: str, value: str, text: str) -> bool:
    """Whether a strict value stands in a text, letter by letter, whole and not as a part of more."""
    return _place(form, value, text) is not None


def alone(form: str, values: Collection[str], text: str) -> bool:
    """Whether nothing in a folded text but these could be taken for a value of the form."""
    if form == "amount":
        return all(_sum(found[0]) in values for found in _AMOUNT.finditer(text)) and not re.search(r"\d", _AMOUNT.sub(" ", text))
    rest = text
    for value in sorted(values, key=len, reverse=True):
        rest = _occurrence(form, value).sub(EDGE, rest)
    return not any(
        sum(map(str.isdigit, found[0])) >= digits for pattern, digits in _SUSPICIOUS[form] for found in pattern.finditer(rest)
    )


def _place(form: str, value: str, text: str) -> re.Match[str] | None:
    if form == "amount":
        return next((found for found in _AMOUNT.finditer(text) if _sum(found[0]) == value), None)
    return _occurrence(form, value).search(text)


def _occurrence(form: str, value: str) -> re.Pattern[str]:
    """The value as it may be written in a text, with nothing joined to it that could belong to it."""
    between = _SPACED.get(form)
    if between is not None:
        written = between.join(map(re.escape, value))
        return re.compile(
            rf"(?<![a-z0-9+])(?<!\d[ -]){written}(?![a-z0-9])(?![ -][a-z]{{0,7}}\d)(?![ -][a-z]{{4}}[ -][a-z]{{0,7}}\d)"
        )
    if form == "email":
        return re.compile(rf"(?<![\w.%+'@/-]){re.escape(value)}(?![\w@-])(?!\.\w)")
    scheme = "(?:https?://)?"
    if form == "host":
        return re.compile(rf"(?<![\w@./-]){scheme}{re.escape(value)}(?![\w@-])(?!\.\w)(?!:[^\s/]*@)")
    return re.compile(rf"(?<![\w@./-]){scheme}{re.escape(value.rstrip('/'))}/?(?![\w@%?#=&/~+-])(?![.,;:!]\w)")


def behind(form: str, label: str, text: str) -> Iterator[str | None]:
    """For each time that a label stands in a text, the strict value right behind it, None where none is."""
    places = re.finditer(rf"(?<!\w){re.escape(exact(label))}(?!\w)", text)
    for count, place in enumerate(places):
        if count >= MAX_LABELS:
            yield None
            return
        start = _BEHIND.match(text, place.end())
        rest = text[start.end() if start is not None else place.end() :][:200]
        if form == "amount":
            number = re.match(_NUMBER, rest)
            yield _sum(number[0]) if number else None
            continue
        words = re.split(rf"[\s,;{EDGE}]", rest)
        tries = (" ".join(words[:count]).strip("'\".()<>") for count in range(min(len(words), 9), 0, -1))
        yield next((value for one in tries if (value := strict(form, one)) is not None and stands(form, value, rest)), None)
