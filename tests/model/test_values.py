"""Argument values: one canonical form for each typed value, and nothing that is not data."""

import json
import math
import struct
import time
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.model.errors import ErrorKind, RemitError
from remit.model.values import FLOAT_KEY, MAX_BYTES, MAX_DEPTH, freeze, read_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT.filter(lambda name: not name.startswith("__"))
INTEGERS = st.one_of(
    st.integers(),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, TEXT)
LOOKALIKES = st.sampled_from(
    [None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, "0", "1", "1.0", "true", "null", "", [], {}, [0], {"a": 0}]
)


def nested(leaves: st.SearchStrategy[Any], names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=10
    )


def objects(leaves: st.SearchStrategy[Any], names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names, nested(leaves, names), max_size=3)


def thaw(canonical: bytes) -> dict[str, Any]:
    """The values of a canonical form: nothing of them is lost in it."""
    values = json.loads(canonical, object_hook=lambda item: float(item[FLOAT_KEY]) if FLOAT_KEY in item else item)
    assert isinstance(values, dict)
    return values


def same(one: Any, other: Any) -> bool:
    """Equal values of equal types: 1, 1.0, True and "1" all differ, and so do 0.0 and -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


def refused(values: dict[Any, Any]) -> str:
    with pytest.raises(RemitError) as caught:
        freeze(values)
    assert caught.value.kind is ErrorKind.MALFORMED
    return caught.value.message


@given(objects(SCALARS))
def test_canonical_form_reads_back_as_the_same_typed_values(values: dict[str, Any]) -> None:
    frozen = freeze(values)
    assert same(thaw(frozen.canonical), values)
    assert same(frozen.values, values)
    assert freeze(thaw(frozen.canonical)) == frozen


@given(objects(LOOKALIKES, st.sampled_from(["a", "b", ""])), objects(LOOKALIKES, st.sampled_from(["a", "b", ""])))
@settings(max_examples=400)
def test_equal_bytes_mean_equal_typed_values_and_the_reverse(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (freeze(one).canonical == freeze(other).canonical) == same(one, other)
    assert (freeze(one).digest() == freeze(other).digest()) == same(one, other)


@given(st.lists(LOOKALIKES, min_size=2, max_size=2))
def test_lookalikes_never_share_a_digest(pair: list[Any]) -> None:
    one, other = ({"v": value} for value in pair)
    assert (freeze(one).digest() == freeze(other).digest()) == same(*pair)


@given(objects(st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), TEXT)))
def test_without_floats_it_is_the_json_canonicalization_scheme(values: dict[str, Any]) -> None:
    """RFC 8785 sorts names by UTF-16 units and we by code points: the same up to U+D7FF, and only the order differs above."""
    ours, theirs = freeze(values).canonical, rfc8785.dumps(values)
    if all(ord(char) < 0xD800 for char in json.dumps(values, ensure_ascii=False)):
        assert ours == theirs
    else:
        assert sorted(ours) == sorted(theirs)


@given(objects(SCALARS), st.randoms(use_true_random=False))
def test_the_order_of_names_never_matters(values: dict[str, Any], random: Any) -> None:
    names = list(values)
    random.shuffle(names)
    assert freeze({name: values[name] for name in names}) == freeze(values)


@given(nested(SCALARS), st.lists(st.sampled_from(["object", "list"]), max_size=8), NAMES, NAMES)
@pytest.mark.parametrize("name", ["__entity", "__extn", "__float", "__expr", "__"])
def test_no_argument_may_become_an_entity_or_an_extension_value(
    name: str, value: Any, path: list[str], outer: str, suffix: str
) -> None:
    inner: Any = {name + suffix: value}
    for step in path:
        inner = {outer: inner} if step == "object" else [inner]
    assert "reserved" in refused(inner if isinstance(inner, dict) else {"a": inner})


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, "\ud800", "a\udfff", b"bytes", {1}, object(), 1j, pytest.param(10**5000, id="5001 digits")],
)
@pytest.mark.parametrize("place", [lambda v: {"a": v}, lambda v: {"a": [v]}, lambda v: {"a": [{"b": [1.5, v]}]}])
def test_what_json_cannot_say_is_refused_at_any_depth(value: Any, place: Any) -> None:
    assert refused(place(value))


@pytest.mark.parametrize("name", ["\ud800", 1, None, True, b"a", ("a",)])
def test_names_are_valid_text(name: Any) -> None:
    assert refused({name: 1})
    assert refused({"a": [{name: 1}]})


@pytest.mark.parametrize(
    "number", [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**400, -(2**53) - 1, -(2**63) - 1]
)
def test_integers_keep_every_digit(number: int) -> None:
    frozen = freeze({"n": number})
    assert thaw(frozen.canonical)["n"] == number
    assert str(number).encode() in frozen.canonical
    if abs(number) < 10**300:
        assert frozen.canonical != freeze({"n": float(number)}).canonical


@pytest.mark.parametrize("kind", ["object", "list", "mixed"])
def test_depth_ends_at_the_limit_and_not_by_overflow(kind: str) -> None:
    def deep(levels: int) -> dict[str, Any]:
        value: Any = 1
        for level in range(levels - 1):
            in_list = kind == "list" or (kind == "mixed" and level % 2)
            value = [value] if in_list else {"a": value}
        return {"a": value}

    assert thaw(freeze(deep(MAX_DEPTH)).canonical) == deep(MAX_DEPTH)
    for levels in (MAX_DEPTH + 1, MAX_DEPTH + 2, 200_000):
        assert "deeper" in refused(deep(levels))


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "deeper" in refused({"a": loop})


def test_size_ends_at_the_limit() -> None:
    overhead = len(b'{"a":""}')
    assert len(freeze({"a": "x" * (MAX_BYTES - overhead)}).canonical) == MAX_BYTES
    assert "limit" in refused({"a": "x" * (MAX_BYTES - overhead + 1)})
    assert "limit" in refused({"a": "é" * (MAX_BYTES // 2)}), "bytes count, not characters"


@pytest.mark.parametrize("values", [{"a": "x" * 10_000_000}, {"a": [0] * 5_000_000}, {str(n): None for n in range(700_000)}])
def test_ten_megabytes_are_refused_at_once(values: dict[str, Any]) -> None:
    started = time.perf_counter()
    assert "limit" in refused(values)
    assert time.perf_counter() - started < 5


@given(objects(SCALARS))
def test_frozen_values_share_nothing_with_what_was_given_or_thawed(values: dict[str, Any]) -> None:
    given_ = thaw(freeze(values).canonical)
    frozen = freeze(given_)
    spoil(given_)
    thawed = thaw(frozen.canonical)
    spoil(thawed)
    assert same(frozen.values, values)
    assert same(thaw(frozen.canonical), values)


def spoil(value: Any) -> None:
    """Change everything that can be changed in place."""
    for inner in list(value.values() if isinstance(value, dict) else value):
        if isinstance(inner, dict | list):
            spoil(inner)
    value.clear()


@given(objects(st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, TEXT)))
def test_json_that_is_read_is_what_was_written(values: dict[str, Any]) -> None:
    assert same(read_json(json.dumps(values)), values)
    assert same(read_json(json.dumps(values, ensure_ascii=False).encode()), values)
    assert same(read_json(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()), values)


@given(objects(SCALARS), NAMES, SCALARS, SCALARS, st.integers(0, 5))
def test_a_name_that_stands_twice_is_refused_at_any_depth(
    values: dict[str, Any], name: str, one: Any, other: Any, depth: int
) -> None:
    key = json.dumps(name)
    escaped = (
        '"'
        + "".join(f"\\u{unit:04x}" for unit in struct.unpack(f">{len(name.encode('utf-16-be')) // 2}H", name.encode("utf-16-be")))
        + '"'
    )
    inner = f"{{{key}: {json.dumps(one)}, {escaped}: {json.dumps(other)}}}"
    text = f'{{"first": {json.dumps(values)}, "second": {"[" * depth}{inner}{"]" * depth}}}'
    compact = f'{{"second":{"[" * depth}{{{key}:{json.dumps(one)},{key}:{json.dumps(other)}}}{"]" * depth}}}'
    for twice in (text, text.encode(), compact.encode()):
        with pytest.raises(RemitError, match="twice"):
            read_json(twice)


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "Infinity", "-Infinity", '{"a": NaN}', "[1e999]", '{"a": [-1e999]}', '"\\ud800"', '{"\\udc00": 1}', "", "{", "{} {}",
        "[" * 100_000, '{"a":' * 100_000, "1" * 5000, b'"\xff"', b'{"a": "\xed\xa0\x80"}', "\ufeff{}", "{'a': 1}",
        "[1,]", "01", "nul", '"\t"',
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_i_json_forbids_is_refused(text: str | bytes) -> None:
    for given_ in (text, text.encode() if isinstance(text, str) else text):
        with pytest.raises(RemitError) as caught:
            read_json(given_)
        assert caught.value.kind is ErrorKind.MALFORMED


def test_json_is_read_as_utf_8_only() -> None:
    """RFC 8259 section 8.1: a reader of another encoding sees other text in the same bytes."""
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        with pytest.raises(RemitError):
            read_json('{"a": 1}'.encode(encoding))
