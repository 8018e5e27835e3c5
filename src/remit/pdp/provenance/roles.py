"""What an argument chooses: a receiver, an object, credentials; or only when, how much and whether, which choose nobody."""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import lru_cache
from itertools import takewhile
from typing import Any

from remit.pdp.arguments import ANY, ArgumentType
from remit.pdp.provenance.words import words_of


class Role(StrEnum):
    """What the value of an argument chooses."""

    RECEIVER = "receiver"
    """Where something goes, or anything that nothing more is known of."""
    OBJECT = "object"
    """A thing that is there already, by its name: an id, a file."""
    CREDENTIAL = "credential"
    AMOUNT = "amount"
    """How much is spent."""
    PROOF = "proof"
    """An answer to a challenge, worth nothing elsewhere: a one-time code."""
    PARAMETER = "parameter"
    """When, how much, whether, in which of a few ways."""


ADDRESS = re.compile(r"[^\s@<>()\[\],;:]+@([^\s@<>()\[\],;:/]+\.[a-z]+)", re.IGNORECASE)
DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?(?:[ T]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?|\d\d?:\d\d(?::\d\d)?(?:\s?[ap]m)?",
    re.IGNORECASE,
)
NUMBER = re.compile(r"[-+]?\d{1,18}(?:[.,]\d{1,18})?")

_IDENTIFIERS = frozenset(
    {"id", "uid", "uuid", "guid", "key", "no", "number", "ref", "reference", "handle", "slug", "isbn", "sku"}
)
_FILES = frozenset({"file", "filename", "path", "dir", "directory", "folder", "attachment", "document", "doc"})
_CREDENTIALS = frozenset({"username", "login", "password", "passphrase", "passwd", "pin", "credential", "secret", "token"})
_MOMENTS = frozenset(
    {"date", "time", "day", "month", "year", "hour", "minute", "deadline", "start", "end", "from", "until", "due"}
)
_QUANTITIES = frozenset(
    """amount quantity count price total sum size limit max min maximum minimum top page offset duration hour minute day night week
    month year priority rating score rank level percent percentage rate budget width height length weight age guest adult child
    people person room seat latitude longitude lat lng lon ratio factor threshold temperature""".split()  # noqa: SIM905 - words, to be read
)
_SUMS = frozenset(
    """amount price total subtotal sum fee cost balance budget charge fare rent payment deposit refund tax salary wage debt""".split()  # noqa: SIM905
)
_BESIDE_SUMS = frozenset("due paid max min maximum minimum limit net gross eur usd gbp chf jpy cad aud".split())  # noqa: SIM905
_WHAT_OF = frozenset("per of for in by with each from to after before".split())  # noqa: SIM905
"""What stands behind one of these says more of a thing, not what it is."""
_WHO = frozenset(
    """to with recipient receiver payee beneficiary creditor account iban user username owner member person people contact customer client
    guest host endpoint point email mail phone mobile channel chat handle sender""".split()  # noqa: SIM905 - words, to be read
)
"""Words for who or what something goes to: beside one of them, no other word makes an argument less."""
_SMALL = re.compile(r"\d{1,2}")
_EPOCH = re.compile(r"1\d{9}(?:\d{3})?(?:\.\d{1,6})?")
"""Seconds or milliseconds since 1970."""
LONGEST = 9
"""A quantity has no more digits; an account or a telephone may."""
_TIMES = re.compile(
    r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|today|tomorrow|yesterday|now|next|last|this|in|at|on|the|of|and"
    r"|a|an|noon|midnight|morning|afternoon|evening|night|am|pm|utc|gmt|z|t|hours?|minutes?|days?|weeks?|months?|years?|end|start|before"
    r"|after|ago|from|until|to|all|any|daily|weekly|monthly|(?<!\d)\d{1,4}(?!\d)(?:st|nd|rd|th)?|[\s.,:/+-])*",
    re.IGNORECASE,
)
"""Words for a moment, and for nobody and nothing else."""
_CODE = re.compile(r"(?=\D*\d)[A-Za-z0-9]{4,8}")
_STRUCTURE = frozenset(
    """name title kind type subject body text content message description value address url link host domain street city zip state country
    currency method status label tag category comment location payment item product option data detail note color size role permission
    invitee attendee participant first last middle bcc cc""".split()  # noqa: SIM905 - words, to be read
)
"""Words for the parts of things; beside those for people, moments, quantities and identifiers."""
_PROOF = re.compile(r"\b(otp|one[- ]time (?:password|code|pin)|(?:verification|confirmation|security) code|2fa|mfa)\b")
_LIST = re.compile(r"[,;]\s*")


def role_of(name: str, value: Any, expected: ArgumentType) -> Role:
    """The role of one argument, by its name, its schema and its value; whatever is not known to be less is a receiver."""
    # INVARIANT (fail closed): only what can name nobody and nothing is a parameter, by its value, not by its name or schema alone.
    words = set(words_of(name))
    if isinstance(value, bool) or value in expected.choices:
        return Role.PARAMETER
    if words & _IDENTIFIERS:
        return Role.OBJECT
    if _counts(words, value) or _dates(words, value):
        return Role.PARAMETER
    code = _PROOF.search(" ".join(words_of(name))) or _PROOF.search(expected.about)
    if code and not words & _WHO and _CODE.fullmatch(text_of(value)):
        return Role.PROOF
    if words & _CREDENTIALS:
        return Role.CREDENTIAL
    return Role.OBJECT if words & _FILES or isinstance(value, int | float) else Role.RECEIVER


@lru_cache(4096)
def is_sum(name: str) -> bool:
    """Whether a name is one for a sum of money, by what it is the name of: `total_price_eur` and `price_per_night` are, `total_guests`
    and `price_level` are not."""
    words = list(takewhile(lambda word: word not in _WHAT_OF, words_of(name)))
    while words and (words[-1] in _BESIDE_SUMS or (len(words) > 1 and words[-1].endswith("ed"))):
        words.pop()
    return bool(words) and words[-1] in _SUMS


def names_somebody(name: str) -> bool:
    """Whether a name is one for somebody, or for an account of theirs."""
    return bool(_WHO & set(words_of(name)))


def counts_nothing(name: str) -> bool:
    """Whether a name is one for an identifier or a moment, which is no sum."""
    return bool((_IDENTIFIERS | _MOMENTS) & set(words_of(name)))


def is_number(value: Any) -> bool:
    """Whether a value is a number, as itself or as text."""
    if isinstance(value, str):
        return NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _counts(words: set[str], value: Any) -> bool:
    if not is_number(value):
        return False
    text = text_of(value).strip()
    if words & _WHO:
        return bool(words & _QUANTITIES) and _SMALL.fullmatch(text) is not None
    digits = len(text.lstrip("+-").replace(",", ".").partition(".")[0])
    if words & _QUANTITIES:
        return digits <= LONGEST
    return bool(words & _MOMENTS) and (digits <= 4 or _EPOCH.fullmatch(text) is not None)


def _dates(words: set[str], value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 40:
        return False
    if DATE.fullmatch(value.strip()) is not None:
        return True
    return bool(words & _MOMENTS) and sum(map(str.isdigit, value)) <= 8 and _TIMES.fullmatch(value) is not None


def parts_of(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """The parts of a value that can name something, each with the name it stands under: scalars, and names that are data."""
    if isinstance(value, str):
        parts = [part for part in _LIST.split(value) if part]
        if len(parts) > 1 and all(ADDRESS.fullmatch(part.strip()) for part in parts):
            yield from ((name, part.strip()) for part in parts)
        else:
            yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _FIELD.fullmatch(key):
                yield name, key
            yield from parts_of(key if _FIELD.fullmatch(key) else name, item)
    elif isinstance(value, list):
        for item in value:
            yield from parts_of(name, item)
    elif value is not None:
        yield name, value


def typed_parts(name: str, value: Any, expected: ArgumentType) -> Iterator[tuple[str, Any, ArgumentType]]:
    """The same, each with its type; a name that the schema does not have, and that is none of the usual ones, is data."""
    if isinstance(value, dict):
        for key, item in value.items():
            known = expected.fields.get(key)
            structure = known is not None or (not expected.fields and _is_structure(key))
            if not structure:
                yield name, key, ANY
            yield from typed_parts(key if structure or _FIELD.fullmatch(key) else name, item, known or ANY)
    elif isinstance(value, list):
        for item in value:
            yield from typed_parts(name, item, expected.items or ANY)
    else:
        yield from ((part, one, expected) for part, one in parts_of(name, value))


def _is_structure(key: str) -> bool:
    words = set(words_of(key))
    return _FIELD.fullmatch(key) is not None and bool(words) and words <= _USUAL


_USUAL = _STRUCTURE | _WHO | _IDENTIFIERS | _FILES | _CREDENTIALS | _MOMENTS | _QUANTITIES
_FIELD = re.compile("[a-z][A-Za-z_]{0,31}")
"""A name of an object that is structure rather than data."""


def offers(about: str, field: str, value: Any) -> bool:
    """Whether the description of an argument names a value as one that a field of it can have: `"type" "file"`, `type: 'event'`."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        return False
    quoted = rf"[\"'`]{re.escape(value.lower())}[\"'`]"
    return re.search(rf"(?<!\w){re.escape(field.lower())}[\"'`]?\s?(?:is|of|as|=|:)?\s?{quoted}", about.lower()) is not None


_WORD = re.compile(r"[A-Za-z][A-Za-z_-]{1,19}")


def text_of(value: Any) -> str:
    """A scalar as it is looked for."""
    if isinstance(value, str):
        return value
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)
