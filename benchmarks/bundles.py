"""The bundles that benchmarks decide with: written as folders, as an administrator would."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIELDS = 20
FOR_ONE_TOOL = 8
"""So many policies are for one tool alone; two more match every tool."""
WIDE, NARROW = "wide", "narrow"
"""Tools of 20 arguments: the policies of the first read them all between them, those of the second only three."""

GENERAL = """
@id("within-task") permit (principal, action, resource) when { context has task };
@id("steered") @requestable("one") @description("untrusted data chose what this acts on")
forbid (principal, action == Action::"tool.call", resource)
when { resource.effect != "read" && !context.flow.steered.isEmpty() } unless { context.approval.granted };
"""

COMMON_RULE = """
@id("small-to-us")
permit (principal in Group::"support", action == Action::"tool.call", resource == Tool::"send_email")
when { context.args.amount <= 1000 && context.args.domain == "example.com" };
@id("tainted") forbid (principal, action == Action::"tool.call", resource) when { context.args has tainted && context.args.tainted };
"""
"""The rule that the rivals are compared on: three fields, two policies. Other tools of the bundle may have no `tainted`."""

# Calculated with, as below: the memo must not know where a value falls.
PEOPLE = """
@id("staff-reads") permit (principal in group::"staff", action == Action::"read", resource is record)
when { context.args has page && context.args.page + 1 <= 1000000 };
"""
STAFF = """- {type: group, id: staff}
- {type: user, id: alice, parents: ['group::"staff"']}
- {type: record, id: record-1}
"""
SCHEMA = """entity group;
entity user in [group];
entity record;
action "read" appliesTo { principal: [user], resource: [record], context: { args: { page?: Long } } };
"""
ANYBODY = f"""
@id("wide-in-task") permit (principal, action == Action::"tool.call", resource == Tool::"{WIDE}") when {{ context has task }};
"""


def wide_arguments(changing: int = 7) -> dict[str, Any]:
    """The arguments of a call, texts and numbers; `changing` is the value of one that policies read."""
    return {f"f{n}": (n if n % 2 else f"value {n}") for n in range(FIELDS)} | {"f1": changing}


def write_many(folder: Path, policies: int) -> None:
    """A bundle of so many policies, of which ten match a call of `wide` or `narrow`, and at most 20 any other."""
    lines = [*_of_tool(WIDE, range(FIELDS)), *_of_tool(NARROW, range(3))]
    more, others = _of_others(policies - len(lines) - 2)
    tools = [_wide_tool(WIDE), _wide_tool(NARROW), *others]
    _write(folder, f"many-{policies}", [GENERAL, *lines, *more], tools)


def write_few(folder: Path) -> None:
    """The ten policies of `wide` alone."""
    _write(folder, "few", [GENERAL, *_of_tool(WIDE, range(FIELDS))], [_wide_tool(WIDE)])


def write_common_rule(folder: Path) -> None:
    """The rule of the rivals."""
    types = {"amount": "integer", "domain": "string", "tainted": "boolean"}
    _write(folder, "common-rule", [COMMON_RULE], [_tool("send_email", types, "write")])


def write_served(folder: Path, policies: int = 100) -> None:
    """So many policies: the rule of the rivals, calculated with; ten for `wide`; one for a person who reads records; more for others."""
    rule = COMMON_RULE.replace("amount <= 1000 ", "amount + 1 <= 1000000 ")
    lines = [rule, ANYBODY, PEOPLE, *_of_tool(WIDE, range(FIELDS))]
    types = {"amount": "integer", "domain": "string", "tainted": "boolean"}
    tools = [_tool("send_email", types, "write"), _wide_tool(WIDE)]
    more, others = _of_others(policies - FOR_ONE_TOOL - 4)
    _write(folder, "served", [*lines, *more], [*tools, *others], "task_free: [read]\n", STAFF)
    (folder / "schema.cedarschema").write_text(SCHEMA)


def write_mixed(folder: Path, more: str = "") -> None:
    """Twelve tools, each with the rule of the rivals: three fields, two policies for each call."""
    tools = [_tool(f"tool{n}", {"amount": "integer", "domain": "string", "tainted": "boolean"}) for n in range(12)]
    small = COMMON_RULE.split("@id(")[1].replace("send_email", "tool{n}").replace("small-to-us", "small-{n}")
    tainted = COMMON_RULE.split("@id(")[2]
    policies = ["@id(" + small.replace("{n}", str(n)) for n in range(12)]
    _write(folder, "mixed", [*policies, "@id(" + tainted, more], tools)


def _of_tool(tool: str, fields: range) -> Iterator[str]:
    """Policies for one tool that read these fields between them."""
    for number in range(FOR_ONE_TOOL):
        read = list(fields)[number::FOR_ONE_TOOL] or [number % len(fields)]
        # Calculated with, so that policies tell every value apart: where it falls among constants would be remembered.
        tests = [f"context.args.f{n} + 1 > 1000000" if n % 2 else f'context.args.f{n} == "forbidden"' for n in read]
        yield (
            f'@id("{tool}-{number}") forbid (principal, action == Action::"tool.call", resource == Tool::"{tool}")\n'
            f"when {{ {' || '.join(tests)} }};"
        )


def _of_others(policies: int) -> tuple[list[str], list[dict[str, Any]]]:
    """So many policies for other tools, 18 for each, and these tools."""
    lines: list[str] = []
    tools: list[dict[str, Any]] = []
    for number in range(policies):
        tool = f"other{number // 18}"
        condition = f'context.args.amount > {number} && context.args.kind == "k{number}"'
        lines.append(
            f'@id("o{number}") forbid (principal, action == Action::"tool.call", resource == Tool::"{tool}")\n'
            f"when {{ {condition} }};"
        )
        if number % 18 == 0:
            tools.append(_tool(tool, {"amount": "integer", "kind": "string"}))
    return lines, tools


def _wide_tool(name: str) -> dict[str, Any]:
    return _tool(name, {f"f{n}": "integer" if n % 2 else "string" for n in range(FIELDS)})


def _tool(name: str, types: dict[str, str], effect: str = "read") -> dict[str, Any]:
    return {
        "name": name,
        "annotations": {"effect": effect, "reach": "internal", "output_trusted": True},
        "schema": {
            "type": "object",
            "properties": {argument: {"type": kind} for argument, kind in types.items()},
            "required": list(types),
        },
    }


def _write(
    folder: Path, name: str, policies: list[str], tools: list[dict[str, Any]], manifest: str = "", entities: str = ""
) -> None:
    (folder / "policies").mkdir(parents=True)
    (folder / "bundle.yaml").write_text(f"name: {name}\n{manifest}")
    (folder / "entities.yaml").write_text("- {type: Group, id: support}\n" + entities)
    (folder / "policies" / "all.cedar").write_text("\n".join(policies) + "\n")
    (folder / "tools.yaml").write_text("\n".join(f"- {json.dumps(tool)}" for tool in tools) + "\n")
