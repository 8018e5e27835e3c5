"""Kill and release, over HTTP."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.killing import check_known
from remit.model.errors import refused
from remit.model.kill import KillKind
from remit.runtime import kills
from remit.server.callers import caller_of
from remit.server.paging import Paged, asked_of
from remit.server.permitting import kills_shown, may_kill, may_release, may_see_kills
from remit.server.reading import read_as, read_query
from remit.server.responding import answer, embedded_of


class Killing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to stop, and why. `name` is which one (nothing for `all`); `unknown` stops also a name that nobody knows here."""

    kind: KillKind
    why: str
    name: str = ""
    unknown: bool = False


class Releasing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which kill to lift, and why."""

    kind: KillKind
    why: str
    name: str = ""


class Released(msgspec.Struct, frozen=True):
    """What is not stopped any more."""

    kind: KillKind
    name: str


async def listed(request: Request) -> Response:
    """`GET /v1/kills`: what is stopped now; an agent is told what can be about it."""
    caller, embedded, wanted = await caller_of(request), embedded_of(request), read_query(request, Paged)
    if not may_see_kills(caller):
        raise refused("you may not see what is stopped: an administrator gives you a role")
    asked = asked_of("kills", wanted)
    found = [(f"{kill.kind} {kill.name}", kill) for kill in kills_shown(caller, await asyncio.to_thread(embedded.store.kills))]
    return answer(asked.page((name, kill) for name, kill in sorted(found, key=lambda one: one[0]) if name > asked.after))


async def kill(request: Request) -> Response:
    """`POST /v1/kills`: stop an agent, a task, a task type, a tool or everything, in every process at its next decision and act."""
    caller, embedded = await caller_of(request), embedded_of(request)
    if not may_kill(caller):
        raise refused("you may not stop anything: an administrator does")
    wanted = await read_as(request, Killing)
    if not wanted.unknown:
        await asyncio.to_thread(check_known, embedded, wanted.kind, wanted.name)
    return answer(await kills.kill(embedded.runtime, wanted.kind, wanted.name, wanted.why, caller.operator), 201)


async def release(request: Request) -> Response:
    """`POST /v1/kills/release`: lift a kill; policy decides again."""
    caller, embedded = await caller_of(request), embedded_of(request)
    if not may_release(caller):
        raise refused("you may not lift a kill: an administrator does")
    wanted = await read_as(request, Releasing)
    await kills.release(embedded.runtime, wanted.kind, wanted.name, wanted.why, caller.operator)
    return answer(Released(wanted.kind, wanted.name))
