"""Which output a fact is taken from: the latest that describes what is asked about, unless it may be out of date."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from remit.pdp.facts.expressions import NoValue
from remit.pdp.facts.fact import CompiledFact, FactSet
from remit.pdp.told import FAILED, MAX_CALLS, NOT_PERFORMED, Nothing, Told

MAX_RECORDS = 5_000
"""So many records are looked at for one fact; where that is not enough, there is no fact."""

MIN_PART = 3
"""So many characters of a value within a longer text (`orders/o-1`) are taken for it."""


class Absent(Exception):
    """There is no such fact."""


class History(msgspec.Struct, frozen=True):
    """What a session was told, oldest first, and the tools of which a call is under way: permitted, its outcome not reported yet."""

    told: tuple[Told, ...] = ()
    under_way: frozenset[str] = frozenset()


def history_of(session: str, told: tuple[Told, ...], calls: Mapping[str, int]) -> History:
    """The history of a session; `calls` counts its permits by tool."""
    reported = Counter(one.tool for one in told if one.session == session)
    return History(told, frozenset(tool for tool, count in calls.items() if count > reported[tool]))


class Finder:
    """Looks for the outputs of one fact."""

    def __init__(self, facts: FactSet, fact: CompiledFact, history: History) -> None:
        """Raises `Absent` where what was known may be changing at this moment."""
        # INVARIANT (fail closed): what a call under way may change is not known.
        if len(history.told) > MAX_CALLS:
            raise Absent
        if any(facts.changes(fact, tool) for tool in history.under_way):
            raise Absent
        self._facts, self._fact, self._told = facts, fact, history.told
        self._of = fact.of or frozenset()
        self._left = MAX_RECORDS

    def find(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """`call`, `output` and `record` of the latest output that describes what `document` asks about. Raises `Absent`."""
        wanted = [_value(right, document) for _, right in self._fact.where]
        if any(value is None for value in wanted):
            raise Absent
        newer: list[Told] = []
        for one in reversed(self._told):
            found = self._described(one, wanted) if one.tool in self._of else None
            if found is not None:
                self._check_fresh(one, newer, wanted)
                return found
            if one.tool in self._of and not self._changes(one) and self._hides(one, wanted):
                raise Absent
            newer.append(one)
        raise Absent

    def _described(self, one: Told, wanted: Sequence[Any]) -> dict[str, Any] | None:
        for candidate in self._candidates(one):
            self._left -= 1
            if self._left < 0:
                raise Absent
            if all(_same(_value(left, candidate), value) for (left, _), value in zip(self._fact.where, wanted, strict=True)):
                return candidate
        return None

    def _candidates(self, one: Told) -> Iterator[dict[str, Any]]:
        """The records of one output, each with what it is part of."""
        try:
            whole = {"call": one.arguments, "output": one.output}
        except Nothing:
            return
        if self._fact.records is None:
            yield whole | {"record": whole["output"]}
            return
        records = _value(self._fact.records, whole)
        for record in records if isinstance(records, list) else ():
            yield whole | {"record": record}

    def _hides(self, one: Told, wanted: Sequence[Any]) -> bool:
        """Whether it may have described just this, and nobody can read it."""
        if self._silent(one):
            return False
        try:
            return one.output is None
        except Nothing:
            return _may_concern(one, wanted)

    def _changes(self, one: Told) -> bool:
        return not self._silent(one) and self._facts.changes(self._fact, one.tool)

    def _silent(self, one: Told) -> bool:
        """Whether a call neither changed nor told anything: it was not made, only to read and failed, or was refused by its tool."""
        if one.status != FAILED or one.tool in self._facts.readers:
            return one.status in (FAILED, NOT_PERFORMED)
        return self._fact.refused is not None and one.text is not None and _value(self._fact.refused, {"error": one.text}) is True

    def _check_fresh(self, found: Told, newer: Sequence[Told], wanted: Sequence[Any]) -> None:
        """Raises `Absent` if a call may have changed what was described: one that came later, or was under way meanwhile."""
        # INVARIANT (fail closed): a fact of a record that was since written to is no fact.
        meanwhile = (one for one in self._told if one is not found and one.reported > found.asked)
        for one in (*newer, *meanwhile):
            if self._changes(one) and (self._fact.changed_by is not None or _may_concern(one, wanted)):
                raise Absent


def _may_concern(one: Told, wanted: Sequence[Any]) -> bool:
    """Whether a call was about what is wanted: one of its arguments is, or has in it, one of the values, in whatever case; or neither
    is known."""
    try:
        given = {str(value).casefold() for _, value in _leaves(one.arguments)}
    except Nothing:
        return True
    asked = {str(value).casefold() for _, value in _leaves(wanted)}
    if not asked or not asked.isdisjoint(given):
        return True
    return any(len(value) >= MIN_PART and value in text for value in asked for text in given)


def _leaves(value: Any) -> Iterator[tuple[type, Any]]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield bool if isinstance(value, bool) else str if isinstance(value, str) else float, value


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON: true is not 1."""
    return one == other and list(_leaves(one)) == list(_leaves(other))


def _value(expression: Any, document: Any) -> Any:
    try:
        return expression.of(document)
    except NoValue:
        raise Absent from None
