"""One scenario, every door: the same decision, the same obligations and the same entry."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

import remit
from remit.decision_log.entry import DecisionMade
from remit.decision_log.sealed import open_sealed
from remit.local import entering
from remit.local.people import Import
from remit.local.wiring import ask_outside, wall_clock
from remit.model.authorizer import Authorizer, Outcome, OutcomeStatus
from remit.model.decision import Decision, Deny, Permit
from remit.model.errors import RemitError
from remit.model.identity import AgentStatus, Operator, TaskId
from remit.model.person import OwnerState
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Session, Task
from remit.model.values import NO_ARGUMENTS, freeze
from remit.pap.bundle import compile_bundle, to_document
from remit.pap.cases import Begin, Case, CaseTask, ExpectedEffect, Step
from remit.pap.contents import Bundle
from remit.pap.extend import extended
from remit.pap.reading.cases import read_cases
from remit.pap.reading.folder import read_bundle
from remit.pap.running import ANYBODY, BEGIN, run_case
from remit.pep.obligations import ObligationFailed
from remit.pep.remote.client import Remote
from remit.runtime import administration, sessions, tasks
from remit.runtime.approving.answering import resolve
from remit.runtime.tasks import AgentOpener, Opening
from tests.conftest import StoreUrl
from tests.pap.test_history_page import bundle_in
from tests.runtime.world import Clock, World
from tests.server.serving import served, serving

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = {
    "baseline": ROOT / "src/remit/pap/baseline",
    "cases": ROOT / "tests/cases",
    "airline": ROOT / "examples/bundles/airline",
}
Ask = Callable[[Authorizer, Session | None, Case, Step], Decision]
Door = Callable[[World], AbstractContextManager[Authorizer]]


@contextmanager
def in_this_process(world: World) -> Iterator[Authorizer]:
    yield world.embedded


@contextmanager
def over_http(world: World) -> Iterator[Authorizer]:
    with serving(world.embedded) as client:
        remote = Remote(f"http://127.0.0.1:{client.port}")
        try:
            yield remote
        finally:
            remote.close()


def _all() -> Iterator[Any]:
    bundles = {name: read_bundle(folder) for name, folder in BUNDLES.items()}
    for name, bundle in {**bundles, "chains": bundle_in("cedar")}.items():
        for case in read_cases(bundle):
            if same_everywhere(case.task):
                yield pytest.param(bundle, case, id=f"{name}: {case.name}")


def same_everywhere(task: CaseTask | None) -> bool:
    """A task that a person opened; what agents open begins with the label of a session that cases do not have."""
    return task is None or (task.purpose_trusted and same_everywhere(task.parent))


ALL = list(_all())
TOOLS_ONLY = [p for p in ALL if all(step.action == TOOL_CALL for step in p.values[1].steps)]


def _facts(decision: Decision) -> tuple[object, ...]:
    permit = isinstance(decision, Permit)
    requestable = decision.requestable if isinstance(decision, Deny) else None
    asked = tuple((o.type, o.argument) for o in decision.obligations) if permit else ()
    return ("permit" if permit else "deny", decision.reason, decision.tier, requestable, sorted(decision.basis.policies), asked)


def through_evaluate(authorizer: Authorizer, session: Session | None, case: Case, step: Step) -> Decision:
    arguments, problem = NO_ARGUMENTS, ""
    try:
        arguments = freeze(step.arguments)
    except RemitError as fault:
        problem = fault.message
    decision = authorizer.evaluate(
        EvaluationRequest(
            case.agent.noun().ref,
            step.action,
            step.resource,
            arguments,
            session.task if session else None,
            session.id if session else None,
            definition=step.definition,
            malformed=problem,
            hints=step.hints,
        )
    ).result()
    if isinstance(decision, Permit):
        stands = authorizer.may_act(decision.id)
        assert stands if isinstance(stands, bool) else stands.result()
        status = OutcomeStatus.FAILED if step.fails else OutcomeStatus.SUCCEEDED
        authorizer.report(
            Outcome(decision.id, session.id if session else None, status, step.returns or step.fails or "")
        ).result()
    return decision


def through_guard(authorizer: Authorizer, session: Session | None, case: Case, step: Step) -> Decision:
    """The same as a function that an agent's code calls; the decision is read back from what the guard raised or the log."""

    def tool(**_arguments: object) -> str:
        if step.fails:
            raise LookupError(step.fails)
        return step.returns or ""

    guarded = remit.guard(tool=step.resource.id)(tool)
    seen: list[Decision] = []
    evaluate = authorizer.evaluate

    class Listening:
        """The authorizer of the door, heard by the test."""

        def __getattr__(self, name: str) -> Any:
            return getattr(authorizer, name)

        def evaluate(self, request: EvaluationRequest) -> Any:
            answer = evaluate(request)

            class Heard:
                def result(self) -> Decision:
                    seen.append(answer.result())
                    return seen[-1]

            return Heard()

    from remit.pep.sdk.context import Working, current

    agent = case.agent.noun().id
    token = current.set(Working(Listening(), agent, session.task if session else None, session.id if session else None))
    try:
        guarded(**step.arguments)
    except (remit.Denied, LookupError, ObligationFailed):
        pass
    finally:
        current.reset(token)
    return seen[-1]


@contextmanager
def _world(tmp_path: Path, bundle: Bundle, case: Case, clock: Callable[[], int]) -> Iterator[tuple[World, Session | None]]:
    world = World(tmp_path / "store", clock)
    try:
        world.publish(extended(bundle, case.fixture))
        agent = case.agent.noun()
        world.runtime.view.refresh()
        administration.change_agent(world.runtime, agent.id, lambda _known: _active(agent), Operator("ana", "os")).result()
        for other in case.agents:
            administration.change_agent(world.runtime, other.id, lambda _known, o=other: o.noun(), Operator("ana", "os")).result()
        if case.agent.owner_state is not OwnerState.UNKNOWN:
            active = "true" if case.agent.owner_state is OwnerState.ACTIVE else "false"
            told = f"id,user_name,active\n1,{agent.owner},{active}\n".encode()
            Import(told, "file:csv", whole=True, most=20).apply(world.embedded, Operator("ana", "os"))
        session = None
        if case.task is not None:
            session = sessions.open_session(world.runtime, _open(world, case, case.task).id).result()
        if agent.status is not AgentStatus.ACTIVE:
            changed = replace(agent, version=2)
            administration.change_agent(world.runtime, agent.id, lambda _known: changed, Operator("ana", "os")).result()
        yield world, session
    finally:
        world.close()


def _active(agent: Any) -> Any:
    return replace(agent, status=AgentStatus.ACTIVE)


def _open(world: World, case: Case, task: CaseTask) -> Task:
    parent = _open(world, case, task.parent).id if task.parent else None
    opening = Opening(case.agent.id, task.purpose, task.on_behalf_of, task.type, task.scope, task.budgets, task.seconds, parent)
    return tasks.open_task(world.runtime, opening, Operator(task.opener, "os")).result()


def _begun(world: World, case: Case, session: Session | None, step: Step) -> Session | None:
    """The session in which a step is asked."""
    if step.begin is None or session is None or case.task is None:
        return session
    assert session.task is not None
    if step.begin is Begin.SESSION:
        return sessions.open_session(world.runtime, session.task).result()
    if step.begin is Begin.TASK:
        return sessions.open_session(world.runtime, _open(world, case, case.task).id).result()
    opening = Opening(case.agent.id, case.task.purpose, parent=session.task)
    sub_task = tasks.open_task(world.runtime, opening, AgentOpener(session.agent, session.id)).result()
    inner = sessions.open_session(world.runtime, sub_task.id).result()
    sessions.inherit(world.runtime, inner.id, session.id).result()
    return inner


class Played(NamedTuple):
    """What a door said to each step of a case, what the case's own run says of it, and what is on the log: as far as it is the same each time."""

    answers: list[tuple[object, ...]]
    expected: list[tuple[object, ...]]
    log: list[Any]


def play(
    tmp_path: Path, bundle: Bundle, case: Case, ask: Ask, door: Door = in_this_process, clock: Callable[[], int] | None = None
) -> Played:
    """Play a case through a door."""
    expected = run_case(compile_bundle(extended(bundle, case.fixture)), case, ask_outside)
    assert expected.passed, expected.failures
    clock = clock or Clock(BEGIN)
    with _world(tmp_path, bundle, case, clock) as (world, session), door(world) as authorizer:
        answers: list[Decision] = []
        at = session
        for step in case.steps:
            if isinstance(clock, Clock):
                clock.forward(step.after)
            at = _begun(world, case, at, step)
            answers.append(ask(authorizer, at, case, step))
            last = answers[-1]
            if step.then is not None and isinstance(last, Deny):
                assert last.approval is not None
                assert last.requestable is not None
                for approver in step.approvers or ANYBODY[: last.requestable.people]:
                    try:
                        resolve(world.runtime, last.approval, Operator(approver, "os"), True).result()
                    except RemitError as error:  # whom policy excludes is refused: it is denied as before
                        assert "policy does not let" in error.message and step.then.decision is ExpectedEffect.DENY
                answers.append(ask(authorizer, at, case, step))
        written = [(entry.effect, entry.reason, sorted(entry.policies)) for entry in world.decisions()]
        assert written == [(_facts(a)[0], a.reason.value, sorted(a.basis.policies)) for a in answers]
        permits = [answer for answer in answers if isinstance(answer, Permit)]
        assert len(world.outcomes()) == len(permits)
        log = [_lasting(world, answers[number], made) for number, made in enumerate(world.decisions())] + [
            (seen.status, seen.label, seen.sources, seen.size, bool(seen.sealed)) for seen in world.outcomes()
        ]
        return Played([_facts(answer) for answer in answers], [_facts(decision) for decision in expected.decisions], log)


def _lasting(world: World, answer: Decision, made: DecisionMade) -> Any:
    """A decision as it was logged and as the door was told, without ids, and what is under the key of a task."""
    key = world.runtime.view.sealing_key(TaskId(made.task) if made.chain and made.task else None)
    sealed = open_sealed(made, key)
    assert sealed is not None
    plain = replace(
        made, id="", task=None, chain=("",) * len(made.chain), session=None, approval=None, arguments="", sealed=b"", caller="", proof="",
        flows=tuple(flow.partition("#")[2] for flow in made.flows),
    )  # fmt: skip
    said = (
        "approval" if answer.approval else "",
        answer.obligations,
        answer.basis.steering,
        answer.basis.errors,
        answer.basis.entities,
    )
    return (
        plain,
        bytes(sealed.arguments),
        sealed.errors,
        sealed.steering,
        re.sub(r"(tsk|dec|apr|ses)_[0-9a-f]{32}", r"\1", answer.message),
        *said,
    )


@pytest.mark.postgresql  # on the embedded store a server is compared with it, below
@pytest.mark.parametrize(("bundle", "case"), ALL)
def test_through_the_authorizer(tmp_path: Path, bundle: Bundle, case: Case, store_url: StoreUrl) -> None:
    played = play(tmp_path, bundle, case, through_evaluate)
    assert played.answers == played.expected


@pytest.mark.postgresql
@pytest.mark.parametrize(("bundle", "case"), TOOLS_ONLY)
def test_through_the_guard(tmp_path: Path, bundle: Bundle, case: Case, store_url: StoreUrl) -> None:
    played = play(tmp_path, bundle, case, through_guard)
    assert played.answers == played.expected


@pytest.mark.sqlite
@pytest.mark.parametrize(("bundle", "case"), ALL)
def test_through_a_server(tmp_path: Path, bundle: Bundle, case: Case, store_url: StoreUrl) -> None:
    near = play(tmp_path / "near", bundle, case, through_evaluate)
    far = play(tmp_path / "far", bundle, case, through_evaluate, over_http)
    assert far.answers == far.expected and far == near


@pytest.mark.sqlite
@pytest.mark.parametrize(("bundle", "case"), TOOLS_ONLY)
def test_through_the_guard_and_a_server(tmp_path: Path, bundle: Bundle, case: Case, store_url: StoreUrl) -> None:
    near = play(tmp_path / "near", bundle, case, through_guard)
    far = play(tmp_path / "far", bundle, case, through_guard, over_http)
    assert far.answers == far.expected and far == near


TIMELESS = [
    # The airline's policy reads the time of its cases.
    p
    for p in TOOLS_ONLY
    if not str(p.id).startswith("airline") and all(not step.after for step in p.values[1].steps)
]


@contextmanager
def of_another_process(world: World) -> Iterator[Authorizer]:
    with served(world.home) as client:
        remote = Remote(f"http://127.0.0.1:{client.port}")
        try:
            yield remote
        finally:
            remote.close()


@pytest.mark.sqlite
@pytest.mark.parametrize(("bundle", "case"), TIMELESS[::8])
def test_through_a_server_of_another_process(
    tmp_path: Path, bundle: Bundle, case: Case, store_url: StoreUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "store"))
    played = play(tmp_path, bundle, case, through_guard, of_another_process, wall_clock)
    assert played.answers == played.expected


def test_there_are_scenarios() -> None:
    assert len(ALL) >= 25
    assert to_document(ALL[0].values[0])
    assert entering.guard is remit.guard
