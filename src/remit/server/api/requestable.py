"""What an evaluation is told beyond its decision: whether a denial can be requested, and what became of an approval (AuthZEN ARAP)."""

from collections.abc import Mapping
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


def added(embedded: Embedded, base: str, message: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """Members of the answer's context. `base` is where this server is, `message` the request as it came."""
    if isinstance(decision, Permit):
        used = embedded.store.approval(decision.approval) if decision.approval is not None else None
        return {"approval": reference(used)} if used is not None else {}
    asked = embedded.store.approval(decision.approval) if decision.approval is not None else None
    more: dict[str, Any] = {}
    if asked is not None:
        more = {"evaluation_id": decision.id, "access_request": _requestable(base, asked, decision.message)}
    shown = presented(message)
    if shown is not None:
        more |= _next(asked, shown)
    return more


def presented(message: Mapping[str, Any]) -> str | None:
    """The approval that an evaluation refers to, as the caller says; None for none. Its name opens nothing."""
    context = message.get("context")
    approval = context.get("approval") if isinstance(context, dict) else None
    if approval is None:
        return None
    name = approval.get("id") if isinstance(approval, dict) else None
    return name if isinstance(name, str) else ""


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
