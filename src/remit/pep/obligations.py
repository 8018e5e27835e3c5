"""Fulfilling obligations: a door does what a permit asks of it, or stops."""

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from remit.model.decision import Obligation

REDACTED = "[redacted]"
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_ESCAPED = 6
"""So many characters an escaped one takes."""
_notices = logging.getLogger("remit.notify")


class ObligationFailed(Exception):
    """An obligation this door does not know, cannot read, or could not fulfil."""


class Duties:
    """What one permit asks for: done before the act (`deadline`), to its result, or beside it."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self._on_result: list[Callable[[Any], Any]] = []
        self._started = time.monotonic()

    def fulfil(self, result: Any) -> Any:
        """Do to the result, or a stream's next item, what was asked. Raises `ObligationFailed`; then it must not be handed on."""
        if self.deadline is not None and time.monotonic() - self._started > self.deadline:
            raise ObligationFailed(
                f"the action took longer than the {self.deadline:g} s it was permitted for: its result is withheld"
            )
        for change in self._on_result:
            result = change(result)
        return result

    @property
    def changes_result(self) -> bool:
        """Whether anything is to be done to a result."""
        return bool(self._on_result)

    def on_result(self, change: Callable[[Any], Any]) -> None:
        """Add a change to the result, after those added before."""
        self._on_result.append(change)


def duties_of(obligations: Iterable[Obligation]) -> Duties:
    """What to do for these obligations.

    Raises `ObligationFailed` for one that is not understood: the permit does not stand (AuthZEN Obligations profile).
    """
    # INVARIANT (fail closed): not understood means denied.
    duties = Duties()
    for obligation in obligations:
        prepare = _KNOWN.get(obligation.type)
        if prepare is None:
            raise ObligationFailed(f"obligation `{obligation.type}` is not understood by this door")
        prepare(duties, obligation)
    return duties


def _deadline(duties: Duties, obligation: Obligation) -> None:
    seconds = _number(obligation)
    duties.deadline = seconds if duties.deadline is None else min(duties.deadline, seconds)


def _limit_result(duties: Duties, obligation: Obligation) -> None:
    limit = int(_number(obligation))
    size = 0

    def check(result: Any) -> Any:
        nonlocal size
        size += len(_as_bytes(result)) if result is not None else 0
        if size > limit:
            raise ObligationFailed(f"the result is larger than the {limit} bytes that were permitted: it is withheld")
        return result

    duties.on_result(check)


def _redact_result(duties: Duties, obligation: Obligation) -> None:
    names = frozenset(name.strip() for name in obligation.argument.split(",") if name.strip())
    if not names:
        raise ObligationFailed("obligation `redact-result` names no field")
    longest = max(map(len, names)) * _ESCAPED
    tail = ""

    def redact(result: Any) -> Any:
        nonlocal tail
        if isinstance(result, str):
            # A stream may cut a name in two: one that is in neither part is in both together.
            before, joined = tail, tail + result
            tail = joined[-longest:]
            if _mentions(joined, names) > _mentions(before, names) + _mentions(result, names):
                raise ObligationFailed("the result is text that mentions a field to be redacted: it is withheld")
        return _redacted(result, names)

    duties.on_result(redact)


def _notify(_duties: Duties, obligation: Obligation) -> None:
    _notices.warning("policy %s asks to notify %s", obligation.policy, obligation.argument)


_KNOWN: dict[str, Callable[[Duties, Obligation], None]] = {
    "deadline": _deadline,
    "limit-result": _limit_result,
    "redact-result": _redact_result,
    "notify": _notify,
}


def _number(obligation: Obligation) -> float:
    try:
        number = float(obligation.argument)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e12:
        raise ObligationFailed(f"obligation `{obligation.type}` needs a number above zero, not `{obligation.argument}`")
    return number


def _redacted(result: Any, names: frozenset[str]) -> Any:
    """The result without the named fields, at any depth. Raises `ObligationFailed` for what has no fields to tell apart."""
    if isinstance(result, dict):
        return {key: REDACTED if key in names else _redacted(value, names) for key, value in result.items()}
    if isinstance(result, list | tuple):
        return [_redacted(value, names) for value in result]
    if result is None or isinstance(result, bool | int | float):
        return result
    if isinstance(result, str):
        return _redacted_text(result, names)
    raise ObligationFailed(f"a result of type `{type(result).__name__}` has no fields that could be redacted: it is withheld")


def _redacted_text(text: str, names: frozenset[str]) -> str:
    try:
        decoded = msgspec.json.decode(text)
    except msgspec.DecodeError:
        decoded = None
    if isinstance(decoded, dict | list):
        return msgspec.json.encode(_redacted(decoded, names)).decode()
    if _mentions(text, names):
        raise ObligationFailed("the result is text that mentions a field to be redacted: it is withheld")
    return text


def _mentions(text: str, names: frozenset[str]) -> int:
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)  # as JSON may write any character
    return sum(plain.count(name) for name in names)


def _as_bytes(result: Any) -> bytes:
    if isinstance(result, bytes):
        return result
    if isinstance(result, str):
        return result.encode("utf-8", "replace")
    return msgspec.json.encode(result, enc_hook=str)
