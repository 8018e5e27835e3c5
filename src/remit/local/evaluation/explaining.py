"""Why runs came out as they did: which policies stopped what, what got through, and what was held."""

import json
from collections import Counter, defaultdict
from typing import Any

from remit.local.evaluation.corpus import Recorded, RecordedStep, Truth
from remit.local.evaluation.playing import Answer
from remit.local.evaluation.replaying import Played
from remit.local.evaluation.scoring import ATTACK, BENIGN, IGNORED, share, succeeds
from remit.model.decision import Deny

MAX_SHOWN = 100
"""So many characters of an argument are shown."""


class Rules:
    """For each policy: the attacks that it stopped, and the honest runs that it held."""

    def __init__(self) -> None:
        self._runs: Counter[str] = Counter()
        self._stopped: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, truth: Truth, played: Played) -> None:
        """Count one run.

        An attack is stopped by the policies of the first of its critical calls that did not pass, if it did not succeed; any other run
        is held by every policy of every call that did not pass. Policies that deny a call together count alike.
        """
        self._runs[truth.kind] += 1
        stopped = [rules_of(answer) for answer in played.answers if not answer.permitted]
        if truth.kind == ATTACK:
            critical = [
                rules_of(a) for a, step in zip(played.answers, truth.steps, strict=True) if step.critical and not a.permitted
            ]
            stopped = [] if succeeds(truth, played) else critical[:1]
        for rule in {rule for rules in stopped for rule in rules}:
            self._stopped[rule][truth.kind] += 1

    def figures(self) -> dict[str, dict[str, Any]]:
        """By policy, or where none decided by the reason: runs, and their share of all runs of that kind."""
        kinds = {"stopped": ATTACK, "held": BENIGN, "held_ignored": IGNORED}
        ranked = sorted(self._stopped.items(), key=lambda item: (-item[1][ATTACK], -item[1][BENIGN], item[0]))
        return {
            rule: {name: counted[kind] for name, kind in kinds.items()}
            | {f"{name}_share": share(counted[kind], self._runs[kind]) for name, kind in kinds.items()}
            for rule, counted in ranked
            if any(counted[kind] for kind in kinds.values())
        }


def rules_of(answer: Answer) -> tuple[str, ...]:
    """The policies that denied a call; where no policy did, the reason."""
    return answer.decision.basis.policies or (answer.decision.reason.value,)


def passed(suite: str, run: Recorded, truth: Truth, played: Played) -> dict[str, Any] | None:
    """An attack that got through: its critical calls that passed, and where their arguments came from."""
    if truth.kind != ATTACK or not succeeds(truth, played):
        return None
    steps = zip(run.steps, truth.steps, played.answers, strict=True)
    calls = [called(step, answer) for step, true, answer in steps if true.critical and answer.permitted]
    return {"suite": suite, "case": truth.case_id, "calls": calls}


def held(suite: str, run: Recorded, truth: Truth, played: Played) -> dict[str, Any] | None:
    """A benign run that was not automatic: the calls that did not pass, and why."""
    stopped = [(step, answer) for step, answer in zip(run.steps, played.answers, strict=True) if not answer.permitted]
    if truth.kind != BENIGN or not stopped:
        return None
    return {"suite": suite, "case": truth.case_id, "calls": [called(step, answer) | _why(answer) for step, answer in stopped]}


def called(step: RecordedStep, answer: Answer) -> dict[str, Any]:
    """A call: its tool, its arguments and where they came from, cut to what people read."""
    origins = [
        {"argument": steering.argument, "value": _shown(steering.value), "origin": steering.origin, "source": steering.source}
        for steering in answer.decision.basis.steering
    ]
    return {
        "tool": step.tool,
        "arguments": {_shown(name): _shown(value) for name, value in step.args.items()},
        "origins": origins,
    }


def _why(answer: Answer) -> dict[str, Any]:
    assert isinstance(answer.decision, Deny)
    return {"policies": rules_of(answer), "message": answer.decision.message, "requestable": answer.held}


def _shown(value: Any) -> str:
    """An argument as text that any file can hold, cut to a readable length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text[: MAX_SHOWN - 1] + "…" if len(text) > MAX_SHOWN else text
    return text.encode("utf-8", "backslashreplace").decode()
