"""Rates as they are spent: exact sliding windows, of one task or of one agent over all its tasks. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from remit.model.clock import SECOND
from remit.model.identity import DecisionId
from remit.model.rate import MAX_WINDOW, Rate, Window
from remit.model.request import EvaluationRequest
from remit.model.task import Spent, next_version
from remit.pdp.effects import amount_of, counted_as


class Overrun(msgspec.Struct, frozen=True):
    """A rate that a call would overrun, and from when (µs) it would not; None where it never fits."""

    rate: Rate
    again: int | None

    def words(self, now: int) -> str:
        """What is used up, and when to ask again."""
        if self.again is None:
            return f"its rate of {self.rate} is below what this asks for"
        moment = datetime.fromtimestamp(self.again / SECOND, UTC)
        wait = -((now - self.again) // SECOND)
        return f"its rate of {self.rate} is used up: ask again in {wait} s, at {moment:%Y-%m-%dT%H:%M:%SZ}"


def measured(rate: Rate, request: EvaluationRequest, groups: Sequence[str]) -> int | None:
    """What a call counts for, None where the rate is not about it. Raises `NotAnAmount`."""
    if rate.tool and rate.tool != counted_as(request.action, request.resource.id):
        return None
    if rate.group and rate.group not in groups:
        return None
    if not rate.argument:
        return 1
    value = request.arguments.values.get(rate.argument)
    return None if value is None else amount_of(value)


def spend_rates(
    spent: Spent, rates: Iterable[Rate], request: EvaluationRequest, groups: Sequence[str], now: int
) -> tuple[Spent, Overrun | None]:
    """What has been spent once this call is counted, and the rate that it would overrun longest. Raises `NotAnAmount`."""
    windows: dict[str, Window] = dict(spent.rates)
    worst: Overrun | None = None
    for rate in rates:
        amount = measured(rate, request, groups)
        if amount is None:
            continue
        window = _current(windows.get(rate.key, ()), rate, now)
        overrun = _overrun(rate, window, amount)
        if overrun is not None and (worst is None or worst.again is not None):
            worst = overrun if worst is None or overrun.again is None or overrun.again > (worst.again or 0) else worst
        # A clock set back within its tolerance must not let a permit leave the window earlier than those before it.
        windows[rate.key] = (*window, (max([now, *(time for time, _ in window[-1:])]), amount))
    return replace(spent, rates=windows), worst


def _current(window: Window, rate: Rate, now: int) -> Window:
    """What is still within the window. INVARIANT (budgets): a permit counts for `seconds`, not a microsecond less."""
    end = now - rate.seconds * SECOND
    first = next((number for number, (time, _) in enumerate(window) if time > end), len(window))
    return window[first:]


def _overrun(rate: Rate, window: Window, amount: int) -> Overrun | None:
    if amount > rate.limit:
        return Overrun(rate, None)
    excess = sum(counted for _, counted in window) + amount - rate.limit
    crowd = len(window) + 1 - MAX_WINDOW
    if excess <= 0 and crowd <= 0:
        return None
    again = 0
    for time, counted in window:
        if excess <= 0 and crowd <= 0:
            break
        excess, crowd, again = excess - counted, crowd - 1, time + rate.seconds * SECOND
    return Overrun(rate, again)


def account_after(
    account: Spent, rates: Sequence[Rate], request: EvaluationRequest, groups: Sequence[str], now: int, decision: DecisionId
) -> tuple[Spent, Overrun | None]:
    """What an agent has spent in all its tasks once this call is counted. Raises `NotAnAmount`."""
    known = {rate.key for rate in rates}
    kept: Mapping[str, Window] = {key: window for key, window in account.rates.items() if key in known}
    after, overrun = spend_rates(replace(account, rates=dict(kept)), rates, request, groups, now)
    return replace(after, version=next_version(account.version, decision)), overrun
