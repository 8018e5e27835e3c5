"""What a door needs beside decisions: whether a permit still stands, reports of outcomes, waiting for answers and for kills."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.decision_log.entry import OutcomeSeen
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.break_glass import OpenGlass, Stage
from remit.model.caller import is_agents
from remit.model.errors import ErrorKind, RemitError, conflict, malformed, not_found, refused
from remit.model.identity import AGENT, AgentId, DecisionId, EntityRef, SessionId, TaskId
from remit.runtime.recorded import decision_of
from remit.server import elsewhere
from remit.server.callers import caller_of
from remit.server.direct import DECISION
from remit.server.known import Known
from remit.server.permitting import glass_shown, is_session_of, is_within, kills_shown, may_ask, may_see_kills
from remit.server.reading import Nothing, read_as
from remit.server.responding import answer, embedded_of, figures_of, waits_of

MAX_WAIT = 30.0


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a door saw; `content` is what came back as text, null where the door cannot see it."""

    status: OutcomeStatus
    content: str | None = None
    error: Annotated[str, msgspec.Meta(max_length=4000)] = ""


async def act(request: Request) -> Response:
    """`POST /v1/decisions/{id}/act`: whether a permit stands, just before it is used; true at most once."""
    caller, embedded = await caller_of(request), embedded_of(request)
    await read_as(request, Nothing)
    decision = _decision(embedded, caller, request)
    return answer({"stands": await elsewhere.act(request.app.state.peers, embedded, decision)})


async def outcome(request: Request) -> Response:
    """`POST /v1/decisions/{id}/outcome`: what became of a permit. Said again, it changes nothing."""
    caller, embedded = await caller_of(request), embedded_of(request)
    report = await read_as(request, Report)
    decision = _decision(embedded, caller, request)
    seen = Outcome(decision, None, report.status, report.content, report.error)
    try:
        await elsewhere.report(request.app.state.peers, embedded, seen)
    except RemitError as error:
        if error.kind is not ErrorKind.CONFLICT or not _is_recorded(embedded, seen):
            raise
    else:
        figures_of(request).outcome(report.status)
    return answer({"decision": decision, "status": report.status})


def _is_recorded(embedded: Embedded, seen: Outcome) -> bool:
    """Whether exactly this report is what the log has: then it came twice."""
    recorded = [entry.body for entry in embedded.store.log.by_decision(seen.decision) if isinstance(entry.body, OutcomeSeen)]
    if len(recorded) != 1:
        return False
    body, content = recorded[0], (seen.content or "").encode()
    with embedded.runtime.view.lock:
        embedded.runtime.view.look()
        key = embedded.runtime.view.key(_task(embedded, seen.decision))
    if key is None:
        raise conflict(f"decision `{seen.decision}` was reported before, and its task erased since")
    error = key.open(body.sealed, seen.decision).decode() if body.sealed else ""
    digest = key.digest(content) if content else ""
    return (body.status, body.size, body.content, error) == (seen.status.value, len(content), digest, seen.error)


async def caller(request: Request) -> Response:
    """`GET /v1/caller`: who the one that asks is taken for, and how they showed it."""
    known = await caller_of(request)
    return answer({"name": known.name, "agent": known.agent, "roles": sorted(known.caller.roles), "proof": known.proof})


async def watch(request: Request) -> Response:
    """`GET /v1/watch?since=REVISION&wait=SECONDS`: what is in force, and the count of administrative changes."""
    caller, embedded = await caller_of(request), embedded_of(request)
    if not may_see_kills(caller):
        raise refused("you may not see what is in force: an administrator gives you a role")
    since, seconds = number(request, "since", -1.0, 2.0**53), number(request, "wait", 0.0, MAX_WAIT)
    until, waits = time.monotonic() + seconds, waits_of(request)
    revision = await asyncio.to_thread(_revision, embedded)
    if revision == since and seconds:
        with waits.one(caller):
            while revision == since and await waits.goes_on(request, until):
                revision = await waits.revision()
    return answer({"revision": revision, **await asyncio.to_thread(_in_force, embedded, caller)})


def _revision(embedded: Embedded) -> int:
    return embedded.store.standing(())[0]


def _in_force(embedded: Embedded, caller: Known) -> dict[str, Any]:
    """What is in force, as this caller may see it."""
    kills = kills_shown(caller, embedded.store.kills())
    now, glasses = embedded.runtime.clock(), glass_shown(caller, embedded.store.break_glasses([Stage.OPEN]))
    broken = [OpenGlass(glass.id, glass.agent, glass.task, glass.until) for glass in glasses if now < glass.until]
    return {"mode": embedded.mode, "kills": kills, "break_glass": broken}


def number(request: Request, name: str, least: float, most: float) -> float:
    """A number in the query, the least if it is not there. Raises `RemitError` (malformed)."""
    given = request.query_params.getlist(name)
    try:
        value = float(given[0]) if given else least
    except ValueError:
        value = float("nan")
    if len(given) > 1 or not least <= value <= most:
        raise malformed(f"`{name}` must be one number from {least:g} to {most:g}")
    return value


def _decision(embedded: Embedded, caller: Known, request: Request) -> DecisionId:
    """The decision that a path names. Raises `RemitError` (not-found), also for one of somebody else: who asks learns nothing of it."""
    decision = DecisionId(request.path_params["id"])
    found = _about(embedded, decision)
    if found is None or not _may_use(caller, found):
        raise not_found(f"there is no decision `{decision}`")
    request.scope[DECISION] = decision
    return decision


def _may_use(caller: Known, about: "_About") -> bool:
    """Whether it is one that this caller may ask for, with this token, and was given to them."""
    within = is_within(caller, about.tasks) and is_session_of(caller, about.session)
    return within and may_ask(caller, about.subject) and _asked(caller, about)


def _asked(caller: Known, about: "_About") -> bool:
    """Whether it was given to this caller."""
    # INVARIANT (what was decided is what runs): a permit is used by the door that asked for it, and only that one saw what came back. An
    # agent asks for itself, by whatever shows that it is that one. A door that came with the agent's task token is still the door.
    own = caller.agent is not None and is_agents(about.caller) and about.subject == EntityRef(AGENT, caller.agent)
    return own or about.caller == caller.caller.id


class _About(NamedTuple):
    """Whom a decision is about, the tasks and the session that it was made in, and who asked."""

    subject: EntityRef
    tasks: Sequence[TaskId]
    session: SessionId | None
    caller: str


def _about(embedded: Embedded, decision: DecisionId) -> _About | None:
    live = embedded.runtime.view.live.get(decision)
    if live is not None:
        return _About(EntityRef(AGENT, live.agent), live.tasks, live.session, live.caller)
    made = decision_of(embedded.store.log, decision)
    if made is None:
        return None
    kind, _, name = made.subject.partition("::")
    session = SessionId(made.session) if made.session is not None else None
    return _About(EntityRef(kind, AgentId(name)), [TaskId(task) for task in made.chain], session, made.caller)


def _task(embedded: Embedded, decision: DecisionId) -> TaskId | None:
    made = decision_of(embedded.store.log, decision)
    return TaskId(made.task) if made is not None and made.task is not None and made.chain else None
