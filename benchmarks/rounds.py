"""Timing cases against each other: in blocks that alternate, odd rounds reversed, so that all meet the same noise."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

Times = Mapping[str, Sequence[float]]
"""For each case its µs per call, one for each round."""


class Case(msgspec.Struct, frozen=True):
    """What is timed: `call` for each of the items that `prepare` makes beforehand, outside of the time."""

    call: Callable[[Any], object]
    prepare: Callable[[int], Sequence[Any]]


class Plan(msgspec.Struct, frozen=True):
    """How long to measure: so many rounds, in each a block of so many calls of each case."""

    rounds: int
    block: int


def interleaved(cases: Mapping[str, Case], plan: Plan) -> Times:
    """Time all cases. One round that is not counted comes first, so that everything is warm."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    order = list(cases)
    gc.collect()
    for number in range(-1, plan.rounds):
        for name in order if number % 2 == 0 else reversed(order):
            spent = timed(cases[name], plan.block)
            if number >= 0:
                times[name].append(spent)
    return times


def timed(case: Case, block: int) -> float:
    """µs per call of one block."""
    items, call = case.prepare(block), case.call
    begun = time.perf_counter_ns()
    for item in items:
        call(item)
    return (time.perf_counter_ns() - begun) / 1000 / len(items)


def ratio(times: Times, over: str, under: str) -> float:
    """The median of the rounds' ratios: what both met in one round cancels out."""
    return median(a / b for a, b in zip(times[over], times[under], strict=True))
