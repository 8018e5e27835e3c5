"""Who asks for a decision, and with whose authority: what the request says is theirs only as far as it was proven."""

from http import HTTPStatus

import msgspec
from msgspec.structs import replace
from starlette.requests import Request

from remit.model.caller import Proof, VerifiedToken
from remit.model.errors import refused
from remit.model.identity import AGENT, EntityRef, SessionId, TaskId
from remit.model.request import EvaluationRequest
from remit.server.callers import Callers, caller_of
from remit.server.known import Known
from remit.server.permitting import may_ask
from remit.server.problems import Problem

TASK_TOKEN = "remit-task"  # noqa: S105 - the name of a header
TASK_KEY = "remit-task-key"
"""The thumbprint of the key whose possession an enforcement point has seen its caller prove."""
NOBODY = EntityRef(AGENT, "")
"""Whom code asks for that has entered no task and names no agent."""


class Asker(msgspec.Struct, frozen=True):
    """A caller, and the task token that came with the request, if any did."""

    caller: Known
    carried: VerifiedToken | None = None

    @property
    def id(self) -> str:
        """Who asks, by issuer and name."""
        return self.caller.caller.id

    @property
    def whole(self) -> str:
        """Who asks, and with whose authority: what is answered to one of these is answered to no other."""
        carried = self.carried
        token = (carried.id, carried.subject, carried.proof, carried.key, str(carried.claims.get("task"))) if carried else ()
        return "\n".join((self.caller.caller.whole, *token))

    def of(self, request: EvaluationRequest, searching: bool = False) -> EvaluationRequest:
        """The request as this caller may make it: within the task that their token is for, by an agent that names none as that agent
        (but where the subject is what is searched for). Raises `RemitError` (refused)."""
        # INVARIANT (authority enters from outside the agent): a token is for one agent and one task, whatever the request says.
        caller, task, session = self.caller, self.caller.task, self.caller.caller.session
        if caller.agent is not None and request.subject == NOBODY and not searching:
            request = replace(request, subject=EntityRef(AGENT, caller.agent))
        if self.carried is not None:
            claims = self.carried.claims
            if task not in (None, claims["task"]) or session not in (None, claims.get("session")):
                raise refused("the two tokens are for two tasks, or two sessions")
            task, session = TaskId(claims["task"]), claims.get("session")
            if request.subject != EntityRef(AGENT, self.carried.subject.partition(":")[2]):
                raise refused(f"the task token is another agent's than `{request.subject.id}`")
        if not may_ask(caller, request.subject):
            raise refused(f"`{caller.name}` asks only for itself, as the agent that it is: an enforcement point asks for others")
        if task is not None and request.task not in (None, task):
            raise refused("the token is for another task")
        if isinstance(session, str) and request.session not in (None, session):
            raise refused("the task token is for another session")
        return replace(
            request,
            task=request.task if task is None else task,
            session=SessionId(session) if isinstance(session, str) else request.session,
            caller=self.id,
            proof=self._proof(),
        )

    def _proof(self) -> Proof:
        if self.carried is not None:
            return self.carried.proof
        return Proof.VOUCHED if self.caller.agent is None and self.caller.proof is not Proof.NONE else self.caller.proof


async def asking(request: Request) -> Asker:
    """Who asks. Raises `Problem` (401), `RemitError` (refused)."""
    caller = await caller_of(request)
    token = request.headers.getlist(TASK_TOKEN)
    if not token:
        return Asker(caller)
    if len(token) > 1 or len(request.headers.getlist(TASK_KEY)) > 1:
        raise Problem(HTTPStatus.BAD_REQUEST, "there is more than one task token: send one")
    callers: Callers = request.app.state.callers
    key = caller.caller.key if caller.agent is not None else request.headers.get(TASK_KEY, "")
    return Asker(caller, await callers.carried(token[0], key))
