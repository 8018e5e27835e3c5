"""The cases on the page about provenance hold as they stand there."""

import re
from pathlib import Path

from remit.pap.reading.cases import read_cases
from remit.pap.running import run_cases
from remit.pap.validate import check
from remit.pdp.flow import ORIGINS, ROLES
from tests.attacks.test_attacks import under_the_baseline

PAGE = (Path(__file__).resolve().parents[2] / "docs/provenance.md").read_text("utf-8")


def test_its_cases_hold() -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    bundle = under_the_baseline(text)
    assert [problem for problem in check(bundle) if problem.severity == "error"] == []
    results = list(run_cases(bundle, read_cases(bundle)))
    assert results and [result.failures for result in results if not result.passed] == []


def test_every_origin_and_role_is_on_it() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows == ORIGINS
    assert [role for role in ROLES.values() if f"| {role.value} |" not in PAGE] == []
