"""Stores in which something of every kind has happened, and their backups."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from remit.local.backup.checking import Trusted, check, rebuild
from remit.local.backup.ending import Ended, Ending
from remit.local.backup.making import Made, create
from remit.local.backup.restoring import Restored, Wanted, restore
from remit.model.break_glass import Stage, Verdict
from remit.model.identity import ApprovalId, DecisionId, Operator
from remit.model.kill import KillKind
from remit.model.task import Session, Task
from remit.runtime import kills, tasks
from remit.runtime.administration import erase
from remit.runtime.approving import answering
from remit.runtime.emergency import break_glass
from tests.conftest import OpenStore
from tests.runtime.world import ANA, BEN, CARL, World, permit, small_bundle

BUNDLE = small_bundle(
    tools="""
- {name: look, annotations: {effect: read, reach: internal, sensitivity: public, output_trusted: true}}
- {name: read, annotations: {effect: read, reach: internal}}
- {name: pay, annotations: {effect: spend, reach: external, destinations: [to], sensitivity: public, output_trusted: true}}
- {name: note, annotations: {effect: write, reach: internal, sensitivity: public, output_trusted: true, content: [text], memory: notes}}
- {name: recall, annotations: {effect: read, reach: internal, sensitivity: public, output_trusted: true, memory: notes}}
""",
    manifest="name: small\ntask_free: ['tool.call look', 'tool.call pay']\n",
)
"""The small bundle with a memory, and a call that asks for an approval without any task."""


class Lived(NamedTuple):
    """What happened: a task that is open, one that was closed and erased, approvals that were given and not used (with and without a
    task), a request that nobody answered, and a permit that nobody reported."""

    world: World
    session: Session
    task: Task
    erased: Task
    approved: ApprovalId
    free: ApprovalId
    pending: ApprovalId
    unreported: DecisionId


def live(open_store: OpenStore, name: str = "store") -> Lived:
    """Open a store, and do something of every kind."""
    world = open_store(name, bundle=BUNDLE)
    task = world.open_task()
    session = world.open_session(task)
    for tool, said in (("look", "it is there"), ("read", "from elsewhere"), ("note", "noted")):
        world.perform(session, tool, said, {"text": "x"} if tool == "note" else None)
    erased = world.open_task("is over")
    world.perform(world.open_session(erased), "read", "nobody is to know")
    tasks.close_task(world.runtime, erased.id, "ana").result()
    erase(world.runtime, erased.id, ANA).result()
    kills.kill(world.runtime, KillKind.TOOL, "gone", "it went astray", ANA).result()
    approved, free = (_approved(world, asking, to) for asking, to in ((session, "a"), (None, "b")))
    pending = world.ask(session, "pay", {"to": "c"}).approval
    assert pending is not None
    asking = break_glass.EmergencyRequest("the desk is down", "INC-7", agent="bot", tools=("pay",), minutes=10)
    for last in (Verdict.JUSTIFIED, Stage.OPEN, Stage.ASKED):
        glass = break_glass.ask(world.runtime, asking, ANA).result()
        if last is not Stage.ASKED:
            break_glass.confirm(world.runtime, glass.id, CARL).result()
        if last is Verdict.JUSTIFIED:
            break_glass.end(world.runtime, glass.id, BEN).result()
            break_glass.review(world.runtime, glass.id, Operator("dora", "os"), last, "as needed").result()
    return Lived(world, session, task, erased, approved, free, pending, permit(world.ask(session, "look")).id)


def _approved(world: World, session: Session | None, to: str) -> ApprovalId:
    approval = world.ask(session, "pay", {"to": to}).approval
    assert approval is not None
    answering.resolve(world.runtime, approval, CARL, True, "fine").result()
    return approval


def made(world: World, folder: Path, with_keys: bool = True) -> Made:
    """A backup of a store."""
    return create(world.embedded, folder, with_keys, BEN, lambda done, total: None)


def verified(folder: Path, key: str | None = None, head: str | None = None) -> Ended:
    """What verifying a backup says; raises what it raises."""
    with TemporaryDirectory() as scratch:
        found = check(folder, Trusted(key, (head,) if head is not None else ()), Path(scratch) / "backup")
        return rebuild(found, Ending(found.manifest, found.known, CARL, 0), Path(scratch) / "made.db")


def put_back(home: Path, folder: Path, now: int, **wanted: Any) -> Restored:
    """Restore a backup."""
    return restore(home, folder, Wanted(**wanted), CARL, lambda: now)
