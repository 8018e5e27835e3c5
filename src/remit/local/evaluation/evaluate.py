"""All runs of some files through the gate, suite by suite, and only then scored."""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from remit.local.evaluation.corpus import Definition, Recorded, Truth, files_of, read_runs, read_scopes
from remit.local.evaluation.deployment import Deployment, Surroundings
from remit.local.evaluation.granting import flows_of
from remit.local.evaluation.mutation import suite as mutation
from remit.local.evaluation.mutation.world import World
from remit.local.evaluation.replaying import Played, Replay
from remit.local.evaluation.reporting import Report
from remit.local.wiring import wall_clock
from remit.model.clock import Clock
from remit.model.errors import malformed
from remit.model.task import Scope
from remit.model.tool import Tool
from remit.pap.contents import Bundle
from remit.pap.problems import BundleError, Severity
from remit.pap.reading.folder import read_bundle
from remit.pap.validate import check

Progress = Callable[[int, int, str], None]
"""Called with the runs done, the runs there are, and the suite at hand."""
Scopes = Mapping[tuple[str, str], tuple[str, ...]]


class Conditions(msgspec.Struct, frozen=True):
    """What is changed of the recordings: annotations withheld, everything renamed by a seed; with `grants`, that declared tasks let the
    documents that they name choose whom to pay and write to; or what is put in the baseline's place: `bundle`, a folder, and in that of
    the time `at` (µs), when the first run begins."""

    unannotated: bool = False
    grants: bool = False
    mutate: int | None = None
    bundle: Path | None = None
    at: int | None = None


class _Suite(msgspec.Struct, frozen=True):
    """The runs of one suite in one deployment; `truths` has the truth of each at its place, for the scoring."""

    deployment: Deployment
    runs: list[Recorded] = []
    truths: list[Truth] = []
    definitions: dict[str, Definition] = {}

    @property
    def name(self) -> str:
        """As the runs name it."""
        return self.runs[0].suite

    def play(self, scopes: Scopes, given: "_Given", done: Callable[[], None]) -> list[Played]:
        """Put all its runs to the gate of a store that exists only meanwhile."""
        bundle = given.bundle or self.deployment.bundle(self.name, self.definitions.values())
        tools = bundle.contents.tools if given.grants else ()
        declared = [self._scope(scopes.get((self.name, run.user_task)), run, tools) for run in self.runs]
        with tempfile.TemporaryDirectory(prefix="remit-eval-") as home:
            replay = Replay(Path(home), bundle, given.clock)
            try:
                return replay.play(self.runs, declared, done)
            finally:
                replay.close()

    @staticmethod
    def _scope(declared: tuple[str, ...] | None, run: Recorded, tools: Sequence[Tool]) -> Scope:
        """What a task's author meant it to use, reading inside (which needs no declaring), and what documents may choose for `tools`."""
        if declared is None:
            return Scope()
        return Scope(tools=(*declared, "effect:read"), flows=flows_of(run.intent, declared, tools) or None)

    def renamed(self, world: World) -> "_Suite":
        """The same runs under other names."""
        tools = [mutation.renamed_definition(world, tool) for tool in self.definitions.values()]
        runs = [mutation.renamed_run(world, run) for run in self.runs]
        deployment = mutation.renamed_deployment(world, self.deployment.only(self.name))
        return _Suite(deployment, runs, self.truths, {tool.name: tool for tool in tools})


class _Given(msgspec.Struct, frozen=True):
    """What every suite is played with; without a bundle, each with its own."""

    bundle: Bundle | None
    clock: Clock
    grants: bool = False


def _given(conditions: Conditions) -> _Given:
    """Raises `RemitError` (malformed) for a bundle that could not be published."""
    if conditions.bundle is None:
        return _Given(None, _clock(conditions.at), conditions.grants)
    if conditions.mutate is not None or conditions.unannotated:
        raise malformed("a bundle of its own names tools as they are: leave out `--bundle`, or what changes the tools")
    bundle = read_bundle(conditions.bundle)
    wrong = [problem for problem in check(bundle) if problem.severity is Severity.ERROR]
    if wrong:
        raise BundleError(wrong)
    return _Given(bundle, _clock(conditions.at), conditions.grants)


def _clock(at: int | None) -> Clock:
    if at is None:
        return wall_clock
    started = time.perf_counter_ns()
    return lambda: at + (time.perf_counter_ns() - started) // 1000


class Evaluation:
    """Recorded runs, read and sorted by suite; runs that models made form a suite of their own.

    `left_out` counts the lines that cannot be scored: attacks that are only prose, and lines that are no run. `renamed` counts the
    places where a name was replaced.
    """

    def __init__(self, paths: Sequence[Path], around: Surroundings, scopes: Scopes, conditions: Conditions) -> None:
        """Raises `RemitError`: not-found, malformed naming file and line."""
        self.left_out = 0
        self.renamed = 0
        self._given = _given(conditions)
        self._scopes = dict(scopes)
        self._unannotated = conditions.unannotated
        self._suites: dict[tuple[str, int], _Suite] = {}
        for file in files_of(paths):
            for run, truth in read_runs(file):
                if run is None:
                    self.left_out += 1
                else:
                    self._take(file, around, run, truth)
        if not self._suites:
            raise malformed("there is no run in what was given: a run is a JSON object on a line, with a `kind`")
        if conditions.mutate is not None:
            for name in sorted({suite.name for suite in self._suites.values()}):
                self._rename(conditions.mutate, name)

    def _take(self, file: Path, around: Surroundings, run: Recorded, truth: Truth) -> None:
        name = f"{run.suite} (recorded)" if truth.by_model else run.suite
        deployment = around.deployment(file)
        known = deployment.unannotated() if self._unannotated else deployment
        suite = self._suites.setdefault((name, id(deployment)), _Suite(known))
        suite.runs.append(run)
        suite.truths.append(truth)
        for tool in around.definitions(file, run):
            suite.definitions.setdefault(tool.name, tool)

    def _rename(self, seed: int, name: str) -> None:
        own = {key: suite for key, suite in self._suites.items() if suite.name == name}
        scopes = {key: tools for key, tools in self._scopes.items() if key[0] == name}
        world = mutation.world_of(
            seed,
            mutation.Suite(
                tuple(run for suite in own.values() for run in suite.runs),
                tuple(tool for suite in own.values() for tool in suite.definitions.values()),
                tuple(suite.deployment.only(name) for suite in own.values()),
                tuple(scopes.values()),
            ),
        )
        self._suites |= {key: suite.renamed(world) for key, suite in own.items()}
        self._scopes |= {key: tuple(map(world.tool, tools)) for key, tools in scopes.items()}
        self.renamed += world.replaced

    def __len__(self) -> int:
        """How many runs there are to play."""
        return sum(len(suite.runs) for suite in self._suites.values())

    def play(self, done: Callable[[str], None]) -> Iterator[tuple[str, Recorded, Truth, Played]]:
        """Put everything to the gate, suite by suite; `done` is called after each run with its suite's name.

        Raises `RemitError` (unavailable) if the store does not do its work.
        """
        for (name, _), suite in sorted(self._suites.items(), key=lambda item: item[0][0]):
            played = suite.play(self._scopes, self._given, partial(done, name))
            for run, truth, answers in zip(suite.runs, suite.truths, played, strict=True):
                yield name, run, truth, answers


def evaluate_runs(
    paths: Sequence[Path],
    annotations: Path | None = None,
    directory: Path | None = None,
    scope: Path | None = None,
    progress: Progress | None = None,
    conditions: Conditions | None = None,
) -> dict[str, Any]:
    """Score recorded runs: what `Report.figures` says; the total also counts `left_out`, and a mutation what it `renamed`.

    Raises `RemitError`: not-found, malformed (naming file and line), unavailable if the store does not do its work.
    """
    conditions = conditions or Conditions()
    if conditions.unannotated and annotations:
        raise malformed("annotations are given and withheld: leave one of the two out")
    if conditions.grants and scope is None:
        raise malformed("grants are for declared tasks: name their scopes with --scope")
    scopes = read_scopes(scope) if scope else {}
    evaluation = Evaluation(paths, Surroundings(annotations, directory), scopes, conditions)
    report = Report()
    for name, run, truth, played in evaluation.play(_counting(progress, len(evaluation))):
        report.add(name, run, truth, played)
    figures = report.figures()
    figures["total"]["left_out"] = evaluation.left_out
    if conditions.mutate is not None:
        figures["mutation"] = {"seed": conditions.mutate, "renamed": evaluation.renamed}
    return figures


def _counting(progress: Progress | None, total: int) -> Callable[[str], None]:
    numbers = itertools.count(1)

    def done(name: str) -> None:
        if progress is not None:
            progress(next(numbers), total, name)

    return done
