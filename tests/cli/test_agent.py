"""`remit agent`: an agent is stopped, goes on, and ends, from its next decision on."""

import pytest

from remit.model.decision import Reason
from tests.cli.running import error, ok
from tests.runtime.world import World, permit, reason

pytestmark = pytest.mark.sqlite


def test_a_suspended_agent_acts_again_once_it_is_resumed(guarded: World) -> None:
    session = guarded.open_session()
    assert "agent bot is suspended" in ok("agent", "suspend", "bot")
    assert reason(guarded.ask(session, "look")) is Reason.AGENT_INACTIVE
    assert "agent bot is active" in ok("agent", "resume", "bot")
    permit(guarded.ask(session, "look"))


def test_a_retired_agent_is_retired_for_good(guarded: World) -> None:
    session = guarded.open_session()
    assert "agent bot is retired" in ok("agent", "retire", "bot")
    assert reason(guarded.ask(session, "look")) is Reason.AGENT_INACTIVE
    assert "retired" in error("agent", "resume", "bot").message
    assert "retired" in ok("agent", "list"), "its history stays"
