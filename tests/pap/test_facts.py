"""`facts.yaml`: what is read of it, what is refused, and what policies must know of it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from remit.cli import verbs
from remit.cli.main import app
from remit.pap.bundle import compile_bundle, from_document, to_document
from remit.pap.problems import BundleError
from remit.pap.validate import check
from tests.pap.bundles import small

TOOLS = """
- name: get_order
  annotations: {effect: read, reach: internal, output_trusted: true}
  schema: {type: object, properties: {id: {type: string}}}
- name: read_any
  annotations: {effect: read, reach: internal, output_records: true}
  schema: {type: object, properties: {path: {type: string}}}
- name: search
  annotations: {effect: read, reach: external}
  schema: {type: object, properties: {query: {type: string}}}
- name: refund
  annotations: {effect: spend, reach: internal, destinations: [id], content: [amount]}
  schema: {type: object, required: [id, amount], properties: {id: {type: string}, amount: {type: integer}}}
"""
ORDER = """
- name: order
  of: get_order
  where: {output.id: args.id}
  value: record
  schema: {type: object, required: [total], properties: {total: {type: integer}, note: {type: string}}}
"""
REFUND = 'forbid (principal, action == Action::"tool.call", resource == Tool::"refund")'
GUARDED = f'@id("r") {REFUND} unless {{ context.facts has order && context.args.amount <= context.facts.order.total }};'


def problems(facts: str = ORDER, policy: str = GUARDED) -> list[tuple[str, str]]:
    found = check(small(tools=TOOLS, facts=facts, policies=policy))
    return [(problem.code, str(problem)) for problem in found]


def test_a_bundle_with_facts_is_sound_and_kept_as_it_is() -> None:
    assert problems() == []
    bundle = small(tools=TOOLS, facts=ORDER, policies=GUARDED)
    assert from_document(to_document(bundle)) == bundle
    assert [fact.name for fact in compile_bundle(bundle).facts.facts] == ["order"]


@pytest.mark.parametrize(
    ("condition", "code", "said"),
    [
        ("unless { context.facts.order.total > 1 }", "unguarded", "write `context.facts has order && …` before it"),
        ("unless { context.facts has order && context.facts.order.note == \"\" }", "unguarded", "context.facts.order has note"),
        ("unless { context.facts has order && context.facts.order.totals > 1 }", "unknown-fact", "did you mean `total`"),
        ("unless { context.facts.ordr.total > 1 }", "unknown-fact", "did you mean `order`"),
        ("when { context.facts has ordr }", "unknown-fact", "did you mean `order`"),
        ("when { context.facts has order && context.facts.order has nots }", "unknown-fact", "did you mean `note`"),
        ("unless { context.facts has order && context.facts.order.total like \"1*\" }", "type", "expected String"),
    ],
)  # fmt: skip
def test_policies_must_know_the_facts(condition: str, code: str, said: str) -> None:
    found = dict(problems(policy=f'{GUARDED} @id("bad") {REFUND} {condition};'))
    assert code in found and said in found[code], found


@pytest.mark.parametrize(
    ("before", "after", "code", "said"),
    [
        ("of: get_order", "of: get_ordr", "unknown-tool", "did you mean `get_order`"),
        ("of: get_order", "of: [get_order, search]", "fact-untrusted", "output_trusted: true"),
        ("of: get_order", "of: [get_order, read_any]", "fact-untrusted", "where an argument names a path"),
        ("of: get_order", "of: get_order\n  changed_by: [refnd]", "unknown-tool", "did you mean `refund`"),
        ("args.id", "arg.id", "fact-path", "did you mean `args`"),
        ("args.id", "args.idd", "fact-path", "did you mean `id`"),
        ("args.id", "facts.order.id", "unknown-fact", "does not stand above it"),
        ("output.id", "call.ident", "fact-path", "none of its tools has"),
        ("value: record", "value: found", "fact-path", "which is not given there"),
        ("value: record", "each: args.id\n  value: record", "fact-path", "which is not given there"),
        ("value: record", "value: nope(record)", "fact-function", "there is no function `nope`"),
        ("value: record", "value: 'sum(record.a, record.b)'", "fact-function", "`sum` takes 1, and is given 2"),
        ("value: record", "value: record.a[?contains(@)] | [0]", "fact-function", "`contains` takes 2, and is given 1"),
        ("value: record", "value: merge()", "fact-function", "`merge` takes 1 or more, and is given 0"),
        ("value: record", "value: 'max_by(record.a, b)'", "fact-function", "takes an expression"),
        ("value: record", "value: length(&record)", "fact-function", "in another place"),
        ("args.id", "to_str(args.id)", "fact-function", "there is no function `to_str`"),
        ("total: {type: integer}", "total: {}", "fact-schema", "`schema.total` of fact `order` has no one type"),
        ("total: {type: integer}", "total: {type: array}", "fact-schema", "`schema.total.items`"),
    ],
)
def test_facts_are_checked(before: str, after: str, code: str, said: str) -> None:
    found = dict(problems(ORDER.replace(before, after)))
    assert code in found and said in found[code], found


def test_twice_and_unused() -> None:
    assert "duplicate" in dict(problems(ORDER + ORDER))
    assert dict(problems(ORDER, "")).keys() == {"fact-unused", "empty"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("value: record", "value: 'record.'", "is no JMESPath"),
        ("args.id", "'sum('", "is no JMESPath"),
        ("name: order", "name: an order", "is no name of a fact"),
        ("name: order", "name: has", "is no name of a fact"),
        ("  of: get_order\n", "", "is of no tool"),
        ("value: record", "value: record\n  when: now", "when"),
        ("  value: record\n", "", "value"),
        ("required: [total]", "required: total", "no list of names"),
    ],
)
def test_what_says_nothing_is_refused(before: str, after: str, said: str) -> None:
    with pytest.raises(BundleError) as caught:
        small(tools=TOOLS, facts=ORDER.replace(before, after), policies=GUARDED)
    assert any(said in str(problem) and problem.file == "facts.yaml" for problem in caught.value.problems)


def test_what_platforms_keep_may_give_facts() -> None:
    records = TOOLS.replace("effect: read, reach: external", "effect: read, reach: internal, output_records: true")
    bundle = small(tools=records, facts=ORDER.replace("of: get_order", "of: [get_order, search]"), policies=GUARDED)
    assert check(bundle) == ()


@pytest.mark.parametrize("schema", ["{type: integr}", "{}", "{type: array}", "{type: [integer, string]}", '{type: "null"}'])
def test_a_fact_without_a_type_hides_no_other_fault(schema: str) -> None:
    facts = ORDER + f"- name: n\n  value: args.amount\n  schema: {schema}\n"
    policy = f'{GUARDED} @id("n") {REFUND} unless {{ context.facts has n && context.facts has ordr }};'
    found = check(small(tools=TOOLS, facts=facts, policies=policy))
    assert {(problem.code, problem.file) for problem in found} == {
        ("fact-schema", "facts.yaml"),
        ("unknown-fact", "policies/more.cedar"),
    }
    assert [problem.line for problem in found if problem.code == "fact-schema"] == [7]


@pytest.mark.parametrize(
    ("policies", "warned"),
    [
        (f'@id("a") {REFUND} when {{ context.facts has order && context.facts.order.total > 1 }};', True),
        (f'@id("a") {REFUND} when {{ context.facts has order }} unless {{ context.args has id }};', True),
        (GUARDED, False),
        (f'@id("a") {REFUND} when {{ !(context.facts has order) || context.facts.order.total > 1 }};', False),
        (f'{GUARDED} @id("a") {REFUND} when {{ context.facts has order && context.facts.order.total > 1 }};', False),
        (f'@id("a") {REFUND} when {{ !(context.facts has order) }};'
         f'@id("b") {REFUND} when {{ context.facts has order && context.facts.order.total > 1 }};', False),
        (f'{GUARDED} @id("a") permit (principal, action, resource) when {{ context.facts has order }};', False),
        (f'{GUARDED} @id("a") {REFUND} when {{ context.args has id && "context.facts has order" == context.args.id }};', False),
    ],
)  # fmt: skip
def test_a_prohibition_that_holds_only_where_the_fact_is_there(policies: str, warned: bool) -> None:
    assert ("fact-guard" in dict(problems(policy=policies))) is warned


def test_cases_of_what_check_refuses_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "bundle.yaml").write_text("name: small\n")
    (tmp_path / "policies" / "all.cedar").write_text('@id("any") permit (principal, action, resource);')
    (tmp_path / "facts.yaml").write_text("- {name: total, value: nope(args), schema: {type: integer}}\n")
    verbs.register(app)
    refused = CliRunner().invoke(app, ["policy", "test", str(tmp_path)])
    assert refused.exit_code != 0 and "fact-function" in f"{refused.output}{refused.exception}"
