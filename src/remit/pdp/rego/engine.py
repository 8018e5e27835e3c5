"""The boundary to regopy, Rego in this process: modules in, answers out, every fault of the engine an error."""

import contextlib
import ctypes
import re
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from remit.model.errors import malformed, unavailable
from remit.pdp.arguments import Unrepresentable
from remit.pdp.rego.reading import Unreadable, canonical

PACKAGE = "remit"
"""The package whose `permit` and `forbid` are asked for."""
QUERY = f'x := {{"permit": data.{PACKAGE}.permit, "forbid": data.{PACKAGE}.forbid}}'
MAX_BRACKETS = 64
_decode, _encode = msgspec.json.decode, msgspec.json.encode
_ESCAPED = re.compile(r'`[^`]*`|#[^\n]*|"(?:[^"\\\n]|\\[^u/])*(\\[u/])?')
"""Raw text and comments, and text up to an escape that the engine takes for other characters."""


def load_regopy() -> Any:
    """The engine. Raises `RemitError` (unavailable) where it is not installed."""
    # regopy (1.5.2) brings a memory allocator of its own, which the C++ library does not use where something else has loaded it before
    # (pyarrow, numpy): what one allocates the other frees, and the process ends. Seen by all, the C++ library's is used by both.
    with contextlib.suppress(OSError):
        ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)
    try:
        import regopy
    except (ImportError, OSError) as error:
        raise unavailable(
            f"Rego policies need more than is installed ({error}): install `remit[rego]` (docs/operating.md says how), "
            "or name an OPA server with `opa`"
        ) from None
    return regopy


class RegoPolicies:
    """Modules, compiled once. One thread at a time evaluates them: the engine keeps its input between calls."""

    def __init__(self, modules: Mapping[str, str], data: str = "", query: str = QUERY) -> None:
        """`modules` by path, `data` a JSON object for policies to read. Raises `RemitError` (malformed, unavailable)."""
        for path, text in modules.items():
            _refuse_deep(path, text)
            _refuse_escapes(path, text)
        self._regopy = load_regopy()
        self._lock = threading.Lock()
        self._paths = tuple(modules)
        self._engine = self._regopy.Interpreter()
        self._engine.log_level = self._regopy.LogLevel.NONE
        # INVARIANT (fail closed): a builtin that fails is an error of the whole evaluation, not a rule that silently does not hold.
        self._engine.strict_built_in_errors = True
        try:
            for number, text in enumerate(modules.values()):
                self._engine.add_module(f"{number}.rego", text)
            if data:
                # Written anew, since the engine takes `\\u00e9` and `\\/` for other text than what they stand for.
                value = _decode(data)
                _refuse_misread(value, "data")
                self._engine.add_data_json(_encode(value).decode())
            self._bundle = self._engine.build(query)
            ready = self._bundle.ok()
        except Unrepresentable as problem:
            raise malformed(str(problem)) from None
        except (self._regopy.RegoError, ValueError, TypeError) as error:
            raise malformed(f"the Rego policies cannot be compiled: {_first_line(str(error))}") from None
        if not ready:
            raise malformed("the Rego policies cannot be compiled: check them with `opa check --strict`")

    def plan(self) -> bytes:
        """The engine's plan of what it will do (OPA's intermediate representation, JSON), for analysis.

        Files in it are named by position. Raises `RemitError` (malformed) if there is none.
        """
        with tempfile.TemporaryDirectory(prefix="remit-rego-") as folder:
            place = Path(folder) / "bundle"
            try:
                self._engine.save_bundle(str(place), self._bundle)
                return (place / "plan.json").read_bytes()
            except (self._regopy.RegoError, OSError, ValueError) as error:
                raise malformed(f"the Rego policies cannot be planned ({error}): check them with `opa check --strict`") from None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the modules, by position."""
        return self._paths

    def evaluate(self, document: bytes) -> bytes:
        """The answer to one input document, in canonical form.

        Raises `Unrepresentable` for text and numbers that this engine is known to misread, `Unreadable` where it fails.
        """
        value = _decode(document)
        _refuse_misread(value, "")
        with self._lock:
            self._engine.set_input(self._regopy.Input(value))
            try:
                output = self._engine.query_bundle(self._bundle)
                fine, text = output.ok(), str(output)
            except (self._regopy.RegoError, ValueError):  # what it says of some errors is no JSON
                fine, text = False, ""
        if not fine:
            raise Unreadable("a policy could not be evaluated: a builtin function failed, or two rules contradict each other")
        return canonical(_binding(text))


def _binding(text: str) -> Any:
    if text == "undefined":
        raise Unreadable("the policies do not define both `permit` and `forbid`: write `forbid := set()` if nothing is forbidden")
    try:
        return _decode(text)["bindings"]["x"]
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise Unreadable("the engine's answer cannot be read") from None


def _refuse_misread(value: Any, place: str) -> None:
    """Raise `Unrepresentable` for what regopy 1.5 sees otherwise than it is: text with characters that JSON escapes, large integers."""
    if isinstance(value, str):
        if not value.isprintable() and any(char < " " for char in value):
            raise Unrepresentable(f"`{place}` has control characters, which Rego in this process misreads: use an OPA server")
        if '"' in value or "\\" in value:
            raise Unrepresentable(f"`{place}` has a quote or a backslash, which Rego in this process misreads: use an OPA server")
    elif isinstance(value, dict):
        for name, item in value.items():
            here = f"{place}.{name}" if place else name
            _refuse_misread(name, here)
            _refuse_misread(item, here)
    elif isinstance(value, list):
        for item in value:
            _refuse_misread(item, place)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Unrepresentable(f"`{place}` is an integer beyond 64 bits")


def _refuse_deep(path: str, text: str) -> None:
    depth = 0
    for char in text:
        depth = depth + 1 if char in "([{" else max(depth - 1, 0) if char in ")]}" else depth
        if depth > MAX_BRACKETS:
            raise malformed(f"brackets in `{path}` nest deeper than {MAX_BRACKETS} levels: split the rule")


def _refuse_escapes(path: str, text: str) -> None:
    if any(found[1] for found in _ESCAPED.finditer(text)):
        raise malformed(
            f"text in `{path}` has `\\\\u` or `\\\\/`, which Rego in this process misreads: write the character itself"
        )


def _first_line(error: str) -> str:
    return " ".join(error.split())[:400]
