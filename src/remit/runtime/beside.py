"""What the other sessions of a task, and of those above it, have touched: a session goes on with it, however it was entered."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from remit.model.decision import Reason
from remit.model.identity import SessionId
from remit.model.labels import Label
from remit.model.task import Session, TaskState, TaskStatus, next_version
from remit.pdp.effects import waits_for_untrusted
from remit.pdp.inputs import Decided
from remit.runtime.view import View

_BY_POLICY = frozenset({Reason.FORBIDDEN, Reason.APPROVAL_REQUIRED, Reason.NO_PERMIT, Reason.BREAK_GLASS})


class Behind(Exception):
    """Other sessions have touched more than this one has taken over: it must, before anything is decided in it."""


def beside(view: View, session: Session) -> Iterator[Session]:
    """The other sessions of the task and of the tasks it was delegated from, as they are now. Raises `RemitError`."""
    chain, _ = view.chain(session.task)
    for state in chain:
        for stored in view.store.sessions_of(state.task.id):
            if stored.id != session.id:
                yield view.newest(stored)


def passed_on(session: Session, other: Session) -> Label:
    """The label of a session once it knows what another has touched."""
    # Of what was touched before two people lowered this label, it was lowered.
    settled = session.settled.get(other.id) == other.touches
    return session.label if settled else session.label.join(other.reached)


def caught_up_with(view: View, chain: tuple[TaskState, ...], session: Session) -> dict[SessionId, int]:
    """How often each other session has touched something, all of which this one has taken over. Raises `Behind`."""
    # INVARIANT (labels come from what was touched): the first task of the chain counts whenever a session comes to touch more, in the
    # commit of the permit; a permit that was decided on an older count conflicts.
    touches: dict[SessionId, int] = {}
    for other in beside(view, session):
        if passed_on(session, other) != session.label:
            raise Behind
        touches[other.id] = other.touches
    if chain:
        view.caught_up[session.id] = chain[-1].spent.raised
    return touches


def tainted_in(chain: Iterable[TaskState]) -> int:
    """How often the sessions of a task, and of those above it, can have been told what is untrusted."""
    return sum([state.spent.tainted for state in chain])


def is_behind(chain: tuple[TaskState, ...], session: Session) -> bool:
    """Whether other sessions were, or can be, told what is untrusted that this one has not taken over."""
    # INVARIANT (labels come from what was touched): its label has their sources, so its values may be from there, whatever it saw itself.
    # A permit compares the counts with its commit: each of them is of a task whose version it moves.
    told = chain[0].spent.tainted if len(chain) == 1 else tainted_in(chain)
    return told - session.tainted != session.heard or bool(session.awaits)


def worse_for_being_behind(decided: Decided) -> bool:
    """Whether a session that is behind had better take over what it lacks, before this is what was decided."""
    query = decided.effects.query
    return decided.decision.reason in _BY_POLICY or (query is not None and query.steered)


def can_be_told(stored: Session, newest: Session) -> int:
    """How many calls a session has under way that can bring back what is untrusted; those whose report is not durable yet, too."""
    return max(stored.tainting, newest.tainting, int(waits_for_untrusted(stored) or waits_for_untrusted(newest)))


def under_way(view: View, session: Session) -> int:
    """How many calls that can touch something are under way in the sessions beside this one, and in those below that it awaits."""
    others = {other.id: other for other in beside(view, session)}
    awaited = {name for one in (session, *others.values()) for name in one.awaits} - {session.id}
    others |= {name: other for name in awaited if (other := view.session(name)) is not None}
    return sum(max(other.unreported, len(other.pending)) for other in others.values())


def recounted(view: View, before: Session, after: Session, below: bool = False) -> list[tuple[TaskState, int]]:
    """The tasks of the chain as they count what a session came to touch and was told otherwise than by a permit, each with the version it
    had; without those that are closed. `below`: from sessions that the others do not look at themselves."""
    chain, _ = view.chain(before.task)
    found: list[tuple[TaskState, int]] = []
    for place, state in enumerate(chain):
        spent, root = state.spent, place == len(chain) - 1
        if place == 0 and after.tainted != before.tainted:
            spent = replace(spent, tainted=spent.tainted + after.tainted - before.tainted)
        more = not after.reached.within(before.reached)
        if root and (more or (below and spent.lowered and after.touches != before.touches)):
            spent = replace(spent, raised=spent.raised + 1)
        if spent is not state.spent and state.task.status is TaskStatus.OPEN:
            version = next_version(spent.version, f"raised by {after.id}: {after.version}")
            found.append((TaskState(state.task, replace(spent, version=version)), state.spent.version))
    return found


def keep_up(view: View, session: Session, before: int, after: int) -> None:
    """The count has moved by what the session did itself: it knows."""
    if view.caught_up.get(session.id) == before:
        view.caught_up[session.id] = after
