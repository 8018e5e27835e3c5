"""Workers that are killed at random under load: what callers were told is what the log says. And that the comparison would find it out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.chaos.checking import AMOUNT, AMOUNTS, UNWRITTEN, Recorded, faults
from benchmarks.chaos.running import Plan, held
from benchmarks.chaos.told import Answered, Told
from remit.decision_log.entry import DecisionMade, OutcomeSeen
from tests.postgres import Server


def test_nothing_is_lost_double_or_unrecorded_while_workers_are_killed(server: Server, tmp_path: Path) -> None:
    database = server.database()
    plan = Plan(seconds=8, workers=3, between=(0.7, 2.5), callers=8, calls=12, least=200)
    report, found = held(plan, tmp_path, server.url(database))
    server.give_back(database)
    assert found == []
    figures = {figure.name: figure.value or 0 for figure in report.figures}
    assert figures["workers killed"] >= 3
    for name, least in (
        ("decisions told", 200),
        ("permits said to stand", 20),
        ("reports said to be recorded", 20),
        ("approvals given", 1),
        ("budgets used up", 2),
        ("requests sent more than once under a key", 5),
    ):
        assert figures[name] >= least, name


def made(name: str, effect: str = "permit", approval: str | None = None, resource: str = "spend") -> DecisionMade:
    ids = {"id": name, "task": "t", "chain": ("t",), "session": "s", "resource": resource, "approval": approval}
    whole = {"effect": effect, "reason": "permitted" if effect == "permit" else "policy-denied", **ids}
    counts = {"at": 1, "subject_version": 1, "session_version": 1, "slice_size": 1, "enforced": True}
    texts = (
        "tier",
        "subject",
        "action",
        "resource_type",
        "upstream",
        "definition",
        "bundle",
        "requestable",
        "label",
        "arguments",
    )
    lists = ("policies", "obligations", "sources")
    return DecisionMade(**whole, **counts, **dict.fromkeys(texts, ""), **dict.fromkeys(lists, ()), sealed=b"")


def seen(name: str, status: str = "succeeded") -> OutcomeSeen:
    return OutcomeSeen(name, status, "s", "t", "public", (), "", 0, b"")


@pytest.fixture
def both() -> tuple[Told, Recorded]:
    """What was told, and a log that says the same: a permit that was used, one that rests on an approval, a denial, and one more."""
    told, recorded = Told(), Recorded([])
    told.tasks["t"] = AMOUNTS, 2 * AMOUNT
    told.approved["a"] = True
    for one in (made("d1"), made("d2", approval="a", resource="pay"), made("d3", "deny")):
        recorded.decisions.append(one)
        told.decided(one.id, Answered(one.effect == "permit", one.reason, "s"))
    recorded.decisions.append(made("d4"))
    told.missed("s")
    told.decided("dn", Answered(False, UNWRITTEN, "s"))
    told.stood("d1")
    told.reported["d1"] = "succeeded"
    told.exhausted.add("t")
    recorded.outcomes += [seen("d1"), seen("d2", "unknown"), seen("d4", "not-performed")]
    recorded.tasks["t"] = recorded.approved["a"] = 1
    return told, recorded


def test_what_is_told_and_logged_alike_has_no_faults(both: tuple[Told, Recorded]) -> None:
    assert faults(*both) == []


FAULTS: dict[str, Callable[[Told, Recorded], object]] = {
    "told (permitted) and is not": lambda told, log: told.decided("d9", Answered(True, "permitted", "s")),
    "told (store-unavailable) and is not": lambda told, log: told.decided("d9", Answered(True, UNWRITTEN, "s")),
    "in the log 2 times": lambda told, log: log.decisions.append(log.decisions[2]),
    "told as": lambda told, log: log.decisions.__setitem__(2, made("d3")),
    "nobody was told": lambda told, log: told.lost.clear(),
    "said to stand 2 times": lambda told, log: told.stood("d1"),
    "is no permit": lambda told, log: told.stood("d3"),
    "has 0 outcomes": lambda told, log: log.outcomes.pop(),
    "has 2 outcomes": lambda told, log: log.outcomes.append(seen("d1")),
    "reported as": lambda told, log: log.outcomes.__setitem__(0, seen("d1", "unknown")),
    "says that it was not": lambda told, log: told.stood("d4"),
    "opened 0 times": lambda told, log: log.tasks.clear(),
    "opened 2 times": lambda told, log: log.tasks.update(["t"]),
    f"spent {2 * AMOUNT} of": lambda told, log: told.tasks.update(t=(AMOUNTS, 2 * AMOUNT - 1)),
    "nothing left": lambda told, log: told.tasks.update(t=(AMOUNTS, 3 * AMOUNT)),
    "used 2 times": lambda told, log: log.decisions.append(made("d5", approval="a", resource="pay")),
    "never given": lambda told, log: log.approved.clear(),
    "the log has it 0 times": lambda told, log: told.approved.update(b=False),
    "nobody who came": lambda told, log: log.decisions.__setitem__(1, made("d2", resource="pay")),
}


@pytest.mark.parametrize("said", FAULTS)
def test_each_fault_is_found(both: tuple[Told, Recorded], said: str) -> None:
    FAULTS[said](*both)
    assert any(said in fault for fault in faults(*both)), faults(*both)
