"""Production and the naive model decide alike: effect, reason, approval, obligations, and all that committing it changes."""

import os
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from remit.model.decision import Deny, Permit
from remit.model.labels import PUBLIC_TRUSTED
from remit.pdp.decide import decide
from remit.pdp.inputs import Decided
from tests.reference import facts, model
from tests.reference.case import Case
from tests.reference.model import Answer
from tests.reference.worlds import cases, grants, inputs

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
