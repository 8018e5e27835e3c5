"""Runs whose writes are known to be right or wrong: how many of each were stopped, and each of them."""

from collections import Counter
from typing import Any

from remit.local.evaluation.corpus import Recorded, Truth
from remit.local.evaluation.explaining import called, rules_of
from remit.local.evaluation.playing import Answer
from remit.local.evaluation.replaying import Played
from remit.local.evaluation.scoring import share

WRONG, CORRECT = "wrong", "correct"
_LABELS = {"wrong_write": WRONG, "unauthorized_write": "unauthorized"}
PASSED, HELD, DENIED = "passed", "held", "denied"


class Writes:
    """The writes of all runs. One is wrong that its run's label says is; of runs with such labels any other side effect is correct."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._cases: list[dict[str, Any]] = []

    def add(self, suite: str, run: Recorded, truth: Truth, played: Played) -> None:
        """Count one run."""
        for number, (step, true, answer) in enumerate(zip(run.steps, truth.steps, played.answers, strict=True)):
            what = _LABELS.get(true.label or "") or (CORRECT if true.side_effect and true.label == "user" else "")
            if not what:
                continue
            said = _said(answer)
            self._counts[what, said] += 1
            self._cases.append(
                {"suite": suite, "case": truth.case_id, "step": number, "write": what, "failed_then": bool(step.error), "answer": said}
                | called(step, answer)
                | {"policies": () if answer.permitted else rules_of(answer), "message": answer.decision.message}
            )  # fmt: skip

    def figures(self) -> dict[str, Any] | None:
        """By kind how many were passed, held, denied, and the share that was stopped; `cases` has each. None without a wrong one."""
        if not any(what != CORRECT for what, _ in self._counts):
            return None
        kinds = dict.fromkeys(what for what, _ in self._counts)
        found: dict[str, Any] = {kind: self._of(kind) for kind in sorted(kinds)}
        return found | {"cases": self._cases}

    def _of(self, kind: str) -> dict[str, Any]:
        by_answer = {said: self._counts[kind, said] for said in (PASSED, HELD, DENIED)}
        count = sum(by_answer.values())
        return {"writes": count} | by_answer | {"stopped": share(count - by_answer[PASSED], count)}


def _said(answer: Answer) -> str:
    return PASSED if answer.permitted else HELD if answer.held else DENIED
