"""Policies are read with their places and names, and whatever the engine does wrong is a denial."""

import inspect
import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, cast

import cedarpy
import pytest
from cedar_strategies import AGENTS, GROUPS, ODD, TOOLS, Link, links, literal, policies, templates, uid
from cedarpy import _internal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import EntityRef
from remit.pdp.cedar.engine import (
    EngineAnswer,
    Entities,
    RequestUids,
    compile_policies,
    entities_handle,
    evaluate,
    parse_schema,
    read_answer,
    request_uids,
    syntax_trees,
)
from remit.pdp.cedar.policies import Policy, PolicyError, link, parse_policies, validate
from remit.pdp.cedar.scopes import ANY, Constraint, PolicyScope, Relation

PERMIT = "permit(principal, action, resource);"
UIDS = request_uids(EntityRef("Agent", "a"), "send", EntityRef("Tool", "t"))
NOBODY = entities_handle([])


INJECTED = 'Agent::"x", action, resource); permit(principal == Agent'


def one(text: str) -> Policy:
    [policy] = parse_policies(text, "dir/case.cedar")
    return policy


def faults(text: str) -> list[tuple[int, str]]:
    with pytest.raises(PolicyError) as raised:
        parse_policies(text, "case.cedar")
    assert raised.value.kind is ErrorKind.MALFORMED
    return [(fault.line, fault.problem) for fault in raised.value.faults]


def test_policies_know_their_place_name_and_text() -> None:
    text = """// a comment with a ; and a "quote
@id("first") @note("x;y")
permit(principal, action, resource) // ;
  when { "a;//\\"b" == "}" };

forbid(principal, action, resource);permit(principal == ?principal, action, resource);
// the end; "
"""
    first, second, third = parse_policies(text, "dir/case.cedar")
    assert [(p.id, p.line, p.effect) for p in (first, second, third)] == [
        ("first", 2, "permit"),
        ("case.2", 6, "forbid"),
        ("case.3", 6, "permit"),
    ]
    assert first.annotations == {"id": "first", "note": "x;y"}
    assert first.text.startswith('@id("first")') and first.text.endswith('"}" };')
    assert second.text == "forbid(principal, action, resource);"
    assert [p.is_template for p in (first, second, third)] == [False, False, True]
    assert first.source == "dir/case.cedar"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_comment_ends_where_cedar_ends_it(ending: str) -> None:
    found = parse_policies(f"// one{ending}{PERMIT} // two{ending}{PERMIT}", "case.cedar")
    assert [policy.text for policy in found] == [PERMIT, PERMIT]


@pytest.mark.parametrize("text", ["", " \n", "// only a comment", "// no end\n//;"])
def test_a_file_without_policies_is_no_error(text: str) -> None:
    assert parse_policies(text, "case.cedar") == ()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(policies | templates, max_size=5), st.sampled_from([" ", "\n", ' // ; "\n', "\r\n"]))
def test_every_statement_is_what_the_engine_parsed(statements: list[str], between: str) -> None:
    text = between.join(["", *statements, ""])
    found = parse_policies(text, "case.cedar")
    assert [policy.text for policy in found] == [statement.strip() for statement in statements]
    trees = syntax_trees([text])
    for policy, tree in zip(found, trees, strict=True):
        [alone] = syntax_trees([policy.text])
        assert (alone.clauses, alone.principal, alone.action, alone.resource) == (
            tree.clauses,
            tree.principal,
            tree.action,
            tree.resource,
        )


def test_scopes_are_read() -> None:
    policy = one('permit(principal is A::B in G::"g", action in [Action::"x", Action::"y"], resource == T::"\\"");')
    assert policy.scope == PolicyScope(
        Constraint(Relation.IS_IN, "A::B", EntityRef("G", "g")),
        tuple(Constraint(Relation.IN, "", EntityRef("Action", name)) for name in "xy"),
        Constraint(Relation.EQUAL, "", EntityRef("T", '"')),
    )
    assert one("permit(principal is A, action, resource);").scope.principal == Constraint(Relation.IS, "A")
    assert one("permit(principal, action, resource in ?resource);").scope.resource == ANY


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("permit(principal, action,\n resource) when {\n 1 > > 2 };", 3, "unexpected token `>`"),
        (f"{PERMIT}\n\n\nallow(principal);", 4, "invalid policy effect: allow"),
        (
            f"{PERMIT}\nforbid(principal, action, resource)\nwhen {{\nfoo(1)\n}};",
            4,
            "`foo` is not a valid function",
        ),
        ("permit(principal, action, resource)\nwhen { context.is };", 2, "this identifier is reserved"),
        ('permit(principal, action, resource)\nwhen { "open };\n', 2, "invalid token"),
        (f"{PERMIT}\n;{PERMIT}", 2, "unexpected token `;`"),
        (f"{PERMIT}\n/* no such comment */ {PERMIT}", 2, "unexpected token `/`"),
        (f"{PERMIT}\npermit(principal, action, resource)", 2, "unexpected end of input: close its brackets"),
        (f"{PERMIT}\npermit(principal, action, resource) when {{ true ;", 2, "unexpected token `;`"),
        (
            f"{PERMIT}\npermit(principal, action, resource) when {{ {'(1 == ' * 120}1{')' * 120} }};",
            2,
            "brackets nest deeper than 64 levels",
        ),
        ("\n\n@id permit(principal, action, resource);", 3, "`@id` is empty"),
        (f'@id("x") {PERMIT}\n@id("x") {PERMIT}', 2, "policy id `x` is used by `case.cedar` line 1 too"),
        (f'@id("case.2") {PERMIT}\n{PERMIT}', 2, "policy id `case.2` is used by"),
    ],
)
def test_a_fault_is_reported_where_it_is(text: str, line: int, problem: str) -> None:
    [(found_line, found)] = faults(text)
    assert problem in found
    assert found_line == line


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("(" * 100_000 + "true" + ")" * 100_000, "brackets nest deeper than 64 levels"),
        ("[" * 700 + "]" * 700, "brackets nest deeper than 64 levels"),
        ("{a: " * 5_000, "brackets nest deeper than 64 levels"),
        (" && ".join(["true"] * 5_000), "more than 500 operators"),
        ("context" + ".a" * 100_000, "more than 500 operators"),
        ("context" + '["a"]' * 100_000, "more than 500 operators"),
        ("context.a } " + "when { context.a } " * 100_000 + "unless { false", "more than 500 operators"),
        ("if true then " * 5_000 + "1" + " else 1" * 5_000, "more than 500 operators"),
        (" && ".join(["true"] * 200), "nesting exceeds the supported limit of 100 levels"),
    ],
)
def test_nesting_that_would_overflow_the_engines_stack_is_refused(condition: str, problem: str) -> None:
    [(line, found)] = faults(f"{PERMIT}\npermit(principal, action, resource) when {{ {condition} }};\n{PERMIT}")
    assert line == 2 and problem in found


def test_brackets_and_operators_of_many_policies_do_not_add_up() -> None:
    text = 'permit(principal, action, resource)\n when { ((context.a)) && ["((("].contains(context.b) }; // ((((\n'
    assert len(parse_policies(text * 300, "case.cedar")) == 300


def test_every_broken_statement_is_reported() -> None:
    assert [line for line, _ in faults(f"permit(x);\n{PERMIT}\nforbid(\n\n, );\n{PERMIT}")] == [1, 5]


def test_a_fault_says_file_and_line() -> None:
    with pytest.raises(RemitError, match=r"^`a/b\.cedar` line 2: unexpected token `oops`$"):
        parse_policies("permit(principal, action, resource)\nwhen oops;", "a/b.cedar")


linked_templates = templates.flatmap(lambda text: st.tuples(st.just(text), links(0, text)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(linked_templates)
def test_linking_agrees_with_the_engine(made: tuple[str, Link]) -> None:
    text, wanted = made
    linked = link(one(text), "linked", wanted.principal, wanted.resource)
    values = {"?principal": wanted.principal, "?resource": wanted.resource}
    filled = {slot: uid(ref) for slot, ref in values.items() if ref is not None}
    theirs = cedarpy.PolicySet.from_str(text).with_linked("policy0", "linked", filled)
    ours = compile_policies([linked.id], [linked.text])
    entities = [{"uid": uid(ref), "attrs": {}, "parents": [uid(GROUPS[0])]} for ref in AGENTS]
    handle = entities_handle(entities)
    for principal in AGENTS:
        for resource in TOOLS:
            uids = request_uids(principal, "send", resource)
            expected = cedarpy.is_authorized(public_request(uids, {"a": 7}), theirs, entities)
            found = evaluate(ours, uids, '{"a": 7}', handle)
            assert (found.allowed, found.reasons) == (expected.allowed, tuple(expected.diagnostics.reasons))
            assert found.errors == tuple(expected.diagnostics.errors)


@pytest.mark.parametrize("name", [ODD, 'x" || true', 'x"; permit(principal, action, resource); //', "", "\x00"])
def test_a_linked_name_stays_a_name(name: str) -> None:
    template = one("permit(principal == ?principal, action, resource);")
    linked = link(template, "l", EntityRef("Agent", name))
    assert linked.scope.principal == Constraint(Relation.EQUAL, "", EntityRef("Agent", name))
    assert not linked.is_template
    allowed = [
        evaluate(compile_policies([linked.id], [linked.text]), request_uids(who, "send", TOOLS[0]), "{}", NOBODY).allowed
        for who in (EntityRef("Agent", name), EntityRef("Agent", name + "x"))
    ]
    assert allowed == [True, False]


def test_a_slot_in_a_comment_or_a_string_is_none() -> None:
    template = one('permit(principal == ?principal, // ?principal\n action, resource) when { "?principal" == "?" };')
    linked = link(template, "l", EntityRef("Agent", "a"))
    assert linked.text == template.text.replace("== ?principal", '== Agent::"a"', 1)


def test_a_link_keeps_annotations_and_place() -> None:
    [_, template] = parse_policies(f'{PERMIT}\n@id("t") @note("n") forbid(principal in ?principal, action, resource);', "c")
    linked = link(template, "new", GROUPS[2])
    assert (linked.id, linked.source, linked.line, linked.effect) == ("new", "c", 2, "forbid")
    assert linked.annotations == {"id": "t", "note": "n"}


@pytest.mark.parametrize(
    ("text", "principal", "resource", "problem"),
    [
        (PERMIT, None, None, "has no slot"),
        (
            "permit(principal == ?principal, action, resource);",
            None,
            None,
            "`?principal` of template `case.1`",
        ),
        ("permit(principal == ?principal, action, resource);", AGENTS[0], TOOLS[0], "takes no value"),
        (
            "permit(principal, action, resource in ?resource);",
            None,
            EntityRef('Tool::"x" //', "t"),
            "cannot be linked",
        ),
        (
            "permit(principal in ?principal, action, resource);",
            EntityRef(INJECTED, "t"),
            None,
            "cannot be linked",
        ),
        (
            "permit(principal in ?principal, action, resource);",
            EntityRef("Agent", "\ud800"),
            None,
            "cannot be linked",
        ),
        ("permit(principal, action, resource in ?resource);", None, EntityRef("", "t"), "cannot be linked"),
    ],
)
def test_links_that_do_not_fit_are_refused(
    text: str, principal: EntityRef | None, resource: EntityRef | None, problem: str
) -> None:
    with pytest.raises(RemitError) as refused:
        link(one(text), "new", principal, resource)
    assert problem in str(refused.value)


def test_an_empty_link_id_is_refused() -> None:
    with pytest.raises(RemitError, match="has no id"):
        link(one("permit(principal == ?principal, action, resource);"), "", AGENTS[0])


def test_the_engine_is_called_as_its_public_functions_call_it() -> None:
    assert version("cedarpy") == "4.12.2", "the internal call was checked against 4.12.2: check it again first"
    assert list(inspect.signature(_internal.is_authorized_batch).parameters) == [
        "requests",
        "policies",
        "entities",
        "schema",
        "verbose",
    ]


@pytest.mark.parametrize("context", [{}, {"n": 1}, {"n": "x"}, {"n": -5, "r": {"s": [1, "é", {"t": True}]}}])
def test_the_internal_call_answers_as_the_public_one(context: dict[str, Any]) -> None:
    text = (
        "permit(principal, action, resource) when { context.n > 0 };"
        'permit(principal in Group::"g", action, resource);'
        'forbid(principal, action, resource) when { context.r.s.contains("é") };'
    )
    entities = [{"uid": UIDS[0], "attrs": {}, "parents": [{"type": "Group", "id": "g"}]}]
    expected = cedarpy.is_authorized(public_request(UIDS, context), cedarpy.PolicySet.from_str(text), entities)
    handle = compile_policies(["policy0", "policy1", "policy2"], [part + ";" for part in text.split(";")[:-1]])
    for given_context in (json.dumps(context), json.dumps(context).encode()):
        found = evaluate(handle, UIDS, given_context, entities_handle(entities))
        assert found.allowed is expected.allowed
        assert found.reasons == tuple(sorted(expected.diagnostics.reasons))
        assert found.errors == tuple(sorted(expected.diagnostics.errors))


class Panicking(tuple[Any, ...]):
    """Stands in for the engine's panics, which are no `Exception`."""

    class Panic(BaseException):
        """As pyo3 raises it."""

    fault: type[BaseException]

    def __iter__(self) -> Iterator[Any]:
        raise self.fault("out of bounds")


def panicking(fault: type[BaseException]) -> Any:
    uids = Panicking()
    uids.fault = fault
    return uids


def public_request(uids: RequestUids, context: dict[str, Any]) -> dict[str, Any]:
    """A request as cedarpy's public functions take it."""
    return {**dict(zip(("principal", "action", "resource"), uids, strict=True)), "context": context}


@pytest.mark.parametrize(
    "context",
    [
        "",
        "{",
        "[1]",
        "null",
        '"x"',
        "{} {}",
        '{"a": null}',
        '{"a": 1.5}',
        '{"a": 9223372036854775808}',
        '{"a": NaN}',
        '{"a": "\\ud800"}',
        '{"a": "\ud800"}',
        b'{"a": "\xff"}',
        '{"a": {"__extn": {"fn": "ip", "arg": "nonsense"}}}',
        '{"a": {"__extn": {"fn": "system", "arg": "x"}}}',
        '{"__entity": {"type": "Agent", "id": "a"}}',
        '{"a": ' + "[" * 100_000,
        '{"a": ' * 1_000 + "1" + "}" * 1_000,
    ],
)
def test_a_context_that_cedar_cannot_hold_is_a_denial(context: str | bytes) -> None:
    found = evaluate(compile_policies(["yes"], [PERMIT]), UIDS, context, NOBODY)
    assert (found.allowed, found.reasons, found.error_policies) == (False, (), ())
    assert len(found.errors) == 1 and found.errors[0]


@pytest.mark.parametrize(
    "uids",
    [
        (),
        UIDS[:2],
        ({"type": "No Type", "id": "a"}, *UIDS[1:]),
        ({"type": "", "id": "a"}, *UIDS[1:]),
        (*UIDS[:2], {"type": "Tool", "id": "\ud800"}),
        (*UIDS[:2], {"type": "Tool"}),
        (UIDS[0], {"type": "Action", "id": 7}, UIDS[2]),
        panicking(Panicking.Panic),
        panicking(MemoryError),
    ],
)
def test_a_request_that_the_engine_refuses_is_a_denial(uids: Any) -> None:
    found = evaluate(compile_policies(["yes"], [PERMIT]), uids, "{}", NOBODY)
    assert (found.allowed, found.reasons) == (False, ())
    assert found.errors


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stop_is_no_answer(stop: type[BaseException]) -> None:
    with pytest.raises(stop):
        evaluate(compile_policies(["yes"], [PERMIT]), panicking(stop), "{}", NOBODY)


def test_a_wrong_handle_is_a_denial() -> None:
    found: EngineAnswer = evaluate(compile_policies(["yes"], [PERMIT]), UIDS, "{}", cast(Entities, object()))
    assert not found.allowed and found.errors


@pytest.mark.parametrize("decision", ["Maybe", "NoDecision", "", "allow"])
def test_a_decision_of_another_name_is_a_denial_with_an_error(decision: str) -> None:
    found = read_answer(json.dumps({"decision": decision, "diagnostics": {}}), ())
    assert found == EngineAnswer(False, (), (f"the engine decided `{decision}`",))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"decision": "Allow"}',
        '{"decision": true, "diagnostics": {}}',
        '{"decision": "Allow", "diagnostics": {"reason": [1]}}',
        '{"decision": "Allow", "diagnostics": {"reason": ["policy7"]}}',
        '{"decision": "Allow", "diagnostics": {"reason": ["rule"]}}',
    ],
)
def test_an_answer_of_another_shape_is_not_read(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        read_answer(text, ("one",))


def test_an_answer_about_a_policy_we_do_not_know_is_a_denial() -> None:
    compiled = compile_policies(["one", "two"], [PERMIT, PERMIT])
    short = type(compiled)(("one",), compiled.handle)
    found = evaluate(short, UIDS, "{}", NOBODY)
    assert not found.allowed and found.errors


def test_ids_are_restored_whatever_they_contain() -> None:
    ids = [ODD, "policy0", "`: x", ""]
    text = ["forbid(principal, action, resource) when { context.gone };"] * 3 + [PERMIT]
    found = evaluate(compile_policies(ids, text), UIDS, "{}", NOBODY)
    assert found.allowed
    assert found.reasons == ("",)
    assert set(found.error_policies) == {ODD, "policy0", "`: x"}
    assert f"error while evaluating policy `{ODD}`: record does not have the attribute `gone`" in found.errors


@pytest.mark.parametrize("texts", [[PERMIT + PERMIT], ["permit(principal == ?principal, action, resource);"], ["oops"]])
def test_only_one_policy_per_id_is_compiled(texts: list[str]) -> None:
    with pytest.raises(RemitError):
        compile_policies(["one"], texts)


AGENT = {"type": "Agent", "id": "a"}


@pytest.mark.parametrize(
    "documents",
    [
        [{"uid": AGENT, "attrs": {"x": 1.5}, "parents": []}],
        [{"uid": AGENT, "attrs": {"x": None}, "parents": []}],
        [{"uid": AGENT, "attrs": {"x": 2**63}, "parents": []}],
        [{"uid": AGENT, "attrs": {"x": object()}, "parents": []}],
        [{"uid": AGENT, "attrs": {"x": "\ud800"}, "parents": []}],
        [{"uid": AGENT, "attrs": {}, "parents": [AGENT]}],
        [{"uid": AGENT, "attrs": {}, "parents": []}, {"uid": AGENT, "attrs": {"x": 1}, "parents": []}],
        [{"uid": {"type": "No Type", "id": "a"}, "attrs": {}, "parents": []}],
    ],
)
def test_entities_that_cedar_cannot_hold_are_refused(documents: list[dict[str, Any]]) -> None:
    with pytest.raises(RemitError, match="entities do not parse"):
        entities_handle(documents)


SCHEMA = """
entity Agent { level: Long };
entity Tool;
action "send" appliesTo { principal: Agent, resource: Tool, context: { amount: Long } };
"""


def test_validation_names_our_policies() -> None:
    text = """
      @id("good") permit(principal is Agent, action == Action::"send", resource) when { context.amount < 5 };
      @id("bad") permit(principal is Agent, action == Action::"send", resource) when { context.total < 1 };
      permit(principal == ?principal, action == Action::"send", resource) when { principal.levle > 1 };
    """
    [first, second] = validate(parse_policies(text, "case.cedar"), parse_schema(SCHEMA, "schema.cedarschema"))
    assert first == ("bad", 'attribute `total` in context for Action::"send" not found')
    assert second[0] == "case.3" and second[1].startswith("attribute `levle`")


def test_a_schema_that_does_not_parse_is_refused_by_name() -> None:
    with pytest.raises(RemitError, match=r"schema `s\.cedarschema` does not parse: error parsing schema: unexpected token"):
        parse_schema("entity {", "s.cedarschema")
    with pytest.raises(RemitError, match="nest deeper than 64"):
        parse_schema("entity A { x: " + "{x: " * 50_000, "s.cedarschema")


def test_literals_of_odd_ids_parse_back() -> None:
    assert one(f"permit(principal == {literal(EntityRef('Agent', ODD))}, action, resource);").scope.principal.entity == (
        EntityRef("Agent", ODD)
    )
