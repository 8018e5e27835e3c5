"""Access requests whose time has come: told to further people, and on record as expired once nobody answered them at all."""

from collections.abc import Iterator

from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ApprovalEscalated, ApprovalResolved
from remit.decision_log.store import Record
from remit.model.authorizer import ApprovalState
from remit.model.clock import SECOND
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId
from remit.pdp.compiled import ApprovalTerms
from remit.runtime.approving.approvals import is_over
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
    swept = 0
    while due := list(_due(runtime)):
        part = {one.id for one in due[:AT_ONCE]}
        try:
            yield from administer(runtime, lambda part=part: _change(runtime, part))  # type: ignore[misc]
        except RemitError as error:
            if error.kind is not ErrorKind.CONFLICT:
                raise
            break  # answered, or swept by another process, in this moment: what is left is left for the next time
        swept += len(part)
    return swept


def _change(runtime: Runtime, part: set[ApprovalId]) -> Change:
    after = [one for one in _due(runtime) if one.id in part]  # as they are now: one may have been answered
    return [_record(one) for one in after], [PutApproval(one) for one in after]


def _due(runtime: Runtime) -> Iterator[Approval]:
    """Those that wait and whose time has come, as they will then be."""
    now, terms = runtime.clock(), _terms(runtime)
    for one in runtime.view.store.waiting_since(ApprovalId("")):
        if now >= one.expires:
            yield replace(one, state=ApprovalState.EXPIRED, version=one.version + 1)
        elif _late(one, terms, now) and not is_over(runtime, one.task):
            yield replace(one, escalated=now, told=terms.escalate_to, version=one.version + 1)


def _late(approval: Approval, terms: ApprovalTerms, now: int) -> bool:
    return bool(terms.escalate_after) and not approval.escalated and now >= approval.opened + terms.escalate_after * SECOND


def _terms(runtime: Runtime) -> ApprovalTerms:
    with runtime.view.lock:
        runtime.view.refresh()
        bundle = runtime.view.bundle
    return bundle.approvals if bundle is not None else ApprovalTerms()


def _record(approval: Approval) -> Record:
    about = approval.id, approval.decision, approval.task
    if approval.state is ApprovalState.EXPIRED:
        body = encode_body(ApprovalResolved(*about, approval.state.value, "", "", b""))
        return Record(body, "approval", approval.decision, approval.task)
    return Record(encode_body(ApprovalEscalated(*about, approval.told)), "approval.escalated", approval.decision, approval.task)
