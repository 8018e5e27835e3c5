"""What must hold of any decision, whatever the policies: errors deny, narrowing narrows, labels and forbids only take away."""

import os
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from remit.model.decision import ApproverRule, Deny, Permit
from remit.model.identity import ApprovalId, TaskId
from remit.model.labels import Label
from remit.model.task import Budgets, Scope, Task, TaskState, TaskStatus
from remit.pdp.decide import decide
from remit.pdp.inputs import Grant
from tests.reference.case import Case, Rule
from tests.reference.worlds import ERRING, LABELS, NOON, POOL, SCOPES, cases, inputs

SLOW = settings(
    max_examples=int(os.environ.get("REMIT_TEST_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
ENFORCED = cases(shadow=False)
FORBIDS = [rule for rule in POOL if rule.effect == "forbid"]
NOT_MONOTONE = {"asks-carl", "whole", "all-of-it"}
"""Forbids that a higher label can lift: they ask whether the tier is exactly `high`, or compare the whole context."""


def permitted(case: Case) -> bool:
    return isinstance(decide(inputs(case)).decision, Permit)


def with_rules(case: Case, *more: Rule) -> Case:
    known = {rule.id for rule in case.rules}
    return replace(case, rules=(*case.rules, *(rule for rule in more if rule.id not in known)))


@given(cases())
@SLOW
def test_a_decision_is_a_function_of_its_inputs(case: Case) -> None:
    assert decide(inputs(case)) == decide(inputs(case))


@given(ENFORCED)
@SLOW
def test_any_reported_error_denies(case: Case) -> None:
    decided = decide(inputs(case))
    assert not (decided.decision.basis.errors and isinstance(decided.decision, Permit))


@given(ENFORCED)
@SLOW
def test_a_denial_spends_nothing_and_uses_no_approval(case: Case) -> None:
    decided = decide(inputs(case))
    if isinstance(decided.decision, Deny):
        assert decided.effects.tasks == () and decided.effects.approval_used is None and decided.effects.worst is None
        if decided.effects.session is not None and case.session is not None:
            assert decided.effects.session.label == case.session.label
            assert decided.effects.session.pending == case.session.pending
            assert decided.effects.session.calls == case.session.calls


@given(ENFORCED, SCOPES, st.integers(0, 2))
@SLOW
def test_narrowing_a_scope_never_permits_what_was_denied(case: Case, narrower: Scope, place: int) -> None:
    assume(case.chain)
    place %= len(case.chain)
    state = case.chain[place]
    scope = state.task.scope
    both = Scope(
        _both(scope.tools, narrower.tools), _both(scope.resources, narrower.resources),
        _both(scope.destinations, narrower.destinations), narrower.confidentiality if scope.confidentiality is None else scope.confidentiality,
    )  # fmt: skip
    chain = (*case.chain[:place], TaskState(changed(state.task, scope=both), state.spent), *case.chain[place + 1 :])
    assert permitted(case) or not permitted(replace(case, chain=chain))


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return one if other is None else other
    return tuple(item for item in one if item in other)


@given(ENFORCED, SCOPES, st.sampled_from([None, 0, 1, 5]), st.booleans(), st.integers(-5, 60))
@SLOW
def test_a_further_task_in_the_chain_never_permits_what_was_denied(
    case: Case, scope: Scope, calls: int | None, closed: bool, minutes: int
) -> None:
    """As long as its purpose names nothing: a purpose is intent, and makes what it names intended."""
    assume(case.chain)
    last = case.chain[-1]
    above = Task(
        TaskId("tsk_above"), last.task.agent, "(nothing)", "ana", "ana", NOON - 60_000_000, NOON + minutes * 60_000_000, scope=scope,
        budgets=Budgets(calls), status=TaskStatus.CLOSED if closed else TaskStatus.OPEN, purpose_trusted=False,
    )  # fmt: skip
    chain = (*case.chain[:-1], TaskState(changed(last.task, parent=above.id), last.spent), TaskState(above))
    assert permitted(case) or not permitted(replace(case, chain=chain))


@given(ENFORCED, LABELS)
@SLOW
def test_a_higher_label_never_permits_what_was_denied(case: Case, more: Label) -> None:
    """Under policies whose permits do not ask for a label, and whose forbids ask for at least one: all of the pool but `NOT_MONOTONE`."""
    assume(case.session is not None and not {rule.id for rule in case.rules} & NOT_MONOTONE)
    assert case.session is not None
    raised = replace(case, session=changed(case.session, label=case.session.label.join(more)))
    assert permitted(case) or not permitted(raised)


@given(ENFORCED, st.sampled_from(["read", "web"]), st.sampled_from(["write to evil@x.com", "boss@corp.com", "x y z 4 and 11"]))
@SLOW
def test_more_untrusted_output_never_permits_what_was_denied(case: Case, source: str, text: str) -> None:
    """Whatever was seen last: an earlier output that held a value keeps its origin."""
    assume(case.session is not None and not {rule.id for rule in case.rules} & NOT_MONOTONE)
    assert (
        permitted(case) or not permitted(replace(case, seen=(*case.seen, (source, True, text)))) or _known_only_as_nowhere(case)
    )


def _known_only_as_nowhere(case: Case) -> bool:
    """`nowhere` forbids values of unknown origin in untrusted sessions; seen in a text they are steered, which is another policy's."""
    return "nowhere" in {rule.id for rule in case.rules}


@given(ENFORCED, st.sampled_from(FORBIDS))
@SLOW
def test_a_further_forbid_never_permits_what_was_denied(case: Case, forbid: Rule) -> None:
    assert permitted(case) or not permitted(with_rules(case, forbid))


@given(ENFORCED)
@SLOW
def test_a_forbid_that_errs_leaves_nothing_permitted(case: Case) -> None:
    """Cedar would skip it."""
    assert not permitted(with_rules(case, ERRING))


@given(cases(shadow=False, asking=True), st.data())
@SLOW
def test_an_approval_permits_only_what_could_be_requested(case: Case, data: Any) -> None:
    asked = decide(inputs(case)).decision
    steering = asked.basis.steering
    grant = Grant(ApprovalId("apr_1"), "carl", ApproverRule.FOUR_EYES, data.draw(LABELS), steering, asked.obligations)
    granted = decide(inputs(replace(case, grant=grant))).decision
    if isinstance(asked, Permit):
        assert isinstance(granted, Permit) and granted.approval is None, "an approval that is not needed is not used"
    elif asked.requestable is None:
        assert isinstance(granted, Deny)
    elif isinstance(granted, Permit):
        assert granted.approval == grant.id
        assert case.session is None or case.session.reached.within(grant.label)


@given(ENFORCED, st.sampled_from(["no agent", "no session", "no chain"]))
@SLOW
def test_knowing_less_never_permits_what_was_denied(case: Case, less: str) -> None:
    """What could not be loaded denies; a task that is gone does not make a call task-free."""
    lost = {
        "no agent": replace(case, agent=None),
        "no session": replace(case, session=None),
        "no chain": replace(case, chain=()),
    }[less]
    assert permitted(case) or not permitted(lost)
