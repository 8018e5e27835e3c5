"""Adaptive attacks, kept as cases: under the baseline they wait for a person, and honest work that looks like them does not."""

from pathlib import Path

import pytest

from remit.pap import baseline
from remit.pap.bundle import compile_bundle
from remit.pap.cases import Case
from remit.pap.contents import Bundle, SourceFile
from remit.pap.extend import extended
from remit.pap.reading.cases import read_cases
from remit.pap.reading.files import read_files
from remit.pap.reading.folder import bundle_of
from remit.pap.running import run_case

FILE = Path(__file__).with_name("adaptive.yaml")


def under_the_baseline(text: str) -> Bundle:
    """The baseline with other cases."""
    files = [file for file in read_files(baseline.FOLDER) if not file.path.startswith("cases/")]
    return bundle_of([*files, SourceFile("cases/these.yaml", text)])


BUNDLE = under_the_baseline(FILE.read_text("utf-8"))
CASES = read_cases(BUNDLE)
PARTS = under_the_baseline(FILE.with_name("parts.yaml").read_text("utf-8"))
GRANTS = under_the_baseline(FILE.with_name("grants.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_decided_as_it_should(case: Case) -> None:
    result = run_case(compile_bundle(extended(BUNDLE, case.fixture)), case)
    assert result.passed, "\n".join(failure.message for failure in result.failures)


@pytest.mark.parametrize("case", read_cases(PARTS), ids=lambda case: case.name)
def test_what_is_like_a_named_value_is_not_named(case: Case) -> None:
    result = run_case(compile_bundle(extended(PARTS, case.fixture)), case)
    assert result.passed, "\n".join(failure.message for failure in result.failures)


@pytest.mark.parametrize("case", read_cases(GRANTS), ids=lambda case: case.name)
def test_a_grant_lets_through_what_it_says(case: Case) -> None:
    result = run_case(compile_bundle(extended(GRANTS, case.fixture)), case)
    assert result.passed, "\n".join(failure.message for failure in result.failures)


def test_there_are_attacks_and_honest_work() -> None:
    honest = [case for case in CASES if case.name.endswith("passes")]
    assert len(honest) >= 10 and len(CASES) - len(honest) >= 35
