"""A value that policies only compare with constants is as good as another between the same ones; nothing else is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.model.identity import EntityRef
from remit.pdp.cedar.constants import constants
from remit.pdp.cedar.engine import EngineAnswer, entities_handle, evaluate, request_uids
from remit.pdp.cedar.policies import parse_policies
from remit.pdp.cedar.reads import Node, project, stand_in
from remit.pdp.cedar.slices import PolicyIndex, Slice

AGENT, TOOL = EntityRef("Agent", "a"), EntityRef("Tool", "t")
UIDS, NOBODY = request_uids(AGENT, "send", TOOL), entities_handle([])
LEAST, MOST = -(2**63), 2**63 - 1


def slice_of(*conditions: str) -> Slice:
    text = "\n".join(
        f"{'forbid' if n else 'permit'}(principal, action, resource) when {{ {c} }};" for n, c in enumerate(conditions)
    )
    return PolicyIndex(parse_policies(text, "case.cedar")).slice_for(AGENT, frozenset(), "send", TOOL, frozenset())


def said(part: Slice, context: dict[str, Any]) -> EngineAnswer:
    return evaluate(part.handle, UIDS, msgspec.json.encode(context), NOBODY)


def replaced(tree: Node, context: dict[str, Any]) -> dict[str, Any]:
    return stand_in(tree, project(tree, context))


LITERALS = [str(LEAST), "-1", "0", "1", "2", "7", str(MOST), '""', '"~"', '"x"', '"xy"', "true", "false"]
_literal = st.sampled_from(LITERALS)
_path = st.sampled_from(["context.args.n", "context.args.m", "context.args.r.n", "context.args"])
_test = st.one_of(
    st.tuples(_path, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), _literal).map(" ".join),
    st.tuples(_literal, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), _path).map(" ".join),
    st.tuples(st.lists(_literal, max_size=3), _path).map(lambda made: f"[{', '.join(made[0])}].contains({made[1]})"),
    st.tuples(_path, _path).map(lambda made: f"(if {made[0]} == 7 then {made[0]} else {made[1]}) == 1"),
    st.sampled_from(
        [
            "context.args has n",
            "context.args has r.n",
            "context.args.n",
            "context.args.r.n.x == 1",
            "context.args.n == context.args.m",
        ]
    ),
    st.sampled_from(
        ['context.args.m like "x*"', "context.args.n + 1 > 2", "[context.args.n].contains(1)", "context.args.r == {n: 1}"]
    ),
)
_condition = st.recursive(
    _test,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda made: f"({' '.join(made)})"),
        inner.map(lambda one: f"!({one})"),
    ),
    max_leaves=5,
)
_scalar = st.one_of(
    st.integers(LEAST, MOST), st.integers(-3, 9), st.sampled_from(["", "~", "~~", "x", "xyz"]), st.text(), st.booleans()
)
_value = st.one_of(
    _scalar,
    _scalar,
    st.lists(_scalar, max_size=2),
    st.just({"__extn": {"fn": "decimal", "arg": "1.5"}}),
    st.just({"__entity": {"type": "User", "id": "u"}}),
)
_record = st.fixed_dictionaries({}, optional={"n": _value, "x": _value})
_context = st.fixed_dictionaries({"args": st.fixed_dictionaries({}, optional={"n": _value, "m": _value, "r": _record | _value})})


@settings(max_examples=300, deadline=None)
@given(st.lists(_condition, min_size=1, max_size=4), st.lists(_context, min_size=1, max_size=6))
def test_no_policy_tells_a_stand_in_from_what_it_stands_for(conditions: list[str], contexts: list[dict[str, Any]]) -> None:
    part = slice_of(*conditions)
    tree = part.reads.context
    for context in contexts:
        alike = replaced(tree, context)
        assert said(part, alike) == said(part, context), alike
        assert replaced(tree, alike) == alike


@given(st.lists(st.integers(LEAST, MOST) | st.integers(-3, 3) | st.text(max_size=2), max_size=5), _scalar)
def test_a_stand_in_compares_as_the_value_does(literals: list[int | str], value: int | str | bool) -> None:
    stands = constants(literals).stand_in(value)
    assert type(stands) is type(value)
    for literal in literals:
        if type(literal) is type(value):
            assert (stands == literal) is (value == literal)
            assert isinstance(literal, str) or isinstance(stands, str) or (stands < literal) is (value < literal)
    assert not isinstance(stands, int) or LEAST <= stands <= MOST


@pytest.mark.parametrize(
    ("condition", "one", "other", "alike"),
    [
        ("context.args.n <= 1000", 3, 999, True),
        ("context.args.n <= 1000", 1000, 999, False),
        ("context.args.n <= 1000", 1001, 2000, True),
        ("context.args.n <= 1000", 3, "3", False),
        ("context.args.n > 1 || context.args.n > 5", 3, 7, False),
        ('context.args.n == "x"', "y", "z", True),
        ('context.args.n == "x"', "x", "z", False),
        ('["x", "y"].contains(context.args.n)', "a", "b", True),
        ('["x", "y"].contains(context.args.n)', "x", "y", False),
        ('context.args.n == "x" && context.args.n like "a*"', "a", "b", False),
        ("context.args.n == context.args.m", 1, 2, False),
        ("context.args.n + 1 > 2", 5, 6, False),
        ("-context.args.n > 2", 5, 6, False),
        ("context.args == {n: 1}", 5, 6, False),
        ("context.args.n == [1]", 5, 6, False),
        ("context.args.n", True, False, False),
        ("context.args.n == true", True, False, False),
        ("context.args.n == 1", 1, True, False),
    ],
)
def test_what_is_told_apart(condition: str, one: Any, other: Any, alike: bool) -> None:
    tree = slice_of(condition).reads.context
    sides = [msgspec.json.encode(replaced(tree, {"args": {"n": value, "m": 0}})) for value in (one, other)]
    assert (sides[0] == sides[1]) is alike


def test_policies_together_tell_apart_what_any_of_them_does() -> None:
    tree = slice_of("context.args.n <= 10", "context.args.n <= 20").reads.context
    stands = [replaced(tree, {"args": {"n": n}})["args"]["n"] for n in (9, 10, 15, 20, 21, 99)]
    assert stands == [9, 10, 19, 20, 21, 21]
    whole = slice_of("context.args.n <= 10", "context.args.n == context.args.m").reads.context
    assert replaced(whole, {"args": {"n": 3, "m": 4}}) == {"args": {"n": 3, "m": 4}}
