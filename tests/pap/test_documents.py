"""YAML has one reading, and every fault a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.pap.problems import BundleError, Problem
from remit.pap.reading.documents import read_document


def read(text: str) -> object:
    """What a file says."""
    return read_document(text, "some.yaml").data


def faults(text: str) -> list[tuple[int, str]]:
    """Line and code of everything that is wrong with a file."""
    with pytest.raises(BundleError) as caught:
        read_document(text, "some.yaml")
    assert all(problem.file == "some.yaml" and problem.message for problem in caught.value.problems)
    return [(problem.line, problem.code) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False x", "False x"),
        ("null", None),
        ("~", None),
        ("a:", {"a": None}),
        ("12", 12),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ('"12"', "12"),
        ("'no'", "no"),
        ('"2026-01-01"', "2026-01-01"),
        ("y", "y"),
        ("a b", "a b"),
        ("|\n  true\n", "true\n"),
        ('[Group::"staff", {x: 1}]', ['Group::"staff"', {"x": 1}]),
        ("99999999999999999999", 99999999999999999999),
    ],
)
def test_values_are_read_in_one_way(text: str, value: object) -> None:
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: no", [(1, "ambiguous")]),
        ("- NO\n- On\n- True", [(1, "ambiguous"), (2, "ambiguous"), (3, "ambiguous")]),
        ("- 010\n- 0x1F\n- 1_000\n- 1:30\n- .inf\n- +1\n- 1.", [(n, "ambiguous") for n in range(1, 8)]),
        ("on: 1", [(1, "ambiguous")]),
        ("day: 2026-01-01", [(1, "ambiguous")]),
        ("<<: {a: 1}", [(1, "ambiguous")]),
        ("a: !!python/object:os.system x", [(1, "tag")]),
        ("a: !!str 5", [(1, "tag")]),
        ("a: ! 5\nb: !own {}", [(1, "tag"), (2, "tag")]),
        ("a: &x [1]\nb: *x", [(2, "alias")]),
        ("a: 1\nb: 2\na: 3", [(3, "duplicate-key")]),
        ("- {a: 1, a: 2}", [(1, "duplicate-key")]),
        ("1: x", [(1, "key")]),
        ("? [a]\n: x", [(1, "key")]),
        ("a: 1\n---\nb: 2", [(2, "documents")]),
        ("", [(1, "empty")]),
        ("# nothing but this\n", [(1, "empty")]),
        ("a: [1, 2\n", [(1, "yaml")]),
        ("a:\n\t- b", [(2, "yaml")]),
        ("a: b\x07", [(1, "yaml")]),
        ('a: "\\ud800"', [(1, "yaml")]),
        (f"a: {'9' * 500}", [(1, "number")]),
        ("a: 1e999", [(1, "number")]),
        ("[" * 65 + "]" * 65, [(1, "depth")]),
    ],
)
def test_what_could_be_misread_is_refused(text: str, found: list[tuple[int, str]]) -> None:
    assert faults(text) == found


def test_depth_does_not_reach_the_stack() -> None:
    assert faults("[" * 1_000_000) == [(1, "depth")]


def test_lines_are_those_of_keys_and_items() -> None:
    document = read_document("a: 1\nb:\n  - x: 1\n\n  - y: 2\n    z:\n      w: 3\n", "some.yaml")
    assert document.line() == 1
    assert document.line("b") == 2
    assert document.line("b", 1) == 5
    assert document.line("b", 1, "z", "w") == 7
    assert document.line("b", 1, "z", "missing", "more") == 6


def test_a_problem_reads_like_a_compiler() -> None:
    with pytest.raises(BundleError) as caught:
        read("a: no")
    [problem] = caught.value.problems
    assert isinstance(problem, Problem)
    assert str(problem) == (
        "some.yaml:1: error: readers of YAML disagree on what `no` is: "
        'write `"no"` for text, else `true`, `false` or a plain number [ambiguous]'
    )


@given(st.text(max_size=60))
def test_nothing_but_a_bundle_error_is_raised(text: str) -> None:
    try:
        read(text)
    except BundleError as fault:
        assert fault.problems
