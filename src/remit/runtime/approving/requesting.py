"""Access requests as somebody submits them (AuthZEN ARAP): with words for the approver, for how long, and taken back again."""

import msgspec
from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ApprovalResolved, ApprovalSubmitted
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.model.authorizer import ApprovalState
from remit.model.errors import conflict, not_found, refused
from remit.model.identity import ApprovalId, Operator
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Runtime, administer
from remit.runtime.store import Approval
from remit.runtime.writes import PutApproval


class Submission(msgspec.Struct, frozen=True):
    """What whoever submits an access request says: nobody has checked it. `words` is JSON for the approver, `until` how long the access is
    wanted (µs, 0 for as long as there is), `key` their idempotency key, and `content` the digest of all they sent."""

    requester: str
    verified_by: str
    words: str = ""
    until: int = 0
    key: str = ""
    content: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Submission).decode


def submission_of(approval: Approval, key: SealKey | None) -> Submission | None:
    """What was said when it was submitted; None if nobody did, or once the task's key was destroyed."""
    if key is None or not approval.submitted:
        return None
    return _decode(key.open(approval.submitted, _about(approval.id)))


def submit(runtime: Runtime, approval: ApprovalId, submission: Submission) -> Driven[Approval]:
    """Record what is said for an access request that waits. Only the first submission counts; whoever submits the same again, or
    submits once it is answered, gets what there is.

    Raises `RemitError`: not-found, conflict for another submission under the same idempotency key, refused once its data was erased.
    """
    return Driven(lambda: _submit(runtime, approval, submission))


def _submit(runtime: Runtime, wanted: ApprovalId, submission: Submission) -> Steps[Approval]:
    found: list[Approval] = []

    def prepare() -> Change:
        approval, key = _found(runtime, wanted)
        known = submission_of(approval, key)
        found[:] = [approval]
        if known is not None:
            same = (known.requester, known.verified_by, known.key) == (
                submission.requester,
                submission.verified_by,
                submission.key,
            )
            if submission.key and same and known.content != submission.content:
                raise conflict(f"access request `{wanted}` was submitted under this idempotency key with other content")
            return [], []
        now = runtime.clock()
        if approval.state is not ApprovalState.PENDING or now >= approval.expires:
            return [], []
        expires = min(approval.expires, submission.until) if submission.until > now else approval.expires
        sealed = key.seal(_encode(submission), _about(wanted))
        put = replace(approval, submitted=sealed, expires=expires, version=approval.version + 1)
        found[:] = [put]
        body = ApprovalSubmitted(
            wanted, approval.decision, approval.task, submission.requester, submission.verified_by, expires, sealed
        )
        return [Record(encode_body(body), "approval.submitted", approval.decision, approval.task)], [PutApproval(put)]

    yield from administer(runtime, prepare)
    return found[0]


def cancel(runtime: Runtime, approval: ApprovalId, operator: Operator, why: str = "") -> Driven[Approval]:
    """Take an access request back before it is answered. Raises `RemitError`: not-found, conflict once it is answered or has expired."""
    return Driven(lambda: _cancel(runtime, approval, operator, why))


def _cancel(runtime: Runtime, wanted: ApprovalId, operator: Operator, why: str) -> Steps[Approval]:
    cancelled: list[Approval] = []

    def prepare() -> Change:
        approval, key = _found(runtime, wanted)
        if approval.state is not ApprovalState.PENDING:
            raise conflict(f"access request `{wanted}` is already {approval.state.value}")
        if runtime.clock() >= approval.expires:
            raise conflict(f"access request `{wanted}` has expired")
        put = replace(approval, state=ApprovalState.CANCELLED, resolver=operator.id, version=approval.version + 1)
        cancelled[:] = [put]
        sealed = key.seal(why.encode(), wanted) if why else b""
        body = ApprovalResolved(
            wanted, approval.decision, approval.task, put.state.value, operator.id, operator.verified_by, sealed
        )
        return [Record(encode_body(body), "approval", approval.decision, approval.task)], [PutApproval(put)]

    yield from administer(runtime, prepare)
    return cancelled[0]


def _found(runtime: Runtime, wanted: ApprovalId) -> tuple[Approval, SealKey]:
    approval = runtime.view.store.approval(wanted)
    if approval is None:
        raise not_found(f"there is no access request `{wanted}`")
    key = runtime.view.key(approval.task)
    if key is None:
        raise refused(f"access request `{wanted}` cannot be used any more: its task was erased")
    return approval, key


def _about(approval: str) -> str:
    return f"{approval} submitted"
