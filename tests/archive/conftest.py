"""Archives of small segments, so that a test has several of them."""

import pytest

from remit.decision_log import archive
from remit.decision_log.verify import archive as verified
from remit.local import archiving, head
from tests.archive.building import SMALL


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 256 entries, for writer and verifier alike."""
    for module in (archive, head, archiving, verified):
        monkeypatch.setattr(module, "SEGMENT", SMALL)
