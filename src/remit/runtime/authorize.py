"""May this action happen now? Load what the request needs, decide, and commit decision and effects as one."""

from collections.abc import Sequence

from msgspec.structs import replace

from remit.decision_log.append import Conflict
from remit.model.authorizer import ApprovalState
from remit.model.break_glass import Stage as GlassStage
from remit.model.decision import NO_EFFECTS, Decision, Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import Agent, AgentId, AgentStatus, BreakGlassId, DecisionId, SessionId, new_id
from remit.model.request import EvaluationRequest, readable
from remit.model.task import TaskState
from remit.pdp.break_glass import covers
from remit.pdp.checks import CLOCK_TOLERANCE
from remit.pdp.decide import decide
from remit.pdp.inputs import PERMIT_MICROSECONDS, Decided, Inputs
from remit.pdp.outside import MAX_QUESTIONS, NotAsked, Outside
from remit.runtime import definitions, outcome, sessions
from remit.runtime.acting import holds_open
from remit.runtime.approving import approvals
from remit.runtime.approving.caps import too_many
from remit.runtime.approving.denying import as_denied_before
from remit.runtime.approving.lapsing import LATE, Lapse, by_people, by_policy, in_words
from remit.runtime.beside import Behind, worse_for_being_behind
from remit.runtime.committing import Considered, Loaded, commit
from remit.runtime.directory import directory_of
from remit.runtime.line import Line
from remit.runtime.loading import load
from remit.runtime.observing import Course, Stage, begun, tell
from remit.runtime.pending import Driven, Inquiry, Steps
from remit.runtime.runtime import ATTEMPTS, Runtime, turn
from remit.runtime.store import Approval, RuntimeStore
from remit.runtime.view import Live


def evaluate(runtime: Runtime, request: EvaluationRequest) -> Driven[Decision]:
    """Decide durably. The answer is a `Deny` for whatever goes wrong; it never raises for a fault of the store."""
    return Driven(lambda: evaluating(runtime, request))


def evaluating(runtime: Runtime, request: EvaluationRequest) -> Steps[Decision]:
    """The steps of `evaluate`."""
    request = readable(request)
    line, course = Line(id(runtime), request.session or SessionId("")), begun(runtime.observers)
    try:
        decision = yield from _decided(runtime, request, line, course)
    finally:
        line.leave()
    tell(runtime.observers, request, decision, course)
    return decision


def _decided(runtime: Runtime, request: EvaluationRequest, line: Line, course: Course) -> Steps[Decision]:
    decision_id = DecisionId(new_id("dec", runtime.clock()))
    considered: Considered | None = None
    outside: Outside | None = None
    attempt = questions = 0
    waited = False
    while attempt < ATTEMPTS and questions <= MAX_QUESTIONS:
        try:
            with turn(runtime, attempt) as alone:
                if alone:
                    _forget(runtime, request, decision_id)
                with runtime.view.lock:
                    loaded = load(runtime, request, decision_id, runtime.clock(), outside)
                    course.passed(Stage.LOAD)
                    considered = consider(runtime, loaded)
                    course.passed(Stage.DECIDE)
                    if loaded.inputs.behind and not waited and worse_for_being_behind(considered.decided):
                        waited = True
                        raise Behind
                    ticket = commit(runtime, loaded, considered)
                yield ticket
            course.passed(Stage.COMMIT)
        except Behind:
            attempt += 1
            if fault := (yield from _caught_up(runtime, request, decision_id)):
                return fault
            course.passed(Stage.CATCH_UP)
        except NotAsked as question:
            questions += 1
            course.passed(Stage.DECIDE)
            outside = yield from _asked(runtime, question, outside, line, again=questions > 1)
            course.passed(Stage.ASK)
        except Conflict:
            attempt += 1
            course.passed(Stage.COMMIT)
            _forget(runtime, request, decision_id)
        except RemitError as error:
            course.passed(Stage.COMMIT if considered is not None else Stage.LOAD)
            _forget(runtime, request, decision_id)
            return _fault(decision_id, error)
        except BaseException:  # whoever asked is gone (cancelled, interrupted), while a permit may be on its way to the disk
            outcome.abandon(runtime, decision_id)
            raise
        else:
            return _given(runtime, loaded, considered.decided.decision)
        finally:
            if considered is not None and considered.approval is not None:
                runtime.view.underway.pop(considered.approval.id, None)
    moved = "the session kept changing" if attempt >= ATTEMPTS else "what its policy engine was asked about kept changing"
    return Deny(decision_id, Reason.CONFLICT, f"{moved} ({max(attempt, questions)} times): try again")


def _caught_up(runtime: Runtime, request: EvaluationRequest, decision: DecisionId) -> Steps[Deny | None]:
    """Take over what other sessions have touched meanwhile."""
    try:
        yield from sessions.taking_over(runtime, request.session or SessionId(""), needed=True)
    except RemitError as error:
        return _fault(decision, error)
    return None


def _asked(runtime: Runtime, question: NotAsked, before: Outside | None, line: Line, again: bool) -> Steps[Outside]:
    """Ask an engine outside, while nobody waits for this process's state; in line, where others of this session make it ask again."""
    if (again or line.taken) and not line.first:
        yield Inquiry(lambda: line.wait(question.opa.seconds * MAX_QUESTIONS))
    asking = Inquiry(lambda: runtime.ask(question.opa, question.document))
    yield asking
    return question.answered(before, asking.said)


def consider(runtime: Runtime, loaded: Loaded) -> Considered:
    """Decide. Where an approval is required, decide again with the one given for this exact action; what is denied then, with what was
    opened for it; else ask for the approval."""
    decided = _decide(loaded.inputs)
    decision = decided.decision
    if not isinstance(decision, Deny):
        return (_approved(runtime, loaded) if decision.basis.flows else None) or Considered(decided)
    if decision.requestable is None:
        return Considered(_opened(runtime, loaded) or decided)
    digest = approvals.action_digest(loaded.key, loaded.inputs)
    known, lapses = runtime.view.approvals_for(digest), list[Lapse]()
    for approval in known:
        tried = _tried(runtime, loaded, approval)
        if isinstance(tried, Decided):
            used = approvals.used(approval) if tried.effects.approval_used else None
            return Considered(tried, approval=used)
        if tried is not None:
            lapses.append(tried)
    if (opened_by := _opened(runtime, loaded)) is not None:
        return Considered(opened_by)
    denied = runtime.view.store.denied_for(digest)
    decision = as_denied_before(in_words(decision, lapses), denied, loaded.key, loaded.inputs.now)
    for approval in known:
        if approvals.still_asks(approval, decision, loaded.key, loaded.inputs):
            return Considered(replace(decided, decision=replace(decision, approval=approval.id)))
    if words := too_many(runtime, loaded.inputs):
        # A denial stays a denial: whoever may ask for nothing more has what waits answered first, or lets it expire.
        crowded = replace(decision, reason=Reason.TOO_MANY_REQUESTS, message=f"{decision.message}; {words}")
        return Considered(replace(decided, decision=crowded))
    opened = approvals.open_request(loaded.inputs, decision, loaded.key, digest)
    return Considered(replace(decided, decision=replace(decision, approval=opened.id)), approval=opened, opened=True)


def _approved(runtime: Runtime, loaded: Loaded) -> Considered | None:
    """The permit by an approval of exactly this: what was granted besides is kept for other calls."""
    for approval in runtime.view.approvals_for(approvals.action_digest(loaded.key, loaded.inputs)):
        tried = _tried(runtime, loaded, approval)
        if isinstance(tried, Decided) and tried.effects.approval_used:
            return Considered(tried, approval=approvals.used(approval))
    return None


def _tried(runtime: Runtime, loaded: Loaded, approval: Approval) -> Decided | Lapse | None:
    """The permit by an approval, or why it gives none; None for a request that nobody has approved."""
    if approval.state is not ApprovalState.APPROVED:
        return None
    inputs, key = loaded.inputs, loaded.key
    grant = approvals.grant_of(approval, key, inputs.now)
    if grant is None:
        return Lapse(approval.id, LATE, LATE)
    asked_by = approvals.askers(approval, approvals.shown_in(approval, key), key)
    if (lapse := by_people(runtime.view, inputs, grant, asked_by)) is not None:
        return lapse
    again = _decide(replace(inputs, grant=grant))
    return again if isinstance(again.decision, Permit) else by_policy(grant, again)


def _opened(runtime: Runtime, loaded: Loaded) -> Decided | None:
    """The permit by what two people have opened, if that covers the request."""
    for glass in loaded.glass:
        inputs, directory = loaded.inputs, runtime.view.directory
        if covers(glass, inputs.request) and holds_open(directory, glass, inputs.agent, inputs.delegators, inputs.chain):
            again = _decide(replace(inputs, glass=glass))
            if isinstance(again.decision, Permit):
                return again
    return None


def _decide(inputs: Inputs) -> Decided:
    try:
        return decide(inputs)
    except NotAsked:
        raise
    except Exception as error:  # INVARIANT (fail closed): a fault of our own must deny, and say that it is one
        message = f"deciding failed ({type(error).__name__}: {error}): please report this as a defect"
        return Decided(Deny(inputs.decision, Reason.INTERNAL_ERROR, message), NO_EFFECTS)


def _given(runtime: Runtime, loaded: Loaded, decision: Decision) -> Decision:
    if runtime.view.defining:
        definitions.durable(runtime.view, loaded.inputs.request)
    if isinstance(decision, Permit) and loaded.inputs.agent is not None:
        request = loaded.inputs.request
        agent = AgentId(request.subject.id)
        tasks = tuple([state.task.id for state in loaded.inputs.chain])
        until = min([decision.until, *(state.task.expires for state in loaded.inputs.chain)])
        about = decision.basis.bundle, request.caller, request.session, decision.break_glass
        live = Live(until, loaded.revision, agent, request.resource, tasks, *about)
        runtime.view.live[decision.id] = live
    return decision


def _forget(runtime: Runtime, request: EvaluationRequest, decision: DecisionId) -> None:
    """Drop what a decision that was not committed had moved."""
    with runtime.view.lock:
        runtime.view.permits.pop(decision, None)
        tasks = [task.id for task in runtime.view.loaded_chain(request.task)]
        runtime.view.forget(request.session, tasks)
        if request.definition:
            runtime.view.forget_definition(request.upstream, request.resource.id)


def _fault(decision: DecisionId, error: RemitError) -> Deny:
    # INVARIANT (fail closed): a store that cannot be read or written permits nothing.
    reason = Reason.INTERNAL_ERROR if error.kind is ErrorKind.CORRUPT else Reason.STORE_UNAVAILABLE
    return Deny(decision, reason, error.message, told=error.told if error.told != error.message else "")


def may_act(runtime: Runtime, decision: DecisionId) -> bool:
    """Whether a permit still stands, asked just before the act; true at most once for each permit."""
    # INVARIANT (what was decided is what runs): a permit is used once, within seconds, and not after it was taken back.
    acted, live = runtime.view.acted, runtime.view.live.pop(decision, None)
    if live is None:
        return False
    acted.add(decision)  # before it is asked: no report meanwhile may say that nothing was done
    if not _stands(runtime, live):
        acted.discard(decision)
        return False
    return True


def hand_out(runtime: Runtime, decision: DecisionId) -> None:
    """Say of a permit that it is with somebody who will not ask again before the act: from now on it counts as used."""
    # INVARIANT (labels come from what was touched): of what nobody here sees done, nobody here can say that it was not.
    runtime.view.acted.add(decision)
    runtime.view.live.pop(decision, None)


def _stands(runtime: Runtime, live: Live) -> bool:
    if not live.until - PERMIT_MICROSECONDS - CLOCK_TOLERANCE <= runtime.clock() < live.until:
        return False
    if live.glass is not None and not runtime.view.is_open(live.glass):
        return False
    try:
        revision, open_still = runtime.view.store.standing(live.tasks)
        return open_still and (revision == live.revision or _still_stands(runtime, live))
    except RemitError:
        return False


def _still_stands(runtime: Runtime, live: Live) -> bool:
    """Something administrative has changed since the permit: whether it concerns the agents, the bundle or a kill."""
    store = runtime.view.store
    states = [state for task in live.tasks if (state := store.task(task)) is not None]
    chain = [state.task for state in states]
    active = store.active_bundle()
    return (
        active is not None
        and active[0] == live.bundle
        and all(_may_act(store.agent(name)) for name in {live.agent, *(task.agent for task in chain)})
        and not any(kill.stops(live.agent, live.resource, chain) for kill in store.kills())
        and (live.glass is None or _still_open(store, live.glass, states))
    )


def _still_open(store: RuntimeStore, name: BreakGlassId, chain: Sequence[TaskState]) -> bool:
    glass = store.break_glass(name)
    if glass is None or glass.stage is not GlassStage.OPEN:
        return False
    delegators = [store.agent(state.task.agent) for state in chain[1:]]
    return holds_open(directory_of(store), glass, store.agent(glass.agent), delegators, chain)


def _may_act(agent: Agent | None) -> bool:
    return agent is not None and agent.status is AgentStatus.ACTIVE
