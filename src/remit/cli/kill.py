"""`remit kill` and `remit release`: stop an agent, a task, a task type, a tool or everything, at once and in every process."""

import shlex
from typing import Annotated

import typer

from remit.cli.output import VERB, JsonFlag, say, show_json, show_table, store, store_to_change, when
from remit.local.config import this_operator
from remit.local.killing import check_known
from remit.model.errors import malformed
from remit.model.kill import Kill, KillKind
from remit.runtime import kills

Name = Annotated[str, typer.Argument(help="Which one: the agent, the task's id, the task type or the tool. Nothing for `all`.")]


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
    VERB.set(("kill", kind.value))
    with store_to_change() as embedded:
        if not unknown:
            check_known(embedded, kind, name)
        made = kills.kill(embedded.runtime, kind, name, why, this_operator()).result()
    if json:
        show_json(made)
    else:
        say(f"stopped {made}; lift it with `remit release {_words(made)} --why …`")


def release(
    kind: Annotated[KillKind, typer.Argument(help="What to release.")],
    name: Name = "",
    why: Annotated[str, typer.Option(help="Why, in words; they stand in the log as they are.")] = "",
    json: JsonFlag = False,
) -> None:
    """Lift a kill: policy decides again. Nothing that was denied meanwhile is made up for."""
    VERB.set(("release", kind.value))
    with store_to_change() as embedded:
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
