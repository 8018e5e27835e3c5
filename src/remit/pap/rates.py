"""Rates and amounts as they stand in a bundle's YAML: sums in their own unit."""

import msgspec

from remit.model.rate import Rate, fault_of
from remit.model.task import Amount
from remit.pap.malformed import Malformed
from remit.pdp.effects import NotAnAmount, amount_of

MAX_SECONDS = 366 * 24 * 3600


class RateEntry(msgspec.Struct, frozen=True):
    """A rate as it is written: `sum` in the argument's own unit; see `Rate`."""

    seconds: int
    calls: int | None = None
    tool: str = ""
    group: str = ""
    argument: str = ""
    sum: int | float | str | None = None

    def noun(self) -> Rate:
        """The rate. Raises `Malformed`."""
        amount = None if self.sum is None else written_amount(f"{self.tool}.{self.argument}", self.sum)
        rate = Rate(self.seconds, self.calls, self.tool, self.group, self.argument, amount)
        if fault := fault_of(rate, MAX_SECONDS):
            raise Malformed(fault, "write say `{tool: mail, calls: 5, seconds: 3600}`")
        return rate


def written_amount(key: str, value: int | float | str) -> Amount:
    """An amount in ten-thousandths. Raises `Malformed`."""
    if "." not in key:
        raise Malformed(f"the amount `{key}` names no argument", "write `tool.argument`")
    try:
        return amount_of(value)
    except NotAnAmount:
        raise Malformed(f"the amount `{value}` of `{key}` is no number from zero to 10^15") from None
