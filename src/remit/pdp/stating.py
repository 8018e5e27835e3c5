"""The facts of a request, from what its session was told; and what is kept of a call that facts hang on."""

from collections.abc import Mapping

from msgspec.structs import replace

from remit.model.decision import CallAbout, Query
from remit.pdp.arguments import CedarValue
from remit.pdp.cedar.reads import Node
from remit.pdp.compiled import CompiledBundle
from remit.pdp.effects import counted_as
from remit.pdp.facts.finding import History, history_of
from remit.pdp.facts.stating import facts_of
from remit.pdp.inputs import Inputs
from remit.pdp.told import MAX_CALL

NOTHING_STATED: Mapping[str, CedarValue] = {}


def stated(bundle: CompiledBundle, inputs: Inputs, context: Node) -> Mapping[str, CedarValue]:
    """The facts that policies which read `context` can read, in Cedar's JSON form; absent ones left out."""
    if not bundle.facts.facts or not context.reaches("facts"):
        return NOTHING_STATED
    if len(inputs.request.arguments.canonical) > MAX_CALL:
        return NOTHING_STATED  # what it costs to look at them must not be the caller's choice
    read, session = context.at("facts"), inputs.session
    history = history_of(session.id, inputs.observed.told, session.calls) if session is not None else History()
    return facts_of(bundle.facts, None if read.whole else read.children, inputs.request.arguments.values, history)


def with_call(bundle: CompiledBundle, inputs: Inputs, query: Query | None) -> Query | None:
    """What is kept of a permitted call, and what facts need to know of it."""
    tool = counted_as(inputs.request.action, inputs.request.resource.id)
    if inputs.session is None or not bundle.facts.needs(tool):
        return query
    canonical = inputs.request.arguments.canonical
    call = canonical.decode() if len(canonical) <= MAX_CALL else ""
    return replace(query or Query(), about=CallAbout(tool, call, inputs.now, inputs.session.id, bundle.facts.gives(tool)))
