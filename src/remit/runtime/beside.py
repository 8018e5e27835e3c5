"""What the other sessions of a task, and of those above it, have touched: a session goes on with it, however it was entered."""

from collections.abc import Iterator

from remit.model.identity import SessionId
from remit.model.labels import Label
from remit.model.task import Session, TaskState
from remit.runtime.view import View


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


def check_caught_up(view: View, chain: tuple[TaskState, ...], session: Session) -> None:
    """That no other session has touched more than this one has taken over, and remember that it was so. Raises `Behind`."""
    # INVARIANT (labels come from what was touched): the first task of the chain counts whenever a session comes to touch more, in the
    # commit of the permit; a permit that was decided on an older count conflicts.
    if session.task == chain[0].task.id:
        caught_up_with(view, chain, session)


def caught_up_with(view: View, chain: tuple[TaskState, ...], session: Session) -> dict[SessionId, int]:
    """How often each other session has touched something, all of which this one has taken over. Raises `Behind`."""
    touches: dict[SessionId, int] = {}
    for other in beside(view, session):
        if passed_on(session, other) != session.label:
            raise Behind
        touches[other.id] = other.touches
    if chain:
        view.caught_up[session.id] = chain[-1].spent.raised
    return touches


def keep_up(view: View, session: Session, before: int, after: int) -> None:
    """The count has moved by what the session did itself: it knows."""
    if view.caught_up.get(session.id) == before:
        view.caught_up[session.id] = after
