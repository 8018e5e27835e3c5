"""docs/policy.md names every field, fact, annotation and problem that there is, and no other."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

from remit.model.obligations import KNOWN_OBLIGATIONS
from remit.model.request import RESOURCE_TYPES
from remit.model.tool import Annotations, Tool
from remit.pap.cases import Expectation
from remit.pap.checks.policies import ANNOTATIONS
from remit.pap.contents import Manifest
from remit.pap.reading.cases import CaseEntry, StepEntry, TaskEntry, parse_cases, read_cases
from remit.pap.reading.files import FILES
from remit.pap.reading.written import EntityEntry, FactEntry, LinkEntry, TaskTypeEntry
from remit.pap.running import run_cases
from remit.pap.schema import parse
from remit.pap.validate import check
from remit.pdp.compiled import ResourceClass
from tests.pap.bundles import ROOT, small

TEXT = (ROOT / "docs/policy.md").read_text("utf-8")
SCHEMA = str(parse(""))


def section(heading: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def first_cells(text: str) -> list[str]:
    """What the first column of its tables names."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "shapes"),
    [
        ("`bundle.yaml`", [Manifest]),
        ("`tools.yaml`", [Tool, Annotations]),
        ("`task_types.yaml`", [TaskTypeEntry]),
        ("`resources.yaml`", [ResourceClass]),
        ("`entities.yaml`", [EntityEntry]),
        ("`links.yaml`", [LinkEntry]),
        ("`facts.yaml`", [FactEntry]),
        ("A case", [CaseEntry]),
        ("A task", [TaskEntry]),
        ("A step", [StepEntry]),
        ("An expectation", [Expectation]),
    ],
)
def test_every_field_is_there(heading: str, shapes: list[type[msgspec.Struct]]) -> None:
    fields = [field for shape in shapes for field in shape.__struct_fields__]
    assert sorted(first_cells(section(heading))) == sorted(fields)


def test_every_file_is_there() -> None:
    named = first_cells(section("Policy"))
    assert sorted(named) == sorted([*FILES, "policies/**/*.cedar", "policies/**/*.rego", "cases/**/*.yaml"])


def test_every_annotation_and_obligation_is_there() -> None:
    text = section("Policies")
    assert sorted(first_cells(text)) == sorted([*(f"@{name}" for name in ANNOTATIONS), *KNOWN_OBLIGATIONS])


def attributes(declared: str) -> dict[str, str]:
    """Names (with `?` where optional) and types of a record of the schema, as the engine renders it."""
    return dict(re.findall(r"^\s*\"?(\w+\??)\"?: ([^{,\n]+)", declared, re.MULTILINE))


def test_every_attribute_of_an_entity_is_there() -> None:
    stated = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+: \w+`(?:, )?)+) \|", section("What policies see"), re.MULTILINE))
    declared = dict(re.findall(r"^entity (\w+)[^;{]*= \{(.*?)\};", SCHEMA, re.MULTILINE | re.DOTALL))
    assert stated.keys() == declared.keys()
    for name, text in stated.items():
        assert dict(re.findall(r"`(\w+): (\w+)`", text)) == attributes(declared[name])


def test_every_fact_of_the_context_is_there() -> None:
    rows = re.findall(r"^\| `context\.([\w.]+)` \| `?([^`|]+?)`? \|", section("What policies see"), re.MULTILINE)
    stated = {name: kind for name, kind in rows if kind not in ("record", "optional")}
    records = {
        name.removesuffix("Context").lower(): attributes(body)
        for name, body in re.findall(r"^type (\w+Context) = \{(.*?)\};", SCHEMA, re.MULTILINE | re.DOTALL)
    }
    declared = {f"{name}.{field}": kind for name, record in records.items() for field, kind in record.items()}
    within = {name: kind.removesuffix("Context").lower() for name, kind in declared.items() if kind.endswith("Context")}
    for name, record in within.items():
        declared |= {f"{name}.{field}": declared.pop(f"{record}.{field}") for field in records[record]}
        del declared[name]
    action = re.search(r'^action "tool\.call".*?context: \{(.*)\n  \}\n\};', SCHEMA, re.MULTILINE | re.DOTALL)
    assert action
    direct = {name: kind for name, kind in attributes(action[1]).items() if not kind.endswith("Context")}
    assert stated == {**declared, **direct}
    assert {name for name, kind in rows if kind in ("record", "optional")} == {"args", "facts", "task"}


def test_every_action_is_there() -> None:
    rows = re.findall(r"^\| ((?:`(?!context)[a-z.]+`(?:, )?)+) \| `(\w+)` \| ", section("What policies see"), re.MULTILINE)
    assert {action: kind for actions, kind in rows for action in re.findall(r"`([^`]+)`", actions)} == dict(RESOURCE_TYPES)


def codes() -> dict[str, set[str]]:
    """Every problem code in the source, with its severities."""
    found: dict[str, set[str]] = {}
    for path in Path(ROOT / "src/remit/pap").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in ("error", "warning", "_fault"):
                    found.setdefault(str(node.args[1].value), set()).add("warning" if name == "warning" else "error")
    return found


def test_every_problem_is_there() -> None:
    stated = re.findall(r"^\| `([a-z-]+)` \| ([\w/]+) \|", section("Problems"), re.MULTILINE)
    assert dict(stated) == {code: "/".join(sorted(severities)) for code, severities in codes().items()}
    assert [code for code, _ in stated] == sorted(code for code, _ in stated)


def test_the_example_is_a_case() -> None:
    [example] = re.findall(r"^```yaml\n(?!# )(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    [case] = parse_cases(example, "cases/example.yaml")
    assert len(case.steps) == 2


def test_each_schema_in_the_document_is_one() -> None:
    examples = re.findall(r"^```\n(entity.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2 and all(map(parse, examples))


def test_the_example_of_facts_decides_as_it_says() -> None:
    [facts] = re.findall(r"^```yaml\n(# facts.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    [policy] = re.findall(r"^```cedar\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    bundle = small(tools=ORDERS, facts=facts, policies=policy, cases=REFUNDS)
    assert check(bundle) == ()
    assert [result.failures for result in run_cases(bundle, read_cases(bundle)) if not result.passed] == []


ORDERS = """
- name: get_order
  annotations: {effect: read, reach: internal, output_trusted: true}
  schema: {type: object, properties: {order_id: {type: string}}}
- name: cancel_order
  annotations: {effect: delete, reach: workspace, output_trusted: true, destinations: [order_id]}
  schema: {type: object, properties: {order_id: {type: string}}}
- name: refund
  annotations: {effect: spend, reach: internal, output_trusted: true, destinations: [order_id], content: [items]}
  schema:
    type: object
    properties: {order_id: {type: string}, items: {type: array, items: {type: object, properties: {amount: {type: integer}}}}}
"""
REFUNDS = """
- name: what was paid, and no more
  agent: {id: desk}
  task: {purpose: Refund order o-1}
  steps:
    - {call: refund, arguments: {order_id: o-1, items: [{amount: 30}, {amount: 12}]}, expect: {decision: deny, policies: [refund-what-was-paid]}}
    - call: get_order
      arguments: {order_id: o-1}
      returns: '{"id": "o-1", "status": "sent", "payments": [{"amount": 40}, {"amount": 2}], "placed_at": "2025-12-24T18:00:00+01:00"}'
      expect: permit
    - {call: refund, arguments: {order_id: o-1, items: [{amount: 30}, {amount: 13}]}, expect: deny}
    - {call: refund, arguments: {order_id: o-2, items: [{amount: 30}]}, expect: deny}
    - {call: refund, arguments: {order_id: o-1, items: [{amount: 30}, {amount: 12}]}, expect: permit}
    - {call: refund, arguments: {order_id: o-1, items: [{amount: 1}]}, expect: deny}
    - {call: cancel_order, arguments: {order_id: o-1}, returns: '{"id": "o-1", "status": "cancelled"}', expect: permit}
    - {call: refund, arguments: {order_id: o-1, items: [{amount: 1}]}, expect: deny}
"""
