"""Which task, session and agent the code is working for now, carried along threads of control."""

from contextvars import ContextVar

import msgspec

from remit.model.authorizer import Authorizer
from remit.model.identity import AgentId, SessionId, TaskId


class Working(msgspec.Struct, frozen=True):
    """The task that was entered, its session, and who decides."""

    authorizer: Authorizer
    agent: AgentId
    task: TaskId | None = None
    session: SessionId | None = None
    protected: tuple[str, ...] = ()
    """The real paths of what the authorizer keeps for itself here."""


current: ContextVar[Working | None] = ContextVar("remit_working", default=None)
