"""How people answer access requests: how fast, how many, how often with yes. Pure, over the entries of a log."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from statistics import median

import msgspec

from remit.decision_log.entry import ApprovalGiven, ApprovalRequested, ApprovalResolved, Entry
from remit.model.clock import MINUTE, SECOND

HOUR = 60 * MINUTE
BULK = 5
"""So many answers of one person within a minute are answers in bulk."""


class Habit(msgspec.Struct, frozen=True):
    """How one person, or all together, answered. Times are seconds between request and answer; `share_approved` is from 0 to 1.

    `busiest_hour` is the greatest number of answers within any hour, `in_bulk` how many stand within a minute of one person's with
    `BULK` or more.
    """

    answers: int
    approved: int
    share_approved: float
    median_seconds: float
    p90_seconds: float
    busiest_hour: int
    in_bulk: int


class Fatigue(msgspec.Struct, frozen=True):
    """What a log says of its access requests. `unanswered` expired with no answer, or their task closed before one came; whether somebody
    looked at a card is in no log."""

    requests: int
    unanswered: int
    waiting: int
    overall: Habit | None
    approvers: dict[str, Habit]


class _Answer(msgspec.Struct, frozen=True):
    by: str
    at: int
    took: int
    approved: bool


def fatigue(
    entries: Iterable[Entry], now: int, since: int = 0, is_over: Callable[[str | None], bool] = lambda _: False
) -> Fatigue:
    """Measure the requests that were opened since then (µs), as of `now`; `is_over` says of a task whether an answer is of use no more."""
    opened: dict[str, int] = {}
    waiting: dict[str, ApprovalRequested] = {}
    answers: list[_Answer] = []
    expired = 0
    for entry in entries:
        match entry.body:
            case ApprovalRequested() as asked if entry.time >= since:
                opened[asked.id], waiting[asked.id] = entry.time, asked
            case ApprovalGiven() as given if given.id in opened:
                answers.append(_Answer(given.operator, entry.time, entry.time - opened[given.id], True))
            case ApprovalResolved() as answer if answer.id in opened:
                waiting.pop(answer.id, None)
                expired += answer.state == "expired"
                if answer.state in ("approved", "denied"):
                    took = entry.time - opened[answer.id]
                    answers.append(_Answer(answer.operator, entry.time, took, answer.state == "approved"))
            case _:
                pass
    late = sum(1 for asked in waiting.values() if now >= asked.expires or is_over(asked.task))
    people = {by: [one for one in answers if one.by == by] for by in sorted({one.by for one in answers})}
    bulk = {by: _in_bulk([one.at for one in given]) for by, given in people.items()}
    overall = _habit(answers, sum(bulk.values())) if answers else None
    approvers = {by: _habit(given, bulk[by]) for by, given in people.items()}
    return Fatigue(len(opened), expired + late, len(waiting) - late, overall, approvers)


def _habit(answers: list[_Answer], in_bulk: int) -> Habit:
    took = sorted(max(one.took, 0) / SECOND for one in answers)
    approved = sum(one.approved for one in answers)
    rank = -(-len(took) * 9 // 10) - 1  # nearest rank
    hour = _most([one.at for one in answers], HOUR)
    return Habit(len(answers), approved, approved / len(answers), median(took), took[rank], hour, in_bulk)


def _most(times: list[int], span: int) -> int:
    """The greatest number of times within one span."""
    times = sorted(times)
    return max(bisect_right(times, at + span - 1) - first for first, at in enumerate(times))


def _in_bulk(times: list[int]) -> int:
    times = sorted(times)
    bulk: set[int] = set()
    for first, at in enumerate(times):
        after = bisect_right(times, at + MINUTE - 1)
        if after - first >= BULK:
            bulk.update(range(first, after))
    return len(bulk)
