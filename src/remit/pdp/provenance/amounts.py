"""Where a sum comes from that is to be spent."""

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain, islice

from remit.pdp.provenance.intent import Intent
from remit.pdp.provenance.origins import INTENDED, RECORD, STEERED, TRUSTED, UNKNOWN, Origin
from remit.pdp.provenance.roles import Role, counts_nothing, is_sum
from remit.pdp.provenance.searching import CHEAP, DEAR, Work, within
from remit.pdp.provenance.seen import Observed, Seen
from remit.pdp.provenance.sums import MAX_GIVEN, Reckoning, Sum, Sums, number_of, shares_in, sums_of
from remit.pdp.provenance.words import words_of

MaySay = Callable[[int, str], bool]
"""Whether an output, by its position, may say a value only because the agent was told it and wrote it."""
READING = 32
"""What it costs to find the numbers of a text, in times that it could be gone through."""


class Amounts:
    """The origins of the sums of one call: each text is read once, whatever the number of sums."""

    def __init__(self, intent: Intent, observed: Observed, work: Work, may_say: MaySay) -> None:
        self._intent, self._observed, self._work, self._may_say = intent, observed, work, may_say
        self._found: dict[int, Sums] = {}

    def origin(self, name: str, text: str) -> Origin:
        """The origin of a sum, used as the argument `name`. One that people reckon from what was said is theirs; one that fills a
        record's field for sums, or is reckoned from these, is a record's. Raises `Exhausted`."""
        self._work.spend(DEAR + CHEAP * len(self._observed.outputs))
        number = number_of(text)
        if number is None or number == 0.0 or self._intent.has(text, Role.AMOUNT):
            return Origin(INTENDED)
        for position, output in enumerate(self._observed.outputs):
            sums = self._found.get(position) or self._sums(position)
            if number not in sums.by_value and not sums.more:
                continue
            if number in sums.by_value and not output.untrusted and self._may_say(position, text):
                continue
            for found in sums.by_value.get(number, ()):
                if origin := self._sum_of(output, found, name):
                    return Origin(origin, output.source)
            if sums.more and output.untrusted:
                # INVARIANT (fail closed): of a text built to exhaust the search, any sum may be from there.
                return Origin(STEERED, output.source)
        if self._observed.overflow:
            return Origin(STEERED)
        return self._reckons(number) if self._observed.untrusted else Origin(INTENDED)

    def _sums(self, position: int) -> Sums:
        known = self._found.get(position)
        if known is None:
            prose = self._observed.outputs[position].prose
            self._work.spend(READING * len(prose))
            known = self._found[position] = sums_of(prose)
        return known

    def _reckons(self, number: float) -> Origin:
        self._work.spend(DEAR)
        # INVARIANT (labels come from what was touched): a sum with a part that a record's author may have chosen is not the user's.
        if self._ours.reaches(number):
            return Origin(INTENDED)
        theirs, source = self._theirs
        return Origin(RECORD, source) if source and theirs.reaches(number) else Origin(UNKNOWN)

    @cached_property
    def _ours(self) -> Reckoning:
        return Reckoning(self._said())

    @cached_property
    def _theirs(self) -> tuple[Reckoning, str]:
        """The same with the fields for sums of untrusted records, and the first tool that such a record is from."""
        recorded = list(islice(self._recorded(), MAX_GIVEN))
        if not recorded:
            return self._ours, ""
        return Reckoning(chain((number for _, number in recorded), self._said())), recorded[0][0]

    def _said(self) -> Iterator[float]:
        """The numbers of the purpose and of trusted outputs."""
        yield from (*shares_in(self._intent.text), *self._intent.sums)
        for position, output in enumerate(self._observed.outputs):
            # What was written before it came, by an agent that had been told something, may be all that it says.
            if not output.untrusted and not output.before:
                yield from self._sums(position).by_value

    def _recorded(self) -> Iterator[tuple[str, float]]:
        for output in self._observed.outputs:
            self._work.spend(CHEAP * len(output.fields) if output.untrusted else 0)
            for position, field in enumerate(output.fields) if output.untrusted else ():
                if is_sum(field.name) and (number := number_of(output.value(position))):
                    yield output.source, number

    def _sum_of(self, output: Seen, found: Sum, name: str) -> str:
        """Where a sum is from that stands in an output: its prose, or a field that holds sums; empty where it is none there."""
        if not output.untrusted:
            return TRUSTED
        if within(output.prose, found.start, found.stop):
            return STEERED
        filled = output.filled(output.prose[found.start : found.stop])
        self._work.spend(CHEAP * len(filled))
        fields = {output.fields[position].name for position in filled}
        if any(is_sum(field) or words_of(field) == words_of(name) for field in fields):
            return RECORD
        return "" if all(map(counts_nothing, fields)) else STEERED
