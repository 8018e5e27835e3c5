"""The figures: their names, their bars, and how they are told."""

import sys
from collections.abc import Mapping

import msgspec


class Bar(msgspec.Struct, frozen=True):
    """What a figure is held to: at most `limit` of `unit`, or at least that."""

    unit: str
    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Whether a measured value keeps it."""
        return value >= self.limit if self.at_least else value <= self.limit


NEW_VALUES = "authorize without disk, 20 fields, new values / bare cedarpy"
REMEMBERED = "authorize without disk, 20 fields, remembered / bare cedarpy"
GOVERN = "authorize without disk, 3-field rule, new values / agent-governance-toolkit govern with log"
FLAT = "authorize without disk, 10,000 policies / 10 policies"
PUBLISH = "publish 10,000 policies"
ALONE = "durable decision, one caller / bare SQLite commit"
DECISIONS = "durable decisions, 64 async callers, one core"
PAIRS = "durable decision + outcome pairs, 64 async callers, one core"
START = "import remit and first durable decision"
MEMORY = "peak memory after the first durable decision"
VERIFY = "offline verification of 1,000,000 entries"
VERIFY_MEMORY = "peak memory of verifying 1,000,000 entries"
SCALE = "PostgreSQL, 64 callers, 4 processes: decisions / bare insert-and-update transactions"
SERVED = "PostgreSQL, one caller: decision / bare insert-and-update transaction, p50"
INTEGRATED = "PostgreSQL: entries of 4 writers brought into one order and into the tree"
PROOF = "SQLite: a proof from a log of 10,000,000 entries, median"
PROOF_SERVED = "PostgreSQL: a proof from a log of 10,000,000 entries, median"
REPLAY = "replay of 1,000,000 decisions, 50,000 distinct"
REPLAY_DISTINCT = "replay of 1,000,000 decisions, all distinct"
REPLAY_MEMORY = "peak memory of all processes of that replay, 50,000 distinct"
REPLAY_DISTINCT_MEMORY = "peak memory of all processes of that replay, all distinct"
REACH = "PostgreSQL: a kill reaches 4 busy processes, p99"
SERVICE_NEW = "requests over HTTP, 32 connections, new values / bare endpoint calling cedarpy"
SERVICE_SAME = "requests over HTTP, 32 connections, remembered / bare endpoint calling cedarpy"
SERVICE_TAIL = "requests over HTTP, new values, half load, p99"
SERVICE_ALONE = "requests over HTTP, new values, one connection, p50"
SERVICE_BATCH = "evaluations in requests of 100 / one at a time on one connection"
COUNTED = "processor time that counting adds to a decision over HTTP"
TOKEN_FIRST = "a token verified for the first time, over the library's own verification"
TOKEN_AGAIN = "a token verified again"
FLOW = "provenance of a decision, sessions of 200 steps, p50"
FLOW_TAIL = "provenance of a decision, sessions of 200 steps, p99"
FLOW_RECORDED = "provenance of a decision, recorded runs, p50"
FLOW_RECORDED_TAIL = "provenance of a decision, recorded runs, p99"
FLOW_MEMORY = "memory of a session of 200 outputs beyond their text"

BARS: Mapping[str, Bar] = {
    NEW_VALUES: Bar("ratio", 1.5),
    REMEMBERED: Bar("ratio", 0.4),
    GOVERN: Bar("ratio", 1.0),
    FLAT: Bar("ratio", 1.25),
    PUBLISH: Bar("s", 5.0),
    ALONE: Bar("ratio", 2.0),
    DECISIONS: Bar("1/s", 8000, at_least=True),
    PAIRS: Bar("1/s", 5000, at_least=True),
    START: Bar("ms", 350),
    MEMORY: Bar("MB", 80),
    VERIFY: Bar("s", 25),
    VERIFY_MEMORY: Bar("MB", 200),
    SCALE: Bar("ratio", 0.5, at_least=True),
    SERVED: Bar("ratio", 3.0),
    REACH: Bar("ms", 250),
    REPLAY: Bar("s", 20),
    REPLAY_DISTINCT: Bar("s", 60),
    REPLAY_MEMORY: Bar("MB", 500),
    REPLAY_DISTINCT_MEMORY: Bar("MB", 500),
    INTEGRATED: Bar("1/s", 20_000, at_least=True),
    PROOF: Bar("ms", 5.0),
    PROOF_SERVED: Bar("ms", 5.0),
    SERVICE_NEW: Bar("ratio", 0.4, at_least=True),
    SERVICE_SAME: Bar("ratio", 0.8, at_least=True),
    SERVICE_TAIL: Bar("ms", 10.0),
    SERVICE_ALONE: Bar("ms", 1.0),
    SERVICE_BATCH: Bar("ratio", 3.0, at_least=True),
    COUNTED: Bar("%", 3.0),
    TOKEN_FIRST: Bar("µs", 250.0),
    TOKEN_AGAIN: Bar("µs", 10.0),
    FLOW: Bar("µs", 300),
    FLOW_TAIL: Bar("ms", 3.0),
    FLOW_RECORDED: Bar("µs", 300),
    FLOW_RECORDED_TAIL: Bar("ms", 3.0),
    FLOW_MEMORY: Bar("MB", 2.0),
}
"""Every figure that is held to something; the others are told for information. docs/benchmarks.md has the same, by test."""


class Figure(msgspec.Struct, frozen=True):
    """One measured value. `bar` and `holds` are None where it is told for information, `value` where it could not be measured."""

    name: str
    value: float | None
    unit: str
    bar: float | None = None
    holds: bool | None = None


class Report:
    """The figures of one run, in the order they were measured."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def judge(self, name: str, value: float | None) -> None:
        """Add a figure of `BARS`; None says that it could not be measured."""
        bar = BARS[name]
        self._add(Figure(name, _rounded(value), bar.unit, bar.limit, None if value is None else bar.holds(value)))

    def tell(self, name: str, value: float, unit: str) -> None:
        """Add a figure for information."""
        self._add(Figure(name, _rounded(value), unit))

    def missing(self, rival: str, why: str) -> None:
        """Say why a rival was not measured."""
        self._add(Figure(f"{rival}: not available: {why}", None, ""))

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        progress(f"  {line(figure)}")

    def to_json(self) -> str:
        """The list that `--json` prints."""
        return msgspec.json.format(msgspec.json.encode(self.figures), indent=2).decode()

    def to_text(self) -> str:
        """A table: first what is held to a bar, then the rest."""
        judged = [figure for figure in self.figures if figure.bar is not None]
        told = [figure for figure in self.figures if figure.bar is None]
        return "\n".join([*map(line, judged), "", *map(line, told)])


def line(figure: Figure) -> str:
    """One figure as a line of text."""
    value = "–" if figure.value is None else f"{figure.value:,g}"
    if figure.bar is None:
        return f"{figure.name:<92} {value:>10} {figure.unit}"
    sign = "≥" if BARS[figure.name].at_least else "≤"
    verdict = {True: "holds", False: "FAILS", None: "not measured"}[figure.holds]
    return f"{figure.name:<92} {value:>10} {figure.unit:<6} {sign} {figure.bar:<8,g} {verdict}"


def progress(text: str) -> None:
    """Say on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}") if value < 1000 else round(value)
