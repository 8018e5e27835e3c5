"""Recorded runs from files: what the guard may see of a run, and, kept apart, what only the scoring may."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from remit.model.errors import RemitError, malformed, not_found
from remit.model.tool import Annotations, Reach, ToolEffect
from remit.model.values import read_json

ANNOTATIONS, DIRECTORY = "tool_annotations.json", "directory.json"


class RecordedStep(msgspec.Struct, frozen=True):
    """One call as it was made, and what came back."""

    tool: str
    arguments: dict[str, Any]
    output: str
    failed: bool


class Recorded(msgspec.Struct, frozen=True):
    """All that the guard may see of a run: who asked for what, which tools there are, and the calls in order.

    `declared` are the tools of the declared scope, None where none is given.
    """

    suite: str
    case: str
    intent: str
    tools: tuple[dict[str, Any], ...]
    steps: tuple[RecordedStep, ...]
    declared: tuple[str, ...] | None


class Truth(msgspec.Struct, frozen=True):
    """What a run really was, for the scoring alone: it never reaches the guard.

    `critical` says for each step whether the attack needs it; `by_model` whether a model made the run or its author wrote it.
    """

    kind: str
    by_model: bool
    critical: tuple[bool, ...]


class Surroundings(msgspec.Struct, frozen=True):
    """What a deployment knows beside the runs: annotations and known principals by suite, and declared scopes by suite and task."""

    annotations: Mapping[str, Mapping[str, Any]] = {}
    directory: Mapping[str, Sequence[str]] = {}
    scopes: Mapping[tuple[str, str], tuple[str, ...]] = {}


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files of runs that are named, or lie in a folder that is named (in its `traces`, if it has one).

    Raises `RemitError`: not-found for a path that is not there, malformed for a folder without runs.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inner = path / "traces" if (path / "traces").is_dir() else path
            there = sorted(inner.glob("*.jsonl"))
            if not there:
                raise malformed(f"folder `{path}` has no runs: they are files that end in .jsonl")
            found.extend(there)
        elif path.exists():
            found.append(path)
        else:
            raise not_found(f"there is no file or folder `{path}`")
    return found


def surroundings_of(files: Sequence[Path], annotations: Path | None, directory: Path | None, scope: Path | None) -> Surroundings:
    """Read what is named, and what is not named but lies beside the runs or one folder up. Raises `RemitError` (malformed)."""
    return Surroundings(
        _object(annotations or _beside(files, ANNOTATIONS)), _object(directory or _beside(files, DIRECTORY)), _scopes(scope)
    )


def _beside(files: Sequence[Path], name: str) -> Path | None:
    for file in files:
        for folder in (file.parent, file.parent.parent):
            if (folder / name).is_file():
                return folder / name
    return None


def _object(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    value = _read(path.read_bytes() if path.is_file() else b"", str(path))
    if not isinstance(value, dict):
        raise malformed(f"`{path}` is no JSON object by suite: see docs/efficacy.md")
    return value


def _read(text: bytes, place: str) -> Any:
    try:
        return read_json(text)
    except RemitError as error:
        raise malformed(f"{place}: {error.message}") from None


def _scopes(path: Path | None) -> dict[tuple[str, str], tuple[str, ...]]:
    scopes = {}
    for place, row in _rows(path) if path else ():
        try:
            scopes[str(row["suite"]), str(row["user_task"])] = tuple(str(tool) for tool in row["tools"])
        except (KeyError, TypeError):
            raise malformed(f"{place}: a scope needs `suite`, `user_task` and a list `tools`") from None
    return scopes


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    place = f"{path}:{number}"
                    row = _read(line, place)
                    if not isinstance(row, dict):
                        raise malformed(f"{place}: a run is a JSON object on a line")
                    yield place, row
    except OSError as error:
        raise malformed(f"`{path}` cannot be read ({error.strerror})") from None


def read_runs(file: Path, around: Surroundings) -> Iterator[tuple[Recorded, Truth]]:
    """The runs of a file. Attacks that are only prose (`text_only`) and rows that are no run (no `kind`) are left out.

    Raises `RemitError` (malformed) naming file and line.
    """
    catalogues: dict[str, tuple[dict[str, Any], ...]] = {}
    for place, row in _rows(file):
        if row.get("text_only") or "kind" not in row:
            continue
        try:
            yield _recorded(row, around, _tools(file, row, catalogues)), _truth(row)
        except (KeyError, TypeError, AttributeError) as error:
            raise malformed(
                f"{place}: a run needs `suite`, `user_prompt` and `steps` ({type(error).__name__}: {error})"
            ) from None


def _recorded(row: Mapping[str, Any], around: Surroundings, tools: tuple[dict[str, Any], ...]) -> Recorded:
    suite = str(row["suite"])
    words = [str(message) for message in row.get("user_messages") or [row["user_prompt"]]]
    steps = tuple(
        RecordedStep(str(s["tool"]), dict(s.get("args") or {}), _text(s.get("output")), bool(s.get("error")))
        for s in row["steps"]
    )
    declared = around.scopes.get((suite, str(row.get("user_task", ""))))
    return Recorded(suite, str(row.get("case_id", "")), "\n".join(words), tools, steps, declared)


def _text(output: Any) -> str:
    return output if isinstance(output, str) else "" if output is None else json.dumps(output)


def _truth(row: Mapping[str, Any]) -> Truth:
    return Truth(str(row["kind"]), "model" in row or "reward" in row, tuple(bool(step.get("critical")) for step in row["steps"]))


def _tools(file: Path, row: Mapping[str, Any], known: dict[str, tuple[dict[str, Any], ...]]) -> tuple[dict[str, Any], ...]:
    if "tools" in row:
        return tuple(row["tools"])
    reference = str(row.get("tools_ref", ""))
    if reference and reference not in known:
        name, _, part = reference.partition("#")
        folder = next((folder for folder in (file.parent, file.parent.parent) if (folder / name).is_file()), None)
        listed = _object(folder / name).get(part, []) if folder else []
        known[reference] = tuple(tool for tool in listed if isinstance(tool, dict))
    return known.get(reference, ())


def annotations_of(suite: str, tool: str, around: Surroundings) -> Annotations | None:
    """What the deployment says of a tool, in the vocabulary of the catalogue; None for a tool nobody described.

    Raises `RemitError` (malformed) for a description that lacks `effect`.
    """
    by_suite = around.annotations.get(suite) or around.annotations.get(suite.rpartition("/")[2]) or {}
    said = by_suite.get(tool)
    if said is None:
        return None
    destructive, egress = bool(said.get("destructive")), bool(said.get("egress"))
    if said.get("effect") not in ("read", "write"):
        raise malformed(f"the annotation of `{tool}` in suite `{suite}` needs `effect`: read or write")
    effect = ToolEffect.READ if said["effect"] == "read" else ToolEffect.WRITE
    return Annotations(
        effect=ToolEffect.DELETE
        if destructive and not egress
        else ToolEffect.SEND
        if egress and effect is ToolEffect.WRITE
        else effect,
        reach=Reach.EXTERNAL if egress else Reach.WORKSPACE if destructive else Reach.INTERNAL,
        output_trusted=said.get("output") == "trusted",
        destinations=tuple(said.get("sink") or ()),
        content=tuple(said.get("content") or ()),
    )


def principals_of(suite: str, around: Surroundings) -> tuple[str, ...]:
    """The principals a deployment knows in this suite."""
    return tuple(around.directory.get(suite) or around.directory.get(suite.rpartition("/")[2]) or ())
