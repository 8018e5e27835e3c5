"""The page about chains of calls: its policies, in either language, decide its cases as it says."""

import re

import pytest

from remit.pap.contents import Bundle, SourceFile
from remit.pap.rates import RateEntry
from remit.pap.reading.cases import read_cases
from remit.pap.reading.folder import bundle_of
from remit.pap.running import run_cases
from remit.pap.validate import check
from remit.pdp.history import HISTORY
from tests.attacks.test_attacks import under_the_baseline
from tests.pap.bundles import ROOT
from tests.rego.bundles import regopy

PAGE = (ROOT / "docs/history.md").read_text("utf-8")


def example(language: str) -> str:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found[0]


def bundle_in(language: str) -> Bundle:
    """The example policies of one language, with the tools of the cases as its catalogue."""
    tools, cases = re.fullmatch(r"tools:\n(.*?)cases:\n(.*)", example("yaml"), re.DOTALL).groups()  # type: ignore[union-attr]
    texts = {
        "bundle.yaml": "name: chains\n",
        f"policies/chains.{language}": example(language),
        "tools.yaml": re.sub("^  ", "", tools, flags=re.MULTILINE),
        "cases/chains.yaml": cases,
    }
    return bundle_of([SourceFile(path, text) for path, text in texts.items()])


@pytest.mark.parametrize("language", ["cedar", "rego"])
def test_its_cases_hold(language: str) -> None:
    if language == "rego":
        regopy()
    bundle = bundle_in(language)
    assert [problem for problem in check(bundle) if problem.severity == "error"] == []
    results = list(run_cases(bundle, read_cases(bundle)))
    assert len(results) == 7
    assert [failure.message for result in results for failure in result.failures] == []


@pytest.mark.parametrize(("heading", "cases"), [("First use", 3), ("Memories", 2)])
def test_its_cases_under_the_baseline_hold(heading: str, cases: int) -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```", PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0], re.MULTILINE | re.DOTALL)
    bundle = under_the_baseline(text)
    assert [problem for problem in check(bundle) if problem.severity == "error"] == []
    results = list(run_cases(bundle, read_cases(bundle)))
    assert len(results) == cases
    assert [failure.message for result in results for failure in result.failures] == []


def test_every_fact_is_on_it() -> None:
    assert re.findall(r"^\| `context\.task\.history\.(\w+)` \|", PAGE, re.MULTILINE) == list(HISTORY)


def test_every_field_of_a_rate_is_on_it() -> None:
    rates = PAGE.split("## Rates")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", rates, re.MULTILINE)) == sorted(RateEntry.__struct_fields__)


def test_nothing_is_sent_where_nobody_reads_it() -> None:
    """What policies do not read costs nothing, and is not on record."""
    bundle = bundle_in("cedar")
    quiet = bundle_of(
        [
            SourceFile("policies/all.cedar", "permit (principal, action, resource) when { context has task };")
            if file.path.endswith(".cedar")
            else file
            for file in bundle.files
            if not file.path.startswith("cases/")
        ]
    )
    [case] = [case for case in read_cases(bundle) if "three posts" in case.name]
    [result] = run_cases(quiet, [case])
    assert {decision.basis.read for decision in result.decisions} == {b'{"task":{}}'}
