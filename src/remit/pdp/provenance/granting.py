"""Which data-flow grants of a task, and of those it was delegated from, cover a value."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from remit.model.flow import FlowGrant, flow_grant
from remit.model.request import AGENT_DELEGATE, FILE_DELETE, FILE_READ, MODEL_INVOKE, SESSION_DECLASSIFY
from remit.model.task import TaskState
from remit.pdp.provenance.folding import bare, exact, folded
from remit.pdp.provenance.forms import alone, behind, stands, strict
from remit.pdp.provenance.intent import Intent
from remit.pdp.provenance.principals import known
from remit.pdp.provenance.roles import Role
from remit.pdp.provenance.searching import DEAR, EDGE, Work, holds
from remit.pdp.provenance.seen import Observed, Seen
from remit.pdp.provenance.words import words_of

MAX_SOURCE = 1 << 18
"""A longer output (characters) is the source of no grant: in so much text nobody can say which value is meant."""
MAX_SOURCES = 64
"""So many outputs can be the source of one grant."""
PREPARED = 8
"""What it costs to reduce a text to its letters and digits, in times that it could be gone through."""
WRITE_NOTHING = frozenset({FILE_READ, FILE_DELETE, MODEL_INVOKE, AGENT_DELEGATE, SESSION_DECLASSIFY})
"""Actions after which no document has more in it. What a delegated agent does is counted by itself."""


class Held(NamedTuple):
    """A grant that a task has, with uses left: `id` names it in what is spent and in the log (`task#number`). An approver gave it for
    the very output that he was shown, if `approved`."""

    id: str
    grant: FlowGrant
    approved: bool


class Surroundings(NamedTuple):
    """What a grant is judged against: the task's words, known principals, what was seen, and whether a tool by that name can write what
    another one reads."""

    intent: Intent
    directory: Sequence[str]
    observed: Observed
    writes: Callable[[str], bool]


class _Wrote(NamedTuple):
    """What one call can have written, letters and digits alone; whether it is a call of the tool that asks now, and whether there was more
    than is looked at; `size` is how many characters it was given."""

    own: bool
    cut: bool
    texts: list[str]
    size: int


class Granting:
    """The grants that one call may use. `used` are those that it does, by id."""

    def __init__(self, chain: Sequence[TaskState], call: str, around: Surroundings, without: Sequence[FlowGrant] = ()) -> None:
        """`call` is what the target of a grant begins with: the tool, or an action that is no tool call. Of those that approvers gave,
        `without` stand back, however often they may be used."""
        self._call, self._chain, self._around = call, chain, around
        self._links = [[held for held in _held(state, f"{call}.") if not _stands_back(held, without)] for state in chain]
        self._answers: dict[tuple[str, str], str | None] = {}
        self._written: list[_Wrote] | None = None
        self.used: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._links and self._links[0])

    def source(self, argument: str, text: str, work: Work) -> str | None:
        """The tool whose output a grant lets choose this value, None without one. Raises `Exhausted`."""
        work.spend(DEAR)
        written = self._written if self._written is not None else self._prepare(work)
        work.spend(4 * self._around.observed.held + sum(one.size for one in written))
        asked = argument, text
        if asked not in self._answers:
            self._answers[asked] = self._source(argument, text)
        return self._answers[asked]

    def _source(self, argument: str, text: str) -> str | None:
        # INVARIANT (delegation only narrows): what an opener granted counts only as far as every task above grants it too.
        for held in self._links[0]:
            if held.grant.target != f"{self._call}.{argument}" or not self._covers(held, text):
                continue
            above = [] if held.approved else self._above(held.grant, text)
            if above is not None:
                self.used.update(dict.fromkeys([held.id, *above]))
                return held.grant.source
        return None

    def _above(self, grant: FlowGrant, text: str) -> list[str] | None:
        found = []
        for link in self._links[1:]:
            covering = next((held.id for held in link if held.grant.target == grant.target and self._covers(held, text)), None)
            if covering is None:
                return None
            found.append(covering)
        return found

    def _covers(self, held: Held, text: str) -> bool:
        grant, observed = held.grant, self._around.observed
        value = exact(text) if grant.literal else strict(grant.form, text)
        if value is None or (grant.literal and value != exact(grant.literal)):
            return False
        sources = [output for output in observed.outputs if self._is_source(held, output)]
        # INVARIANT (fail closed): of what is not there as a whole, nobody can say that it has only one such value.
        if not 0 < len(sources) <= MAX_SOURCES or any(output.cut for output in sources):
            return False
        if not grant.digest and (observed.overflow or any(len(output.prose) > MAX_SOURCE for output in sources)):
            return False
        return _gives(grant, value, sources) and (bool(grant.digest) or not self._was_written(grant, text))

    def _is_source(self, held: Held, output: Seen) -> bool:
        grant = held.grant
        if grant.digest and output.digest != grant.digest:
            return False
        if held.approved:
            return bool(grant.digest) and output.source == grant.source
        kind, name = (FILE_READ, grant.document) if grant.source == FILE_READ else ("", grant.source)
        # INVARIANT (words narrow, never widen): a model, a host or an agent of a tool's or a file's name is not what somebody named.
        if output.action != kind or output.source != name:
            return False
        if grant.document:
            return not output.odd and self._asked(output, grant.documents)
        return bool(grant.digest) or (not output.steered and not output.odd and all(map(self._names, output.arguments)))

    def _asked(self, output: Seen, documents: Sequence[str]) -> bool:
        """Whether it was asked with these, and with nothing else that anybody else could have chosen."""
        wanted = {exact(document) for document in documents}
        return wanted <= set(output.arguments) and all(one in wanted or self._names(one) for one in output.arguments)

    def _names(self, argument: str) -> bool:
        intent = self._around.intent
        return intent.names_document(argument) or intent.has(argument, Role.OBJECT) or known(argument, self._around.directory)

    def _was_written(self, grant: FlowGrant, text: str) -> bool:
        """Whether anything done under the task may have put the value there: a call that was given it, or the name of the document, or
        one whose arguments this session does not know."""
        # INVARIANT (labels come from what was touched): what an agent wrote itself grants nothing.
        if not self._all_seen:
            return True
        value, documents = bare(folded(text)), [bare(folded(document)) for document in grant.documents]
        for one in self._written or ():
            if one.cut:
                return True
            # Its own calls were given the value as the grant let it, before.
            found = one.texts if not one.own else [text for text in one.texts if text != value]
            if any(value in text or any(document in text for document in documents) for text in found):
                return True
        return False

    def _prepare(self, work: Work) -> list[_Wrote]:
        """What the calls were given that can write."""
        written = [output for output in self._around.observed.outputs if self._may_write(output)]
        work.spend(PREPARED * sum(map(_size, written)))
        self._written = [self._wrote(output) for output in written]
        return self._written

    def _may_write(self, output: Seen) -> bool:
        return not output.action and output.source in self._chain[-1].spent.tools and self._around.writes(output.source)

    def _wrote(self, output: Seen) -> _Wrote:
        texts = [bare(argument) for argument in output.arguments]
        texts += output.words.words.replace(" ", "").split(EDGE) if output.words is not None else ()
        cut = output.words is not None and output.words.cut
        return _Wrote(output.source == self._call, cut, list(dict.fromkeys(texts)), _size(output))

    @cached_property
    def _all_seen(self) -> bool:
        """Whether of every call under the task that can write, in whatever session, this one knows what it was asked with."""
        # INVARIANT (fail closed): what was called under a tool's name and is no tool - a model, a host, an agent, a file - is not its call.
        seen = Counter(output.source for output in self._around.observed.outputs if not output.action)
        return not any(
            name not in WRITE_NOTHING and self._around.writes(name) and seen[name] < count
            for name, count in self._chain[-1].spent.tools.items()
        )


def _size(output: Seen) -> int:
    return sum(map(len, output.arguments)) + (len(output.words.words) if output.words is not None else 0)


def _held(state: TaskState, call: str) -> Iterator[Held]:
    declared = len(state.task.scope.flows or ())
    for number, text in enumerate((*(state.task.scope.flows or ()), *state.task.flows)):
        grant = flow_grant(text)
        if grant.target.startswith(call) and (grant.uses is None or state.spent.flows.get(number, 0) < grant.uses):
            yield Held(f"{state.task.id}#{number}", grant, number >= declared)


def _stands_back(held: Held, without: Sequence[FlowGrant]) -> bool:
    return held.approved and any(held.grant.often(None) == one.often(None) for one in without)


def _gives(grant: FlowGrant, value: str, sources: Sequence[Seen]) -> bool:
    if grant.literal:
        return any(holds(output.letters, value, exhausted=False) for output in sources)
    if grant.label:
        return _labelled(grant, value, sources)
    given = any(stands(grant.form, value, output.letters) for output in sources)
    return given and (grant.any_of or all(alone(grant.form, {value}, output.prose) for output in sources))


def _labelled(grant: FlowGrant, value: str, sources: Sequence[Seen]) -> bool:
    """Whether it is what the label names, in each place where the label stands, and in each field of that name."""
    label = list(words_of(grant.label))
    found: list[str | None] = []
    for output in sources:
        fields = [
            strict(grant.form, output.value(n)) for n, field in enumerate(output.fields) if list(words_of(field.name)) == label
        ]
        found += fields or behind(grant.form, grant.label, output.letters)
    return value in found and (grant.any_of or set(found) == {value})
