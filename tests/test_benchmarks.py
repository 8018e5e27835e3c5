"""The benchmark's figures: as its document has them, and as they are told."""

import json
import re
from pathlib import Path

from benchmarks import service
from benchmarks.figures import (
    ALONE,
    BARS,
    DECISIONS,
    GOVERN,
    SERVICE_ALONE,
    SERVICE_BATCH,
    SERVICE_NEW,
    SERVICE_SAME,
    SERVICE_TAIL,
    TOKEN_AGAIN,
    TOKEN_FIRST,
    Report,
)

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md").read_text("utf-8")


def test_every_figure_with_a_bar_is_in_the_document_with_that_bar() -> None:
    stated = dict(re.findall(r"^\| (.+?) \| [\d.]+ \S+ \| [≤≥] ([\d.]+) \|", DOCUMENT, re.MULTILINE))
    assert {name: float(limit) for name, limit in stated.items()} == {name: bar.limit for name, bar in BARS.items()}


def test_what_is_said_to_hold_does() -> None:
    for name, value, _unit, said in re.findall(
        r"^\| (.+?) \| ([\d.]+) (\S+) \| [≤≥] [\d.]+ \| (yes|no) \|", DOCUMENT, re.MULTILINE
    ):
        assert BARS[name].holds(float(value)) == (said == "yes"), name


def test_figures_are_told_as_json() -> None:
    report = Report()
    report.judge(ALONE, 2.004)
    report.judge(DECISIONS, 7999.6)
    report.judge(GOVERN, None)
    report.missing("a rival", "no network")
    report.tell("something", 12.3456, "µs")
    fields = ("name", "value", "unit", "bar", "holds")
    assert [tuple(figure[field] for field in fields) for figure in json.loads(report.to_json())] == [
        (ALONE, 2.0, "ratio", 2.0, False),
        (DECISIONS, 8000, "1/s", 8000, False),
        (GOVERN, None, "ratio", 1.0, None),
        ("a rival: not available: no network", None, "", None, None),
        ("something", 12.3, "µs", None, None),
    ]


def test_the_service_is_measured_beside_the_bare_endpoint() -> None:
    report = service.measured(service.Pace(rounds=1, seconds=0.05))
    judged = {figure.name: figure.value for figure in report.figures if figure.bar is not None}
    assert judged.keys() == {SERVICE_NEW, SERVICE_SAME, SERVICE_TAIL, SERVICE_ALONE, SERVICE_BATCH, TOKEN_FIRST, TOKEN_AGAIN}
    assert all(judged.values())
