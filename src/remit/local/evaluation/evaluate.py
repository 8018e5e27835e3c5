"""All runs of some files through the gate, suite by suite."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from remit.local.evaluation.corpus import Recorded, Truth, files_of, read_runs, surroundings_of
from remit.local.evaluation.replaying import Replay, suite_bundle
from remit.local.evaluation.scoring import Score
from remit.model.errors import malformed

Progress = Callable[[int, int], None]
"""Called with the runs done and the runs there are."""


def evaluate_runs(
    paths: Sequence[Path],
    annotations: Path | None = None,
    directory: Path | None = None,
    scope: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score recorded runs: `{"suites": {name: figures}, "total": figures}`; runs that models made form a suite of their own.

    Raises `RemitError`: not-found, malformed (naming file and line).
    """
    suites = _by_suite(paths, annotations, directory, scope)
    total, done, count = Score(), 0, sum(len(runs) for _, runs in suites.values())
    scores: dict[str, dict[str, Any]] = {}
    for name, (around, runs) in sorted(suites.items()):
        score = Score()
        with tempfile.TemporaryDirectory(prefix="remit-eval-") as home:
            suite = runs[0][0].suite
            replay = Replay(Path(home), suite_bundle(suite, (recorded for recorded, _ in runs), around))
            try:
                for recorded, truth in runs:
                    answers = replay.play(recorded)
                    score.add(truth, answers)
                    total.add(truth, answers)
                    done += 1
                    if progress is not None:
                        progress(done, count)
            finally:
                replay.close()
        scores[name] = score.figures()
    return {"suites": scores, "total": total.figures()}


def _by_suite(paths: Sequence[Path], annotations: Path | None, directory: Path | None, scope: Path | None) -> dict[str, Any]:
    files = files_of(paths)
    around = surroundings_of(files, annotations, directory, scope)
    suites: dict[str, tuple[Any, list[tuple[Recorded, Truth]]]] = {}
    for file in files:
        for recorded, truth in read_runs(file, around):
            name = f"{recorded.suite} (recorded)" if truth.by_model else recorded.suite
            suites.setdefault(name, (around, []))[1].append((recorded, truth))
    if not suites:
        raise malformed("there is no run in what was given: a run is a JSON object on a line, with a `kind`")
    return suites
