"""Access requests whose time has come: told to further people, and on record as expired once nobody answered them at all."""

from collections.abc import Sequence

from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ApprovalEscalated, ApprovalResolved
from remit.decision_log.store import Record
from remit.model.authorizer import ApprovalState
from remit.model.clock import SECOND
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId, floor_id
from remit.pdp.compiled import ApprovalTerms
from remit.runtime.approving.approvals import REQUEST_LIFE, is_over
from remit.runtime.asked import AskedBy
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.store import Approval
from remit.runtime.writes import PutApproval

AT_ONCE = 100
"""So many are written in one commit."""


def sweep(runtime: Runtime) -> Driven[int]:
    """Put on record what has become of requests by the clock alone; how many those are. Any number of processes may do so at once.

    Nothing rests on it: a request that has expired cannot be answered, swept or not. Raises `RemitError` (unavailable).
    """
    return Driven(lambda: _sweep(runtime))


def _sweep(runtime: Runtime) -> Steps[int]:
    swept, names = 0, _perhaps(runtime)
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        due = _due(runtime, part)
        if not due:
            continue
        try:
            yield from administer(runtime, lambda part=part: _change(runtime, part))  # type: ignore[misc]
        except RemitError as error:
            if error.kind is not ErrorKind.CONFLICT:
                raise
            break  # answered, or swept by another process, in this moment: what is left is left for the next time
        swept += len(due)
    return swept


def _perhaps(runtime: Runtime) -> list[ApprovalId]:
    """Those whose time has come, unless somebody answers them now. What they show is not read: it can be long, and this is asked every few
    seconds."""
    now, terms, alive = runtime.clock(), _terms(runtime), ApprovalId(floor_id("apr", runtime.clock() - REQUEST_LIFE))
    names, late = runtime.view.store.waiting_before(alive), list[AskedBy]()
    for one in runtime.view.asked.waiting_since(alive):
        if now >= one.expires:
            names.append(one.id)
        elif _late(one, terms, now):
            late.append(one)
    stands = {task: not is_over(runtime, task) for task in {one.task for one in late}}
    return names + [one.id for one in late if stands[one.task]]


def _change(runtime: Runtime, part: Sequence[ApprovalId]) -> Change:
    after = _due(runtime, part)  # as they are now: one may have been answered
    return [_record(one) for one in after], [PutApproval(one) for one in after]


def _due(runtime: Runtime, part: Sequence[ApprovalId]) -> list[Approval]:
    """Those of these that wait and whose time has come, as they will then be."""
    now, terms, due = runtime.clock(), _terms(runtime), list[Approval]()
    for one in runtime.view.store.approvals_named(part):
        if one.state is not ApprovalState.PENDING:
            continue
        if now >= one.expires:
            due.append(replace(one, state=ApprovalState.EXPIRED, version=one.version + 1))
        elif _late(one, terms, now) and not is_over(runtime, one.task):
            due.append(replace(one, escalated=now, told=terms.escalate_to, version=one.version + 1))
    return sorted(due, key=lambda one: one.id)


def _late(approval: Approval | AskedBy, terms: ApprovalTerms, now: int) -> bool:
    return bool(terms.escalate_after) and not approval.escalated and now >= approval.opened + terms.escalate_after * SECOND


def _terms(runtime: Runtime) -> ApprovalTerms:
    with runtime.view.lock:
        runtime.view.look()
        bundle = runtime.view.bundle
    return bundle.approvals if bundle is not None else ApprovalTerms()


def _record(approval: Approval) -> Record:
    about = approval.id, approval.decision, approval.task
    if approval.state is ApprovalState.EXPIRED:
        body = encode_body(ApprovalResolved(*about, approval.state.value, "", "", b""))
        return Record(body, "approval", approval.decision, approval.task)
    return Record(encode_body(ApprovalEscalated(*about, approval.told)), "approval.escalated", approval.decision, approval.task)
