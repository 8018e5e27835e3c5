"""People who act: known by every name that they go by, and not once they are gone; what they gave counts no longer than that."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from remit.inventory.directory import CorrelatedIdentity, Directory
from remit.model.break_glass import BreakGlass
from remit.model.decision import ApproverRule
from remit.model.errors import refused
from remit.model.identity import Agent, AgentId, Operator
from remit.model.task import TaskState
from remit.pdp.obligations import barred, owners_of
from remit.runtime.directory import directory_of
from remit.runtime.runtime import Runtime


def present(runtime: Runtime, operator: Operator) -> CorrelatedIdentity:
    """Whoever acts, as the store knows them now: another process may have heard of people since.

    Raises `RemitError` (refused) for one who is gone, or is there by a backup alone.
    """
    known = directory_of(runtime.view.store).known_as(operator.id)
    if known.gone:
        raise refused(f"{_absent(operator.id, known)}: somebody else must do this")
    if known.unconfirmed:
        raise refused(unconfirmed(operator.id))
    return known


def unconfirmed(name: str) -> str:
    """What somebody is told who is there by a backup alone."""
    return (
        f"nobody has said that `{name}` is still there since the store was restored from a backup: read in who is"
        " (`remit people import`), or say that they are (`remit people confirm`)"
    )


def acting(runtime: Runtime, operator: Operator) -> CorrelatedIdentity:
    """Whoever acts, as one of several people who must.

    Raises `RemitError` (refused) for one who is gone, or whom nobody can tell from too many others.
    """
    known = present(runtime, operator)
    if not known.whole:
        raise refused(f"too many people in the directory share names with `{operator.id}` to tell who acts: mend it first")
    return known


def unlent(
    directory: Directory,
    rule: ApproverRule,
    agent: AgentId,
    people: Iterable[tuple[str, Sequence[TaskState], Sequence[str]]],
    asked_by: Collection[str] = (),
) -> str:
    """Why what these people gave does not count any more, in words for people; empty where it does: they are there, are as many as they
    were, did not ask for it themselves, and have no part in what the agent does, each under the tasks and the owners of agents that they
    stand with."""
    # INVARIANT (an approval is for one exact action): whoever has come to be known as somebody with a part in it was so all the time.
    names: list[str] = []
    for name, chain, owners in people:
        who = directory.known_as(name)
        if why := _absent(name, who):
            return why
        if other := next((one for one in names if who.is_one_of([one])), ""):
            return f"`{name}` and `{other}` are one person, as the directory says"
        if who.is_one_of(asked_by):
            return f"`{name}` is one with whoever asked for it, as the directory says"
        if why := barred(name, rule, agent, owners, chain, who.names):
            return why
        names.append(name)
    return ""


def _absent(name: str, who: CorrelatedIdentity) -> str:
    if who.gone:
        since = datetime.fromtimestamp(who.standing.since // 1_000_000, UTC).date().isoformat()
        return f"`{name}` is gone, as the directory says since {since}"
    if who.unconfirmed:
        return unconfirmed(name)
    return "" if who.whole else f"too many people in the directory share names with `{name}` to tell who that is"


def holds_open(
    directory: Directory, glass: BreakGlass, agent: Agent | None, delegators: Iterable[Agent | None], chain: Sequence[TaskState]
) -> bool:
    """The same of the two who opened a break-glass: neither owns the agent, and who confirmed it has not opened the task either, nor owns
    an agent that delegated it."""
    people = ((glass.asked_by, (), owners_of(agent)), (glass.confirmed_by, chain, owners_of(agent, delegators)))
    return not unlent(directory, ApproverRule.FOUR_EYES, glass.agent, people)
