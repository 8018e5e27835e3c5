"""How many access requests may wait at a time: an agent must not be able to bury who answers them."""

from remit.model.identity import ApprovalId, TaskId, floor_id
from remit.pdp.compiled import ApprovalTerms
from remit.pdp.inputs import Inputs
from remit.runtime.approving.approvals import REQUEST_LIFE, is_over
from remit.runtime.asked import AskedBy
from remit.runtime.runtime import Runtime


def too_many(runtime: Runtime, inputs: Inputs) -> str:
    """Why no other access request is opened for this request now, in words for the agent; empty if one may be.

    Those on their way to the disk in this process count; what other processes open in the same moment does not, so that there can be as
    many more as they open at once. What nobody answered counts for as long as it could have waited, whatever its agent does to it
    meanwhile: each was told to people.
    """
    terms = inputs.bundle.approvals if inputs.bundle is not None else ApprovalTerms()
    mine = [one for one in _unanswered(runtime, inputs.now) if one.agent == inputs.request.subject.id]
    ours = [one for one in mine if one.task == inputs.request.task]
    if len(ours) >= terms.per_task:
        return (
            f"but {len(ours)} access requests of this task wait already (or were taken back within half an hour), and no more may: wait"
            " until a person has answered them"
        )
    if len(mine) < terms.per_agent:
        return ""
    counted = {task for task in {one.task for one in mine} if _counts(runtime, task)}
    live = sum(1 for one in mine if one.task in counted)
    if live < terms.per_agent:
        return ""
    return f"but {live} access requests of this agent wait already, and no more may: wait until a person has answered them"


def _unanswered(runtime: Runtime, now: int) -> list[AskedBy]:
    """All that were opened within the time that a request waits and that no person has answered, of any agent."""
    found = runtime.view.unanswered_since(ApprovalId(floor_id("apr", now - REQUEST_LIFE)))
    return [one for one in found if now < one.opened + REQUEST_LIFE]


def _counts(runtime: Runtime, task: TaskId | None) -> bool:
    """Whether what a task asks for counts: it is open, or an agent opened it, which could open and close one after the other."""
    chain = runtime.view.chain(task)[0] if task is not None else ()
    return not chain or not chain[0].task.purpose_trusted or not is_over(runtime, task)
