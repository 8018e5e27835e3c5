"""What people say who deny an access request: for the record, and for the agent, who is told why and not by whom."""

from msgspec.structs import replace

from remit.decision_log.sealing import SealKey
from remit.model.authorizer import ApprovalState
from remit.model.decision import Deny
from remit.model.errors import malformed
from remit.model.identity import ApprovalId
from remit.runtime.runtime import Runtime
from remit.runtime.store import Approval

MAX_WHY = 2000
"""Characters of what is said with an answer: an agent reads it."""


def sealed_why(why: str, approval: ApprovalId, key: SealKey) -> bytes:
    """What is said with an answer, as it is kept; nothing where nothing is said. Raises `RemitError` (malformed)."""
    if len(why) > MAX_WHY or not all(char.isprintable() or char in "\n\t" for char in why):
        raise malformed(f"say why in up to {MAX_WHY} printable characters")
    return key.seal(why.encode(), approval) if why.strip() else b""


def why_denied(approval: Approval, key: SealKey | None) -> str:
    """What whoever denied it says; empty for one that was not denied, where nothing was said, and once its task's data was erased."""
    if approval.state is not ApprovalState.DENIED or key is None or not approval.why:
        return ""
    return key.open(approval.why, approval.id).decode()


def told(runtime: Runtime, approval: Approval) -> str:
    """The same, of a request that was just read. Raises `RemitError` (unavailable)."""
    if approval.state is not ApprovalState.DENIED:
        return ""
    with runtime.view.lock:
        runtime.view.look()
        return why_denied(approval, runtime.view.key(approval.task))


def as_denied_before(deny: Deny, approval: Approval | None, key: SealKey, now: int) -> Deny:
    """The denial, and that a person has denied exactly this, as long as that request would have waited, and why."""
    if approval is None or now >= approval.expires:
        return deny
    why = why_denied(approval, key)
    said = f"a person has denied exactly this (`{approval.id}`){f': {why}' if why else ''}"
    return replace(deny, message=f"{deny.message}; {said}")
