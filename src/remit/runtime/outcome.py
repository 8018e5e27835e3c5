"""What became of a permitted action: its outcome is recorded once, and what it touched joins the session."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from remit.decision_log.append import Conflict, Ticket
from remit.decision_log.sealed import SealedObservation, SealedTold, observed, seal_observation
from remit.decision_log.sealing import SealKey
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.decision import Query
from remit.model.errors import ErrorKind, RemitError, conflict, unavailable
from remit.model.identity import DecisionId
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.task import Session
from remit.pdp.declassification import provenance_of
from remit.pdp.effects import Closed, session_after_outcome
from remit.pdp.flow import has_grants, written_before
from remit.pdp.memory import came_back, lost, under_way
from remit.pdp.provenance.seen import MAX_OUTPUT
from remit.runtime.beside import recounted
from remit.runtime.pending import Driven, Steps
from remit.runtime.records import outcome_record
from remit.runtime.runtime import ATTEMPTS, Runtime, turn
from remit.runtime.store import OpenPermit
from remit.runtime.view import View
from remit.runtime.writes import DeletePermit, HoldMemory, InsertObservation, PutSession, PutSpent, Write

TOGETHER = 512
"""So many outcomes that nobody reports are submitted at once: while they are, this process decides nothing."""
MANY = 1 << 62
"""Of what was written before an output nobody knows everything."""
_decode_query = msgspec.json.Decoder(Query).decode


def report(runtime: Runtime, outcome: Outcome) -> Driven[None]:
    """Record an outcome.

    Raises `RemitError`: conflict if there is no open permit of that id (unknown, or reported before), unavailable if the store
    cannot be written; then the session keeps the worst the call can have touched.
    """
    return Driven(lambda: reporting(runtime, outcome))


def reporting(runtime: Runtime, outcome: Outcome) -> Steps[None]:
    """The steps of `report`."""
    runtime.view.live.pop(outcome.decision, None)
    for attempt in range(ATTEMPTS):
        with turn(runtime, attempt) as alone:
            with runtime.view.lock:
                permit = runtime.view.permits.get(outcome.decision) or _stored(runtime, outcome.decision)
                if permit is None:
                    raise conflict(
                        f"decision `{outcome.decision}` has no open permit: it was reported or settled before, or never permitted"
                    )
                if alone:
                    _forget(runtime, permit)
                ticket = _submit(runtime, outcome, permit)
            try:
                yield ticket
            except Conflict:
                _forget(runtime, permit)
                continue
            except Exception:  # it was not recorded, for whatever reason: the view must not go on from it
                _undo(runtime, permit)
                raise
        runtime.view.permits.pop(outcome.decision, None)
        runtime.view.acted.discard(outcome.decision)
        return
    raise unavailable("the outcome could not be recorded, the session kept changing in other processes: report it again")


def abandon(runtime: Runtime, decision: DecisionId) -> None:
    """Say of a permit that may be on its way to the disk that nobody will use it, without waiting: whoever asked for it is gone."""
    with runtime.view.lock:
        permit = runtime.view.permits.pop(decision, None)
        if permit is not None:
            _submit(runtime, Outcome(decision, permit.session, OutcomeStatus.NOT_PERFORMED), permit)


def _stored(runtime: Runtime, decision: DecisionId) -> OpenPermit | None:
    try:
        return runtime.view.store.permit(decision)
    except RemitError as error:
        if error.kind is ErrorKind.MALFORMED:
            return None  # what is no text names no permit
        raise


def _submit(runtime: Runtime, outcome: Outcome, permit: OpenPermit) -> Ticket[Write]:
    view, now = runtime.view, runtime.clock()
    revision = view.refresh()
    key = view.sealing_key(permit.task)
    before = view.session(permit.session)
    writes: list[Write] = [DeletePermit(permit.decision)]
    after: Session | None = None
    closed = Closed.of(permit.decision, permit.worst, bool(permit.memory), permit.counted)
    if before is not None:
        # INVARIANT (labels come from what was touched): that nothing was done is believed of whoever was given the permit, and did not use
        # it; of anybody else it is not known.
        acted = permit.decision in view.acted or permit.writer != runtime.appender.writer
        unseen = _touched(outcome, permit, acted) is None
        if permit.memory:
            permit, held = _as_read(view, permit, unseen)
            writes.extend(held)
        after = session_after_outcome(before, closed._replace(worst=permit.worst), _touched(outcome, permit, acted), now)
        writes.append(PutSession(after, before.version))
        if view.key(permit.task) is not None:  # of a task that was erased, nothing is kept that comes late
            writes.extend(_observe(view, before, outcome, permit, _Heard(key, now, unseen, acted)))
    record = outcome_record(outcome, permit, after, key)
    tasks = recounted(view, before, after) if before is not None and after is not None else []
    writes += [PutSpent(state.task.id, state.spent, base) for state, base in tasks]
    view.move(after, [state for state, _ in tasks])
    return runtime.appender.submit(Ticket([record], writes, revision, now))


def _as_read(view: View, permit: OpenPermit, unseen: bool) -> tuple[OpenPermit, list[Write]]:
    """The permit of a call on a memory by what the memory holds now that the call has ended; what was written later it has not read."""
    # INVARIANT (labels come from what was touched): whatever was read had been permitted to be written before it was reported.
    try:
        memory = view.memory(permit.memory)
    except RemitError as error:
        if error.kind is not ErrorKind.CORRUPT:
            raise
        memory, held = lost(permit.memory), list[Write]()
    else:
        held = [HoldMemory(memory.name, memory.version)]
    worst = (under_way if unseen else came_back)(permit.worst, memory)
    return replace(permit, worst=worst, records=permit.records and not worst.untrusted), held


class _Heard(NamedTuple):
    """How an outcome came: the key of its task, the time (µs), whether what came back stays unknown, whether the permit was used, or may
    have been by another process."""

    key: SealKey
    now: int
    unseen: bool
    acted: bool


def _observe(view: View, session: Session, outcome: Outcome, permit: OpenPermit, heard: _Heard) -> list[Write]:
    """Keep what came back, for provenance and facts; or that something untrusted came back which nobody saw."""
    query = _decode_query(heard.key.open(permit.query, permit.decision)) if permit.query else Query()
    told = _told(outcome, query, heard)
    untrusted, written = permit.worst.untrusted, query.written
    if outcome.content or (outcome.content is not None and _matters(view, session, permit)):
        text = outcome.content[:MAX_OUTPUT].encode("utf-8", "replace").decode()
        before = _written_before(view, session) if text and (permit.records or not untrusted) else None
        seen = SealedObservation(
            text,
            query.arguments,
            query.steered,
            permit.records,
            False,
            told,
            written,
            heard.now if before is not None else 0,
            before,
            query.action,
        )
    elif told is not None or written is not None or (heard.unseen and untrusted):
        # INVARIANT (labels come from what was touched): what a call was given may be read again, whatever is known of its outcome.
        untrusted = untrusted and heard.unseen
        about = query.arguments if written else ()
        seen = SealedObservation("", about, unseen=True, told=told, written=written, action=query.action)
    else:
        return []
    view.observe(session, observed(permit.tool, untrusted, seen), permit.decision)
    kept = told is not None or written is not None or not seen.unseen
    sealed = seal_observation(heard.key, seen, permit.decision) if kept else b""
    return [InsertObservation(session.id, permit.decision, permit.tool, untrusted, sealed)]


def _written_before(view: View, session: Session) -> int | None:
    """How many calls may have written what a trusted output says that came back now, as far as this process or the store knows."""
    chain, complete = view.chain(session.task)
    if not chain:
        return None
    observed = view.observed(session.id, session.task)
    most = written_before(view.bundle, chain, session, observed)
    if most is None:
        return None
    stored = view.store.task(chain[-1].task.id)
    # INVARIANT (fail closed): other processes spend too, and what this one has spent may be on its way to the disk.
    if not complete or stored is None:
        return MANY
    return max(most, written_before(view.bundle, (stored,), session, observed) or 0)


def _matters(view: View, session: Session, permit: OpenPermit) -> bool:
    """Whether a call is remembered although nothing came back: what it was asked with may have been written somewhere."""
    # INVARIANT (labels come from what was touched): under a grant, a call that nobody remembers may have written what is granted.
    return bool(permit.query and provenance_of(session).untrusted) or has_grants(view.chain(session.task)[0])


def _told(outcome: Outcome, query: Query, heard: _Heard) -> SealedTold | None:
    if query.about is None:
        return None
    unknown = outcome.status is OutcomeStatus.NOT_PERFORMED and heard.acted
    status = OutcomeStatus.UNKNOWN if unknown else outcome.status
    return SealedTold(query.about, heard.now, status.value)


def _touched(outcome: Outcome, permit: OpenPermit, acted: bool) -> Label | None:
    """What the call really touched: nothing where nothing came back or nothing was done, its worst where something did; None where
    that cannot be told."""
    if outcome.content:
        return permit.worst
    if outcome.status is OutcomeStatus.NOT_PERFORMED and not acted:
        return PUBLIC_TRUSTED
    if outcome.status in (OutcomeStatus.UNKNOWN, OutcomeStatus.NOT_PERFORMED) or outcome.content is None:
        return None
    return PUBLIC_TRUSTED


def _forget(runtime: Runtime, permit: OpenPermit) -> None:
    """Drop what is known of a permit that another process may have reported, or whose session it has moved."""
    with runtime.view.lock:
        runtime.view.permits.pop(permit.decision, None)
        _undo(runtime, permit)


def _undo(runtime: Runtime, permit: OpenPermit) -> None:
    """Drop what an outcome that was not recorded had moved. The permit stays known: if nobody reports it again, it is settled."""
    with runtime.view.lock:
        runtime.view.forget(permit.session, [task.id for task in runtime.view.loaded_chain(permit.task)])


class Unsettled(NamedTuple):
    """Of several outcomes: how many were recorded, and those that could not be, for the store was not there."""

    recorded: int
    left: tuple[Outcome, ...]


def settle(runtime: Runtime, outcomes: Sequence[Outcome]) -> Driven[Unsettled]:
    """Record what nobody reports, many in one commit. What was reported meanwhile is left as it was; it raises nothing for the others."""
    return Driven(lambda: _settle(runtime, outcomes))


def _settle(runtime: Runtime, outcomes: Sequence[Outcome]) -> Steps[Unsettled]:
    recorded, left = 0, list[Outcome]()
    for start in range(0, len(outcomes), TOGETHER):
        part = outcomes[start : start + TOGETHER]
        for outcome, error in (yield from _together(runtime, part)):
            try:
                if error is not None:
                    yield from reporting(runtime, outcome)
            except RemitError as failure:
                if failure.kind is ErrorKind.CONFLICT:  # somebody reported it
                    runtime.view.permits.pop(outcome.decision, None)
                    runtime.view.acted.discard(outcome.decision)
                else:
                    left.append(outcome)
            else:
                recorded += 1
        if len(left) >= len(part):  # the store is not there: it is not asked for each of the rest
            left.extend(outcomes[start + TOGETHER :])
            break
    return Unsettled(recorded, tuple(left))


def _together(runtime: Runtime, outcomes: Sequence[Outcome]) -> Steps[list[tuple[Outcome, Exception | None]]]:
    """Submit them before the first is waited for, so that they are one commit; each with what stood in its way."""
    tried: list[tuple[Outcome, OpenPermit | None, Ticket[Write] | None]] = []
    with runtime.view.lock:
        for outcome in outcomes:
            runtime.view.live.pop(outcome.decision, None)
            try:
                permit = runtime.view.permits.get(outcome.decision) or _stored(runtime, outcome.decision)
                tried.append((outcome, permit, _submit(runtime, outcome, permit) if permit is not None else None))
            except RemitError:
                tried.append((outcome, None, None))
    found: list[tuple[Outcome, Exception | None]] = []
    for outcome, permit, ticket in tried:
        error: Exception | None = None
        try:
            if ticket is None:
                raise Conflict
            yield ticket
        except (Conflict, RemitError) as failure:
            error = failure
            if permit is not None:
                (_forget if isinstance(failure, Conflict) else _undo)(runtime, permit)
        else:
            runtime.view.permits.pop(outcome.decision, None)
            runtime.view.acted.discard(outcome.decision)
        found.append((outcome, error))
    return found


def recover(runtime: Runtime, writers: list[str]) -> int:
    """Close the permits of writers that are gone: their outcome is unknown. Returns how many there were. Raises `RemitError`."""
    found = 0
    for writer in writers:
        open_ = runtime.view.store.permits_of(writer)
        settled = settle(
            runtime, [Outcome(DecisionId(one.decision), one.session, OutcomeStatus.UNKNOWN) for one in open_]
        ).result()
        if settled.left:
            raise unavailable("what processes left open that are gone cannot be settled: mend the store, then start again")
        found += settled.recorded
    return found
