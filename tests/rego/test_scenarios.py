"""The scenario cases with their policies in Rego: in this process, and asked of a real OPA server; every door decides as in Cedar."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from remit.local.wiring import ask_outside
from remit.model.request import TOOL_CALL
from remit.pap.cases import Case
from remit.pap.contents import Bundle
from remit.pap.reading.cases import read_cases
from remit.pap.reading.folder import read_bundle
from remit.pap.rego.served import opa_bundle
from remit.pap.running import run_cases
from tests.conftest import StoreUrl
from tests.opa import served
from tests.rego.bundles import SCENARIOS, accounts, regopy
from tests.scenarios.test_doors import play, same_everywhere, through_evaluate, through_guard

CASES = [case for case in read_cases(read_bundle(SCENARIOS)) if same_everywhere(case.task)]
TOOLS_ONLY = [case for case in CASES if all(step.action == TOOL_CALL for step in case.steps)]


@pytest.fixture(scope="module", params=["regopy", "opa"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """The accounts bundle in Rego, evaluated here or by a server that loaded what `remit policy opa` writes."""
    regopy()
    if request.param == "regopy":
        yield accounts()
        return
    file = tmp_path_factory.mktemp("opa") / "bundle.tar.gz"
    file.write_bytes(opa_bundle(accounts()))
    with served("--bundle", str(file)) as server:
        yield accounts(opa={"url": server.url, "seconds": 10})


def test_every_case_is_decided_as_in_cedar(bundle: Bundle) -> None:
    cases = read_cases(bundle)
    assert len(cases) >= 40
    failed = [(result.case.name, result.failures) for result in run_cases(bundle, cases, ask_outside) if not result.passed]
    assert failed == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_through_the_authorizer(tmp_path: Path, bundle: Bundle, case: Case, store_url: StoreUrl) -> None:
    played = play(tmp_path, bundle, case, through_evaluate)
    assert played.answers == played.expected


@pytest.mark.parametrize("case", TOOLS_ONLY, ids=lambda case: case.name)
@pytest.mark.sqlite
def test_through_the_guard(tmp_path: Path, bundle: Bundle, case: Case, store_url: StoreUrl) -> None:
    played = play(tmp_path, bundle, case, through_guard)
    assert played.answers == played.expected
