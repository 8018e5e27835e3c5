"""The picture of an evaluation: well-formed, readable in light and dark, and no label over another."""

from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from remit.local.evaluation.drawing.labels import Box, around, place
from remit.local.evaluation.drawing.picture import draw
from remit.local.evaluation.drawing.references import REFERENCES
from remit.local.evaluation.evaluate import evaluate_runs
from tests.evaluation.building import CORPUS

SVG = "{http://www.w3.org/2000/svg}"
FRAME = Box(0, 0, 900, 500)
SPOTS = st.tuples(st.floats(8, 892), st.floats(8, 492), st.text("abcdefgh ", min_size=1, max_size=28))


def figures(**suites: tuple[float | None, float | None]) -> dict[str, Any]:
    """What an evaluation finds, as far as a picture needs it: (ASR, automatic) by suite, `__` for the slash."""
    found = {name.replace("__", "/"): {"asr": asr, "automatic": automatic} for name, (asr, automatic) in suites.items()}
    return {"suites": found, "sets": {"b": {"asr": 0.5, "automatic": 0.25}}, "total": {"asr": 0.1, "automatic": 0.9}}


def texts(drawn: str) -> list[str]:
    return [str(element.text) for element in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


def test_every_suite_the_total_and_every_reference_has_its_label() -> None:
    drawn = draw(evaluate_runs([CORPUS]))
    said = texts(drawn)
    for name in ("post/desk", "post/desk (recorded)", "total"):
        assert said.count(name) == 1
    for policy in {reference.policy for reference in REFERENCES}:
        assert said.count(policy) == 3
    assert "prefers-color-scheme: dark" in drawn


def test_a_suite_of_attacks_alone_is_drawn_with_the_rest_of_its_set() -> None:
    said = texts(draw(figures(a__x=(0.0, 1.0), b__attacks=(0.5, None), b__honest=(None, 0.25))))
    assert ("a/x" in said, "b" in said, "b/attacks" in said, "b/honest" in said) == (True, True, False, False)


def test_names_from_outside_are_text_and_nothing_more() -> None:
    hostile = {"<script>&\x00" + "x" * 99: {"asr": 1.0, "automatic": 0.0}}
    said = texts(draw({"suites": hostile, "sets": {}, "total": {"asr": None, "automatic": None}}))
    assert "<script>&?" + "x" * 29 + "…" in said and "total" not in said


@settings(max_examples=30, deadline=None)
@given(st.lists(SPOTS, max_size=24))
def test_no_label_stands_over_another_or_over_a_marker(points: list[tuple[float, float, str]]) -> None:
    placed = place(points, FRAME, 7)
    for number, label in enumerate(placed):
        assert FRAME.holds(label.box)
        assert not any(label.box.meets(other.box) for other in placed[:number])
        assert not any(label.box.meets(around(x, y, 7)) for x, y, _ in points)


def test_points_in_one_place_have_a_label_each() -> None:
    assert len(place([(450, 250, "the same place")] * 12, FRAME, 7)) == 12
