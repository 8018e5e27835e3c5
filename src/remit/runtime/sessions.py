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
from remit.model.task import Session, Task, TaskState, TaskStatus, next_version
from remit.runtime.pending import Driven, Steps
from remit.runtime.runtime import ATTEMPTS, Change, Runtime, administer
from remit.runtime.store import HoldTask, InsertObservation, InsertSession, PutSession, Write


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
        label, forgiven, seen = _so_far(runtime, task)
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


def _so_far(runtime: Runtime, task: Task) -> tuple[Label, tuple[str, ...], list[InsertObservation]]:
    """What the sessions of a task have touched, which sources were forgiven in it, and what they have seen up to now.

    A run that begins anew, in another process or beside the first, goes on with the same agent's knowledge: what one session read may
    be what the next one was told.
    """
    # INVARIANT (labels come from what was touched): a new session is no way to shed them.
    label = PUBLIC_TRUSTED if task.purpose_trusted else task.purpose_label
    forgiven: tuple[str, ...] = ()
    seen: dict[tuple[str, str], InsertObservation] = {}
    for earlier in runtime.view.store.sessions_of(task.id):
        label, forgiven = label.join(earlier.reached), _merged(forgiven, earlier.forgiven)
        for known in runtime.view.store.observations(earlier.id):
            observation = InsertObservation(earlier.id, known.decision, known.source, known.untrusted, known.sealed)
            seen.setdefault((known.decision, known.source), observation)
    return label, forgiven, list(seen.values())


def _merged(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other})) if other else one


def inherit(runtime: Runtime, session: SessionId, child: SessionId) -> Driven[None]:
    """Join what a delegated session has touched to the one that delegated, whose agent now reads its result.

    Raises `RemitError`: not-found, unavailable; then the delegating session must not go on.
    """
    return Driven(lambda: _inherit(runtime, session, child))


def _inherit(runtime: Runtime, session: SessionId, child: SessionId) -> Steps[None]:
    # INVARIANT (labels come from what was touched): delegated agents pass on the join of what they read.
    for _ in range(ATTEMPTS):
        with runtime.view.lock:
            revision = runtime.view.refresh()
            before = resume(runtime, session)
            inner = resume(runtime, child)
            seen = list(_passed_on(runtime, before, inner))
            label = before.label.join(inner.reached)
            if label == before.label and not seen and set(inner.forgiven) <= set(before.forgiven):
                return
            after = replace(
                before,
                label=label,
                version=next_version(before.version, f"return of {child}: {label}"),
                touches=before.touches + 1,
                forgiven=_merged(before.forgiven, inner.forgiven),
            )
            runtime.view.forget(session, ())
            runtime.view.move(after, ())
            reached = after.reached
            joined = SessionJoined(session, before.task, child, reached.confidentiality.value, reached.sources)
            records = [Record(encode_body(joined), "session.joined", None, before.task)]
            changes: list[Write] = [PutSession(after, before.version), *seen]
            ticket = runtime.appender.submit(Ticket(records, changes, revision, runtime.clock()))
        try:
            yield ticket
        except Conflict:
            runtime.view.forget(session, ())
        else:
            return
    raise unavailable("the session kept changing in other processes: try again")


def _passed_on(runtime: Runtime, outer: Session, inner: Session) -> Iterator[InsertObservation]:
    """What the inner session saw, sealed for the outer one: its values may come back in the delegated result."""
    theirs, ours = runtime.view.key(inner.task), runtime.view.key(outer.task)
    known = {seen.decision for seen in runtime.view.store.observations(outer.id)}
    for seen in runtime.view.store.observations(inner.id):
        if seen.decision in known:
            continue
        sealed = b""
        if seen.sealed and theirs is not None and ours is not None:
            sealed = seal_observation(ours, open_observation(theirs, seen.sealed, seen.decision), seen.decision)
        yield InsertObservation(outer.id, seen.decision, seen.source, seen.untrusted, sealed)


def resume(runtime: Runtime, session: SessionId) -> Session:
    """A session as it stands, with everything it has touched. Raises `RemitError` (not-found)."""
    with runtime.view.lock:
        found = runtime.view.session(session)
    if found is None:
        raise not_found(f"there is no session `{session}` in this store")
    return found
