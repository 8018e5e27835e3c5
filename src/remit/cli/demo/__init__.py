"""`remit demo`: an agent does honest work, meets an injected instruction, is stopped; the record convinces a stranger."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel

from remit.cli.card import panel
from remit.cli.demo import narration
from remit.cli.demo.story import FIRST, HELD, PURPOSE, play
from remit.cli.demo.world import World
from remit.cli.inboxes import written
from remit.cli.seen import seen_in
from remit.decision_log.verify import verify_export
from remit.inventory.agents import registered
from remit.local.config import HOME_VARIABLE, this_operator
from remit.local.entering import open_default, task
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded, create_store
from remit.model.errors import refused
from remit.model.identity import AgentId, ApprovalId
from remit.runtime.administration import change_agent
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.inbox import card

AGENT = AgentId("payables-bot")
DEMO_BUNDLE = "accounts-payable"


def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: deny what was injected, approve what is honest.")] = False,
) -> None:
    """Watch an agent being guarded: honest work, an injection that is stopped, an approval, and the record of it all.

    Uses a store of its own in a temporary folder; with REMIT_HOME set, the store stays there.
    """
    started, kept = time.monotonic(), bool(os.environ.get(HOME_VARIABLE))
    with _home() as home, tempfile.TemporaryDirectory(prefix="remit-demo-") as folder:
        with closing(_prepare(home)) as embedded, closing(World(Path(folder))) as world:
            _play(world, embedded, Path(folder), yes)
        narration.ending(time.monotonic() - started, home if kept else None)


def _play(world: World, embedded: Embedded, folder: Path, yes: bool) -> None:
    narration.opening(PURPOSE, AGENT, this_operator().id)
    with task(PURPOSE, agent=AGENT, type="pay-invoice") as entered:
        assert entered.task is not None
        for move in FIRST:
            narration.move(play(world, move))
        _held(world, embedded, yes)
    narration.balance(world)
    narration.timeline(embedded, entered.task)
    _prove(embedded, folder)


@contextmanager
def _home() -> Iterator[Path]:
    """The folder of the store: REMIT_HOME, where it stays, or a temporary one."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        yield Path(named).absolute()
        return
    with tempfile.TemporaryDirectory(prefix="remit-demo-store-") as folder:
        os.environ[HOME_VARIABLE] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ[HOME_VARIABLE]


def _prepare(home: Path) -> Embedded:
    """A store with the demonstration's bundle and agent; one that has them already is used again."""
    create_store(home)
    embedded = open_default()
    active = embedded.runtime.view.bundle if embedded.runtime.view.refresh() >= 0 else None
    if active is not None and active.name != DEMO_BUNDLE:
        embedded.close()
        raise refused(
            f"the store in `{home}` has a bundle of yours (`{active.name}`): give the demonstration an empty REMIT_HOME"
        )
    with tempfile.TemporaryDirectory() as scratch:
        publish_folder(embedded, demo_bundle(Path(scratch)), this_operator())
    if embedded.store.agent(AGENT) is None:
        change_agent(
            embedded.runtime, AGENT, lambda known: registered(known, AGENT, "dana", "pays open invoices", ()), this_operator()
        ).result()
    return embedded


def demo_bundle(scratch: Path) -> Path:
    """The demonstration's bundle as a folder: the baseline's policies, and its own tools and task types."""
    folder = scratch / "bundle"
    with as_file(files("remit.pap") / "baseline") as baseline:
        shutil.copytree(baseline / "policies", folder / "policies")
    with as_file(files("remit.cli.demo") / "bundle") as own:
        shutil.copytree(own, folder, dirs_exist_ok=True)
    return folder


def _held(world: World, embedded: Embedded, yes: bool) -> None:
    """What untrusted data steered goes to a person; once approved, the agent makes exactly that call again."""
    first = play(world, HELD)
    narration.move(first)
    if first.denied is None or first.denied.decision.approval is None:
        return
    asked = first.denied.decision.approval
    granted = narration.ask(_what(embedded, asked), yes)
    resolve(embedded.runtime, asked, this_operator(), granted, "asked at the terminal").result()
    if granted:
        narration.move(play(world, HELD))


def _what(embedded: Embedded, asked: ApprovalId) -> Panel:
    approval = embedded.store.approval(asked)
    assert approval is not None
    return panel(seen_in(written(card(embedded.runtime, approval))))


def _prove(embedded: Embedded, folder: Path) -> None:
    """Export and verify the log; then turn one denial of a copy into a permit and verify that."""
    export = folder / "log.export"
    embedded.head.export(export, overwrite=True)
    narration.verified(verify_export(export, embedded.head.vkey))
    tampered = folder / "tampered.export"
    tampered.write_bytes(export.read_bytes().replace(b'"effect":"deny"', b'"effect":"permit"', 1))
    narration.tampered(verify_export(tampered, embedded.head.vkey))
