"""What a session has seen come back, made ready to be searched once, when it comes."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from remit.model.decision import Written
from remit.pdp.provenance.folding import bare, decodings, exact, folded
from remit.pdp.provenance.records import Field, fields_of, prose_of
from remit.pdp.provenance.roles import ADDRESS
from remit.pdp.provenance.searching import EDGE
from remit.pdp.provenance.words import words_of
from remit.pdp.told import Told, remember

MAX_OUTPUT = 1 << 20
"""So many characters of one output are kept for provenance; of what was longer, any value may have been part."""
MAX_OBSERVED = 16 << 20
"""So many characters in all are kept for one session."""
SHORT_WORD = 8
SHORT_VALUE = 64
_PEOPLE = frozenset(
    """address assignee attendee author bcc cc contact creator email from guest host invitee mail member organiser organizer owner
    participant people person receiver recipient reporter sender shared to user with""".split()  # noqa: SIM905 - words, to be read
)
"""Words for who takes part: a field of another name that happens to hold an address may be anybody's text."""
MAX_OUTPUTS = 1 << 14
"""So many outputs are kept for one session; later untrusted ones count as the source of any value."""


class Report(NamedTuple):
    """What came back of one call: `text` is None where nobody saw it. `arguments` are the values it was called with; `steered` says
    that untrusted text chose them, `records` that the tool's platform keeps the fields of its output apart from what people write, `told`
    what facts may be taken from; `written` is what it can have put where others read it, `reported` when it came back (µs), `before` how
    many calls that can write had been permitted under the task by then (None where nothing untrusted had been seen); `action` is what
    was done where that was no tool call."""

    source: str
    untrusted: bool
    text: str | None
    arguments: tuple[str, ...] = ()
    steered: bool = False
    records: bool = False
    told: Told | None = None
    written: Written | None = None
    reported: int = 0
    before: int | None = None
    action: str = ""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One tool output as the session saw it.

    `prose` is what anybody may have written: of an untrusted output folded, its decodings behind it; of a trusted one as `exact` has it.
    Where the output is records, each field stands between two edges, and `fields` has them with their values as `prose` has them; a long
    one is only there, `stretches` says from where to where. `places` are the positions of fields by (short) value, `records` those by
    record; `parties` are the names of fields that hold addresses and nothing else: those who take part, as the platform knows them.
    `arguments` are those of the call, folded; `odd` says that a reader may take one of them for another text; `digest` is SHA-256 of the
    text (hexadecimal), `cut` says that there was more. `written` is how many characters of `prose` come before the decodings, `plain` is
    that part letter by letter where that differs. `words` is what the call can have put
    somewhere; `reported`, `before` and `action` are the report's.
    """

    source: str
    untrusted: bool
    prose: str
    squashed: str = ""
    fields: tuple[Field, ...] = ()
    stretches: Mapping[int, tuple[int, int]] = {}
    places: Mapping[str, int | tuple[int, ...]] = {}
    records: Mapping[int, tuple[int, ...]] = {}
    parties: frozenset[str] = frozenset()
    arguments: tuple[str, ...] = ()
    steered: bool = False
    digest: str = ""
    cut: bool = False
    odd: bool = False
    written: int = 0
    plain: str = ""
    words: Written | None = None
    reported: int = 0
    before: int | None = None
    action: str = ""

    def value(self, position: int) -> str:
        """The value of a field."""
        where = self.stretches.get(position)
        return self.fields[position].value if where is None else self.prose[where[0] : where[1]]

    def filled(self, value: str) -> Sequence[int]:
        """The positions of the fields that have this value."""
        found = self.places.get(value, ())
        if isinstance(found, int):
            return (found,)
        if found or len(value) <= SHORT_VALUE:
            return found
        return [
            n for n, (start, stop) in self.stretches.items() if stop - start == len(value) and self.prose.startswith(value, start)
        ]

    @property
    def letters(self) -> str:
        """What anybody may have written, letter by letter."""
        return self.plain or self.prose[: self.written]


class Observed(msgspec.Struct, frozen=True, gc=False):
    """What a session has seen, oldest first. `overflow`: more was seen than could be kept, so any value may be from there. `held` is
    how many characters there are in all, `told` what facts may be taken from, `tainted` says that one of the outputs is untrusted."""

    outputs: tuple[Seen, ...] = ()
    overflow: bool = False
    held: int = 0
    told: tuple[Told, ...] = ()
    tainted: bool = False

    @property
    def untrusted(self) -> bool:
        """Whether anything in it could steer."""
        return self.overflow or self.tainted


NOTHING_OBSERVED = Observed()


def seen(report: Report) -> Seen:
    """An output, made ready: folding must find more of what is tainted, and no more of what is trusted."""
    text = report.text or ""
    comparable = folded if report.untrusted else exact
    found = fields_of(text) if report.records or not report.untrusted else None
    fields = tuple([Field(field.name, comparable(field.value), field.record) for field in found]) if found is not None else ()
    apart = report.untrusted and found is not None
    prose = EDGE + EDGE.join(prose_of(fields)) + EDGE if apart else comparable(text)
    written = len(prose)
    plain = "" if text.isascii() or not report.untrusted else _letters(found, text, apart)
    if report.untrusted:
        prose = EDGE.join([prose, *(f" {comparable(plain)} " for plain in decodings(text))])
    squeezed = EDGE.join(map(bare, prose.split(EDGE))) if report.untrusted else ""
    arguments = tuple([folded(value) for value in report.arguments])
    parties = _parties(fields)
    stretches = _stretches(fields) if apart else {}
    fields = tuple([field._replace(value="") if position in stretches else field for position, field in enumerate(fields)])
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return Seen(
        report.source,
        report.untrusted,
        prose,
        squeezed,
        fields,
        stretches,
        *_by_value_and_record(fields, stretches),
        parties,
        arguments,
        report.steered,
        digest,
        len(text) >= MAX_OUTPUT,
        any(not value.isascii() for value in report.arguments),
        written,
        plain,
        report.written,
        report.reported,
        report.before,
        report.action,
    )


def _stretches(fields: tuple[Field, ...]) -> dict[int, tuple[int, int]]:
    """Where in the prose of these fields the long values stand: text must not be kept twice."""
    starts: dict[str, int] = {}
    place = len(EDGE)
    for value in prose_of(fields):
        starts[value] = place
        place += len(value) + len(EDGE)
    return {
        position: (starts[field.value], starts[field.value] + len(field.value))
        for position, field in enumerate(fields)
        if len(field.value) > SHORT_VALUE
    }


def _by_value_and_record(
    fields: tuple[Field, ...], stretches: Mapping[int, tuple[int, int]]
) -> tuple[dict[str, int | tuple[int, ...]], dict[int, tuple[int, ...]]]:
    places: dict[str, list[int]] = {}
    records: dict[int, list[int]] = {}
    for position, field in enumerate(fields):
        records.setdefault(field.record, []).append(position)
        if position not in stretches:
            places.setdefault(field.value, []).append(position)
    return (
        {value: found[0] if len(found) == 1 else tuple(found) for value, found in places.items()},
        {record: tuple(positions) for record, positions in records.items()},
    )


def _letters(found: tuple[Field, ...] | None, text: str, apart: bool) -> str:
    return EDGE + EDGE.join(exact(value) for value in prose_of(found or ())) + EDGE if apart else exact(text)


def _parties(fields: tuple[Field, ...]) -> frozenset[str]:
    values: dict[str, list[str]] = {}
    for field in fields:
        if field.name and field.value:
            values.setdefault(field.name, []).append(field.value)
    # A mapping from addresses to permissions has both: short words beside the addresses are no receivers.
    return frozenset(
        name
        for name, there in values.items()
        if _PEOPLE & set(words_of(name))
        and any(map(ADDRESS.fullmatch, there))
        and all(ADDRESS.fullmatch(one) or (len(one) <= SHORT_WORD and " " not in one) for one in there)
    )


def observe(observed: Observed, more: Iterable[Report]) -> Observed:
    """What was seen, and more of it."""
    kept, overflow, held = list(observed.outputs), observed.overflow, observed.held
    told, tainted = list[Told](), observed.tainted
    for report in more:
        if report.told is not None:
            told.append(report.told)
        text = report.text
        fits = text is not None and held + len(text) <= MAX_OBSERVED and len(kept) < MAX_OUTPUTS
        # INVARIANT (fail closed): of what could not be kept, any value may have been part.
        overflow = overflow or (report.untrusted and (not fits or len(text or "") >= MAX_OUTPUT))
        ready: Seen | None = None
        if text is not None and fits and (report.untrusted or not overflow):  # else it may only echo what was not kept
            try:
                ready = seen(report._replace(text=text[:MAX_OUTPUT]))
            except Exception:  # whatever hostile text makes of a library: what cannot be made ready was not kept
                overflow = True
            held += len(text)
        if (
            ready is None and report.written is not None and len(kept) < MAX_OUTPUTS
        ):  # what it can have written is known all the same
            ready = seen(report._replace(text="", untrusted=False))
        if ready is not None:
            kept.append(ready)
            tainted = tainted or ready.untrusted
    return Observed(tuple(kept), overflow, held, remember(observed.told, told) if told else observed.told, tainted)
