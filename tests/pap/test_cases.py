"""Cases: read with their lines, run through the decision, and explained where they fail."""

from pathlib import Path

import pytest

from remit.model.decision import ApproverRule, Deny, Permit, Reason
from remit.model.identity import EntityRef
from remit.model.request import Tier
from remit.pap.cases import Case, Expectation, ExpectedEffect, differing
from remit.pap.problems import BundleError
from remit.pap.reading.cases import parse_cases, read_cases
from remit.pap.reading.folder import read_bundle
from remit.pap.running import CaseResult, run_cases
from tests.pap.bundles import BASELINE, ROOT, SCENARIOS, small

RECORDS = ROOT / "examples/bundles/authzen-certification"
HEAD = "- name: x\n  agent: {id: bot}\n  task: {purpose: p}\n  steps:\n"


def run(steps: str, **changed: str) -> CaseResult:
    """One case with these steps (from its fifth line on), over the small bundle."""
    bundle = small(cases=HEAD + steps, **changed)
    [result] = run_cases(bundle, read_cases(bundle))
    return result


def all_cases(folder: Path) -> list[CaseResult]:
    """The results of a bundle's own cases."""
    bundle = read_bundle(folder)
    return list(run_cases(bundle, read_cases(bundle)))


@pytest.mark.parametrize(
    ("folder", "least"), [(BASELINE, 14), (SCENARIOS, 25), (RECORDS, 5)], ids=["baseline", "scenarios", "records"]
)
def test_the_cases_of_bundles_pass(folder: Path, least: int) -> None:
    results = all_cases(folder)
    assert len(results) >= least
    assert [failure for result in results for failure in result.failures] == []


@pytest.mark.parametrize("folder", [BASELINE, SCENARIOS, RECORDS], ids=["baseline", "scenarios", "records"])
def test_every_policy_decides_some_case(folder: Path) -> None:
    decided = {policy for result in all_cases(folder) for decision in result.decisions for policy in decision.basis.policies}
    assert [p.id for p in read_bundle(folder).policies if not p.is_template and p.id not in decided] == []


def test_all_of_a_case_is_read() -> None:
    text = """
tools: [{name: extra}]
resources: [{type: File, pattern: "*"}]
directory: [a@b.c]
cases:
- name: all of it
  agent: {id: a, owner: o, purpose: p, groups: [g], status: suspended}
  task:
    purpose: leaf
    type: t
    on_behalf_of: b
    opener: c
    scope: {tools: [x]}
    budgets: {calls: 1, amounts: {x.y: 0.5}}
    seconds: 5
    purpose_trusted: false
    parent: {purpose: root}
  steps:
  - call: x
    arguments: {a: [1, {b: null}]}
    expect: {decision: deny, reason: forbidden, requestable: four-eyes, tier: high, policies: [p], obligations: [], enforced: true}
    approve: carl
    then: permit
    returns: text
    after: -3
    definition: abc
  - {action: file.read, resource: /a, expect: permit, fails: broken}
  - {action: own.read, resource: 'Own::Type::"a\\"b"', expect: deny}
"""
    [case] = parse_cases(text, "cases/a.yaml")
    assert (case.line, case.fixture.tools[0].name, case.fixture.directory) == (6, "extra", ("a@b.c",))
    assert case.agent.noun().groups == ("g",)
    assert case.task is not None and case.task.parent is not None and case.task.parent.purpose == "root"
    assert case.task.budgets.amounts == {"x.y": 5000}
    first, second, third = case.steps
    assert (first.line, first.resource, first.approvers, first.after, first.definition) == (
        19,
        EntityRef("Tool", "x"),
        ("carl",),
        -3,
        "abc",
    )
    assert first.expect == Expectation(ExpectedEffect.DENY, Reason.FORBIDDEN, ApproverRule.FOUR_EYES, Tier.HIGH, ("p",), (), True)
    assert first.then == Expectation(ExpectedEffect.PERMIT)
    assert (second.resource, second.fails) == (EntityRef("File", "/a"), "broken")
    assert third.resource == EntityRef("Own::Type", 'a"b')


def test_a_file_can_be_one_case() -> None:
    [case] = parse_cases("name: x\nagent: {id: a}\nsteps:\n- {call: a, expect: deny}\n", "cases/a.yaml")
    assert isinstance(case, Case)
    assert (case.line, case.steps[0].line) == (1, 4)


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        (f"{HEAD}  - {{call: x}}\n", 5, "missing-field"),
        (f"{HEAD}  - {{call: x, expect: maybe}}\n", 5, "shape"),
        (f"{HEAD}  - {{call: x, expect: {{decision: deny, reason: because}}}}\n", 5, "shape"),
        (f"{HEAD}  - {{call: x, expekt: deny}}\n", 5, "unknown-field"),
        (f"{HEAD}  - {{expect: deny}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, action: y, resource: z, expect: deny}}\n", 5, "malformed"),
        (f"{HEAD}  - {{action: own.thing, resource: z, expect: deny}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, expect: deny, approve: true}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, expect: deny, then: permit}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, expect: deny, returns: text}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, expect: deny, approve: true, then: deny, fails: text}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, expect: deny, after: 999999999999}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, expect: deny}}\n{HEAD}  - {{call: x, expect: deny}}\n", 6, "case"),
        (HEAD.replace("p}", "p, budgets: {calls: -1}}") + "  - {call: x, expect: deny}\n", 3, "malformed"),
        (f"{HEAD}  - {{subject: ben, call: x, expect: deny}}\n", 5, "malformed"),
        (f"{HEAD}  - {{subject: 'Agent::\"bot\"', call: x, expect: deny}}\n", 5, "malformed"),
        (f"{HEAD}  - {{subject: 'User::\"ben\"', call: x, begin: session, expect: deny}}\n", 5, "malformed"),
        (f"{HEAD}  - {{call: x, properties: {{action: {{a: 1}}}}, expect: deny}}\n", 5, "malformed"),
        ("- name: x\n  steps:\n  - {call: x, expect: deny}\n", 1, "case"),
        ("3", 1, "shape"),
        ("cases: 3", 1, "shape"),
    ],
)
def test_what_is_wrong_with_cases(text: str, line: int, code: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_cases(text, "cases/a.yaml")
    assert {(problem.file, problem.line) for problem in caught.value.problems} == {("cases/a.yaml", line)}
    assert code in {problem.code for problem in caught.value.problems}


FORBID = '@id("no") @description("never") @requestable("one") forbid (principal, action, resource == Tool::"send")'
NO = {"policies": f"{FORBID} unless {{ context.approval.granted }};"}


@pytest.mark.parametrize(
    ("rule", "approver", "words"),
    [
        ("one", "bot", "an agent cannot approve its own action"),
        ("one", "owner", ""),
        ("four-eyes", "owner", "`owner` may not approve it: this needs four eyes"),
        ("four-eyes", "user", "`user` may not approve it: this needs four eyes"),
        ("four-eyes", "somebody", ""),
    ],
)
def test_who_could_not_approve_a_call_does_not_in_a_case(rule: str, approver: str, words: str) -> None:
    policies = NO["policies"].replace('"one"', f'"{rule}"')
    result = run(
        f"  - {{call: send, arguments: {{to: x}}, expect: deny, approve: {approver}, then: permit}}\n", policies=policies
    )
    assert result.passed == (not words), result.failures
    assert words in "".join(failure.message for failure in result.failures)


def test_a_failure_explains_what_decided() -> None:
    result = run(
        "  - {call: look, expect: permit}\n  - {call: send, arguments: {to: eve}, expect: {decision: permit, tier: low}}\n", **NO
    )
    assert not result.passed
    [failure] = result.failures
    assert failure.line == 6
    assert "`tool.call` on `send`: expected decision `permit`, got `deny`; expected tier `low`, got `high`" in failure.message
    assert "reason: approval-required, this needs an approval: never (policy `no`)" in failure.message
    assert "decided by: `no`" in failure.message
    assert 'policies read: {"approval":{"granted":false},"task":{}}' in failure.message


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("  - {call: look, expect: deny}\n", "expected decision `deny`, got `permit`"),
        ("  - {call: look, expect: {decision: permit, policies: [other]}}\n", "expected policies `other`, got `all`"),
        (
            "  - {call: look, expect: {decision: permit, obligations: ['notify:x']}}\n",
            "expected obligations `notify:x`, got none",
        ),
        ("  - {call: look, expect: {decision: permit, enforced: false}}\n", "expected enforced `false`, got `true`"),
        ("  - {call: send, expect: {decision: deny, requestable: four-eyes}}\n", "expected requestable `four-eyes`, got `one`"),
        ("  - {call: send, expect: {decision: deny, requestable: false}}\n", "expected requestable `false`, got `true`"),
        (
            "  - {call: send, expect: {decision: deny, reason: forbidden}}\n",
            "expected reason `forbidden`, got `approval-required`",
        ),
        ("  - {call: look, expect: permit, approve: true, then: permit}\n", "it could not be approved"),
        ("  - {call: send, expect: deny, approve: true, then: deny}\n", "expected decision `deny`, got `permit`"),
        ("  - {call: look, arguments: {url: 1}, expect: deny}\n  - {call: look, expect: permit}\n", "expected decision `deny`"),
    ],
)
def test_everything_that_is_expected_is_compared(steps: str, words: str) -> None:
    [failure] = run(steps, **NO).failures
    assert words in failure.message


def test_errors_and_origins_are_shown() -> None:
    policies = (
        '@id("errs") forbid (principal, action, resource == Tool::"send") when { context.args.to.size > 1 };'
        '@id("flows") forbid (principal, action, resource == Tool::"send") when { context.flow.unknown.contains("x") };'
    )
    [failure] = run("  - {call: send, arguments: {to: eve}, expect: permit}\n", policies=policies).failures
    assert "  error: error while evaluating policy `errs`" in failure.message
    assert "  value of `to`: `eve` from nowhere" in failure.message


def test_agents_of_two_cases_may_share_a_name() -> None:
    text = (
        "- {name: one, agent: {id: a, groups: [g]}, task: {purpose: p}, steps: [{call: send, expect: deny}]}\n"
        "- {name: two, agent: {id: a}, task: {purpose: p}, steps: [{call: send, expect: permit}]}\n"
    )
    policies = '@id("g") forbid (principal in Group::"g", action, resource);'
    bundle = small(cases=text, policies=policies)
    assert [result.failures for result in run_cases(bundle, read_cases(bundle))] == [(), ()]


def test_a_definition_that_changed_is_denied() -> None:
    tools = "- {name: send, definition: abc, annotations: {effect: read, reach: internal}}"
    steps = (
        "  - {call: send, definition: abd, expect: {decision: deny, reason: definition-changed}}\n"
        "  - {call: send, definition: abc, expect: permit}\n"
    )
    assert run(steps, tools=tools).failures == ()


def test_shadow_mode_says_what_would_have_been() -> None:
    steps = "  - {call: send, expect: {decision: permit, enforced: false, reason: approval-required, policies: ['no']}}\n"
    assert run(steps, manifest="name: small\nmode: shadow\n", **NO).failures == ()


def test_doors_can_compare_decisions() -> None:
    permit = Permit("dec", Tier.LOW, 0)  # type: ignore[arg-type]
    deny = Deny("dec", Reason.FORBIDDEN, "no", requestable=ApproverRule.ONE)  # type: ignore[arg-type]
    assert list(differing(Expectation(ExpectedEffect.PERMIT), permit)) == []
    assert list(differing(Expectation(ExpectedEffect.DENY, tier=Tier.LOW), deny)) == ["expected tier `low`, got none"]
    assert list(differing(Expectation(ExpectedEffect.DENY, requestable=True), deny)) == []


def test_cases_know_the_definition_that_was_first_used() -> None:
    one, other = "1" * 64, "2" * 64
    case = (
        "- name: a rug pull\n  agent: {id: bot}\n  task: {purpose: look}\n  steps:\n"
        f'  - {{call: look, definition: "{one}", expect: permit}}\n'
        f'  - {{call: look, definition: "{other}", expect: {{decision: deny, reason: definition-changed, requestable: false}}}}\n'
        f'  - {{call: unheard_of, definition: "{other}", expect: permit}}\n  - {{call: look, definition: "{one}", expect: permit}}\n'
    )
    bundle = small(cases=case)
    assert [result.failures for result in run_cases(bundle, read_cases(bundle))] == [()]


def test_another_subject_asks_outside_of_the_task_and_leaves_it_as_it_is() -> None:
    """What a person is permitted raises no label and spends no budget of the case's task."""
    bundle = small(
        cases="""
- name: x
  agent: {id: bot}
  task: {purpose: p, budgets: {calls: 1}}
  steps:
  - {subject: 'User::"ben"', action: doc.read, resource: 'Doc::"d"', returns: secret, expect: {decision: permit, policies: [docs]}}
  - {subject: 'User::"ben"', action: doc.read, resource: 'Doc::"d"', expect: permit}
  - {subject: 'User::"eve"', action: doc.read, resource: 'Doc::"d"', expect: {decision: deny, reason: subject-unknown}}
  - {action: doc.read, resource: 'Doc::"d"', expect: {decision: deny, reason: malformed-request}}
""",
        schema='entity Doc;\naction "doc.read" appliesTo { principal: [User], resource: [Doc], context: { task?: TaskContext } };\n',
        policies='@id("docs") permit (principal == User::"ben", action == Action::"doc.read", resource) unless { context has task };\n',
        entities="- {type: User, id: ben}\n",
        manifest="name: small\ntask_free: [doc.read]\n",
    )
    [result] = run_cases(bundle, read_cases(bundle))
    assert result.failures == ()
