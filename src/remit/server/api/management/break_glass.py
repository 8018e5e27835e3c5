"""Break-glass, over HTTP: asked for, confirmed, ended, and reviewed."""

import asyncio
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.wiring import Embedded
from remit.model.break_glass import MOST_MINUTES, BreakGlass, Stage, Verdict
from remit.model.errors import ErrorKind, RemitError, not_found, refused
from remit.model.identity import BreakGlassId, TaskId
from remit.pdp.administration import Act
from remit.runtime.emergency import break_glass
from remit.runtime.emergency.overview import BreakGlassTold, emergencies, seen, told
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.paging import Paged, asked_of
from remit.server.permitting import may_break_glass, may_see_break_glass
from remit.server.reading import Nothing, read_as, read_query
from remit.server.responding import answer, embedded_of

Names = tuple[str, ...]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=MOST_MINUTES)]


class BreakGlassWanted(Paged, frozen=True, forbid_unknown_fields=True):
    """Which of them: for one agent, where they stand, or those alone that are over and not reviewed."""

    agent: str = ""
    stage: Stage | msgspec.UnsetType = msgspec.UNSET
    unreviewed: bool = False


class AskingFor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be possible, for an agent or in one task, and why. `tools` are names or `group:NAME`, `resources` patterns as scopes have
    them; without `minutes`, as many as the published bundle lets."""

    reason: str
    incident: str
    agent: str = ""
    task: str | None = None
    tools: Names = ()
    resources: Names = ()
    minutes: Minutes | None = None


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it ends before its time."""

    why: str = ""


class Reviewing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be thought of what was done under it, in a word and in words."""

    verdict: Verdict
    comment: str


async def listed(request: Request) -> Response:
    """`GET /v1/break-glass`: what people opened against policy, or asked for, newest first."""
    embedded, wanted = await _looking(request), read_query(request, BreakGlassWanted)
    asked = asked_of("break-glass", wanted)
    stages = [Stage.ENDED] if wanted.unreviewed else tuple(Stage) if wanted.stage is msgspec.UNSET else [wanted.stage]
    behind = BreakGlassId(asked.after) if asked.after else None
    found = await asyncio.to_thread(emergencies, embedded.runtime, stages, behind)
    fitting = [one for one in found if wanted.agent in ("", one.agent) and wanted.stage in (msgspec.UNSET, one.stage)]
    return answer(asked.page((one.id, one) for one in fitting))


async def shown(request: Request) -> Response:
    """`GET /v1/break-glass/{id}`: one of them, with the decisions that nothing else permits."""
    embedded = await _looking(request)
    return answer(await asyncio.to_thread(_told, embedded, await _found(embedded, request)))


async def ask(request: Request) -> Response:
    """`POST /v1/break-glass`: ask that policy does not keep an agent from something, for minutes; nothing is open before another person
    confirms it."""
    caller, embedded = await caller_of(request), embedded_of(request)
    wanted = await read_as(request, AskingFor)
    task = TaskId(wanted.task) if wanted.task is not None else None
    state = await asyncio.to_thread(embedded.store.task, task) if task is not None else None
    _check(caller, Act.ASK_BREAK_GLASS, state.task.agent if state is not None else wanted.agent)
    what = wanted.agent, task, wanted.tools, wanted.resources, wanted.minutes
    asking = break_glass.EmergencyRequest(wanted.reason, wanted.incident, *what)
    return _seen(embedded, await break_glass.ask(embedded.runtime, asking, caller.operator), 201)


async def confirm(request: Request) -> Response:
    """`POST /v1/break-glass/{id}/confirm`: it is open from now on; by another person than the one who asked."""
    caller, embedded = await caller_of(request), embedded_of(request)
    glass = await _found(embedded, request)
    _check(caller, Act.CONFIRM_BREAK_GLASS, glass.agent)
    await read_as(request, Nothing)
    return _seen(embedded, await break_glass.confirm(embedded.runtime, glass.id, caller.operator))


async def end(request: Request) -> Response:
    """`POST /v1/break-glass/{id}/end`: it is over, in every process at its next decision and act; or it was never confirmed, and is
    withdrawn."""
    caller, embedded = await caller_of(request), embedded_of(request)
    glass = await _found(embedded, request)
    _check(caller, Act.END_BREAK_GLASS, glass.agent)
    wanted = await read_as(request, Ending)
    return _seen(embedded, await break_glass.end(embedded.runtime, glass.id, caller.operator, wanted.why))


async def review(request: Request) -> Response:
    """`POST /v1/break-glass/{id}/review`: close the review of one that is over, as somebody who was neither of the two."""
    caller, embedded = await caller_of(request), embedded_of(request)
    glass = await _found(embedded, request)
    _check(caller, Act.REVIEW_BREAK_GLASS, glass.agent)
    wanted = await read_as(request, Reviewing)
    done = await break_glass.review(embedded.runtime, glass.id, caller.operator, wanted.verdict, wanted.comment)
    return answer(await asyncio.to_thread(_told, embedded, done))


def _seen(embedded: Embedded, glass: BreakGlass, status: int = 200) -> Response:
    return answer(seen(glass, embedded.runtime.clock()), status)


def _told(embedded: Embedded, glass: BreakGlass) -> BreakGlassTold:
    return told(embedded.runtime, embedded.store.log, glass)


def _check(caller: Known, act: Act, agent: str) -> None:
    if not may_break_glass(caller, act, agent):
        raise refused("you may not do that to break-glass: an administrator gives you a role, and an agent never has it")


async def _looking(request: Request) -> Embedded:
    if not may_see_break_glass(await caller_of(request)):
        raise refused("you may not see break-glass: an administrator gives you a role")
    return embedded_of(request)


async def _found(embedded: Embedded, request: Request) -> BreakGlass:
    name = BreakGlassId(request.path_params["id"])
    try:
        glass = await asyncio.to_thread(embedded.store.break_glass, name)
    except RemitError as error:
        if error.kind is not ErrorKind.MALFORMED:
            raise
        glass = None  # what is no text names none
    if glass is None:
        raise not_found(f"there is no break-glass `{name}`")
    return glass
