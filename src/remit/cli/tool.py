"""`remit tool`: the definitions of tools that nobody pinned, as they were first used, and what their servers say now."""

from typing import Annotated, Any

import msgspec
import typer

from remit.cli.output import JsonFlag, say, show_json, show_table, store, store_to_change, when
from remit.cli.pinning import show_changes
from remit.local.config import this_operator
from remit.local.wiring import Embedded
from remit.model.characters import hidden
from remit.model.definition import KnownDefinition, changes_in
from remit.model.errors import malformed, not_found
from remit.runtime.definitions import approve as approve_definition

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The tool's name.")]
Upstream = Annotated[str | None, typer.Option(help="Which server's, if several have a tool of that name.")]


@app.command("list")
def list_(json: JsonFlag = False) -> None:
    """List the tools whose definition was seen first here, and those whose server says something else now."""
    with store() as embedded:
        found = embedded.store.definitions()
    if json:
        show_json([_as_json(known) for known in found])
        return
    rows = [
        (known.tool, known.upstream or "-", known.digest[:12], when(known.since), known.operator or "first use", _waits(known))
        for known in found
    ]
    columns = ("tool", "server", "definition", "since (UTC)", "by", "waits")
    show_table(columns, rows, "no door has reported the definition of a tool that is not pinned")


@app.command("show")
def show(tool: Name, upstream: Upstream = None, json: JsonFlag = False) -> None:
    """Show what a tool was when it was first used or approved, and where what its server says now differs."""
    with store() as embedded:
        known = _find(embedded, tool, upstream)
    if json:
        show_json(_as_json(known))
        return
    by = f"approved by {known.operator}: {known.why}" if known.operator else f"first used by {known.decision}"
    say(f"{known.tool} of {known.upstream or 'this process'}: {known.digest}, since {when(known.since)}, {by}")
    for unseen in _hidden(known.text):
        say(f"  hidden: {unseen}", "red")
    if not known.offered:
        say("its server says nothing else")
        return
    say(f"now: {known.offered}, since {when(known.offered_at)}; its calls are denied", "red")
    for unseen in _hidden(known.offered_text):
        say(f"  hidden: {unseen}", "red")
    found = changes_in(known.text, known.offered_text)
    if found is None:
        say("  what changed is not known here: the door reported a digest alone")
    show_changes(found or ())
    say(
        f"approve it with `remit tool approve {known.tool} {known.offered[:12]} --why …`, or stop the tool with `remit kill tool`"
    )


@app.command("approve")
def approve(
    tool: Name,
    digest: Annotated[str, typer.Argument(help="The definition, by its digest: 12 digits at least, as `show` has it.")],
    why: Annotated[str, typer.Option(help="Why, in words; they stand in the log as they are.")] = "",
    upstream: Upstream = None,
    json: JsonFlag = False,
) -> None:
    """Let a tool's new definition count from now on, in every process."""
    with store_to_change() as embedded:
        known = _find(embedded, tool, upstream)
        made = approve_definition(embedded.runtime, known, digest, why, this_operator()).result()
    if json:
        show_json(_as_json(made))
    else:
        say(f"{made.tool} counts as {made.digest[:12]} from now on")


def _find(embedded: Embedded, tool: str, upstream: str | None) -> KnownDefinition:
    found = [known for known in embedded.store.definitions() if known.tool == tool and upstream in (None, known.upstream)]
    if not found:
        raise not_found(f"no door has reported a definition of tool `{tool}`: see `remit tool list`")
    if len(found) > 1:
        servers = ", ".join(f"`{known.upstream}`" for known in found)
        raise malformed(f"several servers have a tool `{tool}`: name one with `--upstream` ({servers})")
    return found[0]


def _waits(known: KnownDefinition) -> str:
    return f"{known.offered[:12]} since {when(known.offered_at)}" if known.offered else "-"


def _hidden(text: bytes) -> list[str]:
    try:
        return list(hidden(msgspec.json.decode(text))) if text else []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _as_json(known: KnownDefinition) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(known)
    for name in ("text", "offered_text"):
        row[name] = getattr(known, name).decode("utf-8", "replace")
    row["changes"] = msgspec.to_builtins(changes_in(known.text, known.offered_text))
    row["hidden"] = _hidden(known.offered_text)
    return row
