"""`kill -9`, two hundred times, between commit and act, between act and outcome, and anywhere: nothing lost, no act without a permit."""

import json
from collections import Counter
from pathlib import Path

import pytest

from remit.decision_log.sealed import open_sealed
from remit.decision_log.sealing import SealKey
from remit.local.wiring import wall_clock
from remit.model.task import Budgets
from tests.conftest import OpenStore
from tests.faults.processes import python, rest

pytestmark = pytest.mark.disk

KILLS = {"sqlite": 200, "postgresql": 45}
"""To open a store on a server takes longer."""


def test_killed_at_any_moment(open_store: OpenStore, tmp_path: Path, store_kind: str) -> None:
    count = KILLS[store_kind]
    world = open_store(clock=wall_clock)
    task = world.open_task(budgets=Budgets(calls=10**6))
    session = world.open_session(task)
    world.close()
    acts = tmp_path / "acts"
    with python("-m", "tests.faults.killed", str(world.home), session.id, str(acts), str(count)) as killed:
        assert rest(killed) == ["done"]

    after = open_store(again=True, clock=wall_clock)
    key = SealKey(after.store.secret(task.id) or b"")
    permits: dict[str, str] = {}
    for made in after.decisions():
        sealed = open_sealed(made, key)
        assert made.effect == "permit" and sealed is not None
        arguments = json.loads(bytes(sealed.arguments))
        permits[made.id] = f"{arguments['number']}.{arguments['call']}"
    outcomes = {seen.decision: seen.status for seen in after.outcomes()}
    acted = acts.read_text().split()

    assert len(acted) == len(set(acted)), "no call acts twice"
    assert set(acted) <= set(permits.values()), "no act without a durable permit"
    assert len(set(permits.values())) == len(permits), "no permit is given twice for one call"
    assert len(after.outcomes()) == len(outcomes) and outcomes.keys() == permits.keys(), "one outcome for each permit"
    by_status = {
        status: {permits[id_] for id_, other in outcomes.items() if other == status} for status in set(outcomes.values())
    }
    assert set(by_status) == {"succeeded", "unknown"}
    assert by_status["succeeded"] <= set(acted), "what is said to have succeeded was done"
    assert set(permits.values()) - by_status["unknown"] <= set(acted)
    kills = Counter(int(call.split(".")[0]) % 3 for call in by_status["unknown"])
    assert kills[0] == (count + 2) // 3, "every permit that was cut off before its act is unknown"
    assert kills[1] == (count + 1) // 3, "and so is every one that was cut off before its outcome"
    assert {call for call in by_status["unknown"] if int(call.split(".")[0]) % 3 == 1} <= set(acted)
    assert not {call for call in by_status["unknown"] if int(call.split(".")[0]) % 3 == 0} & set(acted)

    stored, state = after.store.task(task.id), after.store.session(session.id)
    assert stored is not None and state is not None
    assert stored.spent.calls == len(permits) == state.calls["look"]
    assert state.pending == {}
    assert after.store.writers() == []
    report = after.verified()
    assert report.open == 0 and report.outcomes == len(permits)
    after.close()
    again = open_store(again=True, clock=wall_clock)
    assert len(again.outcomes()) == len(permits), "told once, and never again"
