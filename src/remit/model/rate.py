"""Rates: at most so much within so many seconds, in a window that slides with time."""

from typing import TypeAlias

import msgspec

Window: TypeAlias = tuple[tuple[int, int], ...]
"""What a rate still has to remember: for each permit its time (µs) and what it counts for, oldest first."""
MAX_WINDOW = 1000
"""So many permits of one window are remembered, exactly; no rate lets more pass within its time."""


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most `calls` permits, or a `sum` of the numeric argument `argument` (in ten-thousandths), within `seconds`.

    Of the calls of `tool` (or an action that is no tool call), of the tools in `group`, or, with neither, of all.
    """

    seconds: int
    calls: int | None = None
    tool: str = ""
    group: str = ""
    argument: str = ""
    sum: int | None = None

    @property
    def key(self) -> str:
        """What is counted, and within which time: two rates of one key are one, the smaller."""
        what = f"{self.tool}.{self.argument}" if self.argument else self.tool or (f"group:{self.group}" if self.group else "*")
        return f"{what}/{self.seconds}"

    @property
    def limit(self) -> int:
        """How much fits into the window."""
        return (self.sum if self.argument else self.calls) or 0

    def __str__(self) -> str:
        """In words: `5 calls of `mail` in 3600 s`."""
        of = f" of `{self.tool}`" if self.tool else f" of tools in `{self.group}`" if self.group else ""
        if self.argument:
            return f"{self.limit / 10000:g} in all of `{self.tool}.{self.argument}` in {self.seconds} s"
        return f"{self.limit} calls{of} in {self.seconds} s"


def fault_of(rate: Rate, longest: int) -> str:
    """What is wrong with a rate, empty if nothing is; `longest` is the longest window in seconds."""
    if not 1 <= rate.seconds <= longest:
        return f"a rate is within 1 to {longest} seconds, not {rate.seconds}"
    if (rate.calls is None) == (rate.sum is None) or (rate.sum is None) != (not rate.argument):
        return "a rate has either `calls`, or `tool`, `argument` and `sum`"
    if (rate.tool and rate.group) or (rate.argument and not rate.tool):
        return "a rate is of a `tool` or of a `group`, its `argument` of a `tool`"
    if rate.calls is not None and not 0 <= rate.calls <= MAX_WINDOW:
        return f"a rate has 0 to {MAX_WINDOW} `calls`: for more, use a longer budget or a shorter time"
    return "" if (rate.sum or 0) >= 0 else "a `sum` is not below zero"
