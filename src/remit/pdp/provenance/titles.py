"""What records are called: which of them the user named, and whether that can be no other one."""

import re
from collections.abc import Sequence

from remit.pdp.provenance.folding import bare, folded
from remit.pdp.provenance.intent import Intent
from remit.pdp.provenance.principals import known
from remit.pdp.provenance.roles import ADDRESS
from remit.pdp.provenance.searching import CHEAP, DEAR, EDGE, Work
from remit.pdp.provenance.seen import Observed, Seen
from remit.pdp.provenance.words import words_of

_TEXTS = frozenset({"body", "text", "content", "description", "message", "snippet", "note", "comment", "summary", "preview"})
"""Names of fields that hold what somebody wrote, rather than what something is called."""
_TITLES = frozenset(
    """title name subject topic heading headline file filename path document doc folder directory attachment event meeting project
    product""".split()  # noqa: SIM905 - words, to be read
)
"""Names of fields that hold what something is called."""
_ENDING = re.compile(r"\.\w{2,5}\Z")
MAX_TITLE = 500
"""A longer value (characters) is no title."""
READING = 16
"""What it costs to fold a text, in times that it could be gone through."""


class Titles:
    """The titles of all records that a session has seen, for the values of one call."""

    def __init__(self, intent: Intent, directory: Sequence[str], observed: Observed, work: Work) -> None:
        self._intent, self._directory, self._observed, self._work = intent, directory, observed, work
        self._bare: dict[int, str] = {}
        self._alike: dict[str, frozenset[tuple[int, int]]] = {}

    def name(self, output: Seen, record: int, value: str) -> bool:
        """Whether the user's words name this record, and every other one that they can name has the value, too. Raises `Exhausted`."""
        if record < 0:
            return False
        self._work.spend(DEAR * len(output.records[record]))
        said = [output.value(position) for position in output.records[record] if self._is_said(output, position)]
        # INVARIANT (words narrow, never widen): of two records that the same words can name, however they are written, nobody said which.
        return bool(said) and all(self._is_only(title, value) for title in dict.fromkeys(said))

    def _is_said(self, output: Seen, position: int) -> bool:
        """Whether a field is what the user called the record: a title, no text of its own, which may say whatever he says."""
        words = set(words_of(output.fields[position].name))
        if words & _TEXTS or not (words & _TITLES or not words):
            return False
        value = output.value(position)
        return self._intent.says(value) and not (ADDRESS.fullmatch(value) and known(value, self._directory))

    def _is_only(self, title: str, value: str) -> bool:
        alike = self._alike.get(title)
        if alike is None:
            alike = self._alike[title] = self._records_like(title)
        self._work.spend(CHEAP * len(alike))
        having: dict[int, set[int]] = {}
        for place, _ in alike:
            if place not in having:
                output = self._observed.outputs[place]
                filled = output.filled(value)
                self._work.spend(CHEAP * (1 + len(filled)))
                having[place] = {output.fields[position].record for position in filled}
        return all(record in having[place] for place, record in alike)

    def _records_like(self, title: str) -> frozenset[tuple[int, int]]:
        """The records, also trusted ones, that may be meant by a title: with these letters and digits, in a longer one, too, where it is
        not the whole name of a document that the user wrote."""
        name, whole = _bare(title), self._intent.names_document(title)
        found: set[tuple[int, int]] = set()
        for place, output in enumerate(self._observed.outputs):
            if not output.fields or name not in self._letters(place):
                continue
            self._work.spend(CHEAP * len(output.fields))
            for position, field in enumerate(output.fields):
                if field.record < 0 or (place, field.record) in found or _TEXTS & set(words_of(field.name)):
                    continue
                value = output.value(position)
                if len(value) <= MAX_TITLE and _is_called(value if output.untrusted else folded(value), name, whole):
                    found.add((place, field.record))
        return frozenset(found)

    def _letters(self, place: int) -> str:
        """The letters and digits of an output with fields."""
        output = self._observed.outputs[place]
        self._work.spend(len(output.prose))
        if output.untrusted:
            return output.squashed
        if place not in self._bare:
            self._work.spend(READING * len(output.prose) + CHEAP * len(output.fields))
            self._bare[place] = EDGE.join([bare(folded(output.value(position))) for position in range(len(output.fields))])
        return self._bare[place]


def _is_called(value: str, name: str, whole: bool) -> bool:
    return name in (bare(value), _bare(value)) if whole else name in bare(value)


def _bare(title: str) -> str:
    return bare(_ENDING.sub("", title))
