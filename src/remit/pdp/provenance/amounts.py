"""Where a sum comes from that is to be spent."""

from collections.abc import Callable, Iterator

from remit.pdp.provenance.intent import Intent
from remit.pdp.provenance.origins import INTENDED, RECORD, STEERED, TRUSTED, UNKNOWN, Origin
from remit.pdp.provenance.roles import Role, counts_nothing, counts_something
from remit.pdp.provenance.searching import Work, within
from remit.pdp.provenance.seen import Observed, Seen
from remit.pdp.provenance.sums import Sum, is_worked_out, number_of, shares_in, sums_of
from remit.pdp.provenance.words import words_of

MaySay = Callable[[int, str], bool]
"""Whether an output, by its position, may say a value only because the agent was told it and wrote it."""


def amount(name: str, text: str, intent: Intent, observed: Observed, work: Work, may_say: MaySay) -> Origin:
    """The origin of a sum, used as the argument `name`. One that people reckon from what was said is theirs, one that fills a field for
    sums is a record's. Raises `Exhausted`."""
    number = number_of(text)
    if number in (None, 0.0) or intent.has(text, Role.AMOUNT):
        return Origin(INTENDED)
    for position, output in enumerate(observed.outputs):
        work.spend(len(output.prose))
        sums = sums_of(output.prose)
        if number in sums.by_value and not output.untrusted and may_say(position, text):
            continue
        for found in sums.by_value.get(number or 0.0, ()):
            if origin := _sum_of(output, found, name):
                return Origin(origin, output.source)
        if sums.more and output.untrusted:
            # INVARIANT (fail closed): of a text built to exhaust the search, any sum may be from there.
            return Origin(STEERED, output.source)
    if observed.overflow:
        return Origin(STEERED)
    reckoned = not observed.untrusted or is_worked_out(number or 0.0, _given(intent, observed, work))
    return Origin(INTENDED if reckoned else UNKNOWN)


def _given(intent: Intent, observed: Observed, work: Work) -> Iterator[float]:
    """The numbers that a sum may be worked out from: those of the purpose, of trusted outputs, and of records' fields for sums."""
    yield from (*shares_in(intent.text), *intent.sums)
    for output in observed.outputs:
        work.spend(len(output.prose))
        if not output.untrusted:
            if (
                output.before
            ):  # what was written before it came, by an agent that had been told something, may be all that it says
                continue
            yield from sums_of(output.prose).by_value
            continue
        for position, field in enumerate(output.fields):
            if counts_something(field.name) and (number := number_of(output.value(position))) is not None:
                yield number


def _sum_of(output: Seen, found: Sum, name: str) -> str:
    """Where a sum is from that stands in an output: its prose, or a field that holds sums; empty where it is none there."""
    if not output.untrusted:
        return TRUSTED
    if within(output.prose, found.start, found.stop):
        return STEERED
    fields = [output.fields[position].name for position in output.filled(output.prose[found.start : found.stop])]
    if any(counts_something(field) or words_of(field) == words_of(name) for field in fields):
        return RECORD
    return "" if all(map(counts_nothing, fields)) else STEERED
