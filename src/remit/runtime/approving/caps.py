"""How many access requests may wait at a time: an agent must not be able to bury who answers them."""

from remit.model.identity import ApprovalId, TaskId, floor_id
from remit.pdp.compiled import ApprovalTerms
from remit.pdp.inputs import Inputs
from remit.runtime.approving.approvals import REQUEST_LIFE, is_closed
from remit.runtime.runtime import Runtime
from remit.runtime.store import Approval


def too_many(runtime: Runtime, inputs: Inputs) -> str:
    """Why no other access request is opened for this request now, in words for the agent; empty if one may be.

    Those on their way to the disk in this process count; what other processes open in the same moment does not, so that there can be as
    many more as they open at once.
    """
    terms = inputs.bundle.approvals if inputs.bundle is not None else ApprovalTerms()
    mine = [one for one in _waiting(runtime, inputs.now) if one.agent == inputs.request.subject.id]
    ours = [one for one in mine if one.task == inputs.request.task]
    if len(ours) >= terms.per_task:
        return (
            f"but {len(ours)} access requests of this task wait already, and no more may: wait until a person has answered them"
        )
    if len(mine) < terms.per_agent:
        return ""
    open_still = {task for task in {one.task for one in mine} if not _closed(runtime, task)}
    live = sum(1 for one in mine if one.task in open_still)
    if live < terms.per_agent:
        return ""
    return f"but {live} access requests of this agent wait already, and no more may: wait until a person has answered them"


def _waiting(runtime: Runtime, now: int) -> list[Approval]:
    """All that wait and have not expired, of any agent."""
    known = {one.id: one for one in runtime.view.store.waiting_since(ApprovalId(floor_id("apr", now - REQUEST_LIFE)))}
    for one in runtime.view.underway.values():
        if one.version == 1:  # opened by a decision on its way; the others are there already, or are used by one
            known.setdefault(one.id, one)
    return [one for one in known.values() if now < one.expires]


def _closed(runtime: Runtime, task: TaskId | None) -> bool:
    return task is not None and is_closed(runtime, runtime.view.chain(task)[0])
