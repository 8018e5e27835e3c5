"""Answers to access requests: by people who may give them, each on record, counted once."""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ApprovalGiven, ApprovalResolved, FlowGranted
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.inventory.directory import CorrelatedIdentity
from remit.model.authorizer import ApprovalState
from remit.model.errors import conflict, malformed, not_found, refused
from remit.model.flow import MAX_FLOWS, MAX_USES, flow_grant
from remit.model.identity import ApprovalId, Operator
from remit.model.task import TaskStatus
from remit.model.values import thaw
from remit.pdp.obligations import barred, owners_of, parts_in
from remit.runtime.acting import acting
from remit.runtime.approving.approvals import Shown, askers, flows_by, is_closed, shown_in
from remit.runtime.approving.denying import sealed_why
from remit.runtime.approving.excluding import excluded
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Moved, Runtime, administer, asking_anew, published
from remit.runtime.store import Approval, Given
from remit.runtime.writes import HoldTask, PutApproval, PutTask, Write


def resolve(
    runtime: Runtime,
    approval: ApprovalId,
    operator: Operator,
    grant: bool,
    why: str = "",
    flows: bool = False,
    uses: int | None = None,
) -> Driven[Approval]:
    """Approve or deny an access request; with `flows`, grant the data flows that it offers, too: to `uses` other calls each, or to as many
    as there are until its task ends.

    Where two people must approve, the first approval is on record and the request still waits for the second; a denial ends it, and its
    agent is told `why`. Raises `RemitError`: malformed (`why`, `uses`), not-found, conflict (already answered, also by this person, or
    expired), refused (this person may not answer it, policy lets somebody else do so, its task is closed, nothing to grant).
    """
    if uses is not None and not (flows and grant):
        raise malformed("`uses` is how many calls may use the data flows that are granted: grant these, too (`flows`, `--flow`)")
    if uses is not None and not 1 <= uses <= MAX_USES:
        raise malformed(f"{uses} calls cannot use a data flow: say 1 to {MAX_USES}, or nothing for the rest of the task")
    said = Given(operator.id, operator.verified_by, flows, uses)
    about = "whether this person may approve"
    return Driven(lambda: asking_anew(lambda: _resolve(runtime, approval, operator, grant, why, said), about))


def _resolve(runtime: Runtime, wanted: ApprovalId, operator: Operator, grant: bool, why: str, said: Given) -> Steps[Approval]:
    with runtime.view.lock:
        runtime.view.look()
        asked = published(runtime) if grant else ""
    approval, key = _waiting(runtime, wanted)
    shown = shown_in(approval, key)
    if grant:
        _may_approve(runtime, approval, operator, shown, askers(approval, shown, key))
        if words := (yield from excluded(runtime, approval, shown, operator, said.flows)):
            raise refused(words)
    answered: list[Approval] = []

    def prepare() -> Change:
        current, key = _waiting(runtime, wanted)  # as it is now: somebody else may have approved it, too
        # INVARIANT (fail closed): whom policies exclude is as those say that hold when they answer, whichever process published them.
        if grant and published(runtime) != asked:
            raise Moved
        sealed = sealed_why(why, wanted, key)
        if grant:
            by = _may_approve(runtime, current, operator, shown, askers(current, shown, key))
            answered[:] = [_approved(current, said, by)]
        else:
            answered[:] = [_denied(current, operator, sealed)]
        records, writes = [_record(answered[0], operator, sealed)], [PutApproval(answered[0])]
        if answered[0].state is ApprovalState.DENIED:
            return records, writes
        more: tuple[list[Record], list[Write]] = [], []
        if said.flows:
            offered = _offered(current, key)  # said now, not once the second person has approved it
            if answered[0].state is ApprovalState.APPROVED:
                more = _granting(runtime, answered[0], operator, key, as_granted(answered[0], offered))
        return [*records, *more[0]], [*writes, *_held_open(runtime, current), *more[1]]

    yield from administer(runtime, prepare)
    return answered[0]


def _waiting(runtime: Runtime, wanted: ApprovalId) -> tuple[Approval, SealKey]:
    """The request as it waits, and its task's key."""
    approval = runtime.view.store.approval(wanted)
    if approval is None:
        raise not_found(f"there is no access request `{wanted}`: see `remit approval list`")
    if approval.state is not ApprovalState.PENDING:
        raise conflict(f"access request `{wanted}` is already {approval.state.value}")
    if runtime.clock() >= approval.expires:
        raise conflict(f"access request `{wanted}` has expired: the agent must ask again")
    with runtime.view.lock:
        key = runtime.view.key(approval.task)
    if key is None:
        raise refused(f"access request `{wanted}` cannot be shown any more: its task was erased")
    return approval, key


def _denied(approval: Approval, operator: Operator, sealed: bytes) -> Approval:
    return replace(approval, state=ApprovalState.DENIED, resolver=operator.id, version=approval.version + 1, why=sealed)


def _approved(approval: Approval, said: Given, by: CorrelatedIdentity) -> Approval:
    """The request with one more approval; approved, once as many people have as must."""
    # INVARIANT (an approval is for one exact action): two approvals are those of two people, whatever they are called.
    if by.is_one_of(one.operator for one in approval.given):
        raise conflict(f"`{said.operator}` has approved `{approval.id}` already: another person must, too")
    if said.flows and not all(one.flows for one in approval.given):
        first = approval.given[0].operator
        raise refused(f"`{first}` approved the one call, not its data flows: approve `{approval.id}` without them")
    given = (*approval.given, said)
    done = len(given) >= approval.rule.people
    state, resolver = (ApprovalState.APPROVED, said.operator) if done else (ApprovalState.PENDING, "")
    kept = given if approval.rule.people > 1 or said.flows else ()
    return replace(approval, state=state, resolver=resolver, given=kept, version=approval.version + 1)


def as_granted(approval: Approval, offered: Sequence[str]) -> tuple[str, ...]:
    """The data flows that were granted with an approval, of those that were offered: to no more calls than everybody said who gave it."""
    said = flows_by(approval).values()
    if approval.state is ApprovalState.PENDING or not said:
        return ()
    # INVARIANT (an approval is for what was said): of two people, each has granted what the narrower of them has.
    uses = min((uses for uses in said if uses is not None), default=None)
    return tuple([str(flow_grant(flow).often(uses)) for flow in offered])


def _record(approval: Approval, operator: Operator, sealed: bytes) -> Record:
    """The entry of one person's answer."""
    about = approval.id, approval.decision, approval.task
    by = operator.id, operator.verified_by
    match approval.state:
        case ApprovalState.PENDING:
            given = ApprovalGiven(*about, len(approval.given), approval.rule.people, *by, sealed)
            return Record(encode_body(given), "approval.given", approval.decision, approval.task)
        case _:
            body = ApprovalResolved(*about, approval.state.value, *by, sealed)
            return Record(encode_body(body), "approval", approval.decision, approval.task)


def _held_open(runtime: Runtime, approval: Approval) -> list[Write]:
    """What keeps an answer from being committed once its task is closed."""
    chain, _ = runtime.view.chain(approval.task)
    if is_closed(runtime, chain):
        raise refused(f"access request `{approval.id}` cannot be approved, its task is closed: nothing can use this")
    return [HoldTask(state.task.id) for state in chain]


def _offered(approval: Approval, key: SealKey) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(offer.flow for offer in shown_in(approval, key).offers))
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
    standing = [flow for flow in flows if str(flow_grant(flow).often(None)) in task.flows]
    if said := next((flow for flow in standing if flow_grant(flow).uses is not None), ""):
        raise refused(f"`{said}` is granted for the rest of the task already: approve `{approval.id}` without its flows")
    new = [flow for flow in flows if flow not in standing]
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


def _may_approve(
    runtime: Runtime, approval: Approval, operator: Operator, shown: Shown, asked_by: Collection[str]
) -> CorrelatedIdentity:
    """Who it is that approves. Raises `RemitError` (refused) for one who may not."""
    by = acting(runtime, operator)
    with runtime.view.lock:
        runtime.view.refresh()
        chain, complete = runtime.view.chain(approval.task)
        owners = owners_of(runtime.view.agent(approval.agent), runtime.view.delegators(chain))
        parts = parts_in(shown.action, thaw(bytes(shown.arguments)).values, runtime.view.agent)
    if not complete:
        raise refused("a task in the delegation chain cannot be found: nothing can be approved under it")
    if by.is_one_of(asked_by):
        raise refused(f"`{operator.id}` asked for this: somebody else must approve it")
    if why := barred(operator.id, approval.rule, approval.agent, (*owners, *parts), chain, by.names):
        raise refused(why)
    return by
