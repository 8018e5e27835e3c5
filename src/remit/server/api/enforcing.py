"""What a door needs beside decisions: whether a permit still stands, reports of outcomes, waiting for answers and for kills."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.decision_log.entry import DecisionMade, OutcomeSeen
from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.errors import ErrorKind, RemitError, conflict, malformed, not_found
from remit.model.identity import AGENT, AgentId, DecisionId, EntityRef, TaskId
from remit.runtime.authorize import may_act
from remit.server.callers import caller_of
from remit.server.direct import DECISION
from remit.server.known import Known
from remit.server.permitting import is_within, kills_shown, may_ask
from remit.server.reading import Nothing, read_as
from remit.server.responding import answer, embedded_of, figures_of

MAX_WAIT = 30.0
_POLL = 0.2


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
    return answer({"stands": may_act(embedded.runtime, decision)})


async def outcome(request: Request) -> Response:
    """`POST /v1/decisions/{id}/outcome`: what became of a permit. Said again, it changes nothing."""
    caller, embedded = await caller_of(request), embedded_of(request)
    report = await read_as(request, Report)
    decision = _decision(embedded, caller, request)
    seen = Outcome(decision, None, report.status, report.content, report.error)
    try:
        await embedded.report(seen)
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
        embedded.runtime.view.refresh()
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
    since, seconds = number(request, "since", -1.0, 2.0**53), number(request, "wait", 0.0, MAX_WAIT)
    until = time.monotonic() + seconds
    while (revision := embedded.store.standing(())[0]) == since and time.monotonic() < until:  # noqa: ASYNC110 - others change it
        await asyncio.sleep(_POLL)
    kills = kills_shown(caller, embedded.store.kills())
    return answer({"revision": revision, "mode": embedded.mode, "kills": kills})


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
    if found is None or not may_ask(caller, found[0]) or not is_within(caller, found[1]):
        raise not_found(f"there is no decision `{decision}`")
    request.scope[DECISION] = decision
    return decision


def _about(embedded: Embedded, decision: DecisionId) -> tuple[EntityRef, Sequence[TaskId]] | None:
    """Whom a decision is about, and the tasks that it was made in."""
    live = embedded.runtime.view.live.get(decision)
    if live is not None:
        return EntityRef(AGENT, live.agent), live.tasks
    made = _made(embedded, decision)
    if made is None:
        return None
    kind, _, name = made.subject.partition("::")
    return EntityRef(kind, AgentId(name)), [TaskId(task) for task in made.chain]


def _task(embedded: Embedded, decision: DecisionId) -> TaskId | None:
    made = _made(embedded, decision)
    return TaskId(made.task) if made is not None and made.task is not None and made.chain else None


def _made(embedded: Embedded, decision: DecisionId) -> DecisionMade | None:
    try:
        found = embedded.store.log.by_decision(decision)
    except RemitError as error:
        if error.kind is ErrorKind.MALFORMED:
            return None  # what is no text names no decision
        raise
    return next((entry.body for entry in found if isinstance(entry.body, DecisionMade)), None)
