"""The approver's inbox: what waits, what exactly it is, and the answer."""

import asyncio
from contextlib import nullcontext
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.wiring import Embedded
from remit.model.errors import not_found, refused
from remit.model.flow import MAX_USES
from remit.model.identity import ApprovalId
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.denying import MAX_WHY, told
from remit.runtime.approving.inbox import as_plain, card, cards
from remit.runtime.approving.lapsing import lapse_of, look
from remit.runtime.store import Approval
from remit.server.api.enforcing import MAX_WAIT, number
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.observing.tracing import waiting
from remit.server.paging import Page, Paged, PageRequest, asked_of
from remit.server.permitting import is_session_of, is_within, may_answer, may_see, may_see_approvals
from remit.server.reading import read_as, read_query
from remit.server.responding import answer, embedded_of, figures_of, waits_of


class ApprovalsWanted(Paged, frozen=True, forbid_unknown_fields=True):
    """Which access requests: those that wait, or `all`."""

    all: bool = False


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody says to an access request; with `flows` they grant the data flows that it offers, too: to `uses` calls each,
    or to as many as there are until the task ends. The agent of one that is denied is told `why`."""

    approve: bool
    why: Annotated[str, msgspec.Meta(max_length=MAX_WHY)] = ""
    flows: bool = False
    uses: Annotated[int, msgspec.Meta(ge=1, le=MAX_USES)] | None = None


async def listed(request: Request) -> Response:
    """`GET /v1/approvals`: what waits for an answer, newest first; with `all=true` also what does not any more.

    `lapsed` is why an approval that was given would not count: for the whole page as of when it was asked for.
    """
    if not may_see_approvals(await caller_of(request)):
        raise refused("you may not see what waits for an approval: an administrator gives you the role of an approver")
    wanted, embedded = read_query(request, ApprovalsWanted), embedded_of(request)
    asked = asked_of("approvals", wanted)
    return answer(await asyncio.to_thread(_page, embedded, asked, wanted.all))


def _page(embedded: Embedded, asked: PageRequest, everything: bool) -> Page[dict[str, Any]]:
    before = ApprovalId(asked.after) if asked.after else None
    found = cards(embedded.runtime, asked.limit + 1, everything, before)
    return asked.page((one.approval.id, as_plain(one)) for one in found)


async def shown(request: Request) -> Response:
    """`GET /v1/approvals/{id}?wait=SECONDS`: where an access request stands, once somebody answered or the time is up; to people who look
    after agents, all that its approver should see."""
    caller, embedded = await caller_of(request), embedded_of(request)
    seconds, name = number(request, "wait", 0.0, MAX_WAIT), ApprovalId(request.path_params["id"])
    found = await asyncio.to_thread(embedded.store.approval, name)
    whole = may_see_approvals(caller)
    if found is None or not (whole or _is_theirs(caller, found)):
        raise not_found(f"there is no access request `{name}`")
    with waits_of(request).one(caller) if seconds else nullcontext(), waiting(request.app):
        state = await waits_of(request).approval(request, found, seconds)
    if whole:
        return answer(await asyncio.to_thread(_card, embedded, name))
    return answer({"id": name, "state": state, **await asyncio.to_thread(_told, embedded, name)})


def _told(embedded: Embedded, name: ApprovalId) -> dict[str, str]:
    """What its agent may know besides: why an approval that was given would not count now, and why it was denied; each if it is so."""
    look(embedded.runtime)
    found = embedded.store.approval(name)
    if found is None:
        return {}
    lapse, why = lapse_of(embedded.runtime, found), told(embedded.runtime, found)
    return {**({"lapsed": lapse.told} if lapse is not None else {}), **({"why": why} if why else {})}


def _is_theirs(caller: Known, approval: Approval) -> bool:
    """Whether it is of an agent whose things they see, and of the task and session that their token is for."""
    within = is_within(caller, [approval.task]) and is_session_of(caller, approval.session)
    return within and may_see(caller, approval.agent)


async def answered(request: Request) -> Response:
    """`POST /v1/approvals/{id}/answer`: approve one exact action, once, or deny it."""
    caller = await caller_of(request)
    if not may_answer(caller):
        raise refused("you may not answer access requests: an administrator gives you the role of an approver")
    said, embedded = await read_as(request, Answer), embedded_of(request)
    name = request.path_params["id"]
    about = said.approve, said.why, said.flows, said.uses
    resolved = await resolve(embedded.runtime, ApprovalId(name), caller.operator, *about)
    figures_of(request).resolved(resolved, embedded.runtime.clock())
    return answer(await asyncio.to_thread(_card, embedded, name))


def _card(embedded: Embedded, name: str) -> dict[str, Any]:
    found = embedded.store.approval(ApprovalId(name))
    if found is None:
        raise not_found(f"there is no access request `{name}`")
    return as_plain(card(embedded.runtime, found))
