"""`remit kill` and `remit release`: stop an agent, a task, a task type, a tool or everything, at once and in every process."""

import shlex
from collections.abc import Collection
from typing import Annotated

import typer

from remit.cli.output import JsonFlag, say, show_json, show_table, store, when
from remit.local.config import this_operator
from remit.local.wiring import Embedded
from remit.model.errors import malformed, not_found
from remit.model.identity import TaskId
from remit.model.kill import Kill, KillKind
from remit.pap.problems import did_you_mean
from remit.runtime import kills

Name = Annotated[str, typer.Argument(help="Which one: the agent, the task's id, the task type or the tool. Nothing for `all`.")]

NEAR = 200
"""Among so many tasks, the newest, the one that may have been meant is looked for."""


def kill(
    kind: Annotated[KillKind | None, typer.Argument(help="What to stop. Without it, what is stopped now is listed.")] = None,
    name: Name = "",
    why: Annotated[str, typer.Option(help="Why, in words; they stand in the log as they are.")] = "",
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also a name that nobody knows here: it is stopped once it comes.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Stop something now: every process denies it from its next decision on, and takes back permits that were not used yet.

    What an agent or a task delegated is stopped with it. A call that is running already is not interrupted.
    """
    if kind is None:
        if why:
            raise malformed("say what to stop: `remit kill agent|task|task-type|tool|all …`")
        _list(json)
        return
    with store() as embedded:
        if not unknown:
            _check_known(embedded, kind, name)
        made = kills.kill(embedded.runtime, kind, name, why, this_operator()).result()
    if json:
        show_json(made)
    else:
        say(f"stopped {made}; lift it with `remit release {_words(made)} --why …`")


def _check_known(embedded: Embedded, kind: KillKind, name: str) -> None:
    """Raises `RemitError` (not-found) for a name that nothing has: in an emergency a mistyped one would stop nothing, and say it did."""
    if not name or any(known.kind is kind and known.name == name for known in embedded.store.kills()):
        return
    with embedded.runtime.view.lock:
        embedded.runtime.view.refresh()
        bundle = embedded.runtime.view.bundle
    known: Collection[str] = ()
    match kind:
        case KillKind.ALL:
            return
        case KillKind.AGENT:
            known, where = [agent.id for agent in embedded.store.agents()], "is registered"
        case KillKind.TASK:
            if embedded.store.task(TaskId(name)) is not None:
                return
            known, where = [state.task.id for state in embedded.store.tasks(NEAR)], "is in this store"
        case KillKind.TASK_TYPE:
            known, where = bundle.task_types if bundle else (), "is in the published bundle"
        case KillKind.TOOL:
            reported = {definition.tool for definition in embedded.store.definitions()}
            known, where = reported | set(bundle.tools if bundle else ()), "is in the published catalogue"
    if name not in known:
        hint = did_you_mean(name, known)
        said = f"no {kind.value} `{name}` {where}" + (f": {hint}" if hint else "")
        raise not_found(f"{said} (`--unknown` stops the name all the same)")


def release(
    kind: Annotated[KillKind, typer.Argument(help="What to release.")],
    name: Name = "",
    why: Annotated[str, typer.Option(help="Why, in words; they stand in the log as they are.")] = "",
    json: JsonFlag = False,
) -> None:
    """Lift a kill: policy decides again. Nothing that was denied meanwhile is made up for."""
    with store() as embedded:
        kills.release(embedded.runtime, kind, name, why, this_operator()).result()
        left = embedded.store.kills()
    if json:
        show_json(left)
    else:
        say(f"released {'everything' if kind is KillKind.ALL else f'{kind.value} `{name}`'}; {len(left)} still stopped")


def _list(json: bool) -> None:
    with store() as embedded:
        found = embedded.store.kills()
    if json:
        show_json(found)
        return
    rows = [(kill.kind.value, kill.name, when(kill.at), kill.operator, kill.why) for kill in found]
    show_table(("what", "name", "since", "by", "why"), rows, "nothing is stopped")


def _words(made: Kill) -> str:
    return f"{made.kind.value} {shlex.quote(made.name)}" if made.name else made.kind.value
