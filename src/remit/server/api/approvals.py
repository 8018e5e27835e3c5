"""The approver's inbox: what waits, what exactly it is, and the answer."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.local.wiring import Embedded
from remit.model.errors import malformed, not_found, refused
from remit.model.identity import ApprovalId
from remit.runtime.approvals import resolve
from remit.runtime.inbox import as_plain, card, cards
from remit.server.api.access import answer
from remit.server.callers import caller_of
from remit.server.permitting import may_answer, may_see_approvals
from remit.server.reading import read_object

MAX_SHOWN = 500


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody says to an access request; with `flows` they grant the data flows that it offers, for the rest of the task."""

    approve: bool
    why: str = ""
    flows: bool = False


async def listed(request: Request) -> Response:
    """`GET /v1/approvals`: what waits for an answer, newest first; with `all=true` also what does not any more."""
    if not may_see_approvals(await caller_of(request)):
        raise refused("you may not see what waits for an approval: an administrator gives you the role of an approver")
    everything = request.query_params.get("all", "false")
    limit = request.query_params.get("limit", "50")
    if everything not in ("true", "false") or not limit.isdecimal() or not 1 <= int(limit[:9]) <= MAX_SHOWN:
        raise malformed(f"`all` is true or false, `limit` a number from 1 to {MAX_SHOWN}")
    embedded = _embedded(request)
    found = await asyncio.to_thread(cards, embedded.runtime, int(limit), everything == "true")
    return answer({"approvals": [as_plain(one) for one in found]})


async def shown(request: Request) -> Response:
    """`GET /v1/approvals/{id}`: one access request, as its approver should see it."""
    name = request.path_params["id"]
    if not may_see_approvals(await caller_of(request)):
        raise not_found(f"there is no access request `{name}`")
    return answer(await asyncio.to_thread(_card, _embedded(request), name))


async def answered(request: Request) -> Response:
    """`POST /v1/approvals/{id}/answer`: approve one exact action, once, or deny it."""
    caller = await caller_of(request)
    if not may_answer(caller):
        raise refused("you may not answer access requests: an administrator gives you the role of an approver")
    said, embedded = _read(await read_object(request)), _embedded(request)
    name = request.path_params["id"]
    await resolve(embedded.runtime, ApprovalId(name), caller.operator, said.approve, said.why, said.flows)
    return answer(await asyncio.to_thread(_card, embedded, name))


def _card(embedded: Embedded, name: str) -> dict[str, Any]:
    found = embedded.store.approval(ApprovalId(name))
    if found is None:
        raise not_found(f"there is no access request `{name}`")
    return as_plain(card(embedded.runtime, found))


def _read(message: dict[str, Any]) -> Answer:
    try:
        return msgspec.convert(message, Answer)
    except msgspec.ValidationError as error:
        raise malformed(
            f"the answer cannot be read ({error}): send `approve`, and `why` and `flows` if there is something to say"
        ) from None


def _embedded(request: Request) -> Embedded:
    embedded: Embedded = request.app.state.embedded
    return embedded
