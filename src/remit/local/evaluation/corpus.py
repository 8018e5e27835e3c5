"""Recorded runs from files: what the guard may see of a run, and, read apart, what only the scoring may."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from remit.model.errors import malformed, not_found
from remit.pap.problems import did_you_mean

T = TypeVar("T")
KINDS = ("attack", "benign", "benign_under_attack", "failed")
"""What a run can be: the agent did what injected text said; nobody attacked; it was attacked and did not follow; it failed unattacked."""


class RecordedStep(msgspec.Struct, frozen=True):
    """One call as it was made, and what came back."""

    tool: str
    args: dict[str, Any] = {}
    output: Any = ""
    error: Any = False

    @property
    def text(self) -> str:
        """What came back, as the agent read it."""
        return self.output if isinstance(self.output, str) else "" if self.output is None else json.dumps(self.output)


class Definition(msgspec.Struct, frozen=True):
    """A tool as it was shown to the agent."""

    name: str
    description: str = ""
    json_schema: dict[str, Any] | None = None


class Recorded(msgspec.Struct, frozen=True):
    """All that the guard may see of a run: who asked for what, which tools there are, and the calls in order.

    It is read from the line on its own, and reading drops every field that is not named here.
    """

    # INVARIANT (the guard is blind to the truth): nothing that says what a run or a step really was has a name in these types.
    suite: str
    user_prompt: str
    steps: tuple[RecordedStep, ...]
    user_messages: tuple[str, ...] = ()
    user_task: str = ""
    tools: tuple[Definition, ...] = ()
    tools_ref: str = ""

    @property
    def intent(self) -> str:
        """What the user said, all turns together."""
        return "\n".join(self.user_messages or (self.user_prompt,))


class TrueStep(msgspec.Struct, frozen=True):
    """Whether an attack needs this call, whose goal it serves, and whether it changes anything."""

    critical: bool = False
    label: str | None = None
    side_effect: bool | None = None


class Truth(msgspec.Struct, frozen=True):
    """What a run really was, for the scoring alone: it never reaches the guard.

    `kind` is empty for a line that is no run; `text_only` marks an attack that is prose and calls nothing.
    """

    suite: str = ""
    kind: str = ""
    case_id: str = ""
    text_only: bool = False
    model: str | None = None
    reward: float | None = None
    steps: tuple[TrueStep, ...] = ()

    @property
    def by_model(self) -> bool:
        """Whether a model made the run; else its author wrote it out as the ground truth."""
        return self.model is not None or self.reward is not None

    @property
    def scored(self) -> bool:
        """Whether it is a run that can be scored."""
        return bool(self.kind) and not self.text_only


class DeclaredScope(msgspec.Struct, frozen=True):
    """The tools that a user task was meant to use."""

    suite: str
    user_task: str
    tools: tuple[str, ...]


class Line(NamedTuple):
    """A line of a file, and where it stands."""

    place: str
    row: Any


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files of runs that are named, or lie in a folder that is named (in its `traces`, if it has one), each once.

    Raises `RemitError`: not-found for a path that is not there, malformed for a folder without runs.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inner = path / "traces" if (path / "traces").is_dir() else path
            there = sorted(inner.glob("*.jsonl"))
            if not there:
                raise malformed(f"folder `{path}` has no runs: they are files that end in .jsonl")
            found.update(dict.fromkeys(there))
        elif path.is_file():
            found[path] = None
        else:
            raise not_found(f"there is no file or folder `{path}`: name recorded runs (.jsonl), or a folder of them")
    return list(found)


def read_runs(file: Path) -> Iterator[tuple[Recorded | None, Truth]]:
    """Each line of a file, twice over: what the guard may see (None where there is nothing to play), and what it really was.

    Raises `RemitError` (malformed) naming file and line.
    """
    for line in read_lines(file):
        truth = _as(Truth, line)
        if truth.kind and truth.kind not in KINDS:
            raise malformed(f"{line.place}: there is no kind of run `{truth.kind:.60}`: {did_you_mean(truth.kind, KINDS)}")
        yield (_as(Recorded, line) if truth.scored else None), truth


def read_scopes(file: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """Declared tools by suite and user task. Raises `RemitError`: not-found, malformed naming file and line."""
    if not file.is_file():
        raise not_found(f"there is no file `{file}`")
    scopes = (_as(DeclaredScope, line) for line in read_lines(file))
    return {(scope.suite, scope.user_task): scope.tools for scope in scopes}


def read_lines(file: Path) -> Iterator[Line]:
    """The JSON values of a file, one a line, blank lines left out. Raises `RemitError` (malformed) naming file and line."""
    try:
        with file.open("rb") as lines:
            for number, text in enumerate(lines, 1):
                if text.strip():
                    yield Line(f"{file}:{number}", _json(text, f"{file}:{number}"))
    except OSError as error:
        raise malformed(f"`{file}` cannot be read ({error.strerror})") from None


def _json(text: bytes, place: str) -> Any:
    # A recording is no door: what a door would refuse in it (NaN, lone surrogates) is left for the gate to refuse, call by call.
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise malformed(f"{place}: this is no JSON ({error})") from None


def _as(shape: type[T], line: Line) -> T:
    try:
        if isinstance(line.row, dict):
            msgspec.json.encode([line.row.get("suite"), line.row.get("case_id")])  # figures are given under these names
        return msgspec.convert(line.row, shape)
    except msgspec.ValidationError as error:
        said = str(error)
        raise malformed(f"{line.place}: this is no recorded run ({said[0].lower()}{said[1:]}): see docs/efficacy.md") from None
    except UnicodeEncodeError:
        raise malformed(
            f"{line.place}: this is no recorded run (a name in it is no valid Unicode): see docs/efficacy.md"
        ) from None
