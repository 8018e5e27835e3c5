"""Agents: registered, suspended, resumed, retired, and known by identities."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.inventory.agents import NAME, registered, with_identity, with_status, without_identity
from remit.inventory.directory import OwnedAgent
from remit.local.wiring import Embedded
from remit.model.errors import not_found, refused
from remit.model.identity import Agent, AgentId, AgentStatus
from remit.model.person import OwnerState
from remit.runtime.administration import change_agent
from remit.runtime.directory import directory_of
from remit.server.callers import caller_of
from remit.server.paging import Paged, asked_of
from remit.server.permitting import may_change_agents, may_look, may_see
from remit.server.reading import read_as, read_query
from remit.server.responding import answer, embedded_of

Name = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": f"^{NAME.pattern}$"})]
"""`checked_name` says what is wrong with one, and how to mend it."""
Words = Annotated[str, msgspec.Meta(max_length=4000)]


class AgentsWanted(Paged, frozen=True, forbid_unknown_fields=True):
    """Which agents: of one owner, in one state, whose owner is there, gone, or unknown."""

    owner: str = ""
    status: AgentStatus | msgspec.UnsetType = msgspec.UNSET
    owner_state: OwnerState | msgspec.UnsetType = msgspec.UNSET


class Registering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new agent: who answers for it, what it is for in words a reviewer can judge, and the groups that policies can name."""

    id: Name
    owner: Name
    purpose: Words
    groups: tuple[Name, ...] = ()


class Moving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state that an agent shall be in; from `retired` none leads back."""

    status: AgentStatus


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ISSUER#SUBJECT` as tokens have them, or a SPIFFE ID."""

    identity: str


async def listed(request: Request) -> Response:
    """`GET /v1/agents`: agents by name; an agent sees itself."""
    caller, embedded, wanted = await caller_of(request), embedded_of(request), read_query(request, AgentsWanted)
    asked = asked_of("agents", wanted)
    agents = await asyncio.to_thread(_owned, embedded)
    own = caller.agent if not may_look(caller) else None
    if own is None and not may_look(caller):
        raise refused("you may not see agents: an administrator gives you a role")
    found = [
        agent
        for agent in agents
        if (own is None or agent.id == own)
        and wanted.owner in ("", agent.owner)
        and wanted.status in (msgspec.UNSET, agent.status)
        and wanted.owner_state in (msgspec.UNSET, agent.owner_state)
        and agent.id > asked.after
    ]
    return answer(asked.page((agent.id, agent) for agent in sorted(found, key=lambda agent: agent.id)))


async def shown(request: Request) -> Response:
    """`GET /v1/agents/{id}`: one agent."""
    caller, embedded, name = await caller_of(request), embedded_of(request), AgentId(request.path_params["id"])
    agent = await asyncio.to_thread(embedded.store.agent, name) if may_see(caller, name) else None
    if agent is None:
        raise not_found(f"there is no agent `{name}`")
    return answer(await asyncio.to_thread(lambda: directory_of(embedded.store).owned(agent)))


def _owned(embedded: Embedded) -> list[OwnedAgent]:
    return list(map(directory_of(embedded.store).owned, embedded.store.agents()))


async def register(request: Request) -> Response:
    """`POST /v1/agents`: register an agent with its owner and purpose."""
    await _administrator(request)
    wanted = await read_as(request, Registering)
    given = wanted.id, wanted.owner, wanted.purpose, wanted.groups
    return answer(await _changed(request, wanted.id, lambda known: registered(known, *given)), 201)


async def move(request: Request) -> Response:
    """`POST /v1/agents/{id}/status`: suspend, resume or retire an agent, from its next decision on."""
    await _administrator(request)
    name, wanted = request.path_params["id"], await read_as(request, Moving)
    return answer(await _changed(request, name, lambda known: with_status(known, name, wanted.status)))


async def bind(request: Request) -> Response:
    """`POST /v1/agents/{id}/bind`: tokens of this identity speak for the agent from now on."""
    await _administrator(request)
    name, wanted = request.path_params["id"], await read_as(request, Naming)
    return answer(await _changed(request, name, lambda known: with_identity(known, name, wanted.identity)))


async def unbind(request: Request) -> Response:
    """`POST /v1/agents/{id}/unbind`: tokens of this identity are nobody's from now on."""
    await _administrator(request)
    name, wanted = request.path_params["id"], await read_as(request, Naming)
    return answer(await _changed(request, name, lambda known: without_identity(known, name, wanted.identity)))


async def _administrator(request: Request) -> None:
    if not may_change_agents(await caller_of(request)):
        raise refused("you may not change agents: an administrator does")


async def _changed(request: Request, name: str, change: Callable[[Agent | None], Agent]) -> Agent:
    caller = await caller_of(request)
    return await change_agent(embedded_of(request).runtime, name, change, caller.operator)
