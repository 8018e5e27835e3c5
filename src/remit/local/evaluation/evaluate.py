"""All runs of some files through the gate, suite by suite, and only then scored."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from remit.local.evaluation.corpus import Definition, Recorded, Truth, files_of, read_runs, read_scopes
from remit.local.evaluation.deployment import Deployment, Surroundings
from remit.local.evaluation.replaying import Played, Replay
from remit.local.evaluation.scoring import Score
from remit.model.errors import malformed
from remit.model.task import Scope

Progress = Callable[[int, int, str], None]
"""Called with the runs done, the runs there are, and the suite at hand."""
Scopes = Mapping[tuple[str, str], tuple[str, ...]]


class _Suite(msgspec.Struct, frozen=True):
    """The runs of one suite in one deployment; `truths` has the truth of each at its place, for the scoring."""

    deployment: Deployment
    runs: list[Recorded] = []
    truths: list[Truth] = []
    definitions: dict[str, Definition] = {}

    def play(self, scopes: Scopes, done: Callable[[], None]) -> list[Played]:
        """Put all its runs to the gate of a store that exists only meanwhile."""
        suite = self.runs[0].suite
        bundle = self.deployment.bundle(suite, self.definitions.values())
        declared = [_scope(scopes.get((suite, run.user_task))) for run in self.runs]
        with tempfile.TemporaryDirectory(prefix="remit-eval-") as home:
            replay = Replay(Path(home), bundle)
            try:
                return replay.play(self.runs, declared, done)
            finally:
                replay.close()


def _scope(declared: tuple[str, ...] | None) -> Scope:
    """What a task's author meant it to use, and reading inside, which needs no declaring."""
    return Scope(tools=None if declared is None else (*declared, "effect:read"))


class Evaluation:
    """Recorded runs, read and sorted by suite; runs that models made form a suite of their own.

    `left_out` counts the lines that cannot be scored: attacks that are only prose, and lines that are no run.
    """

    def __init__(self, paths: Sequence[Path], around: Surroundings, scopes: Scopes) -> None:
        """Raises `RemitError`: not-found, malformed naming file and line."""
        self.left_out = 0
        self._scopes = scopes
        self._suites: dict[tuple[str, int], _Suite] = {}
        for file in files_of(paths):
            for run, truth in read_runs(file):
                if run is None:
                    self.left_out += 1
                else:
                    self._take(file, around, run, truth)
        if not self._suites:
            raise malformed("there is no run in what was given: a run is a JSON object on a line, with a `kind`")

    def _take(self, file: Path, around: Surroundings, run: Recorded, truth: Truth) -> None:
        name = f"{run.suite} (recorded)" if truth.by_model else run.suite
        deployment = around.deployment(file)
        suite = self._suites.setdefault((name, id(deployment)), _Suite(deployment))
        suite.runs.append(run)
        suite.truths.append(truth)
        for tool in around.definitions(file, run):
            suite.definitions.setdefault(tool.name, tool)

    def __len__(self) -> int:
        """How many runs there are to play."""
        return sum(len(suite.runs) for suite in self._suites.values())

    def play(self, done: Callable[[str], None]) -> Iterator[tuple[str, Truth, Played]]:
        """Put everything to the gate, suite by suite; `done` is called after each run with its suite's name.

        Raises `RemitError` (unavailable) if the store does not do its work.
        """
        for (name, _), suite in sorted(self._suites.items(), key=lambda item: item[0][0]):
            played = suite.play(self._scopes, partial(done, name))
            for truth, answers in zip(suite.truths, played, strict=True):
                yield name, truth, answers


def evaluate_runs(
    paths: Sequence[Path],
    annotations: Path | None = None,
    directory: Path | None = None,
    scope: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score recorded runs: `{"suites": {name: figures}, "total": figures}`, as `Score.figures` says; the total also counts `left_out`.

    Raises `RemitError`: not-found, malformed (naming file and line), unavailable if the store does not do its work.
    """
    evaluation = Evaluation(paths, Surroundings(annotations, directory), read_scopes(scope) if scope else {})
    scores: dict[str, Score] = {}
    total, count, all_ = Score(), 0, len(evaluation)

    def done(name: str) -> None:
        nonlocal count
        count += 1
        if progress is not None:
            progress(count, all_, name)

    for name, truth, played in evaluation.play(done):
        for score in (scores.setdefault(name, Score()), total):
            score.add(truth, played)
    suites = {name: score.figures() for name, score in scores.items()}
    return {"suites": suites, "total": {**total.figures(), "left_out": evaluation.left_out}}
