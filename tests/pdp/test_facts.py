"""Facts on their own: expressions, types, which output counts, and that nothing costs without bound."""

from typing import Any

import msgspec
import pytest

from remit.model.tool import Annotations, Reach, Tool, ToolEffect
from remit.pdp.facts.expressions import MAX_EXPRESSION, Expression, NoExpression, NoValue
from remit.pdp.facts.fact import Fact, FactSet, fact_set, facts_type
from remit.pdp.facts.finding import MAX_RECORDS, history_of
from remit.pdp.facts.stating import MAX_ITEMS, MAX_VALUE, facts_of
from remit.pdp.facts.types import Misfit, type_of, typed
from remit.pdp.told import MAX_CALLS, MAX_KEPT, MAX_TEXT, NOT_PERFORMED, Told, remember

READS = Annotations(ToolEffect.READ, Reach.INTERNAL, output_trusted=True)
TOOLS = (
    Tool("get", READS),
    Tool("search", READS),
    Tool("put", Annotations(ToolEffect.WRITE, Reach.INTERNAL, output_trusted=True)),
)
INTEGER, TEXT = {"type": "integer"}, {"type": "string"}


def told(text: str | None, tool: str = "get", call: str = "{}", at: int = 0, status: str = "succeeded") -> Told:
    return Told(tool, call, at, at, "ses", status, text)


def stated(facts: FactSet, history: list[Told], wanted: list[str] | None = None, /, **arguments: Any) -> dict[str, Any]:
    calls: dict[str, int] = {}
    for one in history:
        calls[one.tool] = calls.get(one.tool, 0) + 1
    return facts_of(facts, wanted, arguments, history_of("ses", tuple(history), calls))


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("args.user.name", {("args", "user", "name")}),
        ("sum(args.p[].amount)", {("args", "p")}),
        ("{a: record.b, c: length(found)}", {("record", "b"), ("found",)}),
        ("found[?item.amount > `3`].record", {("found",)}),
        ("facts.a || call.b && !output", {("facts", "a"), ("call", "b"), ("output",)}),
        ("args.flights[0].date | [0]", {("args",)}),
        ("max(map(&date, args.flights))", {("args", "flights")}),
        ("values(output.methods)[*].kind", {("output", "methods")}),
        ("@", set()),
        ("'text'", set()),
    ],
)
def test_an_expression_says_what_it_reads(text: str, paths: set[tuple[str, ...]]) -> None:
    assert Expression(text).paths == paths


@pytest.mark.parametrize("text", ["a.", "sum(", "a b", "", "a" * (MAX_EXPRESSION + 1), "(" * 1500 + "a" + ")" * 400])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(NoExpression):
        Expression(text)


@pytest.mark.parametrize(
    "text", ["sum(a)", "nothing_like_it(a)", "length(`1`)", "sum(['a'])", "join(`1`, a)", "b[::0]", "max_by(b, &x)"]
)
def test_what_cannot_be_evaluated_has_no_value(text: str) -> None:
    with pytest.raises(NoValue):
        Expression(text).of({"a": "text", "b": [{"x": "1"}, {"x": 1}]})


@pytest.mark.parametrize(
    ("schema", "value", "known"),
    [
        (INTEGER, 3, 3),
        (INTEGER, 3.0, 3),
        ({"type": "number"}, 2.5, {"__extn": {"fn": "decimal", "arg": "2.5000"}}),
        ({"type": "array", "items": TEXT}, ["a"], ["a"]),
        ({"type": "string", "format": "date"}, "2024-05-15", {"__extn": {"fn": "datetime", "arg": "2024-05-15T00:00:00.000Z"}}),
        (
            {"type": "string", "format": "date-time"},
            "2024-05-15T15:00:00-05:00",
            {"__extn": {"fn": "datetime", "arg": "2024-05-15T20:00:00.000Z"}},
        ),
        ({"type": "object", "properties": {"a": INTEGER, "b": TEXT}, "required": ["a"]}, {"a": 1, "b": None, "c": []}, {"a": 1}),
    ],
)
def test_values_of_a_type_are_as_cedar_has_them(schema: dict[str, Any], value: Any, known: Any) -> None:
    assert typed(value, type_of(schema)) == known


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INTEGER, "3"),
        (INTEGER, True),
        (INTEGER, 3.5),
        (INTEGER, 2**63),
        (INTEGER, 1e300),
        ({"type": "number"}, 0.00001),
        ({"type": "number"}, True),
        ({"type": "boolean"}, 1),
        (TEXT, None),
        ({"type": "array", "items": TEXT}, ["a", 1]),
        ({"type": "array", "items": TEXT}, [None]),
        ({"type": "array", "items": TEXT}, "a"),
        ({"type": "object", "properties": {"a": INTEGER}, "required": ["a"]}, {"a": None}),
        ({"type": "object", "properties": {"a": INTEGER}}, [1]),
        ({"type": "object", "properties": {"a": INTEGER}}, {"a": {"__entity": {"type": "User", "id": "ana"}}}),
        ({"type": "string", "format": "date"}, "2024-05-15T00:00:00Z"),
        ({"type": "string", "format": "date"}, "yesterday"),
        ({"type": "string", "format": "date-time"}, "2024-05-15T15:00:00"),
        ({"type": "string", "format": "date-time"}, "0001-01-01T00:00:00+14:00"),
        ({}, 1),
    ],
)
def test_values_of_another_type_are_none(schema: dict[str, Any], value: Any) -> None:
    with pytest.raises(Misfit):
        typed(value, type_of(schema))


def test_all_facts_may_be_absent() -> None:
    facts = [Fact("a", "x", INTEGER), Fact("b", "x", {"type": "object", "properties": {"c": TEXT}, "required": ["c"]})]
    assert facts_type(facts) == '{a?: Long, b?: {"c": String}}'


def test_only_what_is_wanted_and_what_it_is_made_of_is_evaluated() -> None:
    facts = fact_set(
        (Fact("one", "args.n", INTEGER), Fact("bad", "sum(args)", INTEGER), Fact("two", "facts.one", INTEGER)), TOOLS
    )
    assert stated(facts, [], ["two"], n=1) == {"two": 1}
    assert stated(facts, [], None, n=1) == {"one": 1, "two": 1}
    assert stated(facts, [], ["two"], n="1") == {}  # what is made of an absent one is absent


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "9" * 400, "sNaN", "\ud800"])
@pytest.mark.parametrize("kind", ["number", "integer"])
def test_what_is_no_finite_number_is_no_fact(text: str, kind: str) -> None:
    facts = fact_set((Fact("it", "to_number(args.n)", {"type": kind}), Fact("one", "`1`", INTEGER)), TOOLS)
    assert stated(facts, [], None, n=text) == {"one": 1}


def test_the_latest_record_that_fits_counts_and_true_is_not_one() -> None:
    fact = Fact("it", "record.v", INTEGER, of=("get",), records="output[]", where={"record.id": "args.id"})
    facts = fact_set((fact,), TOOLS)
    history = [told('[{"id": 1, "v": 1}]'), told('[{"id": true, "v": 2}, {"id": 1.0, "v": 3}, {"id": 1, "v": 4}]'), told("[]")]
    assert stated(facts, history, id=1) == {"it": 3}
    assert stated(facts, history, id=True) == {"it": 2}
    assert stated(facts, history, id="1") == stated(facts, history) == stated(facts, history, id=None) == {}


def test_for_each_item_one_is_found_or_there_is_no_fact() -> None:
    fact = Fact(
        "price", "sum(found[].record.price)", INTEGER, of=("search",), each="args.items", records="output",
        where={"record.name": "item.name", "call.day": "item.day"},
    )  # fmt: skip
    facts = fact_set((fact,), TOOLS)
    history = [
        told('[{"name": "a", "price": 1}]', "search", '{"day":"mon"}'),
        told('[{"name": "a", "price": 9}]', "search", '{"day":"tue"}'),
        told('[{"name": "b", "price": 5}]', "search", '{"day":"mon"}'),
    ]
    monday = [{"name": "a", "day": "mon"}, {"name": "b", "day": "mon"}]
    assert stated(facts, history, items=monday) == {"price": 6}
    assert stated(facts, history, items=[{"name": "a", "day": "tue"}] * 2) == {"price": 18}
    for items in ([*monday, {"name": "b", "day": "tue"}], {"name": "a"}, None, [1], monday * (MAX_ITEMS // 2 + 1)):
        assert stated(facts, history, items=items) == {}


def test_much_is_no_fact_and_costs_no_more() -> None:
    fact = Fact("it", "record.v", TEXT, of=("get",), records="output[]", where={"record.id": "args.id"})
    facts = fact_set((fact,), TOOLS)
    many = told("[" + ",".join('{"id":2}' for _ in range(MAX_RECORDS)) + "]")
    assert len(many.text or "") < MAX_TEXT and MAX_RECORDS <= 20_000
    assert stated(facts, [told('[{"id": 1, "v": "x"}]'), many], id=1) == {}
    long = told('[{"id": 1, "v": "' + "x" * MAX_VALUE + '"}]')
    assert stated(facts, [long], id=1) == {}
    assert stated(facts, [told('[{"id": 1, "v": "x"}]'), *[told("[]")] * MAX_CALLS], id=1) == {}


def test_of_much_the_oldest_outputs_are_forgotten_and_the_calls_are_not() -> None:
    big = "x" * MAX_TEXT
    kept = remember((), (told(big, call='{"n":1}') for _ in range(MAX_KEPT // MAX_TEXT + 3)))
    assert len(kept) == MAX_KEPT // MAX_TEXT + 3
    assert [one.text is None for one in kept[:5]] == [True, True, True, True, False] and kept[0].call == ""
    assert len(remember(kept, [told("[]")] * (2 * MAX_CALLS))) == MAX_CALLS + 1


def test_a_call_under_way_or_of_another_session() -> None:
    facts = fact_set((Fact("it", "record.v", INTEGER, of=("get",), where={"record.id": "args.id"}),), TOOLS)
    history = (told('{"id": 1, "v": 1}'), told(None, "put", '{"id":2}', 5, NOT_PERFORMED))
    assert facts_of(facts, None, {"id": 1}, history_of("ses", history, {"get": 1, "put": 1})) == {"it": 1}
    assert facts_of(facts, None, {"id": 1}, history_of("ses", history, {"get": 1, "put": 2})) == {}
    assert facts_of(facts, None, {"id": 1}, history_of("ses", history, {"get": 9, "put": 1})) == {"it": 1}
    assert facts_of(facts, None, {"id": 1}, history_of("other", history, {})) == {"it": 1}


def test_what_is_not_there_is_equal_to_nothing() -> None:
    facts = fact_set((Fact("it", "record.v", INTEGER, of=("get",), where={"record.id": "args.id"}),), TOOLS)
    assert stated(facts, [told('{"v": 1}'), told('{"id": null, "v": 1}')]) == {}


@pytest.mark.parametrize(
    ("wanted", "call", "stale"),
    [
        ("o-1", '{"path":"orders/o-1"}', True),
        ("o-1", '{"ids":[{"one":"o-1"}]}', True),
        ("o1", '{"path":"orders/o1"}', False),
        (4711, '{"id":"4711"}', True),
        ("4711", '{"id":4711}', True),
        ("o-1", '{"id":"o-2"}', False),
        ("o-1", "", True),
    ],
)
def test_a_write_is_about_what_its_arguments_have(wanted: Any, call: str, stale: bool) -> None:
    facts = fact_set((Fact("it", "record.v", INTEGER, of=("get",), where={"call.id": "args.id"}),), TOOLS)
    history = [told('{"v": 1}', call=msgspec.json.encode({"id": wanted}).decode()), told("done", "put", call, 1)]
    assert stated(facts, history, id=wanted) == ({} if stale else {"it": 1})


def test_a_fact_of_nothing_in_particular_is_out_of_date_after_any_write() -> None:
    facts = fact_set((Fact("it", "record.v", INTEGER, of=("get",)),), TOOLS)
    history = [told('{"v": 1}')]
    assert stated(facts, history) == {"it": 1}
    assert stated(facts, [*history, told("done", "put", '{"id":7}', 1)]) == {}
    assert stated(facts, [*history, told("done", "search", '{"id":7}', 1)]) == {"it": 1}
