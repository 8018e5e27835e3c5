"""Facts in Rego: the same that Cedar has, as plain JSON; what is absent is undefined."""

import pytest

from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.cases import read_cases
from remit.pap.reading.folder import bundle_of
from remit.pap.running import run_cases
from remit.pap.validate import check
from tests.rego.bundles import HEAD, regopy

POLICY = """
permit contains {"id": "any"} if input.context.task

forbid contains {"id": "too-much"} if {
	input.resource.id == "refund"
	not covered
}

covered if {
	input.context.facts.order.paid >= input.context.args.amount
	"cash" in input.context.facts.order.kinds
}
"""
FACTS = """
- name: order
  of: get_order
  where: {output.id: args.id}
  value: "{paid: sum(record.payments[].amount), kinds: record.payments[].kind, since: record.placed}"
  schema:
    type: object
    properties: {paid: {type: number}, kinds: {type: array, items: {type: string}}, since: {type: string, format: date}}
"""
TOOLS = """
- {name: get_order, annotations: {effect: read, reach: internal, output_trusted: true}, schema: {type: object, properties: {id: {type: string}}}}
- name: refund
  annotations: {effect: spend, reach: internal, output_trusted: true, destinations: [id], content: [amount]}
  schema: {type: object, properties: {id: {type: string}, amount: {type: number}}}
"""
CASES = """
- name: what was paid for it
  agent: {id: desk}
  task: {purpose: Refund it}
  steps:
    - {call: refund, arguments: {id: a, amount: 1}, expect: {decision: deny, policies: [too-much]}}
    - call: get_order
      arguments: {id: a}
      returns: '{"id": "a", "placed": "2026-01-01", "payments": [{"amount": 2.5, "kind": "card"}, {"amount": 3, "kind": "cash"}]}'
      expect: permit
    - {call: refund, arguments: {id: a, amount: 5.75}, expect: deny}
    - {call: refund, arguments: {id: a, amount: 5.5}, expect: permit}
    - {call: refund, arguments: {id: a, amount: 5.5}, expect: deny}
"""


def made(policy: str = POLICY) -> Bundle:
    texts = {"bundle.yaml": "name: orders\n", "policies/all.rego": HEAD + policy, "facts.yaml": FACTS}
    texts |= {"tools.yaml": TOOLS, "cases/all.yaml": CASES}
    return bundle_of([SourceFile(path, text) for path, text in texts.items()])


@pytest.fixture(autouse=True)
def _rego() -> None:
    regopy()


def test_they_are_input() -> None:
    bundle = made()
    assert [problem for problem in check(bundle) if problem.severity == "error"] == []
    assert [result.failures for result in run_cases(bundle, read_cases(bundle)) if not result.passed] == []


def test_a_misspelt_one_is_found() -> None:
    found = {problem.code: str(problem) for problem in check(made(POLICY.replace("facts.order.paid", "facts.ordr.paid")))}
    assert "did you mean `order`" in found["unknown-fact"]
    found = {problem.code: str(problem) for problem in check(made(POLICY.replace("facts.order.paid", "facts.order.payd")))}
    assert "did you mean `paid`" in found["unknown-fact"]
