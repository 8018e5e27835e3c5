"""The commit of a decision: its entry, and every effect that it has, as one."""

import msgspec

from remit.decision_log.append import Ticket
from remit.decision_log.sealing import SealKey
from remit.model.break_glass import BreakGlass
from remit.model.decision import Deny, Effects, Permit, Reason
from remit.model.labels import PUBLIC_TRUSTED
from remit.model.task import TaskStatus
from remit.pdp.flow import has_grants, keeps_records
from remit.pdp.hints import hints_for
from remit.pdp.inputs import Decided, Inputs
from remit.runtime import definitions
from remit.runtime.beside import keep_up
from remit.runtime.records import decision_record, memory_record, requested_record, used_record
from remit.runtime.runtime import Runtime
from remit.runtime.store import Approval, OpenPermit
from remit.runtime.writes import (
    HoldMemory,
    HoldTask,
    InsertPermit,
    PutAccount,
    PutApproval,
    PutMemory,
    PutSession,
    PutSpent,
    Write,
)

_encode = msgspec.json.Encoder().encode


class Loaded(msgspec.Struct, frozen=True, gc=False):
    """The inputs of one decision, the revision they were read at, the task's data key, and what is open as break-glass."""

    inputs: Inputs
    revision: int
    key: SealKey
    glass: tuple[BreakGlass, ...] = ()


class Considered(msgspec.Struct, frozen=True, gc=False):
    """A decision, with the approval it uses or (`opened`) the access request it opens, as that will be."""

    decided: Decided
    approval: Approval | None = None
    opened: bool = False


def commit(runtime: Runtime, loaded: Loaded, considered: Considered) -> Ticket[Write]:
    """Submit the entry with every effect of the decision, and move the view on to what they lead to."""
    # INVARIANT (one commit): entry, session, budgets, approval and permit stand or fall together.
    inputs, effects, decision = loaded.inputs, considered.decided.effects, considered.decided.decision
    # A denial that has people asked shows them what the session has reached, and that rests on what the tasks count of the others, too.
    asks = isinstance(decision, Deny) and decision.approval is not None
    writes = _spending(inputs, effects, decision.reason is Reason.BUDGET_EXHAUSTED, asks)
    records = [decision_record(inputs, decision, effects.session or inputs.session, loaded.key)]
    if effects.session is not None and inputs.session is not None:
        writes.append(PutSession(effects.session, inputs.session.version))
    if isinstance(decision, Permit):
        writes.extend(_permitted(runtime, loaded, considered))
        if decision.break_glass is not None:
            records.append(used_record(decision.break_glass, decision.id, inputs.request.task))
    if effects.memory is not None:
        records.append(memory_record(effects.memory, decision.id, inputs.request.task))
    if considered.approval is not None:
        writes.append(PutApproval(considered.approval))
        runtime.view.underway[considered.approval.id] = considered.approval
        if considered.opened:
            records.append(requested_record(considered.approval))
    if inputs.request.definition:
        seen = definitions.seen(runtime.view, inputs, effects.definition)
        records.extend(seen[0])
        writes.extend(seen[1])
    _move(runtime, inputs, effects)
    return runtime.appender.submit(Ticket(records, writes, loaded.revision, inputs.now))


def _spending(inputs: Inputs, effects: Effects, exhausted: bool, asks: bool) -> list[Write]:
    """What the tasks and the agent have spent; or that it is as the decision found it, where it rests on that."""
    bundle = inputs.bundle
    writes: list[Write] = [
        PutSpent(after.task.id, after.spent, before.spent.version)
        for before, after in zip(inputs.chain, effects.tasks, strict=False)
    ]
    still = [state for state in inputs.chain[len(writes) :] if state.task.status is TaskStatus.OPEN]
    read = exhausted or asks or has_grants(inputs.chain) or (bundle is not None and bundle.reads_history)
    if read:  # what it was decided on may be on its way, and not arrive; or another process has moved it, and used up a grant
        writes += [PutSpent(state.task.id, state.spent, state.spent.version) for state in still]
    else:
        writes += [HoldTask(state.task.id) for state in still]
    rests = exhausted and bundle is not None and bool(bundle.agent_rates)
    if inputs.agent is not None and (effects.account is not None or rests):
        # INVARIANT (budgets): what an agent has spent over all its tasks is spent in the commit of the permit, or nothing is.
        writes.append(PutAccount(inputs.agent.id, effects.account or inputs.account, inputs.account.version))
    return writes


def _permitted(runtime: Runtime, loaded: Loaded, considered: Considered) -> list[Write]:
    """The open permit, and what becomes of the memory that the action is on."""
    inputs, effects, writes = loaded.inputs, considered.decided.effects, list[Write]()
    if inputs.agent is not None:  # nobody reports what a person or a service did with a permit
        permit = _open_permit(runtime, loaded, considered)
        writes.append(InsertPermit(permit))
        runtime.view.permits[permit.decision] = permit
    if inputs.memory is not None:
        put = effects.memory
        writes.append(
            PutMemory(put, inputs.memory.version) if put is not None else HoldMemory(inputs.memory.name, inputs.memory.version)
        )
    return writes


def _open_permit(runtime: Runtime, loaded: Loaded, considered: Considered) -> OpenPermit:
    request, decision, effects = loaded.inputs.request, considered.decided.decision, considered.decided.effects
    bundle = loaded.inputs.bundle
    assert isinstance(decision, Permit) and bundle is not None
    return OpenPermit(
        decision.id,
        runtime.appender.writer,
        request.session,
        request.task,
        request.resource.id,
        decision.until,
        effects.worst or PUBLIC_TRUSTED,
        loaded.key.seal(_encode(effects.query), decision.id) if effects.query is not None else b"",
        keeps_records(bundle, request.action, request.resource.id, hints_for(bundle, request)),
        loaded.inputs.memory.name if loaded.inputs.memory is not None else "",
        effects.session is not None,
    )


def _move(runtime: Runtime, inputs: Inputs, effects: Effects) -> None:
    """Let this process go on from what will be."""
    runtime.view.move(effects.session, effects.tasks, effects.memory)
    if effects.tasks and inputs.session is not None:
        before, after = inputs.chain[-1].spent.raised, effects.tasks[-1].spent.raised
        if before != after:
            keep_up(runtime.view, inputs.session, before, after)
    if effects.account is not None and inputs.agent is not None:
        runtime.view.move_account(inputs.agent.id, effects.account)
