"""The place a request falls on: the policies that can match there, the entities they can reach, what is known of the tool."""

from collections.abc import Hashable
from typing import Any

import msgspec

from remit.model.decision import Obligation
from remit.model.hints import NO_HINTS
from remit.model.history import History
from remit.model.identity import Agent, EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.request import TOOL_CALL, EvaluationRequest, Tier
from remit.pdp.answer import EngineAnswer
from remit.pdp.cedar import engine
from remit.pdp.cedar.reads import Node, merge
from remit.pdp.cedar.slices import Slice
from remit.pdp.compiled import CompiledBundle, CompiledTool, EntityDocument, Rego
from remit.pdp.context import Context, Projected
from remit.pdp.destinations import has_destinations
from remit.pdp.entities import (
    action_document,
    ancestors,
    principal_document,
    reachable,
    referenced,
    resource_document,
)
from remit.pdp.hints import described, hints_for, raised, tool_of
from remit.pdp.history import added_by
from remit.pdp.memo import Memo
from remit.pdp.obligations import obligations_of
from remit.pdp.parties import party_document, told_apart
from remit.pdp.rego.document import parties
from remit.pdp.tier import output_label, tier_of

MEMO_LIMIT = 8192
_RESTRICTED = Label(Confidentiality.RESTRICTED)


class Locus(msgspec.Struct, frozen=True):
    """Everything about a request that stays the same for one subject, action, resource and bundle, and what a caller may say of these.

    `answers` remembers what an engine said: of Cedar once for all contexts that the policies cannot tell apart, of Rego by exactly the
    bytes it was shown; `tiers` are those of a session that has touched restricted data and of one that has not. `context` is what can be
    read of the context, in whatever language; `adds` what a permit adds to the task's history; `parties` what Rego policies see beside it;
    `raised` says why the tool counts as worse than the catalogue has it.
    """

    slice: Slice
    context: Node
    names: tuple[str, ...]
    documents: tuple[EntityDocument, ...]
    tool: CompiledTool | None
    tiers: tuple[Tier, Tier]
    worst: Label
    uids: engine.RequestUids
    entities: engine.Entities
    answers: Memo[bytes, EngineAnswer]
    asked: Memo[tuple[str, ...], tuple[Obligation, ...]]
    arguments: Memo[bytes, Projected]
    steered: bool
    adds: History
    parties: dict[str, Any] = {}
    raised: str = ""

    def tier(self, label: Label) -> Tier:
        """The tier of the request for a session with this label."""
        return self.tiers[label.confidentiality is Confidentiality.RESTRICTED]


def locus_of(bundle: CompiledBundle, agent: Agent | None, request: EvaluationRequest, target: Agent | None = None) -> Locus:
    """Find the locus of a request, remembered per bundle. `agent` is None where the subject is no agent; `target` is the agent that the
    action is on, if it is registered."""
    known = known_locus(bundle, agent, request, target)
    return known or bundle.loci.keep(_key(bundle, agent, request, target), _find(bundle, agent, request, target))


def known_locus(
    bundle: CompiledBundle, agent: Agent | None, request: EvaluationRequest, target: Agent | None = None
) -> Locus | None:
    """The locus of a request, if one like it was decided before."""
    found: Locus | None = bundle.loci.find(_key(bundle, agent, request, target))
    return found


def _key(bundle: CompiledBundle, agent: Agent | None, request: EvaluationRequest, target: Agent | None) -> tuple[Hashable, ...]:
    resource, version = request.resource, target.version if target is not None else 0
    heard = hints_for(bundle, request)
    hints = None if heard is NO_HINTS else heard  # told apart without hashing them, where there are none
    subject = request.subject
    who = (agent.id, agent.version) if agent is not None else ("", 0)
    said = told_apart(bundle, request)
    return *who, subject.type, subject.id, request.action, resource.type, resource.id, version, hints, said


def _find(bundle: CompiledBundle, agent: Agent | None, request: EvaluationRequest, target: Agent | None) -> Locus:
    principal = principal_document(agent) if agent is not None else party_document(bundle, request)
    resource = resource_document(bundle, request, target)
    above_principal, above_resource = ancestors(bundle, principal.parents), ancestors(bundle, resource.parents)
    slice_ = bundle.index.slice_for(
        principal.ref, frozenset(above_principal), request.action, resource.ref, frozenset(above_resource)
    )
    # The action is an entity too: what it is `in` are the groups above it.
    documents = (principal, resource, action_document(bundle, request.action))
    rego = bundle.rego
    context = slice_.reads.context if rego is None else merge([slice_.reads.context, rego.reads.at("context")])
    hints = hints_for(bundle, request)
    tool = tool_of(bundle, request.action, request.resource, hints)
    tiers = [tier_of(bundle, request.action, request.resource, label, hints) for label in (PUBLIC_TRUSTED, _RESTRICTED)]
    return Locus(
        slice_,
        context,
        tuple(str(ref) for ref in (principal.ref, *above_principal, resource.ref, *above_resource)),
        documents,
        tool,
        (tiers[0], tiers[1]),
        output_label(bundle, request.action, request.resource, hints),
        engine.request_uids(principal.ref, request.action, resource.ref),
        entities_handle(bundle, slice_, documents, ()),
        Memo(MEMO_LIMIT, bundle.loci),
        Memo(MEMO_LIMIT),
        Memo(MEMO_LIMIT, bundle.loci),
        _asks_for_flow(request, tool, context),
        added_by(bundle, request.action, request.resource, hints),
        parties(bundle, principal, documents[2], resource) if rego is not None else {},
        _raised(bundle, request),
    )


def same_ground(one: CompiledBundle, other: CompiledBundle) -> bool:
    """Whether two bundles say the same of everything but policies and tools."""
    return (
        one.entities == other.entities
        and one.classes == other.classes
        and one.actions == other.actions
        and one.principals == other.principals
        and one.directory == other.directory
        and one.task_free == other.task_free
        and one.agent_rates == other.agent_rates
        and one.first_use == other.first_use
        and one.break_glass == other.break_glass
        and one.approvals.rules == other.approvals.rules
        and one.request_attributed == other.request_attributed
        and one.facts.same(other.facts)
        and _same_rego(one.rego, other.rego)
    )


def _same_rego(one: Rego | None, other: Rego | None) -> bool:
    """Whether two bundles have the same Rego policies; of those that an engine outside may change, nobody knows."""
    if one is None or other is None:
        return one is other
    return bool(one.digest) and one.digest == other.digest


def alike(one: CompiledBundle, other: CompiledBundle, agent: Agent, request: EvaluationRequest) -> bool:
    """Whether two bundles on the same ground decide every request alike that has this agent, action and resource."""
    mine, theirs = locus_of(one, agent, request), locus_of(other, agent, request)
    return (
        mine.slice.ids == theirs.slice.ids
        and one.index.texts(mine.slice.ids) == other.index.texts(theirs.slice.ids)
        and mine.slice.annotations == theirs.slice.annotations
        and mine.tool == theirs.tool
        and mine.documents == theirs.documents
        and mine.tiers == theirs.tiers
        and mine.worst == theirs.worst
    )


def _raised(bundle: CompiledBundle, request: EvaluationRequest) -> str:
    return raised(described(bundle, request.resource), hints_for(bundle, request)) if request.action == TOOL_CALL else ""


def _asks_for_flow(request: EvaluationRequest, tool: CompiledTool | None, context: Node) -> bool:
    """Whether policies read where values came from, and a call here has a value that matters."""
    if not context.reaches("flow"):
        return False
    return request.action != TOOL_CALL or tool is None or has_destinations(tool)


def entities_handle(
    bundle: CompiledBundle, slice_: Slice, documents: tuple[EntityDocument, ...], named: tuple[EntityRef, ...]
) -> engine.Entities:
    """The engine's handle on what these policies can reach, each entity cut to the attributes they can read."""
    reads = slice_.reads
    closed = reachable(bundle, documents, (*reads.entities, *named))
    return engine.entities_handle(
        [
            {
                "uid": {"type": document.ref.type, "id": document.ref.id},
                "attrs": {
                    name: value for name, value in document.attributes.items() if reads.any_attribute or name in reads.attributes
                },
                "parents": [{"type": parent.type, "id": parent.id} for parent in document.parents],
            }
            for document in closed
        ]
    )


def obligations(locus: Locus, policies: tuple[str, ...]) -> tuple[Obligation, ...]:
    """What these policies, having permitted, ask of the enforcement point. Raises `UnknownObligation`."""
    known = locus.asked.find(policies)
    return known if known is not None else locus.asked.keep(policies, obligations_of(policies, locus.slice.annotations))


def evaluate(bundle: CompiledBundle, locus: Locus, context: Context) -> EngineAnswer:
    """What the policies of this locus say of one context, asked of the engine once for all that they cannot tell apart."""
    answer = locus.answers.find(context.read)
    if answer is not None:
        return answer
    alike = context.alike()
    answer = locus.answers.find(alike) if alike is not context.read else None
    if answer is None:
        answer = locus.answers.keep(alike, _asked(bundle, locus, context.read), len(alike))
    return answer if alike is context.read else locus.answers.keep(context.read, answer, len(context.read))


def _asked(bundle: CompiledBundle, locus: Locus, context: bytes) -> EngineAnswer:
    entities = locus.entities
    if b"__entity" in context:
        named = tuple(referenced(msgspec.json.decode(context)))
        entities = entities_handle(bundle, locus.slice, locus.documents, named)
    return engine.evaluate(locus.slice.handle, locus.uids, context, entities)
