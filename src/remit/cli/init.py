"""`remit init`: a store, a policy folder to edit, and the baseline published."""

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import JsonFlag, say, show_json, store_to_change
from remit.inventory.agents import registered
from remit.local.config import home_folder, read_settings, this_operator
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded, create_store, has_store
from remit.model.errors import ErrorKind, RemitError, malformed, unavailable
from remit.model.identity import AgentId
from remit.pap.reading.folder import read_bundle
from remit.runtime.administration import change_agent

ATTEMPTS = 5
"""So often is something tried again that somebody else changed meanwhile."""


def init(
    policy: Annotated[Path, typer.Option(help="Where to write the baseline bundle, to be edited and kept.")] = Path("policy"),
    agent: Annotated[str, typer.Option(help="Also register this agent, owned by you.")] = "",
    purpose: Annotated[str, typer.Option(help="What that agent is for.")] = "tried out by its developer",
    json: JsonFlag = False,
) -> None:
    """Make the embedded store, write the baseline bundle as a folder to edit, and publish it. What exists is left as it is."""
    home = home_folder()
    settings = read_settings(home)
    _check_policy(policy, read=not has_store(home, settings))
    where = "the tables of the database that `store` names" if settings.store else f"the store in {home}"
    made = create_store(home)
    done = [f"made {where}"] if made else []
    if made:
        _keep_out_of_git(home)
    if not policy.exists() and write_baseline(policy):
        done.append(f"wrote the baseline bundle to {policy}")
    with store_to_change() as embedded:
        if published := _once(lambda: embedded.store.active_bundle() is not None, lambda: _publish(embedded, policy)):
            done.append(published)
        if agent and (entered := _once(lambda: _knows(embedded, agent), lambda: _register(embedded, agent, purpose))):
            done.append(entered)
    if json:
        show_json({"home": str(home), "policy": str(policy), "done": done})
        return
    for line in done or ["everything is there already"]:
        say(line)
    if not agent:
        say("next: remit agent register NAME --owner YOU --purpose TEXT")


def _keep_out_of_git(home: Path) -> None:
    """Whoever commits the folder that they work in commits neither the log's key nor what agents did."""
    try:
        with (home / ".gitignore").open("x") as file:
            file.write("*\n")
    except OSError as error:
        if not isinstance(error, FileExistsError):
            raise unavailable(f"`{home}` cannot be written ({error.strerror}): check its permissions") from None


def _check_policy(folder: Path, read: bool) -> None:
    """Raises `RemitError` (malformed) where nothing can be published from: before a store is made."""
    if folder.is_dir():
        if read:
            read_bundle(folder)
    elif folder.exists() or folder.is_symlink():
        raise malformed(f"`{folder}` is no folder: remove it, or name another with `--policy`")


def _once(is_done: Callable[[], bool], act: Callable[[], str]) -> str:
    """What was done, nothing where it is done already: by whoever runs this at the same time, too."""
    for _ in range(ATTEMPTS):
        if is_done():
            return ""
        try:
            return act()
        except RemitError as error:
            if error.kind is not ErrorKind.CONFLICT:
                raise
    return act()


def _publish(embedded: Embedded, policy: Path) -> str:
    published = publish_folder(embedded, policy, this_operator())
    return f"published it as {published.digest[:12]}" if published else ""


def _knows(embedded: Embedded, agent: str) -> bool:
    return embedded.store.agent(AgentId(agent)) is not None


def _register(embedded: Embedded, agent: str, purpose: str) -> str:
    owner = this_operator()
    change_agent(embedded.runtime, agent, lambda known: registered(known, agent, owner.id, purpose, ()), owner).result()
    return f"registered agent {agent}, owned by {owner.id}"


def write_baseline(folder: Path) -> bool:
    """Copy the baseline bundle into a new folder, whole or not at all; whether it was written: False where it is there by now.

    Raises `RemitError` (unavailable) where it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            with as_file(files("remit.pap") / "baseline") as baseline:
                copy = shutil.copytree(baseline, Path(scratch) / "copy", ignore=shutil.ignore_patterns("__pycache__", "*.py"))
            os.rename(copy, folder)
        return True
    except OSError as error:
        if folder.is_dir():
            return False
        raise unavailable(
            f"the baseline bundle cannot be written to `{folder}` ({error.strerror}): name another folder"
        ) from None
