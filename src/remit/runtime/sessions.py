"""Sessions: one run of an agent within a task, opened by the door and never by the agent's own word."""

from typing import NamedTuple

from msgspec.structs import replace

from remit.decision_log.append import Conflict, Ticket
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import SessionOpened
from remit.decision_log.store import Record
from remit.model.errors import not_found, refused, unavailable
from remit.model.identity import SessionId, TaskId, new_id
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.task import Session, TaskState, TaskStatus
from remit.runtime.beside import can_be_told, recounted, tainted_in
from remit.runtime.joining import ahead, merged, resealed
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import ATTEMPTS, Change, Runtime, administer
from remit.runtime.writes import HoldTask, InsertObservation, InsertSession, PutSession, PutSpent, Write


def open_session(runtime: Runtime, task: TaskId) -> Driven[Session]:
    """Begin a run of the task's agent. Raises `RemitError`: not-found, refused if the task is closed or expired.

    What an agent wrote as the task's purpose is touched from the beginning.
    """
    return Driven(lambda: _open(runtime, task))


def _open(runtime: Runtime, task_id: TaskId) -> Steps[Session]:
    now = runtime.clock()
    opened: list[Session] = []

    def prepare() -> Change:
        chain = _standing(runtime, task_id, now)
        task = chain[0].task
        label, forgiven, seen, heard, awaits = _so_far(runtime, chain)
        session = Session(
            SessionId(new_id("ses", now)),
            task.id,
            task.agent,
            label,
            seen=now,
            version=1 << 32,
            forgiven=forgiven,
            heard=heard,
            awaits=awaits,
        )
        opened[:] = [session]
        body = SessionOpened(session.id, task.id, task.agent, label.confidentiality.value, label.sources, awaits)
        record = Record(encode_body(body), "session.opened", None, task.id)
        passed = [replace(observation, session=session.id) for observation in seen]
        held = [HoldTask(state.task.id) for state in chain]
        return [record], [*held, InsertSession(session), *passed]

    yield from administer(runtime, prepare)
    return opened[0]


def _standing(runtime: Runtime, task: TaskId, now: int) -> tuple[TaskState, ...]:
    chain, complete = runtime.view.chain(task)
    if not chain or not complete:
        raise not_found(f"there is no task `{task}` in this store, or one it was delegated from is missing")
    for state in chain:
        if state.task.status is not TaskStatus.OPEN or now >= state.task.expires:
            raise refused(f"task `{state.task.id}` is closed or has expired: open a new one")
    return chain


class _SoFar(NamedTuple):
    """What the sessions of a task and of those above it have touched, which sources were forgiven there, what they have seen by now, how
    much of what they were told that is, and which sessions below they await."""

    label: Label
    forgiven: tuple[str, ...]
    seen: list[InsertObservation]
    heard: int
    awaits: tuple[SessionId, ...]


def _so_far(runtime: Runtime, chain: tuple[TaskState, ...]) -> _SoFar:
    """What a new session of a task goes on with.

    A run that begins anew, in another process or beside the first, goes on with the same agent's knowledge: what one session read may
    be what the next one was told; and so may be what the one that delegated has read since.
    """
    task = chain[0].task
    # INVARIANT (labels come from what was touched): a new session is no way to shed them.
    label = PUBLIC_TRUSTED if task.purpose_trusted else task.purpose_label
    forgiven: tuple[str, ...] = ()
    seen: dict[tuple[str, str], InsertObservation] = {}
    view = runtime.view
    awaits: set[SessionId] = set()
    # INVARIANT (fail closed): what is counted as taken over is read before the sessions, and these before what they saw: it is all there.
    heard = tainted_in(state for link in chain if (state := view.store.task(link.task.id)) is not None)
    above = [stored for state in reversed(chain) for stored in view.store.sessions_of(state.task.id)]
    for stored in above:
        earlier = view.newest(stored)
        heard -= can_be_told(stored, earlier)
        awaits.update(stored.awaits, earlier.awaits)
        label, forgiven = label.join(earlier.reached), merged(forgiven, earlier.forgiven)
        for known in view.store.observations(earlier.id):
            if (known.decision, known.source) not in seen:
                sealed = known.sealed if earlier.task == task.id else resealed(view, known, earlier.task, task.id)
                observation = InsertObservation(earlier.id, known.decision, known.source, known.untrusted, sealed)
                seen[known.decision, known.source] = observation
    return _SoFar(label, forgiven, list(seen.values()), heard, tuple(sorted(awaits)))


def inherit(runtime: Runtime, session: SessionId, child: SessionId) -> Driven[None]:
    """Join what a delegated session has touched to the one that delegated, whose agent now reads its result.

    Raises `RemitError`: not-found, unavailable; then the delegating session must not go on.
    """
    return Driven(lambda: inheriting(runtime, session, child))


def inheriting(runtime: Runtime, session: SessionId, child: SessionId) -> Steps[None]:
    """The steps of `inherit`."""
    return _joining(runtime, session, child)


def take_over(runtime: Runtime, session: SessionId) -> Driven[None]:
    """Join what the other sessions of the task, and of those above it, have touched and seen by now.

    Raises `RemitError`: not-found, unavailable; then the session must not go on.
    """
    return Driven(lambda: _joining(runtime, session, None))


def taking_over(runtime: Runtime, session: SessionId, needed: bool = False) -> Steps[None]:
    """The steps of `take_over`; with `needed`, as a decision needs them: if others came to touch more, or were told what is untrusted."""
    return _joining(runtime, session, None, needed)


def _joining(runtime: Runtime, session: SessionId, child: SessionId | None, needed: bool = False) -> Steps[None]:
    # INVARIANT (labels come from what was touched): delegated agents pass on the join of what they read.
    view = runtime.view
    for _ in range(ATTEMPTS):
        with view.lock:
            revision = view.refresh()
            before = entered(runtime, session)
            joined = ahead(view, before, _newest(runtime, child) if child is not None else None, needed)
            if joined is None:
                return
            tasks = recounted(view, before, joined.session, joined.below)
            view.move(joined.session, [state for state, _ in tasks])
            # INVARIANT (labels come from what was touched): whoever decides on the new label meanwhile must know what is behind it.
            for decision, report in joined.reports():
                view.observe(joined.session, report, decision)
            spent = [PutSpent(state.task.id, state.spent, base) for state, base in tasks]
            changes: list[Write] = [PutSession(joined.session, before.version), *spent, *joined.seen]
            ticket = runtime.appender.submit(Ticket(joined.records, changes, revision, runtime.clock()))
        try:
            yield ticket
        except Conflict:
            with view.lock:
                view.forget(session, [task.id for task in view.loaded_chain(before.task)])
        else:
            return
    raise unavailable("the session kept changing in other processes: try again")


def _newest(runtime: Runtime, session: SessionId) -> Session:
    stored = runtime.view.store.session(session)
    return runtime.view.newest(stored) if stored is not None else entered(runtime, session)


def resume(runtime: Runtime, session: SessionId) -> Session:
    """A session as it stands, with everything it has touched, in whichever process. Raises `RemitError` (not-found)."""
    with runtime.view.lock:
        runtime.view.catch_up(None, session)
        return entered(runtime, session)


def entered(runtime: Runtime, session: SessionId) -> Session:
    """A session as this process knows it: for what is committed, or after a look at it. Raises `RemitError` (not-found)."""
    with runtime.view.lock:
        found = runtime.view.session(session)
    if found is None:
        raise not_found(f"there is no session `{session}` in this store")
    return found
