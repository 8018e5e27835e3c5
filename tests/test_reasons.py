"""Every reason code is given by something, and something proves that it is."""

from pathlib import Path

import pytest

from remit.model.decision import Reason

ROOT = Path(__file__).parent.parent


def _sources(folder: str) -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml")}


SOURCES, TESTS = _sources("src"), _sources("tests")


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.PERMITTED], ids=str)
def test_every_reason_has_a_producer_and_a_test(reason: Reason) -> None:
    name = f"Reason.{reason.name}"
    assert any(name in text for path, text in SOURCES.items() if path.name != "decision.py"), "nothing gives it"
    assert any(name in text or f"reason: {reason.value}" in text for text in TESTS.values()), "nothing proves it"
