"""Argument values: read strictly, frozen, and given one canonical form that digests are taken of."""

import hashlib
import json
import math
import re
from typing import Any

import msgspec

from remit.model.errors import RemitError, malformed

MAX_DEPTH = 64
"""Deeper arguments are refused: neither a policy nor a person can review them."""
MAX_BYTES = 1 << 20
"""Arguments whose canonical form is longer are refused: pass a reference to the data instead."""
FLOAT_KEY = "__float"
"""The canonical form writes a float as `{"__float": "1.5"}`; no argument may use a name that starts with `__`."""

_FLOAT = re.compile(rb"[:\[,]-?[0-9]+[.eE]")
"""Finds every float of compact JSON (and some text that looks like one)."""
_SCALARS = frozenset({str, int, bool, type(None)})
_NAMES = frozenset({str})
_encode = msgspec.json.Encoder(order="deterministic").encode
_encode_as_is = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Arguments(msgspec.Struct, frozen=True, gc=False):
    """The arguments of one call: a private copy of the values and their canonical bytes.

    `canonical` is JSON with sorted names, no white space and floats as tagged text, so that equal bytes mean
    equal values of equal types (1, 1.0, "1" and true all differ).
    """

    values: dict[str, Any]
    canonical: bytes

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hex."""
        return hashlib.sha256(self.canonical).hexdigest()


NO_ARGUMENTS = Arguments({}, b"{}")


Called = tuple[str, str]
ARGUMENTS: Called = ("argument", "arguments")
PROPERTIES: Called = ("property", "properties")
"""What values are called in what is said of them: one, and several."""


def freeze(values: dict[str, Any], limit: int = MAX_BYTES, called: Called = ARGUMENTS) -> Arguments:
    """Copy `values` deeply and take their canonical form.

    Raises `RemitError` (malformed) for anything that is not JSON, for names that start with `__` (Cedar reads `__entity`
    and `__extn` as more than data), NaN and infinities, lone surrogates, more than 64 levels, and more than
    `limit` bytes of canonical form.
    """
    # Plain arguments, nearly all, need no walk: flat ones are copied, others by writing and reading them; whatever that would change
    # takes the careful way.
    try:
        copy = dict(values)
        flat = _SCALARS.issuperset(map(type, copy.values())) and _NAMES.issuperset(map(type, copy))
        canonical = _encode(copy)
        if not flat:
            copy = _decode(canonical)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _freeze_carefully(values, limit, called)
    if b'"__' in canonical or (not flat and (copy != values or _is_intricate(canonical))):
        return _freeze_carefully(values, limit, called)
    return _limited(copy, canonical, limit, called)


def _is_intricate(canonical: bytes) -> bool:
    return _FLOAT.search(canonical) is not None or canonical.count(b"{") + canonical.count(b"[") > MAX_DEPTH


def _freeze_carefully(values: dict[str, Any], limit: int, called: Called) -> Arguments:
    # INVARIANT (arguments are data): nothing an agent sends may become an entity or an extension value.
    copy, floats = _copy_object(values, 1, called)
    try:
        canonical = _encode(_tag_floats(copy) if floats else copy)
    except (UnicodeEncodeError, ValueError, OverflowError) as error:
        raise malformed(f"{called[1]} cannot be written as JSON ({error}): send valid Unicode text") from None
    return _limited(copy, canonical, limit, called)


def _limited(copy: dict[str, Any], canonical: bytes, limit: int, called: Called) -> Arguments:
    if len(canonical) > limit:
        raise malformed(f"{called[1]} take {len(canonical)} bytes, more than the limit of {limit}: pass a reference instead")
    return Arguments(copy, canonical)


def _copy_object(values: dict[str, Any], depth: int, called: Called) -> tuple[dict[str, Any], bool]:
    if depth > MAX_DEPTH:
        raise malformed(f"{called[1]} are nested deeper than {MAX_DEPTH} levels: flatten them")
    copy: dict[str, Any] = {}
    floats = False
    for name, value in values.items():
        if type(name) is not str:
            raise malformed(f"{called[0]} names must be text, not `{type(name).__name__}`")
        if name[:2] == "__":
            raise malformed(f"{called[0]} name `{name}` is reserved (it starts with `__`): rename it")
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            copy[name] = value
        else:
            copy[name], inner = _copy_other(value, depth, called)
            floats = floats or inner
    return copy, floats


def _copy_other(value: Any, depth: int, called: Called) -> tuple[Any, bool]:
    kind = type(value)
    if kind is dict:
        return _copy_object(value, depth + 1, called)
    if kind is list or kind is tuple:
        if depth >= MAX_DEPTH:
            raise malformed(f"{called[1]} are nested deeper than {MAX_DEPTH} levels: flatten them")
        items, floats = [], False
        for item in value:
            if type(item) in (str, int, bool) or item is None:
                items.append(item)
            else:
                copied, inner = _copy_other(item, depth + 1, called)
                items.append(copied)
                floats = floats or inner
        return items, floats
    if kind is float:
        if not math.isfinite(value):
            raise malformed(f"{called[0]} value `{value}` is not a number that JSON has: send a finite one")
        return value, True
    raise malformed(f"{called[0]} value of type `{kind.__name__}` is not JSON: send text, numbers, lists or objects")


def _tag_floats(value: Any) -> Any:
    if type(value) is float:
        return {FLOAT_KEY: repr(value)}
    if type(value) is dict:
        return {name: _tag_floats(item) for name, item in value.items()}
    if type(value) is list:
        return [_tag_floats(item) for item in value]
    return value


def thaw(canonical: bytes) -> Arguments:
    """Arguments from their canonical form, as `freeze` gave it."""
    values: dict[str, Any] = _decode(canonical)
    return Arguments(_untag_floats(values) if b'"__' in canonical else values, canonical)


def _untag_floats(value: Any) -> Any:
    if type(value) is dict:
        tagged = value.get(FLOAT_KEY)
        return float(tagged) if tagged is not None else {name: _untag_floats(item) for name, item in value.items()}
    return [_untag_floats(item) for item in value] if type(value) is list else value


def read_json(text: bytes | str) -> Any:
    """Read JSON strictly: duplicate names, NaN, infinities, lone surrogates and invalid UTF-8 are refused (RFC 8259, I-JSON).

    Raises `RemitError` (malformed) saying which.
    """
    # Text that its value is written as again, byte for byte, has nothing that is refused: a name that stood there twice would be missing.
    # That is how most programs write; whatever they write otherwise is read the careful way.
    if isinstance(text, bytes):
        try:
            value = _decode(text)
            if _encode_as_is(value) == text:
                return value
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
    return _read_carefully(text)


def _read_carefully(text: bytes | str) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = _strictly(text)
        _encode(value)
    except RemitError:
        raise
    except RecursionError:
        raise malformed(f"JSON is nested deeper than {MAX_DEPTH} levels: flatten it") from None
    except (ValueError, OverflowError) as error:
        raise malformed(f"JSON cannot be read: {error}") from None
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise malformed(f"JSON has the name `{name}` twice in one object: keep one")
        read[name] = value
    return read


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise malformed(f"JSON has the number `{text[:40]}`, which is beyond what a double can hold: send it as text")
    return number


def _no_constant(name: str) -> Any:
    raise malformed(f"JSON has `{name}`, which is not a number: send a finite one")


_strictly = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite).decode
