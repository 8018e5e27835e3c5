"""Access requests as people see them: what was asked for, what was shown and said of it, and where it stands."""

from collections import Counter
from collections.abc import Container
from typing import Any

import msgspec

from remit.model.authorizer import ApprovalState
from remit.model.identity import ApprovalId, floor_id
from remit.runtime.approving.answering import as_granted
from remit.runtime.approving.approvals import REQUEST_LIFE, Shown, flows_by, of_tasks_over, shown_to_approver, waiting
from remit.runtime.approving.denying import why_denied
from remit.runtime.approving.lapsing import Lapse, lapse_of, look
from remit.runtime.approving.misreading import marks
from remit.runtime.approving.requesting import Submission, submission_of
from remit.runtime.asked import AskedBy
from remit.runtime.runtime import Runtime
from remit.runtime.store import Approval

TASK_CLOSED = "task-closed"
"""The state of a request or an approval that nothing can use any more."""


class Card(msgspec.Struct, frozen=True):
    """One access request. `shown` and `said` are None once its task's data was erased, and `said` where nobody submitted it. `alike` is how
    many of its group wait: of the same task (or, without one, the same agent) for the same tool. `lapse` is why an approval that was given
    would not count now; `why` is what whoever denied it says."""

    approval: Approval
    shown: Shown | None
    said: Submission | None
    state: str
    alike: int = 0
    lapse: Lapse | None = None
    why: str = ""

    @property
    def waits(self) -> bool:
        """Whether an answer is of use."""
        return self.state == ApprovalState.PENDING


def group(approval: Approval | AskedBy) -> str:
    """What names the group of a request."""
    return f"{approval.task or approval.agent} {approval.tool}"


def card(runtime: Runtime, approval: Approval) -> Card:
    """The card of an access request. Reads the store: not on an event loop."""
    look(runtime)
    return _card(runtime, approval, _groups(runtime), of_tasks_over(runtime, [approval]))


def _groups(runtime: Runtime) -> Counter[str]:
    """How many wait of each group."""
    now = runtime.clock()
    first = ApprovalId(floor_id("apr", now - REQUEST_LIFE))
    return Counter(group(one) for one in runtime.view.asked.waiting_since(first) if now < one.expires)


def _card(runtime: Runtime, approval: Approval, groups: Counter[str], over: Container[ApprovalId]) -> Card:
    with runtime.view.lock:
        runtime.view.refresh()
        key = runtime.view.key(approval.task)
        shown, said = shown_to_approver(approval, key), submission_of(approval, key)
    state = _state(runtime, approval, over)
    alike = groups[group(approval)] if state == ApprovalState.PENDING else 0
    lapse = lapse_of(runtime, approval) if state == ApprovalState.APPROVED else None
    return Card(approval, shown, said, state, alike, lapse, why_denied(approval, key))


def cards(runtime: Runtime, limit: int, everything: bool = False, before: ApprovalId | None = None) -> list[Card]:
    """The newest (older than `before`) that an answer is of use for; with `everything` also those that were answered, have expired, or are
    of closed tasks. Reads the store: not on an event loop."""
    look(runtime)
    found = runtime.view.store.approvals(None, limit, before) if everything else waiting(runtime, limit, before)
    groups, over = _groups(runtime), of_tasks_over(runtime, found)
    return [_card(runtime, approval, groups, over) for approval in found]


def as_plain(seen: Card) -> dict[str, Any]:
    """The card in plain values, for a program. Times are µs since the epoch."""
    approval, said = seen.approval, seen.said
    return {
        "id": approval.id,
        "state": seen.state,
        "decision": approval.decision,
        "task": approval.task,
        "agent": approval.agent,
        "tool": approval.tool,
        "rule": approval.rule,
        "opened": approval.opened,
        "expires": approval.expires,
        "resolver": approval.resolver,
        "people": approval.rule.people,
        "approved_by": [one.operator for one in approval.given],
        "flows_by": flows_by(approval),
        "granted": as_granted(approval, [offer.flow for offer in seen.shown.offers]) if seen.shown is not None else (),
        "escalated": approval.escalated,
        "told": approval.told,
        "group": group(approval),
        "alike": seen.alike,
        "lapsed": seen.lapse.whole if seen.lapse is not None else "",
        "why": seen.why,
        "look_closely": list(marks(seen.shown)) if seen.shown is not None else [],
        "shown": msgspec.to_builtins(seen.shown, builtin_types=(msgspec.Raw,)) if seen.shown else None,
        "submitted": {"by": said.requester, "verified_by": said.verified_by, "says": msgspec.Raw((said.words or "{}").encode())}
        if said
        else None,
    }


def _state(runtime: Runtime, approval: Approval, over: Container[ApprovalId]) -> str:
    if approval.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
        return approval.state.value
    if runtime.clock() >= approval.expires:
        return ApprovalState.EXPIRED.value
    return TASK_CLOSED if approval.id in over else approval.state.value
