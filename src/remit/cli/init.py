"""`remit init`: a store, a policy folder to edit, and the baseline published."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import JsonFlag, say, show_json, store
from remit.inventory.agents import registered
from remit.local.config import home_folder, read_settings, this_operator
from remit.local.policy import publish_folder
from remit.local.wiring import create_store
from remit.model.identity import AgentId
from remit.runtime.administration import change_agent


def init(
    policy: Annotated[Path, typer.Option(help="Where to write the baseline bundle, to be edited and kept.")] = Path("policy"),
    agent: Annotated[str, typer.Option(help="Also register this agent, owned by you.")] = "",
    purpose: Annotated[str, typer.Option(help="What that agent is for.")] = "tried out by its developer",
    json: JsonFlag = False,
) -> None:
    """Make the embedded store, write the baseline bundle as a folder to edit, and publish it. What exists is left as it is."""
    home = home_folder()
    where = "the tables of the database that `store` names" if read_settings(home).store else f"the store in {home}"
    done = [f"made {where}"] if create_store(home) else []
    if not policy.exists():
        write_baseline(policy)
        done.append(f"wrote the baseline bundle to {policy}")
    with store() as embedded:
        if embedded.store.active_bundle() is None:
            published = publish_folder(embedded, policy, this_operator())
            done.append(f"published it as {published.digest[:12]}" if published else "it is published")
        if agent and embedded.store.agent(AgentId(agent)) is None:
            owner = this_operator()
            change_agent(embedded.runtime, agent, lambda known: registered(known, agent, owner.id, purpose, ()), owner).result()
            done.append(f"registered agent {agent}, owned by {owner.id}")
    if json:
        show_json({"home": str(home), "policy": str(policy), "done": done})
        return
    for line in done or ["everything is there already"]:
        say(line)
    if not agent:
        say("next: remit agent register NAME --owner YOU --purpose TEXT")


def write_baseline(folder: Path) -> None:
    """Copy the baseline bundle into a new folder."""
    with as_file(files("remit.pap") / "baseline") as baseline:
        shutil.copytree(baseline, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
