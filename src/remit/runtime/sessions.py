"""Sessions: one run of an agent within a task, opened by the door and never by the agent's own word."""

from collections.abc import Iterator

from msgspec.structs import replace

from remit.decision_log.append import Conflict, Ticket
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import SessionJoined, SessionOpened
from remit.decision_log.sealed import open_observation, seal_observation
from remit.decision_log.store import Record
from remit.model.errors import not_found, refused, unavailable
from remit.model.identity import SessionId, TaskId, new_id
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.task import Session, TaskState, TaskStatus, next_version
from remit.runtime.beside import beside, passed_on
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import ATTEMPTS, Change, Runtime, administer
from remit.runtime.store import HoldTask, InsertObservation, InsertSession, Observation, PutSession, PutSpent, Write
from remit.runtime.view import View


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
        label, forgiven, seen = _so_far(runtime, chain)
        session = Session(SessionId(new_id("ses", now)), task.id, task.agent, label, seen=now, version=1 << 32, forgiven=forgiven)
        opened[:] = [session]
        body = SessionOpened(session.id, task.id, task.agent, label.confidentiality.value, label.sources)
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


def _so_far(runtime: Runtime, chain: tuple[TaskState, ...]) -> tuple[Label, tuple[str, ...], list[InsertObservation]]:
    """What the sessions of a task and of those above it have touched, which sources were forgiven there, and what they have seen by now.

    A run that begins anew, in another process or beside the first, goes on with the same agent's knowledge: what one session read may
    be what the next one was told; and so may be what the one that delegated has read since.
    """
    task = chain[0].task
    # INVARIANT (labels come from what was touched): a new session is no way to shed them.
    label = PUBLIC_TRUSTED if task.purpose_trusted else task.purpose_label
    forgiven: tuple[str, ...] = ()
    seen: dict[tuple[str, str], InsertObservation] = {}
    view = runtime.view
    above = [stored for state in reversed(chain) for stored in view.store.sessions_of(state.task.id)]
    for earlier in map(view.newest, above):
        label, forgiven = label.join(earlier.reached), _merged(forgiven, earlier.forgiven)
        for known in view.store.observations(earlier.id):
            if (known.decision, known.source) not in seen:
                sealed = known.sealed if earlier.task == task.id else _resealed(view, known, earlier.task, task.id)
                observation = InsertObservation(earlier.id, known.decision, known.source, known.untrusted, sealed)
                seen[known.decision, known.source] = observation
    return label, forgiven, list(seen.values())


def _merged(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other})) if other else one


def inherit(runtime: Runtime, session: SessionId, child: SessionId) -> Driven[None]:
    """Join what a delegated session has touched to the one that delegated, whose agent now reads its result.

    Raises `RemitError`: not-found, unavailable; then the delegating session must not go on.
    """
    return Driven(lambda: inheriting(runtime, session, child))


def inheriting(runtime: Runtime, session: SessionId, child: SessionId) -> Steps[None]:
    """The steps of `inherit`."""
    # INVARIANT (labels come from what was touched): delegated agents pass on the join of what they read.
    for _ in range(ATTEMPTS):
        with runtime.view.lock:
            revision = runtime.view.refresh()
            before = resume(runtime, session)
            inner = _newest(runtime, child)
            seen = list(_passed_on(runtime, before, inner))
            label = passed_on(before, inner)
            if label == before.label and not seen and set(inner.forgiven) <= set(before.forgiven):
                return
            after = replace(
                before,
                label=label,
                version=next_version(before.version, f"return of {child}: {label}"),
                touches=before.touches + 1,
                forgiven=_merged(before.forgiven, inner.forgiven),
            )
            tasks = _raised(runtime.view, before, after)
            runtime.view.forget(session, ())
            runtime.view.move(after, [state for state, _ in tasks])
            reached = after.reached
            joined = SessionJoined(session, before.task, child, reached.confidentiality.value, reached.sources)
            records = [Record(encode_body(joined), "session.joined", None, before.task)]
            spent = [PutSpent(state.task.id, state.spent, base) for state, base in tasks]
            changes: list[Write] = [PutSession(after, before.version), *spent, *seen]
            ticket = runtime.appender.submit(Ticket(records, changes, revision, runtime.clock()))
        try:
            yield ticket
        except Conflict:
            with runtime.view.lock:
                runtime.view.forget(session, [state.task.id for state, _ in tasks])
        else:
            return
    raise unavailable("the session kept changing in other processes: try again")


def _raised(view: View, before: Session, after: Session) -> list[tuple[TaskState, int]]:
    """The first task of the chain as it counts that a session has come to touch more, and the version it had; none once it is closed."""
    chain, _ = view.chain(before.task)
    if after.label == before.label or not chain or chain[-1].task.status is not TaskStatus.OPEN:
        return []
    root = chain[-1]
    version = next_version(root.spent.version, f"raised by {after.id}: {after.version}")
    spent = replace(root.spent, raised=root.spent.raised + 1, version=version)
    return [(TaskState(root.task, spent), root.spent.version)]


def take_over(runtime: Runtime, session: SessionId) -> Driven[None]:
    """Join what the other sessions of the task, and of those above it, have touched and seen by now.

    Raises `RemitError`: not-found, unavailable; then the session must not go on.
    """
    return Driven(lambda: taking_over(runtime, session))


def taking_over(runtime: Runtime, session: SessionId) -> Steps[None]:
    """The steps of `take_over`."""
    with runtime.view.lock:
        runtime.view.refresh()
        others = [other.id for other in beside(runtime.view, resume(runtime, session))]
    for other in others:
        yield from inheriting(runtime, session, other)


def _passed_on(runtime: Runtime, outer: Session, inner: Session) -> Iterator[InsertObservation]:
    """What the inner session saw, sealed for the outer one: its values may come back in the delegated result."""
    known = {seen.decision for seen in runtime.view.store.observations(outer.id)}
    for seen in runtime.view.store.observations(inner.id):
        if seen.decision in known:
            continue
        sealed = _resealed(runtime.view, seen, inner.task, outer.task)
        yield InsertObservation(outer.id, seen.decision, seen.source, seen.untrusted, sealed)


def _resealed(view: View, seen: Observation, theirs: TaskId | None, ours: TaskId | None) -> bytes:
    """An observation sealed under the key of another task; empty, as of one that nobody saw, once either is gone."""
    old, new = view.key(theirs), view.key(ours)
    if not seen.sealed or old is None or new is None:
        return b""
    return seal_observation(new, open_observation(old, seen.sealed, seen.decision), seen.decision)


def _newest(runtime: Runtime, session: SessionId) -> Session:
    stored = runtime.view.store.session(session)
    return runtime.view.newest(stored) if stored is not None else resume(runtime, session)


def resume(runtime: Runtime, session: SessionId) -> Session:
    """A session as it stands, with everything it has touched. Raises `RemitError` (not-found)."""
    with runtime.view.lock:
        found = runtime.view.session(session)
    if found is None:
        raise not_found(f"there is no session `{session}` in this store")
    return found
