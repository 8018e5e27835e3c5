"""Timing cases against each other: call by call in turn, odd rounds reversed, so that all meet the same noise and the same caches."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

Times = Mapping[str, Sequence[float]]
"""For each case the µs of one call, one value for each round."""


class Case(msgspec.Struct, frozen=True):
    """What is timed: `call` for each of the items that `prepare` makes beforehand, outside of the time."""

    call: Callable[[Any], object]
    prepare: Callable[[int], Sequence[Any]]


class Plan(msgspec.Struct, frozen=True):
    """How long to measure: so many rounds, in each so many calls of every case."""

    rounds: int
    calls: int


def interleaved(cases: Mapping[str, Case], plan: Plan) -> Times:
    """Time all cases. One round that is not counted comes first, so that everything is warm."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    for number in range(-1, plan.rounds):
        for name, spent in _round(cases, plan.calls, backwards=number % 2 == 1).items():
            if number >= 0:
                times[name].append(spent)
    return times


def _round(cases: Mapping[str, Case], calls: int, backwards: bool) -> dict[str, float]:
    """For each case the median µs of its calls: a time slice lost to another process is none of its own."""
    items = {name: case.prepare(calls) for name, case in cases.items()}
    order = list(cases)[:: -1 if backwards else 1]
    spent: dict[str, list[int]] = {name: [] for name in cases}
    turns = [(cases[name].call, items[name], spent[name].append) for name in order]
    clock = time.perf_counter_ns
    for turn in range(calls):
        for call, given, took in turns:
            begun = clock()
            call(given[turn])
            took(clock() - begun)
    return {name: median(taken) / 1000 for name, taken in spent.items()}


def ratio(times: Times, over: str, under: str) -> float:
    """The median of the rounds' ratios: what both met in one round cancels out."""
    return median(a / b for a, b in zip(times[over], times[under], strict=True))


def alternating(rounds: Mapping[str, Callable[[int], float]], plan: Plan) -> Times:
    """As `interleaved`, for cases that cannot take turns within a round; each gives its median µs of so many calls."""
    times: dict[str, list[float]] = {name: [] for name in rounds}
    gc.collect()
    for number in range(-1, plan.rounds):
        for name in list(rounds)[:: -1 if number % 2 == 1 else 1]:
            spent = rounds[name](plan.calls)
            if number >= 0:
                times[name].append(spent)
    return times


def rounds_of(case: Case) -> Callable[[int], float]:
    """A case as `alternating` takes it."""
    return lambda calls: _round({"": case}, calls, backwards=False)[""]
