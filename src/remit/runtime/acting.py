"""People who act: known by every name that they go by, and not once they are gone; what they gave counts no longer than that."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from remit.inventory.directory import CorrelatedIdentity, Directory
from remit.model.break_glass import BreakGlass
from remit.model.decision import ApproverRule
from remit.model.errors import refused
from remit.model.identity import Agent, AgentId, Operator
from remit.model.task import TaskState
from remit.pdp.obligations import barred
from remit.runtime.runtime import Runtime


def present(runtime: Runtime, operator: Operator) -> CorrelatedIdentity:
    """Whoever acts, as the store knows them now: another process may have heard of people since.

    Raises `RemitError` (refused) for one who is gone.
    """
    known = Directory(runtime.view.store.people_named, runtime.view.store.person).known_as(operator.id)
    if known.gone:
        since = datetime.fromtimestamp(known.standing.since // 1_000_000, UTC).date().isoformat()
        raise refused(f"`{operator.id}` is gone, as the directory says since {since}: somebody else must do this")
    return known


def acting(runtime: Runtime, operator: Operator) -> CorrelatedIdentity:
    """Whoever acts, as one of several people who must.

    Raises `RemitError` (refused) for one who is gone, or whom nobody can tell from too many others.
    """
    known = present(runtime, operator)
    if not known.whole:
        raise refused(f"too many people in the directory share names with `{operator.id}` to tell who acts: mend it first")
    return known


def lends(
    directory: Directory,
    rule: ApproverRule,
    agent: AgentId,
    known: Agent | None,
    people: Iterable[tuple[str, Sequence[TaskState]]],
) -> bool:
    """Whether what these people gave counts still: they are there, are as many as they were, and have no part in what the agent does, each
    under the tasks that they stand with."""
    # INVARIANT (an approval is for one exact action): whoever has come to be known as somebody with a part in it was so all the time.
    names: list[str] = []
    for name, chain in people:
        who = directory.known_as(name)
        if who.gone or not who.whole or who.is_one_of(names) or barred(name, rule, agent, known, chain, who.names):
            return False
        names.append(name)
    return True


def holds_open(directory: Directory, glass: BreakGlass, known: Agent | None, chain: Sequence[TaskState]) -> bool:
    """The same of the two who opened a break-glass: neither owns the agent, and who confirmed it has not opened the task either."""
    people = ((glass.asked_by, ()), (glass.confirmed_by, chain))
    return lends(directory, ApproverRule.FOUR_EYES, glass.agent, known, people)
