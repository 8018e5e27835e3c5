"""Production and the naive model decide alike: effect, reason, approval, obligations, and all that committing it changes."""

import os
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from remit.model.break_glass import BreakGlass, Stage
from remit.model.decision import Deny, Permit
from remit.model.identity import AgentId, BreakGlassId, TaskId
from remit.model.labels import PUBLIC_TRUSTED
from remit.pdp.decide import decide
from remit.pdp.inputs import Decided
from tests.reference import facts, model
from tests.reference.case import Case
from tests.reference.model import Answer
from tests.reference.worlds import NOON, cases, grants, inputs

EXAMPLES = int(os.environ.get("REMIT_TEST_EXAMPLES", "900"))
SLOW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def answered(case: Case, decided: Decided) -> Answer:
    """What production decided, in the words of the model."""
    decision, effects = decided.decision, decided.effects
    after = effects.session
    session = None
    if after is not None:
        session = (after.label, after.reached, after.calls, after.denials, after.seen)
    enforced = decision.enforced if isinstance(decision, Permit) else True
    return Answer(
        effect="permit" if isinstance(decision, Permit) else "deny",
        reason=decision.reason.value,
        enforced=enforced,
        requestable=decision.requestable.value if isinstance(decision, Deny) and decision.requestable else None,
        approval=decision.approval,
        obligations=tuple((o.type, o.argument, o.policy) for o in decision.obligations),
        session=session,
        spent=tuple((state.spent.calls, state.spent.tools, state.spent.amounts) for state in effects.tasks) if enforced else (),
        past=facts.remembered(effects.tasks or case.chain),
    )


def check_errors_deny(decided: Decided) -> None:
    decision = decided.decision
    if decision.basis.errors:
        assert isinstance(decision, Deny) or not decision.enforced


def check_effects(case: Case, decided: Decided) -> None:
    """Identities stay, versions move, an approval is used exactly where the decision says so, tasks are those of the chain."""
    decision, effects = decided.decision, decided.effects
    assert effects.approval_used == (decision.approval if isinstance(decision, Permit) else None)
    assert effects.tasks == () or [state.task for state in effects.tasks] == [state.task for state in case.chain]
    assert all(after.spent.version != before.spent.version for after, before in zip(effects.tasks, case.chain, strict=False))
    if effects.session is not None:
        assert case.session is not None
        assert (effects.session.id, effects.session.task, effects.session.agent) == (
            case.session.id,
            case.session.task,
            case.session.agent,
        )
        assert effects.session.version != case.session.version
        assert case.session.reached.within(effects.session.reached), "a decision never lowers a label"


@given(cases())
@SLOW
def test_the_model_and_production_agree(case: Case) -> None:
    decided = decide(inputs(case))
    event(decided.decision.reason.value)
    check_errors_deny(decided)
    check_effects(case, decided)
    assert answered(case, decided) == model.decide(case)


BY_POLICY = {"no-permit", "forbidden", "approval-required"}
DIFFERENCES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "another agent": {"agent": AgentId("somebody")},
    "another task": {"task": TaskId("tsk_other")},
    "another tool or resource": {"tools": ("other",), "resources": ("other",)},
    "over": {"until": NOON},
    "not begun": {"started": NOON + 2_000_000, "until": NOON + 3_000_000},
    "ended": {"stage": Stage.ENDED},
    "never confirmed": {"stage": Stage.ASKED},
    "of one person": {"asked_by": "X", "confirmed_by": "x"},
    "of the owner": {"asked_by": "OWNER"},
    "confirmed by the owner": {"confirmed_by": "OWNER"},
    "of the agent itself": {"confirmed_by": "BOT"},
    "of who opened the task": {"confirmed_by": "OPENER"},
}


def glass_for(case: Case, one_task: bool, differs: dict[str, Any]) -> BreakGlass:
    """What two people have opened for exactly this case, or something else."""
    asked = case.request
    about: dict[str, Any] = {
        "agent": AgentId(asked.subject.id),
        "task": asked.task if one_task else None,
        "tools": (asked.resource.id,),
        "resources": (asked.resource.id,),
        "asked_by": "eve",
        "confirmed_by": "fay",
        "stage": Stage.OPEN,
        "started": case.now - 1,
        "until": case.now + 1_000_000,
    }
    people = {"OWNER": case.agent.owner if case.agent else "", "OPENER": case.chain[-1].task.opener if case.chain else ""}
    given = {name: value - NOON + case.now if type(value) is int else people.get(value, value) for name, value in differs.items()}
    two = {"minutes": 5, "review_days": 7, "reason": "stuck", "incident": "INC-7", "asked_verified_by": "os"}
    return BreakGlass(id=BreakGlassId("brg_1"), asked=0, confirm_by=1, **two, **{**about, **given})


@given(cases(shadow=False), st.sampled_from([*DIFFERENCES, *["nothing"] * 10]), st.booleans())
@SLOW
def test_break_glass_opens_what_policies_deny_to_whom_it_names_and_nothing_else(case: Case, differs: str, task: bool) -> None:
    plain = decide(inputs(case))
    glass = glass_for(case, task, DIFFERENCES[differs])
    opened = decide(msgspec.structs.replace(inputs(case), glass=glass))
    asked, reason = case.request, plain.decision.reason.value
    fits = asked.action == "tool.call" or asked.action not in ("session.declassify", "agent.delegate")
    named = not isinstance(plain.decision, Permit) and differs == "nothing" and bool(case.chain) and case.session is not None
    if not (named and fits and reason in BY_POLICY):
        assert opened == plain
        return
    notes = {rule.id: rule.annotations for rule in case.rules}
    heads = [replace(rule, effect="permit", condition="") for rule in case.rules]
    try:
        duties = model.obligations(model.engine(case, heads, {})[1], notes)
    except model.No:
        assert opened.decision.reason.value == "unknown-obligation"
        return
    event(f"opened: {reason}")
    assert isinstance(opened.decision, Permit) and opened.decision.break_glass == glass.id
    assert (opened.decision.reason.value, opened.decision.basis) == ("break-glass", plain.decision.basis)
    assert set(duties) <= {(duty.type, duty.argument, duty.policy) for duty in opened.decision.obligations}
    check_effects(case, opened)
    found = answered(case, opened)
    assert found.spent == tuple(model.spend(case, state) for state in case.chain)
    assert found.session is not None and facts.worst(case).within(found.session[1])


@given(cases(shadow=False, asking=True), st.data())
@SLOW
def test_they_agree_on_what_an_approval_lets_pass(case: Case, data: Any) -> None:
    asked = decide(inputs(case)).decision
    if not isinstance(asked, Deny) or asked.requestable is None:
        return
    reached = case.session.reached if case.session else PUBLIC_TRUSTED
    grant = data.draw(grants(asked.basis.steering, asked.obligations, asked.requestable.value, reached))
    granted = replace(case, grant=grant)
    decided = decide(inputs(granted))
    event(f"{'permit' if isinstance(decided.decision, Permit) else 'deny'} {decided.decision.reason.value}")
    check_effects(granted, decided)
    assert answered(granted, decided) == model.decide(granted)
