"""The benchmark's figures, as its document has them."""

import re
from pathlib import Path

from benchmarks.figures import BARS

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md").read_text("utf-8")


def test_every_figure_with_a_bar_is_in_the_document_with_that_bar() -> None:
    stated = dict(re.findall(r"^\| (.+?) \| [\d.]+ \S+ \| [≤≥] ([\d.]+) \|", DOCUMENT, re.MULTILINE))
    assert {name: float(limit) for name, limit in stated.items()} == {name: bar.limit for name, bar in BARS.items()}


def test_what_is_said_to_hold_does() -> None:
    for name, value, _unit, said in re.findall(
        r"^\| (.+?) \| ([\d.]+) (\S+) \| [≤≥] [\d.]+ \| (yes|no) \|", DOCUMENT, re.MULTILINE
    ):
        assert BARS[name].holds(float(value)) == (said == "yes"), name
