"""What an argument chooses: a receiver, an object, credentials; or only when, how much and whether, which choose nobody."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from remit.pdp.arguments import ArgumentType
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
    people person room seat""".split()  # noqa: SIM905 - words, to be read
)
_PROOF = re.compile(r"\b(otp|one[- ]time (?:password|code|pin)|(?:verification|confirmation|security) code|2fa|mfa)\b")
_LONG = re.compile(r"[@/:\\]|\w{12}")
_LIST = re.compile(r"[,;]\s*")


def role_of(name: str, value: Any, expected: ArgumentType) -> Role:
    """The role of one argument, by its name, its schema and its value; whatever is not known to be less is a receiver."""
    # INVARIANT (fail closed): only what can name nobody and nothing is a parameter.
    words = set(words_of(name))
    if words & _IDENTIFIERS:
        return Role.OBJECT
    if isinstance(value, bool) or expected.choice or expected.kind == "boolean":
        return Role.PARAMETER
    if _counts(words, value, expected) or _dates(words, value):
        return Role.PARAMETER
    if _PROOF.search(" ".join(words_of(name))) or _PROOF.search(expected.about):
        return Role.PROOF
    if words & _CREDENTIALS:
        return Role.CREDENTIAL
    return Role.OBJECT if words & _FILES or isinstance(value, int | float) else Role.RECEIVER


def _counts(words: set[str], value: Any, expected: ArgumentType) -> bool:
    number = isinstance(value, int | float) or (isinstance(value, str) and NUMBER.fullmatch(value.strip()) is not None)
    return number and (bool(words & (_QUANTITIES | _MOMENTS)) or expected.kind == "number")


def _dates(words: set[str], value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 40:
        return False
    return DATE.fullmatch(value.strip()) is not None or (bool(words & _MOMENTS) and not _LONG.search(DATE.sub("", value)))


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
