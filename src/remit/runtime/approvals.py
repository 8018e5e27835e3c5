"""Approvals: an access request for one exact action, answered by a human, used once."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ApprovalRequested, ApprovalResolved, FlowGranted
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.inventory.directory import Directory
from remit.model.authorizer import ApprovalState
from remit.model.caller import UNPROVEN, Proof
from remit.model.clock import MINUTE
from remit.model.decision import ApproverRule, Deny, Obligation, Steering
from remit.model.errors import conflict, not_found, refused
from remit.model.flow import MAX_FLOWS
from remit.model.identity import AgentId, ApprovalId, Operator, new_id
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.request import SESSION_DECLASSIFY
from remit.model.task import TaskState, TaskStatus
from remit.model.values import NO_ARGUMENTS, Arguments, freeze
from remit.pdp.declassification import touches_of
from remit.pdp.inputs import Grant, Inputs
from remit.pdp.obligations import barred
from remit.pdp.offering import Offer, offers
from remit.pdp.parties import CONTEXT, circumstances_in
from remit.runtime.pending import Driven, Steps
from remit.runtime.requesting import submission_of
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.store import Approval, HoldTask, PutApproval, PutTask, Write

REQUEST_LIFE = 30 * MINUTE
"""An access request that nobody answered for so long has expired; an approval must be used within the same time."""

VOLATILE = frozenset({"time", "timestamp", "now", "nonce", "request_id"})
"""Circumstances that an approval does not bind: policies may read them, and do so each time anew."""

_encode = msgspec.json.Encoder().encode


class Shown(msgspec.Struct, frozen=True):
    """What the approver is shown, and so what an approval covers. `offers` are the data flows that may be granted with it, `touches` is how
    often the session had touched something by then. `upstream` and `definition` say what would execute it; `said` are the properties and
    circumstances that came with the request, in canonical form."""

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
    if not VOLATILE.isdisjoint(given):
        lasting = {name: value for name, value in given.items() if name not in VOLATILE}
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
    return Shown(
        agent=request.subject.id,
        purpose=task.purpose if task else "",
        on_behalf_of=task.on_behalf_of if task else "",
        action=request.action,
        resource=request.resource.id,
        arguments=msgspec.Raw(request.arguments.canonical),
        why=deny.message,
        tier=deny.tier.value if deny.tier else "",
        label=inputs.session.reached if inputs.session else PUBLIC_TRUSTED,
        steering=deny.basis.steering,
        obligations=deny.obligations,
        before=inputs.session.calls if inputs.session else {},
        offers=offers(inputs, deny.basis.steering),
        touches=touches_of(inputs),
        upstream=request.upstream,
        definition=request.definition,
        said=msgspec.Raw(request.properties.canonical),
    )


def requested_record(approval: Approval) -> Record:
    """The entry of an access request."""
    body = ApprovalRequested(
        approval.id, approval.decision, approval.task, approval.rule.value, approval.digest, approval.expires
    )
    return Record(encode_body(body), "approval.requested", approval.decision, approval.task)


def still_asks(approval: Approval, deny: Deny, key: SealKey, inputs: Inputs) -> bool:
    """Whether a pending access request shows its approver what holds now; if not, a new one is opened."""
    if approval.state is not ApprovalState.PENDING or inputs.now >= approval.expires:
        return False
    shown = _decode_shown(key.open(approval.shown, approval.id))
    now = _shown(inputs, deny)
    same = shown.action != SESSION_DECLASSIFY or now.touches == shown.touches
    return approval.rule == deny.requestable and now.label.within(shown.label) and now.steering == shown.steering and same


def shown_to_approver(approval: Approval, key: SealKey | None) -> Shown | None:
    """What there is to see before answering; None once the task's key was destroyed."""
    return None if key is None else _decode_shown(key.open(approval.shown, approval.id))


def grant_of(approval: Approval, key: SealKey, now: int) -> Grant | None:
    """The approval as a decision may use it: given, unexpired, unused."""
    if approval.state is not ApprovalState.APPROVED or now >= approval.expires:
        return None
    shown = _decode_shown(key.open(approval.shown, approval.id))
    return Grant(approval.id, approval.resolver, approval.rule, shown.label, shown.steering, shown.obligations, shown.touches)


def used(approval: Approval) -> Approval:
    """The approval after its one use."""
    return replace(approval, state=ApprovalState.USED, version=approval.version + 1)


def of_closed_task(runtime: Runtime, approval: Approval) -> bool:
    """Whether its task, or one that was delegated from, is closed or has expired: no approval can be used under it any more."""
    with runtime.view.lock:
        runtime.view.refresh()
        return _is_closed(runtime, runtime.view.chain(approval.task)[0])


def _is_closed(runtime: Runtime, chain: Sequence[TaskState]) -> bool:
    now = runtime.clock()
    return any(state.task.status is not TaskStatus.OPEN or now >= state.task.expires for state in chain)


def waiting(runtime: Runtime, limit: int) -> list[Approval]:
    """The newest access requests that an answer is of use for: pending, unexpired, of an open task."""
    look = limit
    while True:
        now = runtime.clock()
        found = runtime.view.store.approvals(ApprovalState.PENDING, look)
        current = [approval for approval in found if now < approval.expires]
        live = [approval for approval in current if not of_closed_task(runtime, approval)]
        # They come newest first and all live equally long: behind the first that has expired there are only such.
        if len(live) >= limit or len(found) < look or len(current) < len(found):
            return live[:limit]
        look *= 4


def resolve(
    runtime: Runtime, approval: ApprovalId, operator: Operator, grant: bool, why: str = "", flows: bool = False
) -> Driven[Approval]:
    """Approve or deny an access request; with `flows`, grant the data flows that it offers for the rest of its task, too.

    Raises `RemitError`: not-found, conflict (already answered, expired), refused (this person may not answer it, its task is
    closed, nothing to grant).
    """
    return Driven(lambda: _resolve(runtime, approval, operator, grant, why, flows))


def _resolve(runtime: Runtime, wanted: ApprovalId, operator: Operator, grant: bool, why: str, flows: bool) -> Steps[Approval]:
    now = runtime.clock()
    approval = runtime.view.store.approval(wanted)
    if approval is None:
        raise not_found(f"there is no access request `{wanted}`: see `remit approval list`")
    if approval.state is not ApprovalState.PENDING:
        raise conflict(f"access request `{wanted}` is already {approval.state.value}")
    if now >= approval.expires:
        raise conflict(f"access request `{wanted}` has expired: the agent must ask again")
    with runtime.view.lock:
        key = runtime.view.key(approval.task)
    if key is None:
        raise refused(f"access request `{wanted}` cannot be shown any more: its task was erased")
    asked_by = _askers(approval, key) if grant else set()
    if grant:
        _may_approve(runtime, approval, operator, asked_by)
    state = ApprovalState.APPROVED if grant else ApprovalState.DENIED
    answered = replace(approval, state=state, resolver=operator.id, version=approval.version + 1)
    sealed = key.seal(why.encode(), wanted) if why else b""
    body = ApprovalResolved(wanted, approval.decision, approval.task, state.value, operator.id, operator.verified_by, sealed)
    record = Record(encode_body(body), "approval", approval.decision, approval.task)
    granted = _offered(approval, key) if flows and grant else ()

    def prepare() -> Change:
        if grant:
            _may_approve(runtime, approval, operator, asked_by)
        records, writes = _granting(runtime, answered, operator, key, granted) if granted else ([], [])
        held = _held_open(runtime, approval) if grant else []
        return [record, *records], [PutApproval(answered), *held, *writes]

    yield from administer(runtime, prepare)
    return answered


def _held_open(runtime: Runtime, approval: Approval) -> list[Write]:
    """What keeps an answer from being committed once its task is closed."""
    chain, _ = runtime.view.chain(approval.task)
    if _is_closed(runtime, chain):
        raise refused(f"access request `{approval.id}` cannot be approved, its task is closed: nothing can use this")
    return [HoldTask(state.task.id) for state in chain]


def _offered(approval: Approval, key: SealKey) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(offer.flow for offer in _decode_shown(key.open(approval.shown, approval.id)).offers))
    if not found or approval.task is None:
        raise refused(f"access request `{approval.id}` has no data flow that could be granted: approve the one call")
    return found


def _granting(
    runtime: Runtime, approval: Approval, operator: Operator, key: SealKey, flows: tuple[str, ...]
) -> tuple[list[Record], list[Write]]:
    """The entries of the grants, and the task with them."""
    assert approval.task is not None
    chain, _ = runtime.view.chain(approval.task)
    task = chain[0].task
    if task.status is not TaskStatus.OPEN or runtime.clock() >= task.expires:
        raise refused(f"task `{task.id}` is closed or has expired: nothing can be granted to it")
    new = [flow for flow in flows if flow not in task.flows]
    first = len(task.scope.flows or ()) + len(task.flows)
    if first + len(new) > MAX_FLOWS:
        raise refused(f"task `{task.id}` has {first} data-flow grants, {MAX_FLOWS} at most: approve the one call")
    records = [
        Record(
            encode_body(_granted(approval, first + number, operator, key.seal(flow.encode(), approval.id))),
            "flow.granted",
            approval.decision,
            task.id,
        )
        for number, flow in enumerate(new)
    ]
    return records, [PutTask(replace(task, flows=(*task.flows, *new)))]


def _granted(approval: Approval, number: int, operator: Operator, sealed: bytes) -> FlowGranted:
    return FlowGranted(approval.task or "", number, approval.id, approval.decision, operator.id, operator.verified_by, sealed)


def _askers(approval: Approval, key: SealKey) -> set[str]:
    """Who asked for this, by any of the ways there are."""
    said = submission_of(approval, key)
    submitter = said.requester if said is not None and said.verified_by != UNPROVEN else ""
    return {_asked_by(_decode_shown(key.open(approval.shown, approval.id))), submitter, approval.caller.partition("#")[2]}


def _asked_by(shown: Shown) -> str:
    """The person who wants a label lowered, as the request says; empty where an agent asks."""
    if shown.action != SESSION_DECLASSIFY:
        return ""
    return str(msgspec.json.decode(shown.arguments).get("by", ""))


def _day(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000, UTC).date().isoformat()


def _may_approve(runtime: Runtime, approval: Approval, operator: Operator, asked_by: Collection[str]) -> None:
    with runtime.view.lock:
        runtime.view.refresh()
        chain, complete = runtime.view.chain(approval.task)
        agent = runtime.view.agent(approval.agent)
    # Asked of the store as it is now: another process may have heard of people since.
    approver = Directory(runtime.view.store.people_named, runtime.view.store.person).known_as(operator.id)
    if approver.gone:
        raise refused(
            f"`{operator.id}` is gone, as the directory says since {_day(approver.standing.since)}: somebody else must approve it"
        )
    if not approver.whole:
        raise refused(f"too many people in the directory share names with `{operator.id}` to tell who approves: mend it first")
    if not complete:
        raise refused("a task in the delegation chain cannot be found: nothing can be approved under it")
    if why := barred(operator.id, approval.rule, approval.agent, agent, chain, approver.names):
        raise refused(why)
    if approver.is_one_of(name for name in asked_by if name):
        raise refused(f"`{operator.id}` asked for this: somebody else must approve it")
