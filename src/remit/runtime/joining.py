"""What a session is once it has taken over what others touched and saw: those beside it, and those of sub-tasks that were left."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import SessionJoined
from remit.decision_log.sealed import open_observation, report_of, seal_observation
from remit.decision_log.sealing import SealKey
from remit.decision_log.store import Record
from remit.model.identity import DecisionId, SessionId, TaskId
from remit.model.labels import Label
from remit.model.task import Session, TaskState, next_version
from remit.pdp.provenance.seen import Report
from remit.runtime.beside import can_be_told, passed_on, tainted_in
from remit.runtime.store import Observation
from remit.runtime.view import View
from remit.runtime.writes import InsertObservation


class Joined(NamedTuple):
    """A session as it is once it has taken over what others touched and saw, the entries that say so, and what it then has seen besides.
    `below`: they are sessions that those beside it do not look at."""

    session: Session
    records: list[Record]
    seen: list[InsertObservation]
    key: SealKey | None
    below: bool

    def reports(self) -> Iterator[tuple[DecisionId, Report]]:
        """What it then has seen besides, unsealed."""
        for one in self.seen:
            yield one.decision, report_of(self.key, one.sealed, one.decision, one.source, one.untrusted)


class _Other(NamedTuple):
    """A session to take over from: as it is stored, and as this process has moved it since; `label` is what it passes on. `below`: it is
    of a sub-task."""

    stored: Session
    newest: Session
    label: Label
    below: bool

    @property
    def can_be_told(self) -> int:
        """How many of its calls can still bring back what is untrusted."""
        return can_be_told(self.stored, self.newest)

    def adds_nothing_to(self, session: Session) -> bool:
        """Whether a session has all that this one passes on, but for what it saw."""
        return self.label == session.label and set(self.newest.forgiven) <= set(session.forgiven)


def ahead(view: View, before: Session, child: Session | None = None, needed: bool = True) -> Joined | None:
    """A session once it has taken over from those beside it and those below that it awaits, or from a `child`; None where that is nothing
    new (`needed`: nothing that a decision needs, so that what they saw is not even read). Commits nothing."""
    chain, _ = view.chain(before.task)
    # INVARIANT (fail closed): what is counted as taken over is read before the sessions, and these before what they saw: it is all there.
    known = _told_beside(view, chain, before) if child is None else 0
    others = list(_beside(view, before, chain) if child is None else _child(view, before, chain, child))
    awaits, heard = _awaits(before, others), before.heard
    if child is None:
        heard = max(heard, known - sum(other.can_be_told for other in others if not other.below))
        same = heard == before.heard and awaits == before.awaits
        if needed and same and all(other.adds_nothing_to(before) for other in others):
            return None
    session, records, seen = _taken(view, before, others, awaits)
    if not records:
        if not others or (heard == before.heard and awaits == before.awaits):
            return None
        session = replace(session, touches=session.touches + 1)
        records.append(_joined_record(session, others[-1].newest.id, awaits))
    below = child is not None and others[0].below
    # Those beside it look at no session of its sub-tasks: what comes from there, they take over from here.
    tainted = before.tainted + (below and (awaits != before.awaits or any(one.untrusted for one in seen)))
    act = f"join of {[(other.newest.id, other.newest.version) for other in others]}: {session.label} {heard}"
    version = next_version(before.version, act)
    session = replace(session, version=version, tainted=tainted, heard=heard, awaits=awaits)
    return Joined(session, records, seen, view.key(before.task), below)


def _taken(
    view: View, before: Session, others: list[_Other], awaits: tuple[SessionId, ...]
) -> tuple[Session, list[Record], list[InsertObservation]]:
    """The session with what others touched, an entry for each of whom there was anything, and what they saw."""
    session, records, seen = before, list[Record](), list[InsertObservation]()
    told = set(view.known(before.id, before.task))
    for other in others:
        more = list(_passed_on(view, before, other.newest, told))
        label, forgiven = session.label.join(other.label), merged(session.forgiven, other.newest.forgiven)
        if more or label != session.label or forgiven != session.forgiven:
            session = replace(session, label=label, forgiven=forgiven, touches=session.touches + 1)
            records.append(_joined_record(session, other.newest.id, awaits))
            told.update(one.decision for one in more)
            seen += more
    return session, records, seen


def _told_beside(view: View, chain: tuple[TaskState, ...], session: Session) -> int:
    """How often other sessions of the chain had been told what is untrusted, as the store has it: no more than there was."""
    stored = [view.store.task(state.task.id) for state in chain]
    own = view.store.session(session.id)
    return tainted_in(state for state in stored if state is not None) - (own.tainted if own is not None else 0)


def _beside(view: View, session: Session, chain: tuple[TaskState, ...]) -> Iterator[_Other]:
    """The sessions beside this one, and those of sub-tasks that it or they await."""
    waiting = list(session.awaits)
    for stored in [one for state in chain for one in view.store.sessions_of(state.task.id)]:
        if stored.id != session.id:
            newest = view.newest(stored)
            yield _Other(stored, newest, passed_on(session, newest), below=False)
            waiting += [one for one in (*stored.awaits, *newest.awaits) if one not in waiting]
    yield from _awaited(view, session, waiting)


def _child(view: View, session: Session, chain: tuple[TaskState, ...], child: Session) -> Iterator[_Other]:
    """The session of a sub-task that is left, first, with those beside it there; or one that is beside this one, for itself."""
    below = child.task not in {state.task.id for state in chain}
    stored = view.store.session(child.id) or child
    yield _Other(stored, child, passed_on(session, child), below)
    waiting = [*child.awaits] if below else []
    for stored in view.store.sessions_of(child.task) if below and child.task is not None else ():
        newest = view.newest(stored)
        if newest.id != child.id:
            # Of what was lowered for the child, it was lowered here.
            settled = child.settled.get(newest.id) == newest.touches
            yield _Other(stored, newest, session.label if settled else passed_on(session, newest), below)
            waiting += [one for one in newest.awaits if one not in waiting]
    yield from _awaited(view, session, waiting)


def _awaited(view: View, session: Session, waiting: list[SessionId]) -> Iterator[_Other]:
    """Sessions of sub-tasks that could still be told something when these were left, and those that they await themselves."""
    for name in waiting:  # which grows meanwhile
        stored = view.store.session(name)
        if stored is not None and name != session.id:
            newest = view.newest(stored)
            yield _Other(stored, newest, passed_on(session, newest), below=True)
            waiting += [one for one in newest.awaits if one not in waiting]


def _awaits(before: Session, others: list[_Other]) -> tuple[SessionId, ...]:
    """The sessions of sub-tasks that can still be told what is untrusted, of those that were awaited and those that are looked at now."""
    looked_at = {other.newest.id for other in others}
    left = [name for name in before.awaits if name not in looked_at]
    return tuple(sorted({*left, *(other.newest.id for other in others if other.below and other.can_be_told)}))


def _joined_record(session: Session, other: SessionId, awaits: tuple[SessionId, ...]) -> Record:
    reached = session.reached
    body = SessionJoined(session.id, session.task, other, reached.confidentiality.value, reached.sources, awaits)
    return Record(encode_body(body), "session.joined", None, session.task)


def _passed_on(view: View, outer: Session, inner: Session, known: Collection[DecisionId]) -> Iterator[InsertObservation]:
    """What the inner session saw, sealed for the outer one: its values may come back in the delegated result."""
    for seen in view.store.observations(inner.id):
        if seen.decision not in known:
            sealed = resealed(view, seen, inner.task, outer.task)
            yield InsertObservation(outer.id, seen.decision, seen.source, seen.untrusted, sealed)


def resealed(view: View, seen: Observation, theirs: TaskId | None, ours: TaskId | None) -> bytes:
    """An observation sealed under the key of another task; empty, as of one that nobody saw, once either is gone."""
    old, new = view.key(theirs), view.key(ours)
    if not seen.sealed or old is None or new is None:
        return b""
    return seal_observation(new, open_observation(old, seen.sealed, seen.decision), seen.decision)


def merged(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The sources that were forgiven in either of two sessions."""
    return tuple(sorted({*one, *other})) if other else one
