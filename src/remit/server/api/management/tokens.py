"""Tokens of Remit's own issuer, over HTTP: recorded first, then handed out."""

import asyncio
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.credentials.holder_keys import thumbprint_of
from remit.credentials.minting import LONGEST_SECONDS, TokenIssuer
from remit.local.issuing import agent_token, operator_token, task_token
from remit.local.trust import own_issuer
from remit.model.caller import Proof, Role
from remit.model.errors import refused
from remit.model.identity import AgentId, SessionId, TaskId
from remit.server.api.tasks import session_of, task_of
from remit.server.callers import caller_of
from remit.server.known import Known
from remit.server.permitting import may_act_as, may_issue
from remit.server.reading import read_as
from remit.server.responding import answer, embedded_of

Seconds = Annotated[int, msgspec.Meta(ge=1, le=LONGEST_SECONDS)]


class AgentToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a token lasts, and the public key (JWK) that it is bound to; without one, whoever has it can use it."""

    seconds: Seconds = 3600
    key: dict[str, Any] | None = None


class OperatorToken(AgentToken, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, for somebody with these roles."""

    roles: tuple[Role, ...]


class TaskToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token for a task, and for one of its sessions if that is named. The agent's is bound to the key that it proves with the request;
    `key` is for administrators, who name that of the agent."""

    seconds: Seconds = 900
    session: str | None = None
    key: dict[str, Any] | None = None


class Token(msgspec.Struct, frozen=True):
    """A token: nobody is told it again."""

    token: str


async def for_agent(request: Request) -> Response:
    """`POST /v1/agents/{id}/tokens`: a token that says who an agent is, for one that has no other issuer."""
    caller, embedded = await _issuing(request), embedded_of(request)
    wanted, own = await read_as(request, AgentToken), await _own(request)
    about = AgentId(request.path_params["id"]), wanted.seconds, wanted.key
    return answer(Token(await asyncio.to_thread(agent_token, embedded, own, *about, caller.operator)), 201)


async def for_operator(request: Request) -> Response:
    """`POST /v1/operators/{name}/tokens`: a token that says who a person or a service is, and which roles they have."""
    caller, embedded = await _issuing(request), embedded_of(request)
    wanted, own = await read_as(request, OperatorToken), await _own(request)
    about = request.path_params["name"], wanted.roles, wanted.seconds, wanted.key
    return answer(Token(await asyncio.to_thread(operator_token, embedded, own, *about, caller.operator)), 201)


async def for_task(request: Request) -> Response:
    """`POST /v1/tasks/{id}/tokens`: a token that stands for an open task, for its agent; it ends with the task."""
    caller, embedded = await caller_of(request), embedded_of(request)
    wanted = await read_as(request, TaskToken)
    state = task_of(embedded, caller, TaskId(request.path_params["id"]))
    itself = caller.agent is not None and caller.agent == state.task.agent and may_act_as(caller, state.task.agent)
    if not itself and not may_issue(caller):
        raise refused("you may not have tokens for that task: its agent may, and an administrator")
    thumbprint = _proven(caller, wanted) if itself else thumbprint_of(wanted.key)
    session = SessionId(wanted.session) if wanted.session is not None else None
    if session is not None and session_of(embedded, caller, session).task != state.task.id:
        raise refused(f"session `{session}` is of another task")
    own, about = await _own(request), (state.task.id, wanted.seconds, caller.operator)
    return answer(Token(await task_token(embedded, own, *about, session=session, thumbprint=thumbprint)), 201)


def _proven(caller: Known, wanted: TaskToken) -> str:
    """The key that an agent's token is bound to: the one it has shown, and no other."""
    if caller.task is not None:
        # INVARIANT (delegation only narrows): what was given for a task and some minutes is not renewed by itself.
        raise refused("a task token gives no other: ask with the token of the agent")
    if wanted.key is not None:
        raise refused("the token is bound to the key that you prove with the request: leave `key` out")
    if caller.proof is Proof.MTLS:
        raise refused("a task token is bound to a key proven by DPoP, not to a certificate: prove one")
    return caller.caller.key


async def _issuing(request: Request) -> Known:
    caller = await caller_of(request)
    if not may_issue(caller):
        raise refused("you may not make tokens: an administrator does")
    return caller


async def _own(request: Request) -> TokenIssuer:
    """The issuer that callers of this server believe."""
    embedded = embedded_of(request)
    return await asyncio.to_thread(own_issuer, embedded.home, request.app.state.url, embedded.runtime.clock)
