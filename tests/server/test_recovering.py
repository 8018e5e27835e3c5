"""What a process left open that has died is settled by those that serve, without anybody starting."""

import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from remit.local.wiring import wall_clock
from remit.model.decision import Permit
from remit.model.errors import unavailable
from remit.server import recovering
from remit.storage.sqlite.writers import Writers
from tests.conftest import OpenStore
from tests.runtime.world import AGENT, World
from tests.server.serving import serving
from tests.server.test_workers import until

_DIES = """
import os, signal, sys
from pathlib import Path
from remit.local.config import Settings
from remit.local.wiring import Embedded
from remit.model.identity import EntityRef, SessionId, TaskId
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.values import freeze
home, url, agent, task, session, tool = sys.argv[1:]
embedded = Embedded(Path(home), Settings(store=url))
asked = EvaluationRequest(EntityRef("Agent", agent), TOOL_CALL, EntityRef("Tool", tool), freeze({}), TaskId(task), SessionId(session))
print(embedded.evaluate(asked).result().id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def left_by_the_dead(world: World) -> str:
    session = world.open_session()
    names = (str(world.home), world.url or "", AGENT, str(session.task), session.id, "look")
    died = subprocess.run([sys.executable, "-c", _DIES, *names], capture_output=True, text=True, timeout=60, check=False)
    decision = died.stdout.strip()
    assert decision.startswith("dec_") and died.returncode == -9, died.stderr
    return decision


def test_permits_of_the_dead_are_settled_and_those_of_the_living_are_not(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovering, "SECONDS", 0.1)
    world, other = open_store("store", clock=wall_clock), open_store("store", again=True, clock=wall_clock)
    living = other.ask(other.open_session(), "look")
    assert isinstance(living, Permit)
    decision = left_by_the_dead(world)
    looked, gone = 0, world.store.gone

    def failing_first() -> list[str]:
        nonlocal looked
        looked += 1
        if looked < 4:
            raise unavailable("the store is away for a moment")
        return gone()

    monkeypatch.setattr(world.store, "gone", failing_first)
    with serving(world.embedded):
        until(lambda: [one.status for one in world.outcomes() if one.decision == decision] == ["unknown"])
        assert looked >= 5, "twice in a row"
        assert not [one for one in world.outcomes() if one.decision == living.id]
    assert other.embedded.may_act(living.id)


@pytest.mark.postgresql
def test_who_was_away_with_the_store_gets_the_time_to_come_back(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovering, "SECONDS", 0.05)
    world, other = open_store("store", clock=wall_clock), open_store("store", again=True, clock=wall_clock)
    living = other.ask(other.open_session(), "look")
    assert isinstance(living, Permit)
    [writer] = world.store.writers()
    seen: list[list[str] | None] = [[writer], None, [writer], None, [writer], [], [writer], []]
    left = list(seen)

    def gone() -> list[str]:
        found = left.pop(0) if left else []
        if found is None:
            raise unavailable("the store is away for a moment")
        return found

    monkeypatch.setattr(world.store, "gone", gone)
    with serving(world.embedded):
        until(lambda: not left)
    assert not world.outcomes() and other.embedded.may_act(living.id)


@pytest.mark.sqlite
def test_who_begins_is_never_taken_for_dead(tmp_path: Path) -> None:
    beginning, looking, over = Writers(tmp_path / "writers"), Writers(tmp_path / "writers"), Event()
    names = [f"wri_{number}" for number in range(400)]

    def look() -> None:
        while not over.is_set():
            looking.gone([])

    others = Thread(target=look)
    others.start()
    try:
        for name in names:
            beginning.hold(name)
    finally:
        over.set()
        others.join()
    assert looking.gone(names) == []
    beginning.close()
    assert looking.gone(names[:3]) == names[:3]
