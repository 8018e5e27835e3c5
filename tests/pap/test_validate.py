"""Everything that can be known to go wrong is found before a bundle decides, at its line, with what to do."""

import pytest

from remit.model.errors import RemitError
from remit.pap.contents import SourceFile
from remit.pap.problems import Problem, Severity
from remit.pap.reading.folder import bundle_of, read_bundle
from remit.pap.validate import check, check_folder
from tests.pap.bundles import BASELINE, ROOT, SCENARIOS, files, small


def policy(body: str, head: str = '@id("p")') -> str:
    """A policy on the third line of its file."""
    return f"// why\n\n{head}\n{body}\n"


SEND = 'forbid (principal, action == Action::"tool.call", resource == Tool::"send")'
ANY_TOOL = 'forbid (principal, action == Action::"tool.call", resource)'
ANY = "forbid (principal, action, resource)"
FILES = 'forbid (principal, action in Action::"file", resource)'


def found(**changed: str) -> list[Problem]:
    """What is wrong with the small bundle once it is changed."""
    return list(check(small(**changed)))


def test_bundles_that_are_right_have_no_problem() -> None:
    assert check(small()) == ()
    assert check_folder(BASELINE) == ()
    assert [problem.code for problem in check(read_bundle(SCENARIOS))] == ["unannotated"]
    with pytest.raises(RemitError, match="there is no folder"):
        check_folder(ROOT / "tests/pap/missing")


POLICY_PROBLEMS = [
    (f"{SEND} when {{ context.args.size > 3 }};", "unguarded", "`context.args.size`, which tool `send` may lack"),
    (
        f"{SEND} when {{ context.args.sise > 3 }};",
        "undeclared-argument",
        "`context.args.sise`, which tool `send` does not declare",
    ),
    (f"{SEND} when {{ context.args.either == 3 }};", "untyped-argument", "gives no one type"),
    (f"{SEND} when {{ context.args has price && context.args.price > 3 }};", "type", "for tool `send`"),
    (f'{ANY_TOOL} when {{ context.args.to like "*" }};', "undeclared-argument", "tool `look` (and 1 more)"),
    (f'{ANY} when {{ context.args.path like "*" }};', "undeclared-argument", "context.args.path"),
    (f"{FILES} when {{ context.args.size > 3 }};", "unguarded", "a request may lack"),
    (f"{ANY_TOOL} when {{ context.task.depth > 3 }};", "unguarded", "`context.task`"),
    (f"{ANY_TOOL} when {{ context.aproval.granted }};", "unknown-attribute", "`context.aproval`"),
    (f'{ANY_TOOL} when {{ resource.efect == "read" }};', "unknown-attribute", "`efect` on entity type `Tool`"),
    (f"{ANY_TOOL} when {{ context.tier == 3 }};", "type", "Long"),
    ('forbid (principal, action == Action::"tool.cal", resource);', "unknown-action", 'Action::"tool.cal"'),
    ("forbid (principal, action, resource is Tol);", "unknown-entity-type", "`Tol`"),
    ('forbid (principal, action == Action::"file.read", resource == Tool::"send");', "no-request", "fits no request"),
    ('forbid (principal, action, resource == Tool::"snd");', "unknown-tool", 'names `Tool::"snd"`'),
    ('forbid (principal, action, resource) when { resource in ToolGroup::"mial" };', "unknown-tool-group", "which no tool is in"),
]


@pytest.mark.parametrize(("body", "code", "words"), POLICY_PROBLEMS)
def test_policies(body: str, code: str, words: str) -> None:
    problems = found(policies=policy(body))
    assert {(p.file, p.line, p.severity) for p in problems} == {("policies/more.cedar", 3, Severity.ERROR)}
    assert any(problem.code == code and words in problem.message for problem in problems), problems
    assert all("policy `p`" in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (POLICY_PROBLEMS[0][0], "write `context.args has size && …` before it"),
        (
            POLICY_PROBLEMS[1][0],
            "guard it by `context.args has sise && …`, or name only tools that have it in the policy's scope",
        ),
        (POLICY_PROBLEMS[3][0], '`number` arguments are decimals: compare them by `.lessThan(decimal("1.0"))` and its like'),
        (POLICY_PROBLEMS[11][0], 'did you mean `Action::"tool.call"`?'),
        (POLICY_PROBLEMS[12][0], "did you mean `Tool`?"),
        (POLICY_PROBLEMS[14][0], "did you mean `send`?"),
        (POLICY_PROBLEMS[15][0], "did you mean `mail`?"),
    ],
)
def test_hints(body: str, hint: str) -> None:
    assert hint in [problem.hint for problem in found(policies=policy(body))]


@pytest.mark.parametrize(
    "body",
    [
        f'{SEND} when {{ context.args.to == "x" }};',
        f"{SEND} when {{ context.args has size && context.args.size > 3 }};",
        f'{SEND} when {{ context.args has price && context.args.price.greaterThan(decimal("3.0")) }};',
        f'{ANY_TOOL} when {{ context.args has to && context.args.to like "*" }};',
        'forbid (principal, action == Action::"tool.call", resource in ToolGroup::"mail") when { context.args.to == "x" };',
        'forbid (principal, action == Action::"file.read", resource) when { context.args.path == "/x" };',
        f'{ANY} when {{ context has task && context.task.onBehalfOf == User::"ada" }};',
        f'{ANY} when {{ context.now > datetime("2026-01-01") && context.flow.unknown.isEmpty() }};',
        f"{ANY} when {{ context == context }};",
    ],
)
def test_policies_that_are_right(body: str) -> None:
    assert found(policies=policy(body)) == []


@pytest.mark.parametrize(
    ("head", "body", "code", "severity"),
    [
        ('@id("p") @obligation("notfy:x")', "permit (principal, action, resource);", "unknown-obligation", "error"),
        ('@id("p") @obligation("limit-result:many")', "permit (principal, action, resource);", "obligation", "error"),
        ('@id("p") @obligation("notify:a; deadline:-1")', "permit (principal, action, resource);", "obligation", "error"),
        ('@id("p") @obligation("redact-result: , ")', "permit (principal, action, resource);", "obligation", "error"),
        ('@id("p") @obligation(" ")', "permit (principal, action, resource);", "obligation", "error"),
        ('@id("p") @obligation("notify:x")', f"{ANY};", "idle-obligation", "warning"),
        ('@id("p") @requestable("three")', f"{ANY} unless {{ context.approval.granted }};", "requestable", "error"),
        ('@id("p") @requestable("one")', f"{ANY};", "requestable", "error"),
        ('@id("p") @requestable("one")', "permit (principal, action, resource);", "requestable", "error"),
        ('@id("p") @break_glass("always")', f"{ANY};", "break-glass", "error"),
        ('@id("p") @break_glass("never")', "permit (principal, action, resource);", "break-glass", "error"),
        ('@id("p") @requestble("one")', f"{ANY};", "unknown-annotation", "warning"),
        ('@id("p\\u{1b}[2J")', f"{ANY};", "annotation", "error"),
        ('@id("p") @description("\\u{1b}[8mhidden")', f"{ANY};", "annotation", "error"),
        ("", f"{ANY};", "no-id", "warning"),
        ('@id("p")', 'permit (principal in Group::"x", action, resource);', "unknown-group", "warning"),
        ('@id("p")', "permit (principal == ?principal, action, resource);", "unlinked", "warning"),
        (
            '@id("p")',
            f"{SEND} when {{ context.args has sise && context.args.sise > 3 }};",
            "argument-nowhere",
            "warning",
        ),
        (
            '@id("p")',
            f"{SEND} when {{ context.args has either && context.args.either == 3 }};",
            "unchecked-argument",
            "warning",
        ),
    ],
)
def test_annotations_and_slips(head: str, body: str, code: str, severity: str) -> None:
    problems = found(policies=policy(body, head))
    assert [(p.file, p.code, p.severity) for p in problems] == [("policies/more.cedar", code, severity)], problems


def test_obligations_that_are_right() -> None:
    right = '@id("p") @obligation("deadline:1.5; limit-result:10; notify:a b; redact-result: x , y")'
    assert found(policies=policy("permit (principal, action, resource);", right)) == []


def test_a_bundle_can_allow_fewer_obligations() -> None:
    manifest = "name: small\nobligations: [notify, reduct-result]\n"
    head = '@id("p") @obligation("deadline:1")'
    problems = found(manifest=manifest, policies=policy("permit (principal, action, resource);", head))
    assert [(p.file, p.line, p.code) for p in problems] == [
        ("bundle.yaml", 2, "unknown-obligation"),
        ("policies/more.cedar", 3, "unknown-obligation"),
    ]
    assert problems[0].hint == "did you mean `redact-result`?"


TOOLS = "- name: a\n  annotations: {effect: read, reach: internal}\n"


@pytest.mark.parametrize(
    ("changed", "places"),
    [
        ({"tools": f"{TOOLS}- name: a\n  annotations: {{effect: read, reach: internal}}\n"}, [("tools.yaml", 3, "duplicate")]),
        ({"tools": "- name: ''\n  annotations: {effect: read, reach: internal}"}, [("tools.yaml", 1, "tool-name")]),
        ({"tools": "\n- name: a\n"}, [("tools.yaml", 2, "unannotated")]),
        ({"tools": f"{TOOLS}  schema: {{type: string}}\n"}, [("tools.yaml", 3, "tool-schema")]),
        ({"tools": f"{TOOLS}  schema:\n    properties:\n      a: {{type: integr}}\n"}, [("tools.yaml", 5, "tool-schema")]),
        ({"tools": f"{TOOLS}  schema: {{properties: {{a: {{type: [string, nul]}}}}}}\n"}, [("tools.yaml", 3, "tool-schema")]),
        ({"tools": f"{TOOLS}  schema: {{properties: {{a: {{anyOf: [{{type: 3}}]}}}}}}\n"}, [("tools.yaml", 3, "tool-schema")]),
        (
            {
                "tools": "- name: a\n  schema: {properties: {to: {}}}\n  annotations:\n    effect: send\n    reach: internal\n"
                "    destinations:\n      - to\n      - too\n    content: [body]\n"
            },
            [("tools.yaml", 8, "unknown-argument"), ("tools.yaml", 9, "unknown-argument")],
        ),
        (
            {
                "tools": "- name: a\n  schema: {properties: {to: {}, cc: {}, body: {}, n: {}}}\n"
                "  annotations: {effect: send, reach: internal, destinations: [to, n.m], content: [body]}\n"
            },
            [("tools.yaml", 3, "argument-role")],
        ),
        ({"manifest": "name: x\ntask_free: [tool.call look, tool.cal x, 'file.*']"}, [("bundle.yaml", 2, "unknown-action")]),
        ({"manifest": "name: x\nrequest_attributed: [Usr]"}, [("bundle.yaml", 2, "unknown-entity-type")]),
        ({"manifest": "name: x\ndirectory:\n- a@b\n- '@'"}, [("bundle.yaml", 4, "directory")]),
        ({"manifest": "name: x\nmode: shadow"}, [("bundle.yaml", 2, "shadow")]),
        ({"resources": "- type: File\n  pattern: x\n- type: Fil\n  pattern: x"}, [("resources.yaml", 3, "unknown-entity-type")]),
        (
            {
                "task_types": "- name: t\n  scope:\n    flows:\n    - 'send.to := email in look'\n    - 'send.to := mail in look'\n"
                "    - 'sned.to := email in look'\n    - 'send.to := email in lok'\n    - 'send.tooo := email in look'\n    - 'look'\n"
            },
            [("task_types.yaml", line, "task-type") for line in (5, 6, 7, 8, 9)],
        ),
        (
            {
                "task_types": "- name: t\n  scope:\n    tools: [send, 'group:mail', sned, 'group:web', 'group:x']\n"
                "  budgets:\n    tools: {look: 1, lok: 1}\n    amounts:\n      send.size: 1\n      send.siz: 1\n      x.y: 1\n- name: t\n"
            },
            [
                ("task_types.yaml", line, code)
                for line, code in [
                    (3, "task-type"),
                    (3, "task-type"),
                    (5, "task-type"),
                    (8, "task-type"),
                    (9, "task-type"),
                    (10, "duplicate"),
                ]
            ],
        ),
        ({"entities": "- {type: Group, id: a}\n- {type: Group, id: a}"}, [("entities.yaml", 2, "duplicate")]),
        ({"entities": "- {type: Grop, id: a}"}, [("entities.yaml", 1, "entity")]),
        ({"entities": "- {type: Group, id: a, parents: ['User::\"b\"']}"}, [("entities.yaml", 1, "entity")]),
        ({"entities": "- {type: User, id: a, attributes: {department: x}}"}, [("entities.yaml", 1, "entity")]),
        ({"entities": "- {type: Tool, id: send, attributes: {effect: read}}"}, [("entities.yaml", 1, "entity")]),
        ({"entities": "- {type: Action, id: send}"}, [("entities.yaml", 1, "entity")]),
        ({"entities": "- {type: Agent, id: bot, attributes: {purpose: x}}"}, [("entities.yaml", 1, "entity")]),
        ({"entities": "- {type: Agent, id: bot, parents: ['Group::\"a\"']}"}, [("entities.yaml", 1, "entity")]),
        (
            {
                "entities": "- {type: Group, id: a, parents: ['Group::\"b\"']}\n- {type: Group, id: b, parents: ['Group::\"a\"']}\n"
                "- {type: Group, id: c, parents: ['Group::\"a\"']}\n- {type: Group, id: d, parents: ['Group::\"d\"']}\n"
            },
            [("entities.yaml", 1, "entity"), ("entities.yaml", 2, "entity"), ("entities.yaml", 4, "entity")],
        ),
        ({"manifest": 'name: "\\e[2Jx"'}, [("bundle.yaml", 1, "no-name")]),
        (
            {
                "cases": "tools:\n- {name: other}\n- {name: look, annotations: {effect: send, reach: external}}\ncases:\n"
                "- {name: x, agent: {id: a}, steps: [{call: look, expect: deny}]}\n"
            },
            [("cases/some.yaml", 3, "case")],
        ),
        ({"entities": "- {type: Tool, id: send, parents: ['ToolGroup::\"x\"']}"}, []),
        (
            {
                "schema": "entity User in [Group] { department: String };",
                "entities": "- {type: User, id: a, attributes: {department: x}}\n- {type: User, id: b, attributes: {department: 1}}",
            },
            [("entities.yaml", 2, "entity")],
        ),
        ({"cases": "- name: x\n  agent: {id: a}\n  steps: []\n"}, [("cases/some.yaml", 1, "case")]),
        (
            {"cases": "- name: x\n  agent: {id: a}\n  task: {purpose: x, type: y}\n  steps: [{call: a, expect: deny}]\n"},
            [("cases/some.yaml", 1, "unknown-task-type"), ("cases/some.yaml", 4, "unknown-tool")],
        ),
    ],
)
def test_the_other_files(changed: dict[str, str], places: list[tuple[str, int, str]]) -> None:
    assert [(problem.file, problem.line, problem.code) for problem in found(**changed)] == places


def test_too_many_policies_for_one_call() -> None:
    def many(count: int, principal: str) -> str:
        return "\n".join(f'@id("p{n}") permit ({principal.format(n=n)}, action, resource == Tool::"send");' for n in range(count))

    entities = "- {type: Group, id: g}\n- {type: Group, id: h, parents: ['Group::\"g\"']}\n"
    assert found(policies=many(19, "principal")) == []
    [problem] = found(policies=many(20, "principal"))
    assert (problem.file, problem.line, problem.code, problem.severity) == ("tools.yaml", 1, "many-policies", "warning")
    assert problem.message.startswith("21 policies can match one call of tool `send`")
    # For one agent each, they do not meet; of a group and the groups above it they do.
    assert found(policies=many(60, 'principal == Agent::"a{n}"')) == []
    apart = many(15, 'principal in Group::"g"') + "\n" + many(15, 'principal in Group::"h"').replace('"p', '"q')
    [problem] = found(policies=apart, entities=entities)
    assert problem.message.startswith("31 policies")


def test_policies_that_read_arguments_cost_no_more_than_their_types() -> None:
    """Tools whose read arguments have one type are checked at once, and all of them are named."""
    tools = "".join(
        f"- name: t{n}\n  annotations: {{effect: read, reach: internal}}\n"
        f"  schema: {{properties: {{a: {{type: integer}}, b{n}: {{type: string}}}}}}\n"
        for n in range(50)
    )
    [problem, other] = found(tools=tools, policies=policy(f"{ANY_TOOL} when {{ context.args.a > 1 }};"))
    assert "tool `t0` (and 49 more) may lack" in problem.message + other.message
    assert "a tool that is not in the catalogue does not declare" in problem.message + other.message


def test_a_case_that_calls_a_mistyped_tool_is_warned_of() -> None:
    case = "- {name: sends, agent: {id: bot}, steps: [{call: snd, expect: deny}]}\n"
    [problem] = found(cases=case)
    assert (problem.severity, problem.code, problem.line) == (Severity.WARNING, "unknown-tool", 1)
    assert "did you mean `send`" in problem.hint
    described = "tools: [{name: snd, annotations: {effect: read, reach: internal}}]\ncases:\n  " + case
    assert found(cases=described) == []


def test_files_that_say_nothing_are_warned_of() -> None:
    empty = {"policies/later.cedar": "// to be written\n", "cases/later.yaml": "cases: []\n", "cases/none.yaml": "[]"}
    problems = check(bundle_of([*files(), *(SourceFile(path, text) for path, text in empty.items())]))
    said = [(p.file, p.severity, p.code, p.message) for p in problems]
    assert said == [
        ("cases/later.yaml", Severity.WARNING, "empty", "the file has no case"),
        ("cases/none.yaml", Severity.WARNING, "empty", "the file has no case"),
        ("policies/later.cedar", Severity.WARNING, "empty", "the file has no policy"),
    ]


def test_a_domain_with_a_wildcard_is_warned_of() -> None:
    [problem] = check(small(manifest="name: x\ndirectory:\n- '@corp.example'\n- '@*.example'"))
    assert (problem.file, problem.line, problem.severity, problem.code) == ("bundle.yaml", 4, Severity.WARNING, "directory")
    assert "`@*.example` never matches anything" in problem.message
