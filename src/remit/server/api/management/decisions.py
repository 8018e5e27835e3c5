"""Decisions on record: listed, and one of them explained."""

import asyncio
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.decision_log.entry import DecisionMade
from remit.local.decisions import joined, policy_texts
from remit.local.wiring import Embedded
from remit.model.errors import not_found
from remit.model.identity import AGENT, AgentId, SessionId, TaskId
from remit.runtime.recorded import entry_of
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.paging import Page, Paged, PageRequest, asked_of
from remit.server.permitting import is_session_of, is_within, may_look, may_see, may_see_log
from remit.server.reading import read_query
from remit.server.responding import answer, embedded_of

BATCH, SCANNED = 500, 5000
"""So many are read at once, and looked through for one page; then it ends, with a cursor, however few they were."""


class DecisionsWanted(Paged, frozen=True, forbid_unknown_fields=True):
    """Which decisions: under one task, about one agent, of one effect or reason."""

    task: str = ""
    agent: str = ""
    effect: Literal["permit", "deny"] | msgspec.UnsetType = msgspec.UNSET
    reason: str = ""


class DecisionShown(msgspec.Struct, frozen=True):
    """One decision, and what became of it. `at` is µs since the epoch; `enforced` is false in shadow mode; `outcome` is null until it is
    reported, `answered_by` where nobody answered an access request for it; `break_glass` names what two people opened for
    it; `index` is its place in the log."""

    id: str
    at: int
    effect: str
    enforced: bool
    reason: str
    message: str
    tier: str
    subject: str
    action: str
    resource_type: str
    resource: str
    task: str | None
    session: str | None
    upstream: str
    bundle: str
    policies: tuple[str, ...]
    obligations: tuple[str, ...]
    requestable: str
    approval: str | None
    label: str
    sources: tuple[str, ...]
    engine: str
    flows: tuple[str, ...]
    caller: str
    proof: str
    break_glass: str
    outcome: str | None
    answered_by: str | None
    index: int


class Explained(DecisionShown, frozen=True, kw_only=True):
    """One decision with what it rests on. What the request said, and what policies read of it, is null to those who may not see the log,
    and once the data of its task was erased."""

    chain: tuple[str, ...]
    slice_size: int
    policy_texts: dict[str, str]
    values: dict[str, Any] | None
    read: dict[str, Any] | None
    entities: tuple[str, ...] | None
    errors: tuple[str, ...] | None
    steering: tuple[dict[str, Any], ...] | None


_INSIDE = ("values", "read", "entities", "errors", "steering")


async def listed(request: Request) -> Response:
    """`GET /v1/decisions`: decisions, newest first; an agent sees those about itself."""
    caller, embedded, wanted = await caller_of(request), embedded_of(request), read_query(request, DecisionsWanted)
    return answer(await asyncio.to_thread(_page, embedded, caller, wanted, asked_of("decisions", wanted)))


def _page(embedded: Embedded, caller: Known, wanted: DecisionsWanted, asked: PageRequest) -> Page[DecisionShown]:
    items: list[DecisionShown] = []
    behind = asked.number()
    for _ in range(SCANNED // BATCH):
        found = embedded.store.log.by_kind("decision", BATCH, behind, wanted.task)
        for entry in found:
            if len(items) == asked.limit:
                return asked.ended(items, str(behind))
            behind = entry.index
            body = entry.body
            if isinstance(body, DecisionMade) and _is_wanted(body, wanted) and _may_see(caller, body):
                items.append(msgspec.convert(joined(embedded, entry), DecisionShown))
        if len(found) < BATCH:
            return asked.ended(items, "")
    return asked.ended(items, str(behind))


def _is_wanted(body: DecisionMade, wanted: DecisionsWanted) -> bool:
    return (
        wanted.agent in ("", body.subject.removeprefix(f"{AGENT}::"))
        and wanted.effect in (msgspec.UNSET, body.effect)
        and wanted.reason in ("", body.reason)
    )


def _may_see(caller: Known, body: DecisionMade) -> bool:
    kind, _, name = body.subject.partition("::")
    about = may_see(caller, AgentId(name)) if kind == AGENT else may_look(caller)
    session = SessionId(body.session) if body.session is not None else None
    return about and is_within(caller, [TaskId(task) for task in body.chain]) and is_session_of(caller, session)


async def shown(request: Request) -> Response:
    """`GET /v1/decisions/{id}`: one decision from request to outcome, and why it was made."""
    caller, embedded = await caller_of(request), embedded_of(request)
    return answer(await asyncio.to_thread(_explained, embedded, caller, request.path_params["id"]))


def _explained(embedded: Embedded, caller: Known, name: str) -> Explained:
    entry = entry_of(embedded.store.log, name)
    if entry is None or not isinstance(entry.body, DecisionMade) or not _may_see(caller, entry.body):
        raise not_found(f"there is no decision `{name}`")
    row = {**joined(embedded, entry), "policy_texts": {}}
    if may_see_log(caller):
        row["policy_texts"] = policy_texts(embedded, entry)
    else:
        row |= dict.fromkeys(_INSIDE)
    return msgspec.convert(row, Explained)
