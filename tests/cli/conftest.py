"""The command line reads the wall clock, so these tests begin now."""

import pytest

from remit.local.wiring import wall_clock
from tests.runtime.world import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still at the time when the test began."""
    return Clock(wall_clock())
