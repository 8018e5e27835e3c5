"""What an evaluation is told beyond its decision: whether a denial can be requested, and what became of an approval (AuthZEN ARAP)."""

from typing import Any

from remit.local.wiring import Embedded
from remit.model.authorizer import ApprovalState
from remit.model.decision import Decision, Permit
from remit.model.identity import ApprovalId
from remit.runtime.store import Approval
from remit.server.api.times import written

REQUESTS = "/access/v1/requests"
CAPABILITY = "urn:openid:authzen:capability:access-request"
RETRY_SECONDS = 5
"""So long whoever waits for an answer should wait before they ask again."""


def added(embedded: Embedded, base: str, shown: str | None, decision: Decision) -> dict[str, Any]:
    """Members of the answer's context. `base` is where this server is, `shown` the approval that the request refers to, if it does."""
    if isinstance(decision, Permit):
        used = embedded.store.approval(decision.approval) if decision.approval is not None else None
        return {"approval": reference(used)} if used is not None else {}
    asked = embedded.store.approval(decision.approval) if decision.approval is not None else None
    more: dict[str, Any] = {}
    if asked is not None:
        more = {"evaluation_id": decision.id, "access_request": _requestable(base, asked, decision.message)}
    if shown is not None:
        more |= _next(asked, shown)
    return more


def reference(approval: Approval) -> dict[str, str]:
    """An approval by name, and until when it can be used."""
    return {"id": approval.id, "approved_until": written(approval.expires)}


def _requestable(base: str, asked: Approval, why: str) -> dict[str, Any]:
    return {
        "endpoint": f"{base}{REQUESTS}",
        "template": asked.rule.value,
        "expires_at": written(asked.expires),
        "display": {"title": "A person must approve this", "description": why},
    }


def _next(asked: Approval | None, shown: str) -> dict[str, Any]:
    """What whoever came with an approval that does not hold should do."""
    if asked is None:
        return {"next_action": "none"}
    if asked.id == ApprovalId(shown) and asked.state is ApprovalState.PENDING:
        return {"next_action": "retry", "retry_after": RETRY_SECONDS}
    return {"next_action": "request"}
