"""Approvals: an access request for one exact action, opened by a denial, shown to whoever answers it, used once."""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from remit.decision_log.sealing import SealKey
from remit.model.authorizer import ApprovalState
from remit.model.caller import UNPROVEN, Proof, is_agents
from remit.model.clock import MINUTE
from remit.model.decision import ApproverRule, Deny, Obligation, Steering
from remit.model.flow import flow_grant
from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import AgentId, ApprovalId, TaskId, new_id
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.request import SESSION_DECLASSIFY
from remit.model.task import TaskState, TaskStatus
from remit.model.values import NO_ARGUMENTS, Arguments, freeze, thaw
from remit.pdp.declassification import touches_of
from remit.pdp.inputs import Grant, Inputs
from remit.pdp.offering import Offer, offers
from remit.pdp.parties import CONTEXT, circumstances_in
from remit.runtime.approving.requesting import submission_of
from remit.runtime.runtime import Runtime
from remit.runtime.store import Approval

_AT_ONCE = 1000
"""So many tasks are asked about at once."""
REQUEST_LIFE = 30 * MINUTE
"""An access request that nobody answered for so long has expired; an approval must be used within the same time."""

VOLATILE = frozenset({"time", "timestamp", "now", "nonce", "request_id"})
"""Circumstances that are others the next time that the same is asked."""
UNBOUND = VOLATILE | {"access_request", "evaluation_id", "evaluated_at", "reason"}
"""Circumstances that an approval does not bind: these, and what is of the profile itself (AuthZEN ARAP, authorization-relevant context).
Policies may read them, and do so each time anew."""

_encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct, frozen=True):
    """What else of the request policies can read (its types, and what a door hinted): asked about whoever answers, before it counts."""

    subject: str
    resource: str
    hints: Hints = NO_HINTS


class Shown(msgspec.Struct, frozen=True):
    """What the approver is shown, and so what an approval covers. `offers` are the data flows that may be granted with it, `touches` is how
    often the session had touched something by then. `upstream` and `definition` say what would execute it; `said` are the properties and
    circumstances that came with the request, in canonical form; `asked` is None in requests of older stores. `purpose_by` is the agent that
    wrote the purpose, empty where a person did; `within` is then the purpose of the nearest task above that a person opened."""

    agent: str
    purpose: str
    on_behalf_of: str
    action: str
    resource: str
    arguments: msgspec.Raw
    why: str
    tier: str
    label: Label
    steering: tuple[Steering, ...]
    obligations: tuple[Obligation, ...]
    before: dict[str, int]
    offers: tuple[Offer, ...] = ()
    touches: int = 0
    upstream: str = ""
    definition: str = ""
    said: msgspec.Raw = msgspec.Raw(b"{}")
    asked: Asked | None = None
    purpose_by: str = ""
    within: str = ""


_decode_shown = msgspec.json.Decoder(Shown).decode


def action_digest(key: SealKey, inputs: Inputs) -> str:
    """Binds the exact action: version, subject, delegation chain, task, action, resource, definitions, upstream, hints, typed
    arguments, properties.

    Keyed by the task's data key, so that it says nothing once that is destroyed. Obligations, labels and flows are compared by the
    decision itself, with those the approver was shown.
    """
    request = inputs.request
    tool = inputs.bundle.tools.get(request.resource.id) if inputs.bundle else None
    reviewed = hashlib.sha256(_encode(tool.tool)).hexdigest() if tool else ""
    bound = (
        1,
        request.subject,
        [state.task.id for state in inputs.chain],
        request.task,
        request.action,
        request.resource,
        request.definition,
        reviewed,
        request.upstream,
        request.hints,
        msgspec.Raw(request.arguments.canonical),
        *_lasting(request.properties),
    )
    return key.digest(_encode(bound))


def _lasting(properties: Arguments) -> list[msgspec.Raw]:
    """What came with a request, without what is another the next time that the same is asked; nothing where nothing is left."""
    if properties is NO_ARGUMENTS:
        return []
    given = circumstances_in(properties)
    if not UNBOUND.isdisjoint(given):
        lasting = {name: value for name, value in given.items() if name not in UNBOUND}
        parts = {**properties.values, CONTEXT: lasting}
        properties = freeze({name: values for name, values in parts.items() if values})
    return [msgspec.Raw(properties.canonical)] if properties.values else []


def open_request(inputs: Inputs, deny: Deny, key: SealKey, digest: str) -> Approval:
    """The access request that a requestable denial opens."""
    request = inputs.request
    shown = _shown(inputs, deny)
    approval_id = ApprovalId(new_id("apr", inputs.now))
    return Approval(
        id=approval_id,
        decision=deny.id,
        digest=digest,
        task=request.task,
        session=request.session,
        agent=AgentId(request.subject.id),
        tool=request.resource.id,
        rule=deny.requestable or ApproverRule.FOUR_EYES,
        opened=inputs.now,
        expires=inputs.now + REQUEST_LIFE,
        shown=key.seal(_encode(shown), approval_id),
        caller=request.caller if request.proof is not Proof.NONE else "",
    )


def _shown(inputs: Inputs, deny: Deny) -> Shown:
    request = inputs.request
    task = inputs.chain[0].task if inputs.chain else None
    # INVARIANT (authority enters from outside the agent): what an agent wrote does not pass for what a person wants.
    by_agent = task is not None and not task.purpose_trusted
    said = [state.task.purpose for state in inputs.chain if state.task.purpose_trusted]
    return Shown(
        agent=request.subject.id,
        purpose=task.purpose if task else "",
        on_behalf_of=task.on_behalf_of if task else "",
        action=request.action,
        resource=request.resource.id,
        arguments=msgspec.Raw(request.arguments.canonical),
        why=deny.message,
        tier=deny.tier.value if deny.tier else "",
        label=_reached(inputs),
        steering=deny.basis.steering,
        obligations=deny.obligations,
        before=inputs.session.calls if inputs.session else {},
        offers=offers(inputs, deny.basis.steering),
        touches=touches_of(inputs),
        upstream=request.upstream,
        definition=request.definition,
        said=msgspec.Raw(request.properties.canonical),
        asked=Asked(request.subject.type, request.resource.type, request.hints),
        purpose_by=task.opener if task is not None and by_agent else "",
        within=said[0] if by_agent and said else "",
    )


def _reached(inputs: Inputs) -> Label:
    return inputs.session.reached if inputs.session else PUBLIC_TRUSTED


def purposes(shown: Shown) -> list[tuple[str, str]]:
    """What the task is for, as rows of a card: whose words they are goes before them."""
    if not shown.purpose_by:
        return [("purpose", shown.purpose or "(no task)")]
    return [
        ("purpose", shown.within or "(an agent opened the task: no person has said what for)"),
        ("agent says", f"{shown.purpose_by}: {shown.purpose} (nobody checked this)"),
    ]


def still_asks(approval: Approval, deny: Deny, key: SealKey, inputs: Inputs) -> bool:
    """Whether a pending access request shows its approver what holds now; if not, a new one is opened."""
    if approval.state is not ApprovalState.PENDING or inputs.now >= approval.expires:
        return False
    shown = shown_in(approval, key)
    same = shown.action != SESSION_DECLASSIFY or touches_of(inputs) == shown.touches
    alike = same and set(deny.basis.steering) == set(shown.steering)
    return approval.rule == deny.requestable and _reached(inputs).within(shown.label) and alike


def shown_in(approval: Approval, key: SealKey) -> Shown:
    """What its approver is shown."""
    return _decode_shown(key.open(approval.shown, approval.id))


def shown_to_approver(approval: Approval, key: SealKey | None) -> Shown | None:
    """What there is to see before answering; None once the task's key was destroyed."""
    return None if key is None else shown_in(approval, key)


def grant_of(approval: Approval, key: SealKey, now: int) -> Grant | None:
    """The approval as a decision may use it: given, unexpired, unused."""
    if approval.state is not ApprovalState.APPROVED or now >= approval.expires:
        return None
    others = tuple([one.operator for one in approval.given if one.operator != approval.resolver])
    return grant_by(approval, shown_in(approval, key), approval.resolver, others)


def grant_by(approval: Approval, shown: Shown, approver: str, others: tuple[str, ...] = ()) -> Grant:
    """The approval as somebody gave it, or would."""
    flows = tuple([flow_grant(offer.flow) for offer in shown.offers])
    about = shown.label, shown.steering, shown.obligations, shown.touches
    return Grant(approval.id, approver, approval.rule, *about, others, flows)


def _asked_by(shown: Shown) -> str:
    """The person who wants a label lowered, as the request says; empty where an agent asks."""
    return str(thaw(bytes(shown.arguments)).values.get("by", "")) if shown.action == SESSION_DECLASSIFY else ""


def askers(approval: Approval, shown: Shown, key: SealKey) -> frozenset[str]:
    """Who asked for this, by any of the ways there are."""
    said = submission_of(approval, key)
    submitter = said.requester if said is not None and said.verified_by != UNPROVEN else ""
    caller = "" if is_agents(approval.caller) else approval.caller.partition("#")[2]  # a person may be called as an agent is
    return frozenset({name for name in (_asked_by(shown), submitter, caller) if name})


def flows_by(approval: Approval) -> dict[str, int | None]:
    """Who grants the data flows that were offered with it, and to how many calls: nobody where it was denied, or somebody who approved it
    granted none."""
    stands = approval.state in (ApprovalState.PENDING, ApprovalState.APPROVED, ApprovalState.USED)
    return {one.operator: one.uses for one in approval.given} if stands and all(one.flows for one in approval.given) else {}


def used(approval: Approval) -> Approval:
    """The approval after its one use."""
    return replace(approval, state=ApprovalState.USED, version=approval.version + 1)


def state_of(runtime: Runtime, approval: Approval) -> ApprovalState:
    """Where an access request stands by now, as the store has its task: one that nobody answered in time has expired, and nobody can
    answer one whose task is over. Raises `RemitError` (unavailable)."""
    if approval.state is not ApprovalState.PENDING:
        return approval.state
    if runtime.clock() >= approval.expires:
        return ApprovalState.EXPIRED
    return ApprovalState.CANCELLED if of_tasks_over(runtime, [approval]) else ApprovalState.PENDING


def of_tasks_over(runtime: Runtime, asked: Sequence[Approval]) -> set[ApprovalId]:
    """Those of these whose task, or one that was delegated from, is closed or has expired: as the store has it, whoever closed it. Raises
    `RemitError` (unavailable)."""
    with runtime.view.lock:
        runtime.view.refresh()
        chains = {one.id: runtime.view.chain(one.task)[0] for one in asked}
    ids = {name: [state.task.id for state in chain] for name, chain in chains.items()}
    standing, now = runtime.view.store.standing, runtime.clock()
    tasks = sorted({task for chain in ids.values() for task in chain})
    stand = all(standing(tasks[first : first + _AT_ONCE])[1] for first in range(0, len(tasks), _AT_ONCE))
    return {
        name
        for name, chain in chains.items()
        if (not stand and not standing(ids[name])[1]) or any(now >= state.task.expires for state in chain)
    }


def is_over(runtime: Runtime, task: TaskId | None) -> bool:
    """Whether a task, or one that it was delegated from, is closed or has expired: as the store has it, whoever closed it. Raises
    `RemitError` (unavailable)."""
    with runtime.view.lock:
        runtime.view.refresh()
        chain = runtime.view.chain(task)[0]
    return is_closed(runtime, chain) or not runtime.view.store.standing([state.task.id for state in chain])[1]


def is_closed(runtime: Runtime, chain: Sequence[TaskState]) -> bool:
    """Whether a task of a chain is closed or has expired."""
    now = runtime.clock()
    return any(state.task.status is not TaskStatus.OPEN or now >= state.task.expires for state in chain)


def waiting(runtime: Runtime, limit: int, before: ApprovalId | None = None) -> list[Approval]:
    """The newest access requests (older than `before`) that an answer is of use for: pending, unexpired, of an open task."""
    look = limit
    while True:
        now = runtime.clock()
        found = runtime.view.store.approvals(ApprovalState.PENDING, look, before)
        current = [approval for approval in found if now < approval.expires]
        over = of_tasks_over(runtime, current)
        live = [approval for approval in current if approval.id not in over]
        # They come newest first and all live equally long: behind the first that has expired there are only such.
        if len(live) >= limit or len(found) < look or len(current) < len(found):
            return live[:limit]
        look *= 4
