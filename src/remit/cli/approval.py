"""`remit approval`: what waits for a person, and the answers."""

from typing import Annotated

import typer

from remit.cli.call import write
from remit.cli.card import needed, often, panel
from remit.cli.inbox import stats, watch
from remit.cli.inboxes import inbox
from remit.cli.output import JsonFlag, asked, one_line, out, say, show_list, when
from remit.cli.seen import Seen, seen_in
from remit.model.errors import RemitError
from remit.model.flow import MAX_USES
from remit.model.request import SESSION_DECLASSIFY
from remit.runtime.approving.misreading import readable

app = typer.Typer(no_args_is_help=True)
app.command("watch")(watch)
app.command("stats")(stats)
Id = Annotated[str, typer.Argument(help="The access request's id (`apr_…`).")]
Why = Annotated[str, typer.Option(help="Why, for the record.")]
WhyNot = Annotated[str, typer.Option("--why", help="Why: the agent is told, and it is on record.")]


@app.command("list")
def list_(
    all_: Annotated[
        bool, typer.Option("--all", help="Also those that were answered, have expired, or whose task is closed.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    json: JsonFlag = False,
) -> None:
    """List what waits for an answer."""
    with inbox(json) as at:
        listed = at.listed(limit, all_)
    if json:
        write(b"[%s]" % b",".join(map(bytes, listed)))
        return
    found = [seen_in(one) for one in listed]
    place = {name: number for number, name in enumerate(dict.fromkeys(one.group for one in found))}
    found.sort(key=lambda one: place[one.group])  # what one task asks of one tool stands together, the newest group first
    wide = [_what(one) + (f" (1 of {one.alike})" if one.alike > 1 else "") for one in found]
    table = [
        _cells(
            *(one.id, _where(one), one.agent, what, readable(one.shown) if one.shown else "(erased)"),
            *(needed(one), when(one.expires), one.shown.why if one.shown else "(erased)"),
        )
        for one, what in zip(found, wide, strict=True)
    ]
    columns = ("request", "state", "agent", "tool or action", "arguments", "needs", "expires (UTC)", "why")
    short = [
        _cells(one.id, one.agent, what, needed(one) if one.waits else _where(one)) for one, what in zip(found, wide, strict=True)
    ]
    narrow = ("request", "agent", "tool or action", "needs")
    show_list((columns, table), (narrow, short), "nothing waits for an approval")
    if out.is_terminal and any(one.waits for one in found):
        say("look at one with `remit approval show ID`; answer it with `remit approval approve ID` or `remit approval deny ID`")


def _cells(*texts: str) -> tuple[str, ...]:
    """A row that stays one."""
    return tuple(map(one_line, texts))


def _where(seen: Seen) -> str:
    """Where it stands, and what of that its state does not say."""
    if seen.lapsed:
        return f"{seen.state}, counts not"
    return f"{seen.state}, escalated" if seen.waits and seen.escalated else seen.state


@app.command("show")
def show(approval: Id, json: JsonFlag = False) -> None:
    """Show one access request: who, for whom, what exactly, and where the values came from."""
    with inbox(json) as at:
        found = at.one(approval)
    if json:
        write(bytes(found))
        return
    seen = seen_in(found)
    if not seen.rule:  # all that a server tells its agent
        say(one_line(": ".join(filter(None, (seen.id, _where(seen), seen.lapsed, seen.why)))))
        return
    out.print(panel(seen))
    if seen.waits:
        say(f"answer it with `remit approval approve {seen.id}` or `remit approval deny {seen.id}`")


@app.command("approve")
def approve(
    approval: Id,
    why: Why = "",
    flow: Annotated[
        bool, typer.Option("--flow", help="Grant the data flows that `show` lists, too, for the rest of the task.")
    ] = False,
    times: Annotated[
        int | None, typer.Option(min=1, max=MAX_USES, help="With --flow: so many more calls may use each, and no further one.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Approve one exact action, once. The agent may then make exactly that call again."""
    _answer(approval, True, why, json, flow, times)


@app.command("deny")
def deny(approval: Id, why: WhyNot = "", json: JsonFlag = False) -> None:
    """Deny an access request."""
    _answer(approval, False, why, json)


def _answer(approval: str, grant: bool, why: str, json: bool, flow: bool = False, times: int | None = None) -> None:
    with inbox(json, change=True) as at:
        answered = at.answered(approval, grant, why, flow, times)
    if json:
        write(bytes(answered))
        return
    try:
        seen = seen_in(answered)
    except RemitError as error:
        raise RemitError(error.kind, f"the answer was taken, and what became of it cannot be shown: {error.message}") from None
    say(one_line(f"{_told(seen)} {seen.id}: {_what(seen)} for agent {seen.agent}"))
    uses = min((uses for uses in seen.flows_by.values() if uses is not None), default=None)
    for granted in seen.granted:
        say(one_line(f"granted {often(uses)}: {granted}"))


def _told(seen: Seen) -> str:
    if seen.waits:
        return f"approved by {len(seen.approved_by)} of {seen.people}, another person must approve"
    return seen.state


def _what(seen: Seen) -> str:
    """The tool, or the action and what it is for; never a session's id, which says nothing to a person."""
    if seen.shown is not None:
        return asked(seen.shown.action, seen.tool or seen.shown.resource)
    return SESSION_DECLASSIFY if seen.tool.startswith("ses_") else seen.tool
