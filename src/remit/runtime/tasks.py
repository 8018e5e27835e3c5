"""Tasks: opened by somebody who is not the agent, narrowed when delegated, closed for good."""

from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import TaskClosed, TaskOpened
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.inventory.agents import checked_name
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.caller import Proof
from remit.model.clock import SECOND
from remit.model.decision import Deny, Permit
from remit.model.errors import RemitError, conflict, malformed, not_found, refused
from remit.model.flow import MAX_FLOWS, flow_grant
from remit.model.identity import AGENT, Agent, AgentId, AgentStatus, EntityRef, Operator, SessionId, TaskId, new_id
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.request import TASK_OPEN, EvaluationRequest
from remit.model.task import Budgets, Opening, Scope, Task, TaskState, TaskStatus
from remit.model.values import freeze
from remit.pdp.compiled import TaskType
from remit.pdp.parties import askers
from remit.runtime.authorize import evaluating, may_act
from remit.runtime.narrowing import MAX_SECONDS, check_size, narrow_budgets, narrow_scope
from remit.runtime.outcome import abandon, reporting
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import Change, Moved, Runtime, administer, asking_anew, published
from remit.runtime.writes import CloseTask, HoldTask, InsertTask

MAX_PURPOSE = 16_000
DEFAULT_SECONDS = 3600
NO_TYPE = "(none)"
"""What policies see as the type of a task that has none."""


class AgentOpener(msgspec.Struct, frozen=True):
    """An agent that opens a task itself: a sub-task of its own, or one whose type lets it. `session` is where it writes from; `caller` and
    `proof` are who asked over a network, and how that was shown."""

    agent: AgentId
    session: SessionId | None = None
    caller: str = ""
    proof: Proof | None = None


Opener = Operator | AgentOpener


def open_task(runtime: Runtime, opening: Opening, opener: Opener) -> Driven[Task]:
    """Open a task.

    Raises `RemitError`: malformed (no purpose, unknown type, a bound that is none), not-found (agent, parent), refused (the agent may
    not open it, it would be wider than what it comes from, or policy denies it, perhaps until somebody approves).
    """
    return Driven(lambda: opening_task(runtime, opening, opener))


def opening_task(runtime: Runtime, opening: Opening, opener: Opener) -> Steps[Task]:
    """The steps of `open_task`."""
    return asking_anew(lambda: _opening(runtime, opening, opener), "whether this task may be opened")


def _opening(runtime: Runtime, opening: Opening, opener: Opener) -> Steps[Task]:
    task_id = TaskId(new_id("tsk", runtime.clock()))
    key = SealKey.generate()
    opened: list[Task] = []

    def prepare() -> Change:
        task = _prepare(runtime, opening, opener, task_id)
        opened[:] = [task]
        # INVARIANT (fail closed): what policies say is what those say that hold when it is opened, whichever process published them.
        if published(runtime) != asked:
            raise Moved
        above = [HoldTask(state.task.id) for state in runtime.view.chain(task.parent)[0]]
        return [_opened_record(task, opener, key)], [*above, InsertTask(task, key.secret)]

    asked, permit = yield from _permitted(runtime, opening, opener, task_id)
    try:
        yield from administer(runtime, prepare)
    except BaseException:  # whatever kept it from being opened, its permit must not stay as one that was used
        if permit is not None:
            abandon(runtime, permit.id)
        raise
    if permit is not None:
        with suppress(RemitError):  # it is open; what nobody could report is settled later
            yield from reporting(runtime, Outcome(permit.id, None, OutcomeStatus.SUCCEEDED))
    return opened[0]


def _permitted(runtime: Runtime, opening: Opening, opener: Opener, task_id: TaskId) -> Steps[tuple[str, Permit | None]]:
    """The bundle that was asked, and the permit to open it, where that bundle has policies about it for such a subject. Raises `RemitError`
    (refused).

    What is delegated from a task is not asked about: it only narrows what was opened.
    """
    with runtime.view.lock:
        runtime.view.refresh()
        runtime.view.look()
        bundle, asked = runtime.view.bundle, published(runtime)
        subject = opener.ref if isinstance(opener, Operator) else EntityRef(AGENT, opener.agent)
        if opening.parent is not None or bundle is None or TASK_OPEN not in bundle.actions:
            return asked, None
        if subject.type not in askers(bundle, TASK_OPEN):
            return asked, None
        task = _prepare(runtime, opening, opener, task_id)  # nobody is asked to approve what cannot be opened
    decision = yield from evaluating(runtime, _as_request(task, subject, opener))
    if isinstance(decision, Deny):
        raise refused(f"opening this task is denied ({decision.reason}): {decision.message}{_awaited(decision)}")
    # INVARIANT (fail closed): what nobody here fulfils is not passed over.
    if decision.obligations:
        yield from _unused(runtime, decision)
        raise refused(f"opening this task is permitted under `{decision.obligations[0].type}` alone, which nothing here fulfils")
    asked = decision.basis.bundle
    if subject.type != AGENT:
        return asked, None  # of people nobody reports what became of a permit
    if not may_act(runtime, decision.id):
        yield from _unused(runtime, decision)
        raise refused("what permitted this task was taken back meanwhile: ask again")
    return asked, decision


def _unused(runtime: Runtime, permit: Permit) -> Steps[None]:
    with suppress(RemitError):  # people's permits are reported by nobody; of others it is settled later
        yield from reporting(runtime, Outcome(permit.id, None, OutcomeStatus.NOT_PERFORMED))


def _as_request(task: Task, subject: EntityRef, opener: Opener) -> EvaluationRequest:
    """The question whether a task may be opened, which binds all that it would be."""
    caller, proof = (f"{opener.verified_by}#{opener.id}", None) if isinstance(opener, Operator) else (opener.caller, opener.proof)
    asked = {
        "agent": task.agent,
        "purpose": task.purpose,
        "on_behalf_of": task.on_behalf_of,
        "seconds": (task.expires - task.opened) // SECOND,
        "scope": _said(task.scope),
        "budgets": _said(task.budgets),
    }
    resource = EntityRef("TaskType", task.type or NO_TYPE)
    return EvaluationRequest(subject, TASK_OPEN, resource, freeze(asked), caller=caller, proof=proof)


def _said(bounds: Scope | Budgets) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.to_builtins(bounds)
    return {name: value for name, value in said.items() if value not in (None, [], {}, ())}


def _awaited(decision: Deny) -> str:
    return "" if decision.approval is None else f"; `{decision.approval}` waits for that: open the same again once it is approved"


def _prepare(runtime: Runtime, opening: Opening, opener: Opener, task_id: TaskId) -> Task:
    now = runtime.clock()
    kind = _type(runtime, opening.type)
    parents = _parents(runtime, opening.parent, now)
    purpose = opening.purpose.strip()
    if not purpose or len(purpose) > MAX_PURPOSE or not _printable(purpose):
        raise malformed(f"a task needs a purpose in words, up to {MAX_PURPOSE} printable characters")
    # INVARIANT (authority enters from outside the agent): only the opener's own words are trusted intent.
    _may_open(opener, opening, kind, parents)
    agent = _agent(runtime, opening.agent)  # behind that: which agents there are is none of an agent's business
    label = _label_of(runtime, opener, opening.parent)
    _check_flows(opening, opener, kind, parents)
    check_size(opening.scope, opening.budgets)
    scope = narrow_scope(opening.scope, [kind.scope if kind else Scope(), *(_flows_closed(p.task.scope) for p in parents)])
    budgets = narrow_budgets(opening.budgets, [kind.budgets if kind else Budgets(), *(p.task.budgets for p in parents)])
    check_size(scope, budgets)  # with what the type and the tasks above add
    on_behalf_of = parents[0].task.on_behalf_of if parents else opening.on_behalf_of or _name(opener)
    task = Task(
        id=task_id,
        agent=agent.id,
        purpose=purpose,
        opener=_name(opener),
        on_behalf_of=checked_name(on_behalf_of, "person"),
        opened=now,
        expires=_expiry(now, opening, kind, parents),
        type=opening.type,
        parent=opening.parent,
        scope=scope,
        budgets=budgets,
        purpose_trusted=isinstance(opener, Operator),
        purpose_label=label,
    )
    for kill in runtime.view.kills:
        if kill.stops(task.agent, EntityRef("Agent", task.agent), [task, *(p.task for p in parents)]):
            raise refused(f"{kill} was stopped by `{kill.operator}`: no task is opened until it is released")
    return task


def _check_flows(opening: Opening, opener: Opener, kind: TaskType | None, parents: tuple[TaskState, ...]) -> None:
    """Raises `RemitError`: malformed for what is no grant, refused where an agent would grant itself one."""
    flows = opening.scope.flows or ()
    if not isinstance(flows, tuple) or not all(isinstance(text, str) for text in flows):
        raise malformed('data-flow grants are a tuple of texts: `flows=("pay.recipient := iban in read_file(bill.txt)",)`')
    if len(set(flows)) != len(flows):
        raise malformed("a data-flow grant stands twice: write `N times` instead")
    if len(flows) > MAX_FLOWS:
        raise malformed(f"a task has at most {MAX_FLOWS} data-flow grants")
    for text in flows:
        flow_grant(text)
    # INVARIANT (authority enters from outside the agent): only a person, or the type that a person wrote, grants a flow.
    of_type = kind.scope.flows or () if kind is not None else ()
    if not isinstance(opener, Operator) and not parents and not set(flows) <= set(of_type):
        raise refused("an agent grants itself no data flow: whoever opens the task does, or its type")


def _flows_closed(scope: Scope) -> Scope:
    """The scope of a parent task: where it has no grants, what is delegated from it gets none."""
    return scope if scope.flows is not None else replace(scope, flows=())


def _agent(runtime: Runtime, name: str) -> Agent:
    agent = runtime.view.agent(AgentId(name))
    if agent is None:
        raise not_found(f"agent `{name}` is not registered: run `remit agent register {name} --owner … --purpose …`")
    if agent.status is not AgentStatus.ACTIVE:
        raise refused(f"agent `{name}` is {agent.status.value}: it cannot be given a task")
    return agent


def _type(runtime: Runtime, name: str) -> TaskType | None:
    if not name:
        return None
    bundle = runtime.view.bundle
    kind = bundle.task_types.get(name) if bundle else None
    if kind is None:
        known = ", ".join(f"`{known}`" for known in (bundle.task_types if bundle else ())) or "none"
        raise malformed(f"task type `{name}` is not in the published bundle: it has {known}")
    return kind


def _parents(runtime: Runtime, parent: TaskId | None, now: int) -> tuple[TaskState, ...]:
    if parent is None:
        return ()
    chain, complete = runtime.view.chain(parent)
    if not chain or not complete:
        raise not_found(f"task `{parent}`, or one it was delegated from, does not exist in this store")
    for state in chain:
        if state.task.status is not TaskStatus.OPEN or now >= state.task.expires:
            raise refused(f"task `{state.task.id}` is closed or has expired: nothing can be delegated from it")
    return chain


def _may_open(opener: Opener, opening: Opening, kind: TaskType | None, parents: tuple[TaskState, ...]) -> None:
    if isinstance(opener, Operator):
        if opener.id == opening.agent:
            raise refused("an agent cannot open a task for itself as a person")
        return
    if parents and parents[0].task.agent == opener.agent:
        return
    if not parents and kind is not None and kind.agent_may_open and opener.agent == opening.agent:
        return
    raise refused(f"agent `{opener.agent}` may not open this task: somebody else opens it, or its type says `agent_may_open`")


def _label_of(runtime: Runtime, opener: Opener, parent: TaskId | None) -> Label:
    if isinstance(opener, Operator):
        return PUBLIC_TRUSTED
    own = Label(sources=(f"agent:{opener.agent}",))
    if parent is None and opener.session is None:
        return own
    stored = runtime.view.store.session(opener.session) if opener.session is not None else None
    if stored is not None and stored.agent == opener.agent and parent in (None, stored.task):
        # INVARIANT (labels come from what was touched): a session has touched what it has in any process, durable here or not.
        reached = stored.reached.join(runtime.view.newest(stored).reached)
        return reached if stored.task == parent else reached.join(own)
    # An agent that does not say truly where it writes from may have read anything.
    return own.join(Label(Confidentiality.RESTRICTED))


def _expiry(now: int, opening: Opening, kind: TaskType | None, parents: tuple[TaskState, ...]) -> int:
    bound = kind.seconds if kind else None
    seconds = opening.seconds if opening.seconds is not None else bound or DEFAULT_SECONDS
    if not 0 < seconds <= MAX_SECONDS:
        raise malformed(f"a task must live for 1 to {MAX_SECONDS} s, not {seconds}")
    if bound is not None and seconds > bound:
        raise refused(f"a task of type `{opening.type}` lives {bound} s at most, not {seconds}")
    return min([now + seconds * SECOND, *(state.task.expires for state in parents)])


def _name(opener: Opener) -> str:
    return opener.id if isinstance(opener, Operator) else opener.agent


def _printable(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)


def _opened_record(task: Task, opener: Opener, key: SealKey) -> Record:
    body = TaskOpened(
        task=task.id,
        agent=task.agent,
        opener=task.opener,
        verified_by=opener.verified_by if isinstance(opener, Operator) else "agent",
        on_behalf_of=task.on_behalf_of,
        type=task.type,
        parent=task.parent,
        expires=task.expires,
        scope=msgspec.to_builtins(task.scope),
        budgets=msgspec.to_builtins(task.budgets),
        purpose_trusted=task.purpose_trusted,
        commitment=key.commitment,
        sealed=key.seal(task.purpose.encode(), task.id),
    )
    return Record(encode_body(body), "task.opened", None, task.id)


def close_task(runtime: Runtime, task: TaskId, operator: str, verified_by: str = "") -> Driven[None]:
    """End a task, and with it all authority it carried; who says so is on record, and what showed that it is they.

    Raises `RemitError`: not-found, conflict if it is closed already.
    """
    return Driven(lambda: _close(runtime, task, operator, verified_by))


def _close(runtime: Runtime, task: TaskId, operator: str, verified_by: str) -> Steps[None]:
    def prepare() -> Change:
        chain, _ = runtime.view.chain(task)
        if not chain:
            raise not_found(f"there is no task `{task}` in this store")
        if chain[0].task.status is not TaskStatus.OPEN:
            raise conflict(f"task `{task}` is closed already")
        record = Record(encode_body(TaskClosed(task, operator, verified_by)), "task.closed", None, task)
        return [record], [CloseTask(task)]

    yield from administer(runtime, prepare)
    with runtime.view.lock:
        runtime.view.forget(None, [task])
