"""Access requests (AuthZEN Access Request and Approval Profile, draft 1): submitted, looked at, taken back."""

import asyncio
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.decision_log.entry import DecisionMade
from remit.local.wiring import Embedded
from remit.model.authorizer import ApprovalState
from remit.model.errors import ErrorKind, RemitError, malformed
from remit.model.identity import AGENT, ApprovalId, DecisionId, EntityRef, SessionId, TaskId
from remit.runtime.approving.approvals import state_of
from remit.runtime.approving.denying import told
from remit.runtime.approving.requesting import Submission, cancel, submit
from remit.runtime.recorded import Recorded, recorded
from remit.runtime.store import Approval
from remit.server.api.binding import augmentations, is_bound
from remit.server.api.requestable import REQUESTS, RETRY_SECONDS, reference
from remit.server.api.times import read, written
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.observing.tracing import waiting
from remit.server.permitting import is_session_of, is_within, may_ask
from remit.server.problems import Problem
from remit.server.reading import read_object, read_optional
from remit.server.repeating.answers import HEADER, MAX_KEY
from remit.server.responding import embedded_of, waits_of

MAX_WAIT = 30
"""Seconds that a status may be waited for (`Prefer: wait`, RFC 7240)."""
MAX_WORDS = 16_000
_encode = msgspec.json.Encoder(order="deterministic").encode


def _problem(code: str, status: HTTPStatus, detail: str) -> Problem:
    return Problem(status, detail, type=f"urn:openid:authzen:access-request:error:{code}")


def _not_bound() -> Problem:
    detail = "this is no evaluation of yours that was denied so: send what was evaluated, and its `evaluation_id`"
    return _problem("invalid_denial_binding", HTTPStatus.BAD_REQUEST, detail)


async def submission(request: Request) -> Response:
    """`POST /access/v1/requests`: ask for what was denied. Raises `Problem` of the profile's types."""
    caller = await caller_of(request)
    message, embedded = await read_object(request), embedded_of(request)
    if "items" in message:
        raise malformed("`items` (many in one request) are not served: submit one request for each denial")
    denial = message.get("denial")
    if not isinstance(denial, dict) or not isinstance(denial.get("evaluation_id"), str):
        raise _not_bound()
    read(denial.get("expires_at"), "denial.expires_at")
    made = await asyncio.to_thread(recorded, embedded.runtime, embedded.store.log, DecisionId(denial["evaluation_id"]))
    approval = await _requested(embedded, caller, made, message)
    said = _said(request, caller, message, made)
    try:
        kept = await submit(embedded.runtime, approval.id, said)
    except RemitError as error:
        if error.kind is ErrorKind.CONFLICT:
            raise _problem("duplicate_request", HTTPStatus.CONFLICT, error.message) from None
        raise
    waits = await asyncio.to_thread(state_of, embedded.runtime, kept) is ApprovalState.PENDING
    return await asyncio.to_thread(_answer, request, embedded, kept, HTTPStatus.ACCEPTED if waits else HTTPStatus.CREATED)


async def _requested(embedded: Embedded, caller: Known, made: Recorded | None, message: Mapping[str, Any]) -> Approval:
    """The access request that the denial opened. Raises `Problem`."""
    if made is None or not _may(caller, made.body) or not is_bound(made, message):
        raise _not_bound()
    if made.body.effect != "deny" or made.body.approval is None:
        raise _problem("not_requestable", HTTPStatus.BAD_REQUEST, "no approval lifts that denial")
    approval = await asyncio.to_thread(embedded.store.approval, ApprovalId(made.body.approval))
    if approval is None:
        raise _not_bound()
    if await asyncio.to_thread(state_of, embedded.runtime, approval) is ApprovalState.EXPIRED:
        raise _problem("expired_denial", HTTPStatus.GONE, "that denial can be requested no more: evaluate again")
    return approval


def _said(request: Request, caller: Known, message: Mapping[str, Any], made: Recorded | None) -> Submission:
    key = request.headers.get(HEADER, "")
    if len(key) > MAX_KEY:
        raise malformed(f"`Idempotency-Key` must have at most {MAX_KEY} characters")
    wanted = message.get("requested_access")
    until = wanted.get("requested_until") if isinstance(wanted, dict) else None
    words = _encode(augmentations(made, message)) if made is not None else b""
    if len(words) > MAX_WORDS:
        raise malformed(f"what is said for the request is longer than {MAX_WORDS} bytes: say less")
    return Submission(
        caller.name,
        caller.operator.verified_by,
        words.decode(),
        read(until, "requested_access.requested_until") if until is not None else 0,
        hashlib.sha256(key.encode()).hexdigest() if key else "",
        hashlib.sha256(_encode(message)).hexdigest(),
    )


async def status(request: Request) -> Response:
    """`GET /access/v1/requests/{id}`: where it stands; with `Prefer: wait=SECONDS`, once it is answered."""
    embedded, approval = await _ours(request)
    seconds = _patience(request)
    if seconds and await asyncio.to_thread(state_of, embedded.runtime, approval) is ApprovalState.PENDING:
        with waits_of(request).one(await caller_of(request)), waiting(request.app):
            await waits_of(request).approval(request, approval, seconds)
        answered = await asyncio.to_thread(embedded.store.approval, approval.id)
        approval = answered or approval
    return await asyncio.to_thread(_answer, request, embedded, approval, HTTPStatus.OK)


async def cancellation(request: Request) -> Response:
    """`POST /access/v1/requests/{id}/cancel`: whoever may ask for it takes it back before it is answered."""
    caller = await caller_of(request)
    embedded, approval = await _ours(request)
    body = await read_optional(request)
    why = "; ".join(body[part] for part in ("reason", "comment") if isinstance(body.get(part), str))[:MAX_WORDS]
    try:
        cancelled = await cancel(embedded.runtime, approval.id, caller.operator, why)
    except RemitError as error:
        if error.kind is ErrorKind.CONFLICT:
            raise _problem("invalid_task_state", HTTPStatus.CONFLICT, error.message) from None
        raise
    return await asyncio.to_thread(_answer, request, embedded, cancelled, HTTPStatus.OK)


async def _ours(request: Request) -> tuple[Embedded, Approval]:
    """The access request of the path, if the caller may ask for its subject; to others there is none."""
    caller, embedded = await caller_of(request), embedded_of(request)
    approval = await asyncio.to_thread(embedded.store.approval, ApprovalId(request.path_params["id"]))
    if approval is not None:
        made = await asyncio.to_thread(recorded, embedded.runtime, embedded.store.log, approval.decision)
        if made is not None and _may(caller, made.body):
            return embedded, approval
    raise _problem("unknown_task", HTTPStatus.NOT_FOUND, "there is no such access request")


def _patience(request: Request) -> float:
    for preference in request.headers.get("prefer", "").replace(",", ";").split(";"):
        name, _, value = preference.strip().partition("=")
        if name.strip().lower() == "wait" and value.strip().isdecimal() and len(value) < 10:
            return float(min(int(value), MAX_WAIT))
    return 0.0


def _answer(request: Request, embedded: Embedded, approval: Approval, status: HTTPStatus) -> Response:
    state, place = state_of(embedded.runtime, approval), f"{request.app.state.url}{REQUESTS}/{approval.id}"
    why = told(embedded.runtime, approval)
    task: dict[str, Any] = {
        "id": approval.id,
        "status": "approved" if state is ApprovalState.USED else state.value,
        "status_endpoint": place,
        "expires_at": written(approval.expires),
    }
    headers = {"Cache-Control": "no-store", "Location": place}
    body: dict[str, Any] = {"task": task}
    if state is ApprovalState.PENDING:
        task["links"] = {"cancel": f"{place}/cancel"}
        task["display"] = {"title": "A person has been asked"}
        headers["Retry-After"] = str(RETRY_SECONDS)
    elif why:
        task["display"] = {"title": "A person denied it", "description": why}
    elif task["status"] == "approved":
        body["result"] = {"mode": "reevaluate", "approval": reference(approval)}
    return Response(_encode(body), int(status), headers, "application/json")


def _may(caller: Known, body: DecisionMade) -> bool:
    session = SessionId(body.session) if body.session is not None else None
    within = is_within(caller, [TaskId(task) for task in body.chain]) and is_session_of(caller, session)
    return within and may_ask(caller, _subject(body))


def _subject(body: DecisionMade) -> EntityRef:
    kind, _, name = body.subject.partition("::") if body.subject.startswith(f"{AGENT}::") else body.subject.rpartition("::")
    return EntityRef(kind, name)
