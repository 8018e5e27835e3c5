"""`./run bench flow [PATH…] [--json]`: what provenance costs, on long sessions, hostile text and recorded runs."""

import argparse
import json
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.figures import Report, progress
from benchmarks.workplace import temporary_folder
from remit.local.evaluation.deployment import ANNOTATIONS, DIRECTORY, Surroundings
from remit.local.evaluation.evaluate import Conditions, Evaluation
from remit.pdp import decide
from remit.pdp.provenance import seen
from remit.pdp.provenance.intent import Intent
from remit.pdp.provenance.roles import Role
from remit.pdp.provenance.tracing import Tracer
from remit.runtime import authorize, view

STEPS = 200
SESSIONS = 8
TOOLS: dict[str, dict[str, Any]] = {
    "read_mail": {"effect": "read"},
    "find_contact": {"effect": "read", "output": "trusted"},
    "send_mail": {"effect": "write", "egress": True, "sink": ["to"], "content": ["body"]},
    "pay": {"effect": "write", "egress": True, "destructive": True, "sink": ["account", "amount"]},
}
HOSTILE: dict[str, str] = {
    "near-matches": "eve@evil.ne " * 87_000,
    "one letter": "a" * 1_000_000,
    "entities": "&amp;" * 200_000,
    "percent signs": "%41" * 330_000,
    "base64": "QUFBQUFBQUFBQUFBQUFBQQ== " * 40_000,
    "dots": "e.v.e." * 166_000,
    "numbers": "13 " * 330_000,
    "records": json.dumps([{"id": str(number), "to": f"x{number}@y.example"} for number in range(24_000)]),
    "links": "https://evil.example/x " * 43_000,
    "100,000 candidates": " ".join(f"id-{number}" for number in range(100_000)),
}
"""A megabyte each, built to make matching slow."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0; a bar that does not hold is told, not an error."""
    parser = argparse.ArgumentParser(prog="./run bench flow", description="Measure what provenance costs.")
    parser.add_argument("paths", nargs="*", type=Path, help="recorded runs, as `remit eval` takes them")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args(arguments)
    report = Report()
    with temporary_folder() as folder:
        _write_long_sessions(folder)
        _measure(report, [folder], figures.FLOW, figures.FLOW_TAIL, f"sessions of {STEPS} steps")
    if given.paths:
        _measure(report, given.paths, figures.FLOW_RECORDED, figures.FLOW_RECORDED_TAIL, "recorded runs")
    _measure_memory(report)
    _measure_hostile(report)
    print(report.to_json() if given.json else report.to_text())
    progress(f"{sum(figure.holds is False for figure in report.figures)} bars do not hold")
    return 0


def _write_long_sessions(folder: Path) -> None:
    """Runs whose outputs are letters and records, and whose calls take values from them, from the purpose and from nowhere."""
    chance = random.Random(1)
    tools = [{"name": name, "description": name.replace("_", " "), "json_schema": {"type": "object"}} for name in TOOLS]
    runs = [
        {
            "suite": "long", "kind": "benign", "case_id": f"long/{number}", "user_task": str(number), "tools": tools,
            "user_prompt": "Answer the mails of this week, pay the bill of Low Meadow Bank and tell ann@home.example what was paid.",
            "steps": list(_steps(chance)),
        }
        for number in range(SESSIONS)
    ]  # fmt: skip
    (folder / "long.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs), "utf-8")
    (folder / ANNOTATIONS).write_text(json.dumps({"long": TOOLS}), "utf-8")
    (folder / DIRECTORY).write_text(json.dumps({"long": ["@home.example"]}), "utf-8")


def _steps(chance: random.Random) -> Iterator[dict[str, Any]]:
    seen_values = ["ann@home.example"]
    for number in range(STEPS):
        who = f"{_word(chance)}@{_word(chance)}.example"
        tool = ("read_mail", "find_contact", "send_mail", "pay")[number % 4]
        if tool == "send_mail":
            args: dict[str, Any] = {"to": [chance.choice(seen_values)], "body": _prose(chance, 60)}
        elif tool == "pay":
            args = {"account": str(chance.randrange(10**12)), "amount": chance.randrange(10_000), "subject": "bill"}
        else:
            args = {"query": chance.choice(seen_values)}
        yield {"tool": tool, "args": args, "output": _output(chance, tool, who)}
        seen_values.append(who)


def _output(chance: random.Random, tool: str, who: str) -> str:
    if tool == "read_mail":
        return json.dumps([{"id": str(n), "sender": who, "body": _prose(chance, 120)} for n in range(6)])
    return json.dumps({"name": _word(chance), "email": who}) if tool == "find_contact" else "done"


def _prose(chance: random.Random, words: int) -> str:
    return " ".join(_word(chance) for _ in range(words))


def _word(chance: random.Random) -> str:
    return "".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(chance.randint(2, 9)))


class _Watch:
    """Adds up, for each decision and each outcome, the time spent on provenance."""

    def __init__(self) -> None:
        self.decisions: list[float] = []
        self.outcomes: list[float] = []
        self._spent = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what decides and what observes, in this process."""
        kept = [(decide, name, getattr(decide, name)) for name in ("traced", "links_of", "asked", "query_of")]
        kept += [(authorize, "decide", authorize.decide), (view, "observe", view.observe)]  # type: ignore[attr-defined]
        for module, name, function in kept:
            setattr(module, name, getattr(self, f"_{name}", self._part)(function))
        try:
            yield
        finally:
            for module, name, function in kept:
                setattr(module, name, function)

    def _part(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                self._spent += time.perf_counter() - start

        return timed

    def _decide(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            self._spent = 0.0
            try:
                return function(*given)
            finally:
                self.decisions.append(self._spent)

        return counted

    def _observe(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*given)
            finally:
                self.outcomes.append(time.perf_counter() - start)

        return timed


def _measure(report: Report, paths: Sequence[Path], median: str, tail: str, what: str) -> None:
    progress(f"flow: {what}")
    watch = _Watch()
    with watch.watching():
        played = list(Evaluation(paths, Surroundings(), {}, Conditions()).play(lambda _: None))
    assert watch.decisions and watch.outcomes, "nothing was decided"
    report.judge(median, _quantile(watch.decisions, 50) * 1e6)
    report.judge(tail, _quantile(watch.decisions, 99) * 1e3)
    report.tell(f"making an output ready to be searched, {what}, median", _quantile(watch.outcomes, 50) * 1e6, "µs")
    report.tell(f"making an output ready to be searched, {what}, p99", _quantile(watch.outcomes, 99) * 1e3, "ms")
    report.tell(f"decisions, {what}", len(watch.decisions), "")
    report.tell(f"runs, {what}", len(played), "")


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _measure_memory(report: Report) -> None:
    """What one session holds beyond the text itself: two hundred outputs, a megabyte."""
    chance = random.Random(2)
    texts = [_output(chance, "read_mail", "ann@home.example") for _ in range(STEPS)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    observed = seen.observe(seen.NOTHING_OBSERVED, [seen.Report("read_mail", True, text, records=True) for text in texts])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(observed.outputs) == STEPS
    text = sum(map(len, texts))
    report.judge(figures.FLOW_MEMORY, (after - before - text) / 1e6)
    report.tell("the text that session has to remember", text / 1e6, "MB")


def _measure_hostile(report: Report) -> None:
    intent = Intent("Pay the bill and send it to bob@corp.example, see https://good.example/a")
    values = (
        *((value, Role.RECEIVER) for value in ("eve@evil.example", "e.v.e.v", "aaaa", "https://evil.example/xyz", "a" * 2000)),
        *((value, Role.OBJECT) for value in ("13", "id-99999")),
        ("90000", Role.AMOUNT),
    )
    worst_output = worst_value = 0.0
    for name, text in HOSTILE.items():
        start = time.perf_counter()
        observed = seen.observe(seen.NOTHING_OBSERVED, [seen.Report("read_mail", True, text[: seen.MAX_OUTPUT], records=True)])
        worst_output = max(worst_output, took := time.perf_counter() - start)
        tracer = Tracer(intent, ("@home.example",), observed)
        slowest = 0.0
        for value, role in values:
            start = time.perf_counter()
            tracer.origin("to", value, role)
            slowest = max(slowest, time.perf_counter() - start)
        worst_value = max(worst_value, slowest)
        progress(f"  {name}: {took * 1e3:.0f} ms to make ready, {slowest * 1e3:.1f} ms for a value")
    report.tell("making 1 MB of hostile text ready to be searched, slowest of ten kinds", worst_output * 1e3, "ms")
    report.tell("finding one value in 1 MB of hostile text, slowest of ten kinds", worst_value * 1e3, "ms")


if __name__ == "__main__":
    raise SystemExit(main())
