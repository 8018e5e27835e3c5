"""Tasks and their sessions, as lists."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.wiring import Embedded
from remit.model.errors import malformed
from remit.model.identity import TaskId
from remit.model.task import TaskState, TaskStatus
from remit.server.api.tasks import TaskSeen, chain_of, seen, task_of
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.paging import Page, Paged, PageRequest, asked_of
from remit.server.permitting import is_session_of, is_within, may_close, may_see
from remit.server.reading import read_query
from remit.server.responding import answer, embedded_of

SCANNED = 5000
"""So many are looked through for one page; then it ends, with a cursor, however few they were."""


class TasksWanted(Paged, frozen=True, forbid_unknown_fields=True):
    """Which tasks: of one agent, in one state."""

    agent: str = ""
    status: TaskStatus | msgspec.UnsetType = msgspec.UNSET


async def listed(request: Request) -> Response:
    """`GET /v1/tasks`: tasks, newest first; an agent sees its own and those that it opened."""
    caller, embedded, wanted = await caller_of(request), embedded_of(request), read_query(request, TasksWanted)
    return answer(await asyncio.to_thread(_page, embedded, caller, wanted, asked_of("tasks", wanted)))


def _page(embedded: Embedded, caller: Known, wanted: TasksWanted, asked: PageRequest) -> Page[TaskSeen]:
    items: list[TaskSeen] = []
    behind = _before(asked.after)
    for _ in range(SCANNED // 500):
        states = embedded.store.tasks(500, behind)
        for state in states:
            if len(items) == asked.limit:
                return asked.ended(items, _name(behind))
            behind = state.task.opened, state.task.id
            if _is_wanted(state, wanted) and _may_see(embedded, caller, state):
                items.append(seen(state))
        if len(states) < 500:
            return asked.ended(items, "")
    return asked.ended(items, _name(behind))


def _is_wanted(state: TaskState, wanted: TasksWanted) -> bool:
    return wanted.agent in ("", state.task.agent) and wanted.status in (msgspec.UNSET, state.task.status)


def _may_see(embedded: Embedded, caller: Known, state: TaskState) -> bool:
    if not (may_see(caller, state.task.agent) or may_close(caller, state.task)):
        return False
    return caller.task is None or is_within(caller, chain_of(embedded, state.task.id))


def _name(behind: tuple[int, str] | None) -> str:
    return f"{behind[0]} {behind[1]}" if behind is not None else ""


def _before(after: str) -> tuple[int, str] | None:
    moment, _, task = after.partition(" ")
    if not after:
        return None
    if not moment.isascii() or not moment.isdecimal() or len(moment) > 18:
        raise malformed("`cursor` is no `next_cursor` of ours: begin without one")
    return int(moment), task


async def sessions(request: Request) -> Response:
    """`GET /v1/tasks/{id}/sessions`: the runs of a task, oldest first."""
    caller, embedded, wanted = await caller_of(request), embedded_of(request), read_query(request, Paged)
    task = TaskId(request.path_params["id"])
    state = task_of(embedded, caller, task)
    asked = asked_of(f"sessions of {state.task.id}", wanted)
    found = await asyncio.to_thread(embedded.store.sessions_of, state.task.id)
    theirs = [one for one in found if is_session_of(caller, one.id) and one.id > asked.after]
    return answer(asked.page((one.id, one) for one in sorted(theirs, key=lambda one: one.id)))
