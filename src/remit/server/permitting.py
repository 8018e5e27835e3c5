"""Whether a caller may: every check of who may do what to which, in one place."""

from collections.abc import Iterable

from remit.model.caller import Caller, Role
from remit.model.identity import AGENT, AgentId, EntityRef, Operator
from remit.model.kill import Kill, KillKind
from remit.model.task import Task
from remit.runtime.tasks import Opener

OVERSEERS = frozenset({Role.ADMINISTRATOR, Role.APPROVER, Role.REVIEWER, Role.AUDITOR})
"""Whoever looks after agents sees what they do."""


def may_ask(caller: Caller, subject: EntityRef) -> bool:
    """Ask for decisions about this subject: a door about anybody, an agent about itself."""
    return _is_door(caller) or (subject.type == AGENT and is_agent(caller, subject.id))


def may_search(caller: Caller, subject: EntityRef) -> bool:
    """Search for what a subject may; an empty `id` is anybody."""
    return may_ask(caller, subject)


def may_open(caller: Caller, opener: Opener) -> bool:
    """Open a task as this opener; whether the opener may is for the runtime to say."""
    # INVARIANT (authority enters from outside the agent): an agent never opens as a person, nor a door that asks for it.
    if isinstance(opener, Operator):
        return Role.ADMINISTRATOR in caller.roles and caller.agent is None and opener == caller.operator
    return may_act_as(caller, opener.agent)


def may_act_as(caller: Caller, agent: AgentId) -> bool:
    """Begin and go on with sessions of an agent, use its permits and report what became of them: the agent itself, or a door."""
    return _is_door(caller) or is_agent(caller, agent)


def may_close(caller: Caller, task: Task) -> bool:
    """End a task: an administrator, its agent, and the agent that opened it."""
    opener = task.opener if not task.purpose_trusted else task.agent  # a person may be called as an agent is
    return Role.ADMINISTRATOR in caller.roles or _is_door(caller) or is_agent(caller, task.agent) or is_agent(caller, opener)


def may_see(caller: Caller, agent: AgentId) -> bool:
    """See what is an agent's: its tasks, sessions and access requests."""
    return may_act_as(caller, agent) or bool(OVERSEERS & caller.roles)


def may_inherit(caller: Caller, agent: AgentId, chain: Iterable[Task]) -> bool:
    """Join what a session under this chain of tasks has touched to one of `agent`: it is the agent's, or was delegated from it."""
    return may_act_as(caller, agent) and (_is_door(caller) or any(task.agent == agent for task in chain))


def kills_shown(caller: Caller, kills: Iterable[Kill]) -> tuple[Kill, ...]:
    """The kills that a caller is told of: an agent, those that can be about it."""
    if _is_door(caller) or OVERSEERS & caller.roles:
        return tuple(kills)
    general = (KillKind.ALL, KillKind.TOOL, KillKind.TASK_TYPE)
    return tuple([kill for kill in kills if kill.kind in general or (kill.kind is KillKind.AGENT and kill.name == caller.agent)])


def is_agent(caller: Caller, agent: str) -> bool:
    """Whether the caller is this agent."""
    return caller.agent is not None and caller.agent == agent and Role.AGENT in caller.roles


def _is_door(caller: Caller) -> bool:
    return Role.ENFORCEMENT_POINT in caller.roles
