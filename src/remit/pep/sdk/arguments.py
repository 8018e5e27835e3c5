"""The arguments of a Python call, as data for the decision and as frozen values for the call."""

import base64
import inspect
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from remit.model.errors import malformed
from remit.model.values import MAX_DEPTH

_TEXT = (PurePath, UUID, Decimal)
_TIMES = (datetime, date, time)


class BoundCall:
    """One call, bound to its function's signature.

    `data` is what is decided on; `call()` gives the positional and keyword values to call with: private copies of everything
    mutable, so that nobody can change them between decision and act.
    """

    def __init__(self, bound: inspect.BoundArguments, unguarded: frozenset[str]) -> None:
        self._bound = bound
        self.data: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if name in unguarded:
                continue
            parameter = bound.signature.parameters[name]
            data, frozen = snapshot(value, name, 0)
            bound.arguments[name] = tuple(frozen) if parameter.kind is inspect.Parameter.VAR_POSITIONAL else frozen
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self._merge(data)
            else:
                self.data[name] = data

    def _merge(self, more: Mapping[str, Any]) -> None:
        for name, value in more.items():
            if name in self.data:
                raise malformed(f"argument `{name}` is given twice: keep one")
            self.data[name] = value

    def given(self, name: str) -> Any:
        """The value as it was given."""
        return self._bound.arguments[name]

    def replace(self, name: str, value: Any) -> None:
        """Call with another value than was given (a resolved path, say)."""
        self._bound.arguments[name] = value

    def call(self, function: Callable[..., Any]) -> Any:
        """Call the function with the frozen values."""
        return function(*self._bound.args, **self._bound.kwargs)


def bind(signature: inspect.Signature, unguarded: frozenset[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> BoundCall:
    """Bind a call, defaults included.

    Raises `TypeError` as Python does for a call that does not fit, `RemitError` (malformed) for a value that is no data.
    """
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return BoundCall(bound, unguarded)


def snapshot(value: Any, name: str, depth: int) -> tuple[Any, Any]:
    """A value as JSON data, and a private copy of it to call with.

    JSON is taken as it is; paths, dates, UUIDs, decimals, enumerations and bytes are immutable and shown as text; sets as sorted
    lists. Raises `RemitError` (malformed) for anything else: what cannot be shown cannot be decided on.
    """
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value, value
    if depth >= MAX_DEPTH:
        raise malformed(f"argument `{name}` is nested deeper than {MAX_DEPTH} levels: flatten it")
    if isinstance(value, Mapping):
        pairs = {key: snapshot(item, name, depth + 1) for key, item in value.items()}
        return {k: pair[0] for k, pair in pairs.items()}, {k: pair[1] for k, pair in pairs.items()}
    if isinstance(value, list | tuple):
        items = [snapshot(item, name, depth + 1) for item in value]
        copies = [item[1] for item in items]
        return [item[0] for item in items], tuple(copies) if kind is tuple else copies
    if isinstance(value, set | frozenset):
        shown = sorted((snapshot(item, name, depth + 1)[0] for item in value), key=repr)
        return shown, kind(value)
    return _immutable(value, name), value


def _immutable(value: Any, name: str) -> Any:
    if isinstance(value, Enum):
        return snapshot(value.value, name, MAX_DEPTH - 1)[0]
    if isinstance(value, _TEXT):
        return str(value)
    if isinstance(value, _TIMES):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise malformed(
        f"argument `{name}` is a `{type(value).__name__}`, which is no data that can be decided on: pass data, "
        f'or name it in `unguarded=("{name}",)`'
    )
