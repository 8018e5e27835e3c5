"""Values that policies only compare with constants: what they can tell of one is where it falls among them."""

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from remit.pdp.cedar.engine import pst

COMPARISONS = frozenset({"eq", "not_eq", "less", "less_eq", "greater", "greater_eq"})
"""The operators that ask no more of two scalars than whether they are equal, and which of two numbers is greater."""


class Constants(msgspec.Struct, frozen=True, gc=False):
    """All that a value is compared with: numbers in order, and texts. `other` is a text that is none of them."""

    numbers: tuple[int, ...] = ()
    texts: frozenset[str] = frozenset()
    other: str = ""

    def stand_in(self, value: object) -> object:
        """A value of the same type that these comparisons cannot tell from this one, the same for all such: of numbers (of 64 bits)
        and texts. Anything else stands for itself."""
        if type(value) is str:
            return value if value in self.texts else self.other
        if type(value) is not int:
            return value
        numbers = self.numbers
        place = bisect_left(numbers, value)
        if place < len(numbers):
            return value if numbers[place] == value else numbers[place] - 1
        return numbers[-1] + 1 if numbers else 0


def constants(literals: Iterable[int | str]) -> Constants:
    """What is told apart by comparing with these."""
    found = set(literals)
    texts = frozenset(one for one in found if isinstance(one, str))
    other = ""
    while other in texts:
        other += "~"
    return Constants(tuple(sorted(one for one in found if isinstance(one, int))), texts, other)


def together(parts: Iterable[Constants]) -> Constants:
    """What is told apart by comparing with what any of these compare with."""
    literals: set[int | str] = set()
    for part in parts:
        literals.update(part.numbers, part.texts)
    return constants(literals)


def compared(operator: str, left: pst.Expr, right: pst.Expr) -> tuple[pst.Expr, list[int | str]] | None:
    """What a comparison compares with constants, and with which; None where it is no such comparison."""
    if operator in COMPARISONS:
        for constant, value in ((right, left), (left, right)):
            found = _literals([constant])
            if found is not None:
                return value, found
    if operator == "contains" and isinstance(left, pst.Set) and (found := _literals(left.elements)) is not None:
        return right, found
    return None


def _literals(expressions: Iterable[pst.Expr]) -> list[int | str] | None:
    """The numbers and texts among some literals, None where one is something else. Of truth values nothing is forgotten."""
    found: list[int | str] = []
    for expression in expressions:
        match expression:
            case pst.LongLit(value=value) | pst.StringLit(value=value):
                found.append(value)
            case pst.BoolLit():
                pass
            case _:
                return None
    return found
