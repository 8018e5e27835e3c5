"""Where the authority-bearing values of a call came from, as policies see it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from remit.model.decision import Query, Steering, Written
from remit.model.flow import FlowGrant
from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import EntityRef
from remit.model.request import AGENT_DELEGATE, NET_REQUEST, TOOL_CALL, EvaluationRequest
from remit.model.task import Session, TaskState
from remit.model.tool import Reach, ToolEffect
from remit.pdp.arguments import ANY, ArgumentType
from remit.pdp.compiled import CompiledBundle, CompiledTool
from remit.pdp.declassification import provenance_of
from remit.pdp.destinations import destinations, reach
from remit.pdp.effects import counted_as, waits_for_untrusted
from remit.pdp.hints import hints_for, tool_of
from remit.pdp.inputs import Inputs
from remit.pdp.provenance.asking import act_of, asks_for
from remit.pdp.provenance.echoes import written_of
from remit.pdp.provenance.granting import WRITE_NOTHING, Granting, Surroundings
from remit.pdp.provenance.intent import Intent, intent_of
from remit.pdp.provenance.origins import (
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
)
from remit.pdp.provenance.roles import Role, is_number, names_somebody, offers, parts_of, role_of, text_of, typed_parts
from remit.pdp.provenance.seen import Observed
from remit.pdp.provenance.tracing import Tracer
from remit.pdp.provenance.words import words_of

ORIGINS = {
    "intended": INTENDED,
    "known": KNOWN,
    "trusted": TRUSTED,
    "granted": GRANTED,
    "named": NAMED,
    "records": RECORD,
    "linked": LINKED,
    "documents": DOCUMENT,
    "steered": STEERED,
    "unknown": UNKNOWN,
}
"""The sets of arguments that `context.flow` has, each by the origin that it stands for."""
ROLES = {"receivers": Role.RECEIVER, "objects": Role.OBJECT, "credentials": Role.CREDENTIAL, "amounts": Role.AMOUNT}
"""The sets of arguments by what they choose."""
_CHOOSE_NOBODY = frozenset({Role.PARAMETER, Role.PROOF})
MAX_QUERY, MAX_VALUE = 64, 2000
"""So many values of a call, each of so many characters, are remembered with what came back of it."""


Part = tuple[str, Role, Any]
"""A part of an argument: the name it stands under, what it chooses, and its value."""


def choices(request: EvaluationRequest, tool: CompiledTool | None) -> list[tuple[str, list[Part]]]:
    """Each argument that chooses a receiver, an object, credentials or a sum, with its parts.

    All arguments of a tool without complete annotations do, whatever they are; a resource that is no tool is its own.
    """
    found = [
        (name, [part for value in values for part in _parts(request, tool, name, value)])
        for name, values in destinations(request, tool)
    ]
    return [(name, parts) for name, parts in found if parts]


class Traced(NamedTuple):
    """The origin of every argument that chooses something, and the data-flow grants behind them, as `task#number`."""

    steering: tuple[Steering, ...] = ()
    flows: tuple[str, ...] = ()


def traced(bundle: CompiledBundle, inputs: Inputs, tool: CompiledTool | None, without: tuple[FlowGrant, ...] = ()) -> Traced:
    """The origin of every argument that chooses something, as if approvers had not granted the flows `without`."""
    found = choices(inputs.request, tool)
    if not found:
        return Traced()
    observed = known_of(inputs)
    nouns = frozenset(word for word in words_of(inputs.request.resource.id) if len(word) > 3) if tool else frozenset()
    granting = _granting(bundle, inputs, observed, without) if has_grants(inputs.chain) else None
    tracer = Tracer(intent(inputs), bundle.directory, observed, nouns, granting)
    steering = tuple([tracer.argument(name, parts) for name, parts in found])
    return Traced(steering, tuple(granting.used) if granting else ())


def known_of(inputs: Inputs) -> Observed:
    """What a session has seen, with what its label says that it must have seen besides."""
    observed, session = inputs.observed, inputs.session
    if session is None or observed.overflow:
        return observed
    if inputs.behind or waits_for_untrusted(session):
        # INVARIANT (fail closed): what an untrusted call under way has returned so far is not yet known, nor is what another session was
        # told and this one has not taken over: any value may be from there.
        return replace(observed, overflow=True)
    if not observed.tainted and provenance_of(session).untrusted:
        return replace(observed, tainted=True)  # as of a task that an agent opened who had read it elsewhere
    return observed


def _granting(bundle: CompiledBundle, inputs: Inputs, observed: Observed, without: tuple[FlowGrant, ...]) -> Granting:
    def writes(name: str) -> bool:
        tool = bundle.tools.get(name)
        effect = tool.tool.annotations.effect if tool is not None else None
        return effect not in (ToolEffect.READ, ToolEffect.SPEND, ToolEffect.DELETE)

    around = Surroundings(intent(inputs), bundle.directory, observed, writes)
    return Granting(inputs.chain, _call(inputs.request), around, without)


def has_grants(chain: tuple[TaskState, ...]) -> bool:
    """Whether the task, or one that it was delegated from, has any data-flow grants."""
    return any(state.task.scope.flows or state.task.flows for state in chain)


def _call(request: EvaluationRequest) -> str:
    return counted_as(request.action, request.resource.id)


def intent(inputs: Inputs) -> Intent:
    """What people said the task, and those it was delegated from, are for."""
    return intent_of(" \n ".join(state.task.purpose for state in inputs.chain if state.task.purpose_trusted))


def asked(inputs: Inputs, tool: CompiledTool | None) -> bool:
    """Whether the task declares the tool, or its purpose speaks of what the tool does."""
    if tool is None:
        return False
    if any(state.task.scope.tools is not None for state in inputs.chain):
        return True  # what is outside of it was denied before
    return asks_for(intent(inputs).stems, act_of(tool.tool.name, tool.tool.description), tool.tool.annotations.effect)


def links_of(bundle: CompiledBundle, inputs: Inputs, tool: CompiledTool | None) -> tuple[str, ...]:
    """The arguments with text in which a link stands that untrusted output gave, and the purpose does not have."""
    if tool is None or not tool.tool.annotations.content:
        return ()
    observed = known_of(inputs)
    if not observed.untrusted:
        return ()
    tracer, values = Tracer(intent(inputs), bundle.directory, observed), inputs.request.arguments.values
    found = ((name, value) for name in tool.tool.annotations.content for value in reach(values, name))
    texts = [(name, one) for name, value in found for _, one in parts_of(name, value)]
    return tuple(dict.fromkeys(name for name, one in texts if isinstance(one, str) and tracer.links(one)))


def _parts(request: EvaluationRequest, tool: CompiledTool | None, name: str, value: Any) -> Iterator[Part]:
    """The parts of one argument that choose something, with the name and the role of each."""
    if request.action != TOOL_CALL:
        role = Role.RECEIVER if request.action in (NET_REQUEST, AGENT_DELEGATE) else Role.OBJECT
        yield name, role, value
        return
    if tool is None or not tool.tool.annotations.complete:
        yield from ((part, Role.RECEIVER, one) for part, one in parts_of(name, value) if not isinstance(one, bool))
        return
    annotations = tool.tool.annotations
    expected = _expected(tool, name)
    if value == expected.default and value not in (None, "", [], {}):
        return  # what the reviewed definition says anyway
    own = name.rpartition(".")[2]
    for part, one, kind in typed_parts(own, value, expected):
        if part != own and offers(expected.about, part, one):
            continue  # one of the few ways that the reviewed definition names
        role = _role(part, one, kind, annotations.effect)
        if role not in _CHOOSE_NOBODY:
            yield part, role, one


def _role(name: str, value: Any, kind: ArgumentType, effect: ToolEffect | None) -> Role:
    """What a part chooses in a call of a tool with this effect."""
    role = role_of(name, value, kind)
    match effect:
        case ToolEffect.READ if role in _CHOOSE_NOBODY:
            return Role.RECEIVER  # what is asked for is told to whoever answers
        case ToolEffect.SPEND if role is Role.PARAMETER and is_number(value):
            return Role.AMOUNT
        case ToolEffect.SEND | ToolEffect.SPEND | ToolEffect.GRANT if role is Role.OBJECT and names_somebody(name):
            return Role.RECEIVER  # an account or a person by number
    return role


def _expected(tool: CompiledTool, name: str) -> ArgumentType:
    node = tool.types.root
    for step in name.split("."):
        while node.kind == "array" and node.items is not None:
            node = node.items
        node = node.fields.get(step, ANY)
    return node


def query_of(bundle: CompiledBundle, inputs: Inputs, trusted: bool) -> Query | None:
    """What a call is asked with, where what comes back is kept; None for a call without values that only reads."""
    values, action = list(_texts(inputs.request.arguments.values)), ""
    if inputs.request.action != TOOL_CALL:
        values.append(inputs.request.resource.id)
        action = inputs.request.action
    kept, written = tuple(values[:MAX_QUERY]), _written(bundle, inputs)
    if not kept:
        return Query(written=written) if written is not None else None
    if trusted:
        return Query(kept, written=written, action=action)
    tracer = Tracer(intent(inputs), bundle.directory, known_of(inputs))
    return Query(kept, len(values) > MAX_QUERY or tracer.steers_query(kept), written=written, action=action)


def _written(bundle: CompiledBundle, inputs: Inputs) -> Written | None:
    request = inputs.request
    counted = may_write(bundle, _call(request))
    if not counted:
        hints = hints_for(bundle, request)
        tool = tool_of(bundle, request.action, request.resource, hints) if hints is not NO_HINTS else None
        if tool is None or tool.tool.annotations.effect is ToolEffect.READ:
            return None
    if not _was_told(inputs.session, inputs.observed):
        return Written(inputs.now, counted=counted)
    return written_of(request.arguments.values, inputs.now, counted)


def _was_told(session: Session | None, observed: Observed) -> bool:
    """Whether anything that a session says may be what untrusted text told it."""
    return observed.untrusted or (session is not None and provenance_of(session).untrusted)


def may_write(bundle: CompiledBundle | None, name: str) -> bool:
    """Whether a call counted under that name may put something where another one reads it: all that is not known for reading."""
    tool = bundle.tools.get(name) if bundle is not None else None
    if tool is None:
        return name not in WRITE_NOTHING
    return tool.tool.annotations.effect is not ToolEffect.READ


def written_before(
    bundle: CompiledBundle | None, chain: tuple[TaskState, ...], session: Session, observed: Observed
) -> int | None:
    """How many calls that may write were permitted under the task up to now, in whatever session; None where this one was told nothing."""
    if not chain or not _was_told(session, observed):
        return None
    return sum(count for name, count in chain[-1].spent.tools.items() if may_write(bundle, name))


def _texts(arguments: Mapping[str, Any]) -> Iterator[str]:
    """All values of a call as text, each cut to what is remembered."""
    for name, value in arguments.items():
        if type(value) is str and "," not in value and ";" not in value:  # what most arguments are has no parts
            yield value[:MAX_VALUE]
        elif type(value) is int:
            yield repr(value)[:MAX_VALUE]
        else:
            yield from (text_of(one)[:MAX_VALUE] for _, one in parts_of(name, value))


def keeps_records(bundle: CompiledBundle, action: str, resource: str, hints: Hints = NO_HINTS) -> bool:
    """Whether a tool's platform keeps the fields of its output apart from what people write: as its reviewed annotations say, and not
    where it hands out something's own content by path or address."""
    tool = tool_of(bundle, action, EntityRef("Tool", resource), hints)
    if tool is None or not tool.tool.annotations.output_records or not tool.tool.annotations.complete:
        return False
    if tool.tool.annotations.effect is not ToolEffect.READ:
        return True
    names = {word for name in tool.types.root.fields for word in words_of(name)}
    return not names & _CONTENT and tool.tool.annotations.reach is not Reach.EXTERNAL


_CONTENT = frozenset({"path", "url", "uri", "link", "href", "webpage", "page", "site", "website"})
