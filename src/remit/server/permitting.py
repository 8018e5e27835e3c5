"""Whether a caller may: every check of who may do what to which, in one place, decided by the policies of administration."""

from collections.abc import Iterable

from remit.model.break_glass import BreakGlass
from remit.model.identity import AGENT, AgentId, EntityRef, Operator, SessionId, TaskId
from remit.model.kill import Kill, KillKind
from remit.model.task import Task
from remit.pdp.administration import Act
from remit.runtime.tasks import Opener
from remit.server.known import Known


def may_ask(caller: Known, subject: EntityRef) -> bool:
    """Ask for decisions about this subject, and come back to them: a door about anybody, an agent about itself."""
    return caller.may(Act.ASK, subject.id if subject.type == AGENT else "")


def may_open(caller: Known, opener: Opener) -> bool:
    """Open a task as this opener; whether the opener may is for the runtime to say."""
    # INVARIANT (authority enters from outside the agent): an agent never opens as a person, nor a door that asks for it.
    if isinstance(opener, Operator):
        return caller.agent is None and opener == caller.operator and caller.may(Act.OPEN)
    return caller.may(Act.OPEN_AS_AGENT, opener.agent)


def may_act_as(caller: Known, agent: AgentId) -> bool:
    """Begin and go on with sessions of an agent, use its permits and report what became of them: the agent itself, or a door."""
    return caller.may(Act.WORK, agent)


def may_close(caller: Known, task: Task) -> bool:
    """End a task: an administrator, its agent, and the agent that opened it."""
    opener = task.opener if not task.purpose_trusted else task.agent  # a person may be called as an agent is
    return caller.may(Act.CLOSE, task.agent) or caller.may(Act.CLOSE, opener)


def may_see(caller: Known, agent: AgentId) -> bool:
    """See what is an agent's: its tasks, sessions and access requests."""
    return caller.may(Act.SEE, agent)


def may_look(caller: Known) -> bool:
    """See what is of no agent alone: all agents, the published bundles, how the server is."""
    return caller.may(Act.SEE)


def may_see_log(caller: Known) -> bool:
    """See the log itself, and of decisions what it keeps sealed."""
    return caller.may(Act.SEE_LOG)


def may_see_metrics(caller: Known) -> bool:
    """See how often what happened on this server."""
    return caller.may(Act.SEE_METRICS)


def may_change_agents(caller: Known) -> bool:
    """Register agents, suspend, resume and retire them, and say by what they are known."""
    return caller.may(Act.CHANGE_AGENT)


def may_publish(caller: Known) -> bool:
    """Check bundles on this server, publish them and roll them back."""
    return caller.may(Act.PUBLISH)


def may_kill(caller: Known) -> bool:
    """Stop what an administrator can stop."""
    return caller.may(Act.KILL)


def may_see_kills(caller: Known) -> bool:
    """See what is stopped and what was opened against policy: an agent, as far as that can be about it."""
    return caller.agent is not None or may_look(caller)


def may_release(caller: Known) -> bool:
    """Lift a kill."""
    return caller.may(Act.RELEASE)


def may_provision(caller: Known) -> bool:
    """Say who is who, of one's own people."""
    return caller.may(Act.PROVISION)


def may_issue(caller: Known) -> bool:
    """Have tokens made for others."""
    return caller.may(Act.ISSUE)


def may_break_glass(caller: Known, act: Act, agent: str) -> bool:
    """Ask for, confirm, end or review what people open for an agent: people alone, and each act says besides who may not."""
    return caller.agent is None and caller.may(act, agent)


def may_see_break_glass(caller: Known) -> bool:
    """See what was opened against policy, by whom, and what was done under it."""
    return caller.may(Act.SEE_BREAK_GLASS)


def glass_shown(caller: Known, glasses: Iterable[BreakGlass]) -> list[BreakGlass]:
    """What is open as far as a caller is told of it: an agent, what is open for itself."""
    return [glass for glass in glasses if caller.agent in (None, glass.agent)]


def may_inherit(caller: Known, agent: AgentId, chain: Iterable[Task]) -> bool:
    """Join what a session under this chain of tasks has touched to one of `agent`: it is the agent's, or was delegated from it."""
    return may_act_as(caller, agent) and (caller.agent is None or any(task.agent == agent for task in chain))


def may_see_approvals(caller: Known) -> bool:
    """See what waits for people, and what was answered."""
    return caller.may(Act.SEE_APPROVALS)


def may_answer(caller: Known) -> bool:
    """Answer access requests at all; each says besides who may not."""
    return caller.may(Act.ANSWER)


def is_within(caller: Known, tasks: Iterable[TaskId | None]) -> bool:
    """Whether what belongs to these tasks (one, and those that it was delegated from) is within the one that a token is for, if it is for
    one."""
    return caller.task is None or caller.task in tasks


def is_session_of(caller: Known, session: SessionId | None) -> bool:
    """Whether a session is the one that a token is for, if it is for one; what is of no session is of none of theirs."""
    return caller.caller.session in (None, session)


def kills_shown(caller: Known, kills: Iterable[Kill]) -> tuple[Kill, ...]:
    """The kills that a caller is told of: an agent, those that can be about it."""
    if caller.agent is None:
        return tuple(kills)
    general = (KillKind.ALL, KillKind.TOOL, KillKind.TASK_TYPE)
    return tuple([kill for kill in kills if kill.kind in general or (kill.kind is KillKind.AGENT and kill.name == caller.agent)])
