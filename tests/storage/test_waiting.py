"""The access requests that wait, found among all that were ever answered."""

import sqlite3

import pytest

from remit.model.authorizer import ApprovalState
from remit.model.identity import ApprovalId
from tests.runtime.world import World


@pytest.mark.sqlite
def test_those_that_wait_are_found_without_a_look_at_those_that_were_answered(world: World) -> None:
    """These stay for ever, and each process asks every few seconds."""
    asked: list[tuple[str, tuple[object, ...]]] = []
    rows = world.store._rows
    world.store._rows = lambda query, *values: asked.append((query, values)) or rows(query, *values)
    world.store.waiting_before(ApprovalId("apr_2"))
    world.store.approvals(ApprovalState.PENDING, 10, ApprovalId("apr_2"))
    assert len(asked) == 2
    store = sqlite3.connect(world.home / "remit.db")
    for query, values in asked:
        [row] = store.execute(f"EXPLAIN QUERY PLAN {query}", values)
        assert "approvals_state (state=? AND id<?)" in row[3], row[3]
    store.close()
