"""The origin of a value: the first place, from the user's words to untrusted prose, that could have given it."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from remit.model.decision import Steering
from remit.pdp.provenance.echoes import Echoes
from remit.pdp.provenance.folding import exact, folded, squashed
from remit.pdp.provenance.granting import Granting
from remit.pdp.provenance.intent import URL, URLS, Intent, url_key
from remit.pdp.provenance.principals import known
from remit.pdp.provenance.records import Field
from remit.pdp.provenance.roles import ADDRESS, DATE, NUMBER, Role, text_of
from remit.pdp.provenance.searching import contains, holds, is_introduced, names_something, within
from remit.pdp.provenance.seen import Observed, Seen
from remit.pdp.provenance.words import singular, words_of

INTENDED, KNOWN, TRUSTED, GRANTED, NAMED, RECORD = "intent", "directory", "trusted", "granted", "named", "record"
LINKED, DOCUMENT, UNKNOWN, STEERED = "linked", "document", "nowhere", "untrusted"
ORIGINS = (INTENDED, KNOWN, TRUSTED, GRANTED, NAMED, RECORD, LINKED, DOCUMENT, UNKNOWN, STEERED)
"""From the best to the worst."""
_BADNESS = {origin: rank for rank, origin in enumerate(ORIGINS)}
_PAGES = frozenset({"visit", "brows", "read", "website", "webpag", "page", "site", "link", "url", "articl", "blog", "web"})
_SHORT = 4
_SQUASHED = 6
_REMEMBERED = 500
_ID = ["id"]
_FILES = frozenset({"file", "filename", "path", "dir", "directory", "folder", "attachment", "document", "doc"})
_AMOUNTS = re.compile(r"\d[\d,]*(?:\.\d+)?")
_PART = re.compile(r"[^\W_]\Z|\d[-:/.]\Z")
"""What stands before a number that is part of a date, a time or a name."""
MAX_AMOUNTS = 2000
MAX_PARTS, LEAST_PARTS, MAX_WORK = 1000, 16, 64 << 20
"""So many parts of one argument are traced; fewer, down to the second, where parts by characters seen would be more than the third."""
MORE = "(more values than are looked at)"


class Origin(NamedTuple):
    """Where a value came from, and the tool output it was found in, if any."""

    name: str
    source: str = ""


class Tracer:
    """Traces the values of one call against what was said and seen."""

    def __init__(
        self,
        intent: Intent,
        directory: Sequence[str],
        observed: Observed,
        nouns: frozenset[str] = frozenset(),
        granting: Granting | None = None,
    ) -> None:
        """`nouns` are the words of the tool's name: a number behind one of them in a text may name what the call is about."""
        self._intent, self._directory, self._observed, self._nouns = intent, directory, observed, nouns
        self._granting = granting
        self._echoes = Echoes(observed.outputs)

    def argument(self, name: str, roles: Sequence[tuple[str, Role, object]]) -> Steering:
        """The origin of one argument: of its worst part. `roles` are its parts, each with the name and the role that it has."""
        worst = Steering(name, "", INTENDED)
        most = min(MAX_PARTS, max(LEAST_PARTS, MAX_WORK // (self._observed.held + 1)))
        if len(roles) > most:
            # INVARIANT (fail closed): of what is not looked at, anything may be from anywhere.
            return Steering(name, MORE, STEERED if self._observed.untrusted else UNKNOWN, "", roles[0][1].value)
        for part, role, value in roles:
            text = text_of(value)
            found = self._granted(name, text, self.origin(part, text, role))
            if _BADNESS[found.name] > _BADNESS[worst.origin] or not worst.value:
                worst = Steering(name, text, found.name, found.source, role.value)
        return worst

    def _granted(self, argument: str, text: str, found: Origin) -> Origin:
        """The origin, or that somebody granted what comes from there."""
        if not self._granting or _BADNESS[found.name] < _BADNESS[GRANTED]:
            return found
        source = self._granting.source(argument, text)
        return found if source is None else Origin(GRANTED, source)

    def origin(self, name: str, text: str, role: Role) -> Origin:
        """The origin of one value, used as the argument `name` in that role."""
        if role is Role.AMOUNT:
            return self._amount(text)
        found = self._origin(name, text, role)
        if found.name == UNKNOWN and role is Role.OBJECT and "/" in text:  # a path is as good as the worst of its parts
            parts = [self._origin(name, part, role) for part in text.split("/") if part]
            return max(parts, key=lambda part: _BADNESS[part.name], default=found)
        return found

    def _origin(self, name: str, text: str, role: Role) -> Origin:
        if self._intent.has(text, role):
            return Origin(INTENDED)
        if role is not Role.OBJECT and known(text, self._directory):
            return Origin(KNOWN)
        value = folded(text)
        nouns = self._nouns | {word for word in words_of(name) if len(word) > 3}
        for position, output in enumerate(self._observed.outputs):  # the first that held it counts: a later one may only echo it
            if (
                not output.untrusted
                and _gives(output, text)
                and not self._was_written(value, position)
                and not self._echoes.may_say(position, text)
            ):
                return Origin(TRUSTED, output.source)
            if output.untrusted and (_writes(output, value, nouns) or output.filled(value)):
                return self._untrusted(name, text, value, role, nouns)
        return Origin(STEERED if self._observed.overflow else UNKNOWN)

    def _was_written(self, value: str, position: int) -> bool:
        """Whether a call until then was given the value, once the session had read untrusted text: what says it now may only echo it."""
        # INVARIANT (labels come from what was touched): no number of trusted tools between launders what an agent was told.
        told = self._observed.overflow
        for output in self._observed.outputs[: position + 1]:
            if told and output.words is None and any(value in argument for argument in output.arguments):
                return True  # of calls that write, echoes know all
            told = told or output.untrusted
        return any(value == argument for argument in self._observed.outputs[position].arguments)

    def _untrusted(self, name: str, text: str, value: str, role: Role, nouns: frozenset[str]) -> Origin:
        """Of what untrusted outputs hold: written by anybody, or in a field that the platform fills."""
        writers = [output for output in self._observed.outputs if output.untrusted and _writes(output, value, nouns)]
        if writers:
            return Origin(self._written(name, text, value, role), writers[0].source)
        best, source = STEERED, ""
        for place, output in enumerate(self._observed.outputs):
            for position in output.filled(value) if output.untrusted else ():
                field = output.fields[position]
                source = source or output.source
                if output.steered or not _fits(name, field, text, role, output) or self._echoes.may_say(place, text):
                    continue
                if self._is_named(output, field.record) and self._is_only(output, field.record, value):
                    return Origin(NAMED, output.source)
                best = RECORD
        if best == STEERED and URL.fullmatch(text.strip()) and self._is_only_link(text):
            best = LINKED
        return Origin(best, source)

    def _written(self, name: str, text: str, value: str, role: Role) -> str:
        holding = [output for output in self._observed.outputs if output.untrusted and value in output.prose]
        placed = all(any(map(self._intent.names_place, output.arguments)) for output in holding)
        if role is Role.CREDENTIAL and self._field_is_named(name) and holding and placed:
            return NAMED  # the user named the place and the field in it
        if URL.fullmatch(text.strip()) and self._is_only_link(text):
            return LINKED
        if any(self._intent.names_document(argument) for output in holding for argument in output.arguments):
            return DOCUMENT
        return STEERED

    def _field_is_named(self, name: str) -> bool:
        return all(word in self._intent.words for word in words_of(name) if len(word) > 2)

    def _is_only_link(self, text: str) -> bool:
        """The user asked for a page and gave no address, and all that untrusted text links to is on one host."""
        if not _PAGES & self._intent.stems or URLS.search(self._intent.text) or "?" in text or "#" in text:
            return False
        links = {url_key(url) for output in self._observed.outputs if output.untrusted for url in URLS.findall(output.prose)}
        return url_key(folded(text)) in links and len({link.partition("/")[0] for link in links}) == 1

    def _is_named(self, output: Seen, record: int) -> bool:
        """Whether another field of the record stands in the user's words."""
        return record >= 0 and any(self._says(output.value(position)) for position in output.records[record])

    def _says(self, value: str) -> bool:
        return self._intent.says(value) and not (ADDRESS.fullmatch(value) and known(value, self._directory))

    def _is_only(self, output: Seen, record: int, value: str) -> bool:
        """Whether every record that the same words name has the value: of two of one name, nobody said which."""
        for name in {value for position in output.records[record] if self._says(value := output.value(position))}:
            if all(
                any(other.value(place) == value for place in other.records[other.fields[position].record])
                for other in self._observed.outputs
                if other.untrusted
                for position in other.filled(name)
                if other.fields[position].record >= 0
            ):
                return True
        return False

    def _amount(self, text: str) -> Origin:
        """A sum that nobody but untrusted prose named. One that was worked out names nothing, one that fills a field is a record's."""
        number = _number(text)
        if number in (None, 0.0) or self._intent.has(text, Role.AMOUNT):
            return Origin(INTENDED)
        for output in self._observed.outputs:
            for found, _ in zip(_AMOUNTS.finditer(output.prose), range(MAX_AMOUNTS), strict=False):
                start, stop = found.span()
                if _number(found[0]) != number or _PART.search(output.prose[max(0, start - 2) : start]):
                    continue
                if not output.untrusted or not within(output.prose, start, stop):
                    return Origin(RECORD if output.untrusted else TRUSTED, output.source)
                return Origin(STEERED, output.source)
        return Origin(INTENDED)

    def links(self, text: str) -> bool:
        """Whether a text links to where untrusted output said, and the user did not."""
        found = [url_key(folded(url)) for url in URLS.findall(text)]
        return any(self._finds(key) and key not in self._intent.text for key in found if key)

    def steers_query(self, arguments: Iterable[str]) -> bool:
        """Whether untrusted text chose what a read asks for; then it chose what the read finds, too."""
        if not self._observed.untrusted:
            return False
        asked, strange = False, False
        for text in arguments:
            words = [singular(word) for word in re.findall(r"\w{3,}", exact(text))]
            asked = asked or any(word in self._intent.words for word in words)
            if self._is_plain(text, words):
                continue
            if self._finds(folded(text)):
                if self._only_in_named(folded(text)):
                    continue
                return True
            new = [word for word in words if word not in self._intent.words]
            if new and all(self._finds(word) for word in new):
                return True
            strange = True
        return strange and not asked

    def _is_plain(self, text: str, words: Sequence[str]) -> bool:
        if len(text) < _SHORT or NUMBER.fullmatch(text) or DATE.fullmatch(text):
            return True
        if self._intent.has(text, Role.RECEIVER) or known(text, self._directory):
            return True
        return bool(words) and all(word in self._intent.words for word in words)

    def _finds(self, value: str) -> bool:
        return any(output.untrusted and _writes(output, value, frozenset()) for output in self._observed.outputs)

    def _only_in_named(self, value: str) -> bool:
        """Whether all that holds it is a record, or what came of a document, that the user named."""
        found = False
        for output in self._observed.outputs:
            if not output.untrusted or not holds(output.prose, value, exhausted=True):
                continue
            if any(self._intent.names_document(argument) for argument in output.arguments):
                found = True
                continue
            records = {field.record for n, field in enumerate(output.fields) if holds(output.value(n), value, exhausted=True)}
            if not records or not all(record >= 0 and self._is_quoted(output, record) for record in records):
                return False
            found = True
        return found

    def _is_quoted(self, output: Seen, record: int) -> bool:
        return any(self._intent.names(output.value(position)) for position in output.records[record])


def _gives(output: Seen, text: str) -> bool:
    wanted = exact(text)
    return bool(output.filled(wanted)) or holds(output.prose, wanted, exhausted=False)


def _writes(output: Seen, value: str, nouns: frozenset[str]) -> bool:
    """Whether an untrusted output has the value where anybody may have written it: not as a whole field."""
    if not value:
        return False
    number, squeezed, key = _looks(value) if len(value) <= _REMEMBERED else _looks.__wrapped__(value)
    if number:
        return holds(output.prose, value, True, is_introduced(nouns) if len(value) < _SHORT else names_something)
    if holds(output.prose, value, exhausted=True, counts=within):
        return True
    if squeezed and contains(output.squashed, squeezed):
        return True
    return bool(key) and not _fills(output, value) and key in output.prose


@lru_cache(4096)
def _looks(value: str) -> tuple[bool, str, str]:
    """Whether a value is a number, and how it is looked for otherwise: squashed, and as an address; empty where too short for that."""
    squeezed, key = squashed(value), url_key(value) if URL.fullmatch(value) else ""
    number = NUMBER.fullmatch(value) is not None
    return number, squeezed if len(squeezed) >= _SQUASHED else "", key if len(key) > _SHORT else ""


def _fills(output: Seen, value: str) -> bool:
    return bool(output.filled(value))


def _fits(name: str, field: Field, text: str, role: Role, output: Seen) -> bool:
    """Whether a field of that name holds what the argument wants, so that choosing it is choosing the record."""
    wanted, given = list(words_of(name)), list(words_of(field.name))
    if role is not Role.OBJECT:
        return given == wanted or (
            role is Role.RECEIVER and ADDRESS.fullmatch(text.strip()) is not None and field.name in output.parties
        )
    if not given:
        return False
    if given in (wanted, _ID) or (_FILES & set(given) and _FILES & set(wanted)):
        return True
    return (wanted[-1:] == _ID and given[-1:] == _ID) or given[-1] in wanted or wanted[-1] in given


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
