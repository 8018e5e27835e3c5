"""Cases run through the pure decision, its effects carried from step to step."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from remit.model.clock import SECOND
from remit.model.decision import Decision, Deny, Permit, Query
from remit.model.definition import KnownDefinition
from remit.model.errors import RemitError
from remit.model.identity import ApprovalId, DecisionId, SessionId, TaskId
from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.request import EvaluationRequest
from remit.model.task import Budgets, Scope, Session, Task, TaskState
from remit.model.values import NO_ARGUMENTS, freeze
from remit.pap.bundle import compile_bundle
from remit.pap.cases import Case, CaseTask, Failure, Fixture, Step, compared, explained
from remit.pap.contents import Bundle
from remit.pap.extend import extended
from remit.pdp.compiled import CompiledBundle, Mode, TaskType
from remit.pdp.decide import decide_asking
from remit.pdp.effects import session_after_outcome
from remit.pdp.flow import keeps_records
from remit.pdp.inputs import Decided, Grant, Inputs
from remit.pdp.memo import Memo
from remit.pdp.obligations import barred
from remit.pdp.outside import Ask, nobody
from remit.pdp.provenance.seen import Observed, Report, observe

BEGIN = 1_767_225_600 * SECOND
"""Cases begin at 2026-01-01T00:00:00Z."""
DEFAULT_SECONDS = 3600
LOCI = 256


class CaseResult(msgspec.Struct, frozen=True):
    """What became of a case: the decision of each question asked, and what was not as expected."""

    case: Case
    decisions: tuple[Decision, ...]
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures


def run_cases(bundle: Bundle, cases: Iterable[Case], ask: Ask = nobody) -> Iterator[CaseResult]:
    """Run each case on its own; with what a file of cases adds, the bundle is compiled once. `ask` asks engines outside."""
    compiled: dict[str, CompiledBundle] = {}
    for case in cases:
        key = case.file if case.fixture != Fixture() else ""
        known = compiled.get(key)
        if known is None:
            known = compiled[key] = compile_bundle(extended(bundle, case.fixture))
        # Cases say what policy decides, also of a bundle in shadow mode; unless they are about what that lets pass.
        yield run_case(known if _about_shadow(case) else replace(known, mode=Mode.ENFORCE), case, ask)


def _about_shadow(case: Case) -> bool:
    expected = [step.expect for step in case.steps] + [step.then for step in case.steps if step.then is not None]
    return any(expectation.enforced is not None for expectation in expected)


def run_case(bundle: CompiledBundle, case: Case, ask: Ask = nobody) -> CaseResult:
    """Run one case from the beginning; it stops at the first step that is not as expected."""
    # What a bundle remembers of an agent goes by id and version; agents of two cases may share both and still differ.
    run = _Run(replace(bundle, loci=Memo(LOCI)), case, ask)
    for step in case.steps:
        failures = run.step(step)
        if failures:
            return CaseResult(case, tuple(run.decisions), tuple(failures))
    return CaseResult(case, tuple(run.decisions), ())


class _Run:
    """The state that a case carries from step to step."""

    def __init__(self, bundle: CompiledBundle, case: Case, ask: Ask) -> None:
        self._answer = ask
        self.decisions: list[Decision] = []
        self._bundle = bundle
        self._agent = case.agent.noun()
        self._agents = {agent.id: agent.noun() for agent in (*case.agents, case.agent)}
        self._now = BEGIN
        self._chain = tuple(_chain(bundle, case)) if case.task else ()
        self._session: Session | None = None
        self._definitions: dict[str, KnownDefinition] = {}
        self._observed = Observed()
        if self._chain:
            leaf = self._chain[0].task
            label = PUBLIC_TRUSTED if leaf.purpose_trusted else leaf.purpose_label
            self._session = Session(SessionId("ses_case"), leaf.id, leaf.agent, label, seen=BEGIN)

    def step(self, step: Step) -> list[Failure]:
        """Ask, approve and ask again if the step says so, act; what was not as expected."""
        self._now += step.after * SECOND
        before = self._session
        decided = self._ask(step, None)
        failures = compared(step, step.expect, decided.decision)
        if failures or step.then is None:
            return failures or self._act(step, decided)
        if not isinstance(decided.decision, Deny) or decided.decision.requestable is None:
            return [Failure(step.line, explained(step, "it could not be approved", decided.decision))]
        why = barred(step.approver, decided.decision.requestable, self._agent.id, self._agent, self._chain)
        if why:
            return [Failure(step.line, explained(step, f"`{step.approver}` may not approve it: {why}", decided.decision))]
        label = before.reached if before else PUBLIC_TRUSTED
        decided = self._ask(step, _grant(decided.decision, step.approver, label))
        return compared(step, step.then, decided.decision) or self._act(step, decided)

    def _request(self, step: Step) -> EvaluationRequest:
        arguments, problem = NO_ARGUMENTS, ""
        try:
            arguments = freeze(step.arguments)
        except RemitError as fault:
            problem = fault.message
        return EvaluationRequest(
            self._agent.ref,
            step.action,
            step.resource,
            arguments,
            self._chain[0].task.id if self._chain else None,
            self._session.id if self._session else None,
            definition=step.definition,
            malformed=problem,
            hints=step.hints,
        )

    def _ask(self, step: Step, grant: Grant | None) -> Decided:
        inputs = Inputs(
            self._bundle,
            self._request(step),
            self._agent,
            self._now,
            DecisionId(f"dec_{len(self.decisions) + 1}"),
            self._chain,
            session=self._session,
            observed=self._observed,
            delegators=(self._agent,) * len(self._chain[1:]),
            target=self._agents.get(step.resource.id) if step.resource.type == "Agent" else None,
            known=self._definitions.get(step.resource.id) if step.definition else None,
        )
        decided = decide_asking(inputs, self._answer)
        if grant is not None and isinstance(decided.decision, Deny) and decided.decision.requestable:
            lifted = decide_asking(replace(inputs, grant=grant), self._answer)
            # An approval that does not lift the denial changes nothing: the denial is what it is without.
            decided = lifted if isinstance(lifted.decision, Permit) else decided
        self.decisions.append(decided.decision)
        if decided.effects.definition is not None:
            self._definitions[step.resource.id] = decided.effects.definition
        self._session = decided.effects.session or self._session
        self._chain = decided.effects.tasks or self._chain
        return decided

    def _act(self, step: Step, decided: Decided) -> list[Failure]:
        """What a permitted action gives back joins the session, as its outcome does at every door."""
        content = step.returns or step.fails
        worst = decided.effects.worst
        if isinstance(decided.decision, Permit) and self._session is not None and worst is not None:
            touched = worst if content else PUBLIC_TRUSTED
            self._session = session_after_outcome(self._session, decided.decision.id, touched, self._now)
            query = decided.effects.query or Query()
            if content or (query.arguments and self._session.reached.untrusted):
                records = keeps_records(self._bundle, step.action, step.resource.id, step.hints)
                report = Report(step.resource.id, worst.untrusted, content or "", query.arguments, query.steered, records)
                self._observed = observe(self._observed, [report])
        return []


def _chain(bundle: CompiledBundle, case: Case) -> Iterator[TaskState]:
    """The task of a case and those it was delegated from, leaf first, each within what is above it."""
    links: list[CaseTask] = []
    task = case.task
    while task is not None:
        links.append(task)
        task = task.parent
    for number, link in enumerate(links):
        kind = bundle.task_types.get(link.type) or TaskType(link.type)
        parent = TaskId(f"tsk_case_{number + 1}") if number + 1 < len(links) else None
        seconds = link.seconds if link.seconds is not None else kind.seconds or DEFAULT_SECONDS
        yield TaskState(
            Task(
                id=TaskId(f"tsk_case_{number}"),
                agent=case.agent.noun().id,
                purpose=link.purpose,
                opener=link.opener,
                on_behalf_of=links[-1].on_behalf_of,
                opened=BEGIN,
                expires=BEGIN + seconds * SECOND,
                type=link.type,
                parent=parent,
                scope=replace(_scope(link.scope, kind.scope), flows=_flows(bundle, links[number:])),
                budgets=_budgets(link.budgets, kind.budgets),
                purpose_trusted=link.purpose_trusted,
            )
        )


def _flows(bundle: CompiledBundle, links: Sequence[CaseTask]) -> tuple[str, ...] | None:
    """The data-flow grants of a task: its own, else its type's, else those of the task above it."""
    for link in links:
        kind = bundle.task_types.get(link.type)
        flows = kind.scope.flows if link.scope.flows is None and kind is not None else link.scope.flows
        if flows is not None:
            return flows
    return None


def _scope(asked: Scope, kind: Scope) -> Scope:
    """What a task asks for; what it leaves out comes from its type."""
    return Scope(
        kind.tools if asked.tools is None else asked.tools,
        kind.resources if asked.resources is None else asked.resources,
        kind.destinations if asked.destinations is None else asked.destinations,
        kind.confidentiality if asked.confidentiality is None else asked.confidentiality,
    )


def _budgets(asked: Budgets, kind: Budgets) -> Budgets:
    """The smaller of each."""
    calls = [bound for bound in (asked.calls, kind.calls) if bound is not None]
    tools = {name: min(bound, kind.tools.get(name, bound)) for name, bound in asked.tools.items()}
    amounts = {key: min(bound, kind.amounts.get(key, bound)) for key, bound in asked.amounts.items()}
    return Budgets(min(calls, default=None), {**kind.tools, **tools}, {**kind.amounts, **amounts})


def _grant(deny: Deny, approver: str, label: Label) -> Grant:
    """An approval by somebody who was shown exactly this."""
    assert deny.requestable is not None
    return Grant(ApprovalId("apr_case"), approver, deny.requestable, label, deny.basis.steering, deny.obligations)
