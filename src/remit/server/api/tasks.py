"""Tasks and sessions of a door that has no store: opened, entered, gone on with, and closed."""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.unknown import unknown_names
from remit.local.wiring import Embedded
from remit.model.caller import Proof
from remit.model.errors import RemitError, malformed, not_found, refused
from remit.model.identity import SessionId, TaskId
from remit.model.task import Budgets, Opening, Scope, Session, Spent, Task, TaskState, TaskStatus
from remit.runtime import sessions
from remit.runtime.tasks import AgentOpener, Opener, close_task, open_task
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.permitting import is_session_of, is_within, may_act_as, may_close, may_inherit, may_open, may_see
from remit.server.reading import Nothing, read_as
from remit.server.responding import answer, embedded_of


class NewTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task to be opened; `session` is the one of the agent that opens it, empty where a person does."""

    purpose: str
    agent: str = ""
    type: str = ""
    on_behalf_of: str = ""
    scope: Scope = Scope()
    budgets: Budgets = Budgets()
    seconds: int | None = None
    parent: str | None = None
    session: str | None = None


class OpenedTask(Task, frozen=True, kw_only=True):
    """A task as it was opened, and a warning for each name that the published bundle does not have."""

    warnings: tuple[str, ...]


class TaskSeen(Task, frozen=True, kw_only=True):
    """A task, and what it has spent."""

    spent: Spent


class ClosedTask(msgspec.Struct, frozen=True):
    """A task that has ended."""

    id: str
    status: TaskStatus


class Inheriting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose touches join."""

    child: str = msgspec.field(name="from")


async def open_(request: Request) -> Response:
    """`POST /v1/tasks`: by a person, or by an agent as its types and its own tasks let it."""
    caller, embedded = await caller_of(request), embedded_of(request)
    wanted = await read_as(request, NewTask)
    opener = _opener(embedded, caller, wanted)
    if not may_open(caller, opener):
        raise refused(f"`{caller.name}` may not open tasks: an administrator does, or the agent in whose session that is")
    parent = TaskId(wanted.parent) if wanted.parent is not None else None
    if parent is not None:
        task_of(embedded, caller, parent)
    elif caller.task is not None:
        raise refused(f"the token is for task `{caller.task}`: what is opened with it is a sub-task (`parent`)")
    if isinstance(opener, AgentOpener) and parent is None and wanted.on_behalf_of:
        # INVARIANT (authority enters from outside the agent): for whom it works is nothing that an agent can claim.
        raise refused("an agent does not say for whom it works: whoever opens its task does")
    agent = wanted.agent or (opener.agent if isinstance(opener, AgentOpener) else "")
    if not agent:
        raise malformed("say which agent: `agent`")
    given = {name: getattr(wanted, name) for name in ("purpose", "on_behalf_of", "type", "scope", "budgets", "seconds")}
    opened = await open_task(embedded.runtime, Opening(agent=agent, parent=parent, **given), opener)
    return answer(
        OpenedTask(**msgspec.structs.asdict(opened), warnings=tuple(unknown_names(embedded, wanted.scope, wanted.budgets)))
    )


def _opener(embedded: Embedded, caller: Known, wanted: NewTask) -> Opener:
    """Who opens: the agent of the session that is named, the agent that calls, or the person."""
    if wanted.session is not None:
        session = session_of(embedded, caller, SessionId(wanted.session))
        return AgentOpener(session.agent, session.id, *_shown(caller))
    return AgentOpener(caller.agent, None, *_shown(caller)) if caller.agent is not None else caller.operator


def _shown(caller: Known) -> tuple[str, Proof]:
    """Who asks, and how the agent's authority comes with it."""
    vouched = caller.agent is None and caller.proof is not Proof.NONE
    return caller.caller.id, Proof.VOUCHED if vouched else caller.proof


async def task(request: Request) -> Response:
    """`GET /v1/tasks/{id}`: a task and what it has spent."""
    caller, embedded = await caller_of(request), embedded_of(request)
    state = task_of(embedded, caller, TaskId(request.path_params["id"]))
    return answer(seen(state))


def seen(state: TaskState) -> TaskSeen:
    """A task as it is shown."""
    return TaskSeen(**msgspec.structs.asdict(state.task), spent=state.spent)


async def close(request: Request) -> Response:
    """`POST /v1/tasks/{id}/close`: it carries no authority from the next decision on."""
    caller, embedded = await caller_of(request), embedded_of(request)
    await read_as(request, Nothing)
    state = task_of(embedded, caller, TaskId(request.path_params["id"]))
    if not may_close(caller, state.task):
        raise refused(f"`{caller.name}` may not close task `{state.task.id}`: an administrator does, or its agent")
    await close_task(embedded.runtime, state.task.id, caller.name, caller.operator.verified_by)
    return answer(ClosedTask(state.task.id, TaskStatus.CLOSED))


async def begin(request: Request) -> Response:
    """`POST /v1/tasks/{id}/sessions`: a run of the task's agent begins."""
    caller, embedded = await caller_of(request), embedded_of(request)
    await read_as(request, Nothing)
    state = task_of(embedded, caller, TaskId(request.path_params["id"]))
    if caller.caller.session is not None:
        raise refused(f"the token is for session `{caller.caller.session}`: go on with that one")
    if not may_act_as(caller, state.task.agent):
        raise refused(f"`{caller.name}` is not agent `{state.task.agent}`: it begins its own sessions")
    return answer(await sessions.open_session(embedded.runtime, state.task.id))


async def session(request: Request) -> Response:
    """`GET /v1/sessions/{id}`: what a run has touched and done."""
    caller, embedded = await caller_of(request), embedded_of(request)
    return answer(session_of(embedded, caller, SessionId(request.path_params["id"])))


async def resume(request: Request) -> Response:
    """`POST /v1/sessions/{id}/resume`: go on with a run, with all that the others of its task have touched by now."""
    caller, embedded = await caller_of(request), embedded_of(request)
    await read_as(request, Nothing)
    found = _own(embedded, caller, SessionId(request.path_params["id"]))
    await sessions.take_over(embedded.runtime, found.id)
    return answer(sessions.resume(embedded.runtime, found.id))


async def inherit(request: Request) -> Response:
    """`POST /v1/sessions/{id}/inherit`: what another session has touched joins this one."""
    caller, embedded = await caller_of(request), embedded_of(request)
    wanted = await read_as(request, Inheriting)
    found = _own(embedded, caller, SessionId(request.path_params["id"]))
    child = SessionId(wanted.child)
    stored = embedded.store.session(child)
    above = _above(embedded, stored.task) if stored is not None else []
    if stored is None or not may_inherit(caller, found.agent, above) or not is_within(caller, [task.id for task in above]):
        raise _no_session(child)
    await sessions.inherit(embedded.runtime, found.id, child)
    return answer(sessions.resume(embedded.runtime, found.id))


def _above(embedded: Embedded, task: TaskId | None) -> Sequence[Task]:
    """A task, and those that it was delegated from."""
    with embedded.runtime.view.lock:
        embedded.runtime.view.refresh()
        return [state.task for state in embedded.runtime.view.chain(task)[0]]


def chain_of(embedded: Embedded, task: TaskId | None) -> Sequence[TaskId]:
    """The ids of a task and of those that it was delegated from."""
    return [found.id for found in _above(embedded, task)]


def task_of(embedded: Embedded, caller: Known, name: TaskId) -> TaskState:
    """A task. Raises `RemitError` (not-found), also for one of somebody else: who asks learns nothing of it."""
    found = embedded.store.task(name)
    seen = found is not None and (may_see(caller, found.task.agent) or may_close(caller, found.task))
    if found is None or not seen or not is_within(caller, chain_of(embedded, name)):
        raise not_found(f"there is no task `{name}`")
    return found


def session_of(embedded: Embedded, caller: Known, name: SessionId) -> Session:
    """A session as it stands. Raises `RemitError` (not-found), also for one of somebody else."""
    found = embedded.store.session(name)
    if found is None or not may_see(caller, found.agent) or not is_within(caller, chain_of(embedded, found.task)):
        raise _no_session(name)
    if not is_session_of(caller, name):
        raise _no_session(name)
    return sessions.resume(embedded.runtime, found.id)


def _own(embedded: Embedded, caller: Known, name: SessionId) -> Session:
    found = session_of(embedded, caller, name)
    if not may_act_as(caller, found.agent):
        raise refused(f"`{caller.name}` is not agent `{found.agent}`: it goes on with its own sessions")
    return found


def _no_session(name: SessionId) -> RemitError:
    return not_found(f"there is no session `{name}`")
