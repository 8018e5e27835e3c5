"""The origin of a value: the first place, from the user's words to untrusted prose, that could have given it."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from remit.model.decision import Steering
from remit.pdp.provenance.amounts import Amounts
from remit.pdp.provenance.echoes import Echoes
from remit.pdp.provenance.folding import exact, folded, squashed
from remit.pdp.provenance.granting import Granting
from remit.pdp.provenance.intent import URL, URLS, Intent, steps_of, url_key
from remit.pdp.provenance.origins import (
    BADNESS,
    DOCUMENT,
    GRANTED,
    INTENDED,
    KNOWN,
    LINKED,
    NAMED,
    RECORD,
    STEERED,
    TRUSTED,
    UNKNOWN,
    Origin,
)
from remit.pdp.provenance.principals import known
from remit.pdp.provenance.records import Field
from remit.pdp.provenance.roles import ADDRESS, DATE, NUMBER, Role, text_of
from remit.pdp.provenance.searching import (
    CHEAP,
    DEAR,
    Exhausted,
    Place,
    Work,
    contains,
    holds,
    is_called,
    is_introduced,
    names_something,
    whole,
    within,
)
from remit.pdp.provenance.seen import Observed, Seen
from remit.pdp.provenance.titles import Titles
from remit.pdp.provenance.words import singular, words_of

_PAGES = frozenset({"visit", "brows", "read", "website", "webpag", "page", "site", "link", "url", "articl", "blog", "web"})
_SHORT = 4
_SQUASHED = 6
_REMEMBERED = 500
_ID = ["id"]
_FILES = frozenset({"file", "filename", "path", "dir", "directory", "folder", "attachment", "document", "doc"})
MAX_PARTS = 1000
"""So many parts of one argument, or of one path, are traced."""
MAX_WORK = 128 << 20
"""So many characters are gone through for one call, and what costs as much; where that is not enough, the stricter answer counts."""
MORE = "(more values than are looked at)"


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
        self._work = Work(MAX_WORK)
        self._echoes = Echoes(observed.outputs, self._work)

    @cached_property
    def _titles(self) -> Titles:
        return Titles(self._intent, self._directory, self._observed, self._work)

    @cached_property
    def _amounts(self) -> Amounts:
        return Amounts(self._intent, self._observed, self._work, self._echoes.may_say)

    def argument(self, name: str, roles: Sequence[tuple[str, Role, object]]) -> Steering:
        """The origin of one argument: of its worst part. `roles` are its parts, each with the name and the role that it has."""
        worst = Steering(name, "", INTENDED)
        if len(roles) > MAX_PARTS:
            return Steering(name, MORE, self._unlooked_at().name, "", roles[0][1].value)
        for part, role, value in roles:
            text = text_of(value)
            found = self._granted(name, text, self.origin(part, text, role))
            if BADNESS[found.name] > BADNESS[worst.origin] or not worst.value:
                worst = Steering(name, text, found.name, found.source, role.value)
        return worst

    def _granted(self, argument: str, text: str, found: Origin) -> Origin:
        """The origin, or that somebody granted what comes from there."""
        if not self._granting or BADNESS[found.name] < BADNESS[GRANTED]:
            return found
        try:
            source = self._granting.source(argument, text, self._work)
        except Exhausted:
            return found
        return found if source is None else Origin(GRANTED, source)

    def _unlooked_at(self) -> Origin:
        # INVARIANT (fail closed): of what is not looked at, anything may be from anywhere.
        return Origin(STEERED if self._observed.untrusted else UNKNOWN)

    def origin(self, name: str, text: str, role: Role) -> Origin:
        """The origin of one value, used as the argument `name` in that role."""
        try:
            if role is Role.AMOUNT:
                return self._amounts.origin(name, text)
            found = self._origin(name, text, role)
            if found.name == UNKNOWN and role is Role.OBJECT and "/" in text and not self._intent.leads_to(text):
                return self._path(name, text, found)
        except Exhausted:
            return self._unlooked_at()
        return found

    def _path(self, name: str, text: str, found: Origin) -> Origin:
        """A path is as good as the worst of its parts, where it is put together from what was named; no part of what was named is."""
        if text.count("/") > MAX_PARTS:
            return self._unlooked_at()
        steps = steps_of(text)
        plain = ("/" if text.lstrip().startswith("/") else "") + "/".join(steps)
        if self._intent.has(plain, Role.OBJECT):
            return Origin(INTENDED)
        parts = [self._origin(name, step, Role.OBJECT, part=True) for step in steps]
        worst = max(parts, key=lambda part: BADNESS[part.name], default=found)
        if BADNESS[worst.name] >= BADNESS[UNKNOWN]:
            return worst
        self._work.spend(DEAR * len(steps))
        return worst if self._intent.composes(text, [part.name != INTENDED for part in parts]) else found

    def _origin(self, name: str, text: str, role: Role, part: bool = False) -> Origin:
        self._work.spend(
            DEAR + 8 * len(text) if len(text) >= _SHORT else 16 * DEAR
        )  # a short number is looked for by the name, too
        nouns = self._nouns | {word for word in words_of(name) if len(word) > 3}
        if self._intent.has(text, role, part, nouns):
            return Origin(INTENDED)
        if role is not Role.OBJECT and known(text, self._directory):
            return Origin(KNOWN)
        value = folded(text)
        wanted = _wanted(value, nouns)
        for position, output in enumerate(self._observed.outputs):  # the first that held it counts: a later one may only echo it
            if not output.untrusted:
                self._work.spend(len(text) + len(output.prose))
                given = _gives(output, text, role) and not self._was_written(value, position)
                if given and not self._echoes.may_say(position, text):
                    return Origin(TRUSTED, output.source)
            elif _writes(output, wanted, self._work) or output.filled(value):
                return self._untrusted(name, text, wanted, role)
        return Origin(STEERED if self._observed.overflow else UNKNOWN)

    def _was_written(self, value: str, position: int) -> bool:
        """Whether a call until then was given the value, once the session had read untrusted text: what says it now may only echo it."""
        # INVARIANT (labels come from what was touched): no number of trusted tools between launders what an agent was told.
        told = self._observed.overflow
        for output in self._observed.outputs[: position + 1]:
            if output.words is None:  # of calls that write, echoes know all
                self._work.spend(CHEAP + sum(map(len, output.arguments)))
                if told and any(value in argument for argument in output.arguments):
                    return True
            told = told or output.untrusted
        return any(value == argument for argument in self._observed.outputs[position].arguments)

    def _untrusted(self, name: str, text: str, wanted: "_Wanted", role: Role) -> Origin:
        """Of what untrusted outputs hold: written by anybody, or in a field that the platform fills."""
        value = wanted.value
        writers = [output for output in self._observed.outputs if output.untrusted and _writes(output, wanted, self._work)]
        if writers:
            return Origin(self._written(name, text, value, role), writers[0].source)
        best, source = STEERED, ""
        for place, output in enumerate(self._observed.outputs):
            for position in output.filled(value) if output.untrusted else ():
                field = output.fields[position]
                self._work.spend(DEAR * (1 + len(output.records.get(field.record, ()))))
                source = source or output.source
                if output.steered or not _fits(name, field, text, role, output) or self._echoes.may_say(place, text):
                    continue
                if self._titles.name(output, field.record, value):
                    return Origin(NAMED, output.source)
                best = RECORD
        if best == STEERED and URL.fullmatch(text.strip()) and self._is_only_link(text):
            best = LINKED
        return Origin(best, source)

    def _written(self, name: str, text: str, value: str, role: Role) -> str:
        holding = [output for output in self._observed.outputs if output.untrusted and value in output.prose]
        self._work.spend(self._observed.held + sum(DEAR * len(output.arguments) for output in holding))
        if role is Role.CREDENTIAL and self._field_is_named(name) and holding and all(map(self._was_placed, holding)):
            return NAMED  # the user named the place and the field in it
        if URL.fullmatch(text.strip()) and self._is_only_link(text):
            return LINKED
        if any(self._intent.names_document(argument) for output in holding for argument in output.arguments):
            return DOCUMENT
        return STEERED

    def _was_placed(self, output: Seen) -> bool:
        self._work.spend(sum(CHEAP * len(argument) for argument in output.arguments))
        return any(map(self._intent.names_place, output.arguments))

    def _field_is_named(self, name: str) -> bool:
        return all(word in self._intent.words for word in words_of(name) if len(word) > 2)

    def _is_only_link(self, text: str) -> bool:
        """The user asked for a page and gave no address, and all that untrusted text links to is on one host."""
        if not _PAGES & self._intent.stems or URLS.search(self._intent.text) or "?" in text or "#" in text:
            return False
        links = self._links
        return url_key(folded(text)) in links and len({link.partition("/")[0] for link in links}) == 1

    @cached_property
    def _links(self) -> frozenset[str]:
        """All that untrusted text links to."""
        links: set[str] = set()
        for output in self._observed.outputs:
            found = URLS.findall(output.prose) if output.untrusted else []
            self._work.spend(len(output.prose) + DEAR * len(found))
            links.update(map(url_key, found))
        return frozenset(links)

    def links(self, text: str) -> bool:
        """Whether a text links to where untrusted output said, and the user did not."""
        found = dict.fromkeys(url_key(folded(url)) for url in URLS.findall(text))
        anywhere = self._observed.overflow
        try:
            return any((anywhere or self._finds(key)) and key not in self._intent.text for key in found if key)
        except Exhausted:
            return True

    def steers_query(self, arguments: Iterable[str]) -> bool:
        """Whether untrusted text chose what a read asks for; then it chose what the read finds, too."""
        try:
            return self._observed.untrusted and self._steers_query(arguments)
        except Exhausted:
            return True

    def _steers_query(self, arguments: Iterable[str]) -> bool:
        asked, strange = False, False
        for text in arguments:
            words = [singular(word) for word in re.findall(r"\w{3,}", exact(text))]
            asked = asked or any(word in self._intent.words for word in words)
            if self._is_plain(text, words):
                continue
            if self._observed.overflow:
                return True
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
        if len(text) < _SHORT or DATE.fullmatch(text):
            return True
        if self._intent.has(text, Role.RECEIVER) or known(text, self._directory):
            return True
        return bool(words) and all(word in self._intent.words for word in words)

    def _finds(self, value: str) -> bool:
        self._work.spend(DEAR + 8 * len(value))
        wanted = _wanted(value, frozenset())
        return any(output.untrusted and _writes(output, wanted, self._work) for output in self._observed.outputs)

    def _only_in_named(self, value: str) -> bool:
        """Whether all that holds it is a record, or what came of a document, that the user named."""
        found = False
        for output in self._observed.outputs:
            if not output.untrusted or not holds(output.prose, value, exhausted=True, work=self._work):
                continue
            self._work.spend(len(output.prose) + DEAR * len(output.arguments) + CHEAP * len(output.fields))
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


def _gives(output: Seen, text: str, role: Role) -> bool:
    """Whether a trusted output names the value: as a field or a name of its own, a short one or a number as what it calls something."""
    wanted = exact(text)
    short = len(wanted) < _SHORT or (role is Role.OBJECT and NUMBER.fullmatch(wanted) is not None)
    return bool(output.filled(wanted)) or holds(output.prose, wanted, exhausted=False, counts=is_called if short else whole)


class _Wanted(NamedTuple):
    """A value that is looked for: folded, whether it is a number, squashed, as an address, and where it counts."""

    value: str
    number: bool
    squeezed: str
    key: str
    counts: Place


def _wanted(value: str, nouns: frozenset[str]) -> _Wanted:
    number, squeezed, key = _looks(value) if len(value) <= _REMEMBERED else _looks.__wrapped__(value)
    counts = within if not number else is_introduced(nouns) if len(value) < _SHORT else names_something
    return _Wanted(value, number, squeezed, key, counts)


def _writes(output: Seen, wanted: _Wanted, work: Work) -> bool:
    """Whether an untrusted output has the value where anybody may have written it: not as a whole field. Raises `Exhausted`."""
    value, number, squeezed, key, counts = wanted
    if holds(output.prose, value, True, counts, work):
        return True
    if number or not value:
        return False
    if squeezed and contains(output.squashed, squeezed, work):
        return True
    if not key:
        return False
    work.spend(len(output.prose))
    return not _fills(output, value) and key in output.prose


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
