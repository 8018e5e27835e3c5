"""Every bundle among the examples is sound, and its cases hold."""

import pytest

from remit.pap.reading.cases import read_cases
from remit.pap.reading.folder import read_bundle
from remit.pap.running import run_cases
from remit.pap.validate import check
from tests.pap.bundles import ROOT

FOLDERS = sorted(path.parent for path in (ROOT / "examples/bundles").glob("*/bundle.yaml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_it_is_sound_and_its_cases_hold(folder: object) -> None:
    bundle = read_bundle(str(folder))
    assert check(bundle) == ()
    results = list(run_cases(bundle, read_cases(bundle)))
    assert [(result.case.name, result.failures) for result in results if not result.passed] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_every_rule_is_shown_to_stop_something_and_is_in_its_readme(folder: object) -> None:
    bundle = read_bundle(str(folder))
    stopped = {name for case in read_cases(bundle) for step in case.steps for name in step.expect.policies or ()}
    forbids = {policy.id for policy in bundle.policies if policy.effect == "forbid"}
    assert forbids - stopped == set()
    readme = (ROOT / "examples/bundles" / bundle.name / "README.md").read_text("utf-8")
    shown = forbids or {policy.id for policy in bundle.policies}
    assert shown and [name for name in sorted(shown) if f"`{name}`" not in readme] == []
    assert [fact.name for fact in bundle.contents.facts if f"`{fact.name}`" not in readme] == []
