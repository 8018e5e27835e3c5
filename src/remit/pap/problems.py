"""What is wrong with a bundle: where, how badly, and what to do about it."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum

import msgspec

from remit.model.errors import ErrorKind, RemitError


class Severity(StrEnum):
    """An error keeps a bundle from being published, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong: the file (relative to the bundle's folder, `/` between names), the line from 1, what, and what to do.

    `code` is stable, for filters and documentation; every code stands in docs/policy.md.
    """

    file: str
    line: int
    severity: Severity
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f": {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}: {self.severity.value}: {self.message}{hint} [{self.code}]"


def error(place: tuple[str, int], code: str, message: str, hint: str = "") -> Problem:
    """A problem that keeps the bundle from being published; `place` is file and line."""
    return Problem(*place, Severity.ERROR, code, message, hint)


def warning(place: tuple[str, int], code: str, message: str, hint: str = "") -> Problem:
    """A problem that a reviewer should know of; `place` is file and line."""
    return Problem(*place, Severity.WARNING, code, message, hint)


class BundleError(RemitError):
    """A bundle that cannot be used, and every reason why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(ErrorKind.MALFORMED, "\n".join(map(str, problems)))
        self.problems = tuple(problems)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each problem once, by file and line."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.severity, p.code, p.message)))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those that keep a bundle from being published."""
    return tuple(problem for problem in problems if problem.severity is Severity.ERROR)


MANY_NAMES = 2000
"""Among more names than these the nearest is not looked for: a bundle of many faults would take hours to check."""


def did_you_mean(name: str, known: Collection[str]) -> str:
    """A hint with the nearest known name, or with all of them if there are few, or nothing."""
    if len(known) > MANY_NAMES or len(name) > MANY_NAMES:
        return ""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, 1, 0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return "known are " + ", ".join(f"`{known_name}`" for known_name in names) if 0 < len(names) <= 12 else ""
