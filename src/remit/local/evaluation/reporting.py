"""What an evaluation found, in figures and case by case."""

from typing import Any

from remit.local.evaluation.corpus import Recorded, Truth
from remit.local.evaluation.explaining import Rules, held, passed
from remit.local.evaluation.replaying import Played
from remit.local.evaluation.scoring import Score
from remit.local.evaluation.writes import Writes


class Report:
    """Figures of each suite, of each set of suites, and of all; each policy's part in them; and the cases that went wrong."""

    def __init__(self) -> None:
        self._suites: dict[str, Score] = {}
        self._sets: dict[str, Score] = {}
        self._total = Score()
        self._rules = Rules()
        self._passed: list[dict[str, Any]] = []
        self._held: list[dict[str, Any]] = []
        self._writes = Writes()

    def add(self, suite: str, run: Recorded, truth: Truth, played: Played) -> None:
        """Count one run."""
        own = self._suites.setdefault(suite, Score()), self._sets.setdefault(_set_of(suite, truth), Score())
        for score in (*own, self._total):
            score.add(truth, played)
        self._rules.add(truth, played)
        self._writes.add(suite, run, truth, played)
        self._passed += filter(None, [passed(suite, run, truth, played)])
        self._held += filter(None, [held(suite, run, truth, played)])

    def figures(self) -> dict[str, Any]:
        """`suites`, `sets` and `total` as `Score.figures` says, `rules` as `Rules.figures`; `passed` and `held` as `explaining` says,
        `writes` as `Writes.figures`, where runs have any that are known to be wrong."""
        writes = self._writes.figures()
        return {
            "suites": {name: score.figures() for name, score in self._suites.items()},
            "sets": {name: score.figures() for name, score in self._sets.items()},
            "total": self._total.figures(),
            "rules": self._rules.figures(),
            "passed": self._passed,
            "held": self._held,
        } | ({"writes": writes} if writes is not None else {})


def _set_of(suite: str, truth: Truth) -> str:
    """The benchmark that a suite is of, and whether models made the runs: `a/b (recorded)` is of `a (recorded)`."""
    benchmark = suite.removesuffix(" (recorded)").partition("/")[0]
    return f"{benchmark} (recorded)" if truth.by_model else benchmark
