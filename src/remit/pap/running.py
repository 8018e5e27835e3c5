"""Cases run through the pure decision, its effects carried from step to step."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from remit.model.clock import SECOND
from remit.model.decision import Decision, Deny, Permit, Query
from remit.model.definition import KnownDefinition
from remit.model.errors import RemitError
from remit.model.identity import AgentId, ApprovalId, DecisionId, EntityRef
from remit.model.labels import PUBLIC_TRUSTED
from remit.model.memory import Memory
from remit.model.person import OwnerState
from remit.model.request import EvaluationRequest
from remit.model.task import NOTHING_SPENT, Session
from remit.model.values import NO_ARGUMENTS, freeze
from remit.pap.bundle import compile_bundle
from remit.pap.cases import Case, Failure, Fixture, Step, compared, explained
from remit.pap.contents import Bundle
from remit.pap.extend import extended
from remit.pap.opening import BEGIN, Opened, begun, opened
from remit.pdp.compiled import CompiledBundle, Mode
from remit.pdp.decide import decide_asking
from remit.pdp.effects import Closed, session_after_outcome
from remit.pdp.flow import keeps_records, written_before
from remit.pdp.hints import heard
from remit.pdp.inputs import Decided, Grant, Inputs
from remit.pdp.memo import Memo
from remit.pdp.memory import came_back, memory_of
from remit.pdp.obligations import barred, owners_of, parts_in
from remit.pdp.outside import Ask, nobody
from remit.pdp.provenance.seen import Report, observe
from remit.pdp.told import FAILED, PERFORMED, told_of

LOCI = 256
_NOWHERE = Opened()


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
        self._case = case
        self._at = opened(bundle, case)
        self._memories: dict[str, Memory] = {}
        self._account = NOTHING_SPENT
        self._definitions: dict[str, KnownDefinition] = {}

    def step(self, step: Step) -> list[Failure]:
        """Ask, approve and ask again if the step says so, act; what was not as expected."""
        self._now += step.after * SECOND
        if step.begin is not None:
            self._at = begun(self._bundle, self._case, self._at, step.begin, self._now)
        before = self._where(step).session
        decided = self._ask(step, None)
        failures = compared(step, step.expect, decided.decision)
        if failures or step.then is None:
            return failures or self._act(step, decided)
        if not isinstance(decided.decision, Deny) or decided.decision.requestable is None:
            return [Failure(step.line, explained(step, "it could not be approved", decided.decision))]
        rule = decided.decision.requestable
        approvers = step.approvers or ANYBODY[: rule.people]
        owners = owners_of(self._agent if step.subject is None else None)
        owners += parts_in(step.action, step.arguments, self._agents.get)
        for approver in approvers:
            if why := barred(approver, rule, AgentId(self._subject(step).id), owners, self._where(step).chain):
                return [Failure(step.line, explained(step, f"`{approver}` may not approve it: {why}", decided.decision))]
        if len(set(approvers)) != rule.people:
            return [Failure(step.line, explained(step, f"`{rule.value}` needs {rule.people} to approve it", decided.decision))]
        decided = self._ask(step, _grant(decided.decision, approvers, before))
        return compared(step, step.then, decided.decision) or self._act(step, decided)

    def _subject(self, step: Step) -> EntityRef:
        return step.subject or self._agent.ref

    def _where(self, step: Step) -> Opened:
        """The task and the session that a step is asked in, if it is in any."""
        return self._at if step.is_within else _NOWHERE

    def _request(self, step: Step) -> EvaluationRequest:
        arguments, properties, problem, where = NO_ARGUMENTS, NO_ARGUMENTS, "", self._where(step)
        try:
            arguments = freeze(step.arguments)
            properties = freeze(step.properties) if step.properties else NO_ARGUMENTS
        except RemitError as fault:
            problem = fault.message
        return EvaluationRequest(
            self._subject(step),
            step.action,
            step.resource,
            arguments,
            where.chain[0].task.id if where.chain else None,
            where.session.id if where.session else None,
            self._upstream(step),
            definition=step.definition,
            malformed=problem,
            hints=step.hints,
            properties=properties,
        )

    def _upstream(self, step: Step) -> str:
        """Whose tool it is: the step's, else the catalogue's."""
        known = self._bundle.tools.get(step.resource.id)
        return step.upstream or (known.tool.upstream if known is not None else "")

    def _ask(self, step: Step, grant: Grant | None) -> Decided:
        where = self._where(step)
        inputs = Inputs(
            self._bundle,
            self._request(step),
            self._agent if step.subject is None else None,
            self._now,
            DecisionId(f"dec_{len(self.decisions) + 1}"),
            where.chain,
            session=where.session,
            observed=where.observed,
            delegators=(self._agent,) * len(where.chain[1:]),
            memory=self._memory(step),
            account=self._account if step.subject is None else NOTHING_SPENT,
            target=self._agents.get(step.resource.id) if step.resource.type == "Agent" else None,
            known=self._definitions.get(step.resource.id) if step.definition else None,
            owner=self._case.agent.owner_state if step.subject is None else OwnerState.UNKNOWN,
        )
        decided = decide_asking(inputs, self._answer)
        if grant is not None and isinstance(decided.decision, Deny) and decided.decision.requestable:
            lifted = decide_asking(replace(inputs, grant=grant), self._answer)
            # An approval that does not lift the denial changes nothing: the denial is what it is without.
            decided = lifted if isinstance(lifted.decision, Permit) else decided
        self.decisions.append(decided.decision)
        if decided.effects.definition is not None:
            self._definitions[step.resource.id] = decided.effects.definition
        effects = decided.effects
        if effects.account is not None and step.subject is None:
            self._account = effects.account
        if effects.memory is not None:
            self._memories[effects.memory.name] = effects.memory
        self._at = replace(self._at, session=effects.session or self._at.session, chain=effects.tasks or self._at.chain)
        return decided

    def _memory(self, step: Step) -> Memory | None:
        name = memory_of(self._bundle, step.action, step.resource)
        return self._memories.get(name, Memory(name)) if name else None

    def _act(self, step: Step, decided: Decided) -> list[Failure]:
        """What a permitted action gives back joins the session, as its outcome does at every door."""
        content = step.returns or step.fails
        own, memory = decided.effects.worst, self._memory(step)
        worst = came_back(own, memory) if own is not None and memory is not None else own
        session = self._where(step).session
        if isinstance(decided.decision, Permit) and session is not None and own is not None and worst is not None:
            touched = worst if content else PUBLIC_TRUSTED
            closed = Closed.of(decided.decision.id, own, memory is not None)
            session = session_after_outcome(session, closed, touched, self._now)
            self._at = replace(self._at, session=session)
            query = decided.effects.query or Query()
            hints = heard(self._bundle, step.action, step.resource, self._upstream(step), step.hints)
            records = keeps_records(self._bundle, step.action, step.resource.id, hints) and not (memory and worst.untrusted)
            told, status = None, FAILED if step.fails else PERFORMED
            if query.about is not None:
                told = told_of(query.about, content or "", self._now, status, records or not worst.untrusted)
            if content or told or query.written or (query.arguments and session.reached.untrusted):
                before = None
                if records or not worst.untrusted:
                    before = written_before(self._bundle, self._at.chain, session, self._at.observed)
                about = query.arguments, query.steered, records, told, query.written, self._now, before, query.action
                report = Report(step.resource.id, worst.untrusted, content or "", *about)
                self._at = replace(self._at, observed=observe(self._at.observed, [report]))
        return []


ANYBODY = ("approver", "another-approver")
"""Who approves where a step names nobody: as many of them as must."""


def _grant(deny: Deny, approvers: tuple[str, ...], session: Session | None) -> Grant:
    """An approval by people who were shown exactly this."""
    assert deny.requestable is not None
    label, touches = (session.reached, session.touches) if session else (PUBLIC_TRUSTED, 0)
    *others, approver = approvers
    about = deny.requestable, label, deny.basis.steering, deny.obligations, touches
    return Grant(ApprovalId("apr_case"), approver, *about, tuple(others))
