"""Which data-flow grants of a task, and of those it was delegated from, cover a value."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from remit.model.flow import FlowGrant, flow_grant
from remit.model.request import ACTIONS
from remit.model.task import TaskState
from remit.pdp.provenance.folding import folded
from remit.pdp.provenance.forms import only, plain, values_in
from remit.pdp.provenance.intent import Intent
from remit.pdp.provenance.searching import holds
from remit.pdp.provenance.seen import Observed, Seen
from remit.pdp.provenance.words import words_of


class Held(NamedTuple):
    """A grant that a task has, with uses left: `id` names it in what is spent and in the log (`task#number`)."""

    id: str
    number: int
    grant: FlowGrant


class Granting:
    """The grants that one call may use. `used` are those that it does, by id."""

    def __init__(self, chain: Sequence[TaskState], call: str, intent: Intent, observed: Observed) -> None:
        """`call` is what the target of a grant begins with: the tool, or an action that is no tool call."""
        self._call, self._intent, self._observed = call, intent, observed
        self._links = [list(_held(state, f"{call}.")) for state in chain]
        self._chain = chain
        self.used: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._links and self._links[0])

    def source(self, argument: str, text: str) -> str | None:
        """The tool whose output a grant lets choose this value, None without one. INVARIANT (delegation only narrows): what the opener
        of a task granted counts only as far as every task above it grants it too."""
        for held in self._links[0]:
            if held.grant.target != f"{self._call}.{argument}" or not self._covers(held.grant, text):
                continue
            above = [] if held.number >= len(self._chain[0].task.scope.flows or ()) else self._above(held.grant, text)
            if above is not None:
                self.used.update(dict.fromkeys([held.id, *above]))
                return held.grant.source
        return None

    def _above(self, grant: FlowGrant, text: str) -> list[str] | None:
        found = []
        for link in self._links[1:]:
            covering = next((h.id for h in link if h.grant.target == grant.target and self._covers(h.grant, text)), None)
            if covering is None:
                return None
            found.append(covering)
        return found

    def _covers(self, grant: FlowGrant, text: str) -> bool:
        sources = [
            output for position, output in enumerate(self._observed.outputs) if self._is_source(grant, output, position, text)
        ]
        if not sources or not text.isascii():
            return False
        if grant.literal:
            value = folded(text)
            return value == folded(grant.literal) and any(holds(output.prose, value, exhausted=False) for output in sources)
        wanted = plain(grant.form, text)
        found = only(value for output in sources for value in _values(grant, output))
        return bool(wanted) and found is not None and wanted in found and (grant.any_of or len(found) == 1)

    def _is_source(self, grant: FlowGrant, output: Seen, position: int, text: str) -> bool:
        if output.source != grant.source and not (grant.source in ACTIONS and output.source == grant.document):
            return False
        if grant.digest:
            return output.digest == grant.digest
        if grant.document:
            named = folded(grant.document) in output.arguments
        else:
            named = not output.steered and (not output.arguments or any(map(self._names, output.arguments)))
        return named and not self._was_told(text, position)

    def _names(self, argument: str) -> bool:
        return self._intent.names_document(argument) or self._intent.names(argument) or self._intent.says(argument)

    def _was_told(self, text: str, position: int) -> bool:
        """Whether a call before was given the value, once the session had read anything untrusted: it may have been put there."""
        # INVARIANT (labels come from what was touched): a file that the agent wrote itself grants nothing.
        value, told = folded(text), self._observed.overflow
        for output in self._observed.outputs[:position]:
            if told and any(value in argument for argument in output.arguments):
                return True
            told = told or output.untrusted
        return False


def _held(state: TaskState, call: str) -> Iterator[Held]:
    for number, text in enumerate((*(state.task.scope.flows or ()), *state.task.flows)):
        grant = flow_grant(text)
        if grant.target.startswith(call) and (grant.uses is None or state.spent.flows.get(number, 0) < grant.uses):
            yield Held(f"{state.task.id}#{number}", number, grant)


def _values(grant: FlowGrant, output: Seen) -> Iterator[str]:
    yield from values_in(output.prose, grant.form, grant.label)
    if grant.label:
        label = list(words_of(grant.label))
        fields = (field.value for field in output.fields if list(words_of(field.name)) == label)
        yield from (value for text in fields for value in values_in(text, grant.form))
