"""`remit break-glass`: what two people open for an agent in an incident, against policy, and its review."""

from typing import Annotated

import typer

from remit.cli.output import JsonFlag, counted, say, show_json, show_list, store, store_to_change, when
from remit.local.config import this_operator
from remit.local.wiring import Embedded
from remit.model.break_glass import MOST_MINUTES, BreakGlass, Stage, Verdict
from remit.model.errors import not_found
from remit.model.identity import BreakGlassId, TaskId
from remit.runtime.emergency import break_glass
from remit.runtime.emergency.overview import BreakGlassSeen, BreakGlassTold, emergencies, seen, status, told

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="Its id (`brg_…`).")]
SECOND = 1_000_000


@app.command("ask")
def ask(
    reason: Annotated[str, typer.Option(help="Why, in words; they stand in the log as they are.")],
    incident: Annotated[str, typer.Option(help="The incident it belongs to: a ticket, a call.")],
    agent: Annotated[str, typer.Option(help="The agent that it is for, in all its tasks.")] = "",
    task: Annotated[str, typer.Option(help="The one task that it is for, instead.")] = "",
    tool: Annotated[
        list[str] | None, typer.Option(help="A tool that it may call: its name, or `group:NAME`; may be repeated.")
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option(help="Resources of other actions: `*` is any text, `folder/` all in it; may be repeated.")
    ] = None,
    minutes: Annotated[
        int | None, typer.Option(min=1, max=MOST_MINUTES, help="How long; as long as the bundle lets, if left out.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Ask that policy does not keep an agent from something. Nothing is open before another person confirms it."""
    what = agent, TaskId(task) if task else None, tuple(tool or ()), tuple(resource or ()), minutes
    with store_to_change() as embedded:
        made = break_glass.ask(embedded.runtime, break_glass.EmergencyRequest(reason, incident, *what), this_operator()).result()
        shown = seen(made, embedded.runtime.clock())
    if json:
        show_json(shown)
    else:
        say(f"asked for {made}: {_what(made)}, for {counted(made.minutes, 'minute')}")
        say(f"nothing is open yet: before {when(made.confirm_by)} UTC somebody else runs `remit break-glass confirm {made.id}`")


@app.command("confirm")
def confirm(glass: Id, json: JsonFlag = False) -> None:
    """Confirm, as another person, what was asked for: it is open from now on, for the minutes that were asked for."""
    with store_to_change() as embedded:
        made = break_glass.confirm(embedded.runtime, BreakGlassId(glass), this_operator()).result()
        shown = seen(made, embedded.runtime.clock())
    if json:
        show_json(shown)
    else:
        say(f"OPEN until {when(made.until)} UTC: {made}, {_what(made)}", "red")
        say(f"end it with `remit break-glass end {made.id}`; afterwards a third person reviews it")


@app.command("end")
def end(
    glass: Id,
    why: Annotated[str, typer.Option(help="Why, in words; they stand in the log as they are.")] = "",
    json: JsonFlag = False,
) -> None:
    """End it now, in every process at its next decision and act; or withdraw it, if nobody has confirmed it."""
    with store_to_change() as embedded:
        made = break_glass.end(embedded.runtime, BreakGlassId(glass), this_operator(), why).result()
        shown = seen(made, embedded.runtime.clock())
    show_json(shown) if json else say(f"{made.stage.value} {made}")


@app.command("review")
def review(
    glass: Id,
    verdict: Annotated[Verdict, typer.Option(help="Whether what was done was called for.")],
    comment: Annotated[str, typer.Option(help="What is to be thought of it, in words.")],
    json: JsonFlag = False,
) -> None:
    """Close the review of one that is over, as somebody who was neither of the two. Look at `show` first."""
    with store_to_change() as embedded:
        made = break_glass.review(embedded.runtime, BreakGlassId(glass), this_operator(), verdict, comment).result()
        shown = told(embedded.runtime, embedded.store.log, made)
    show_json(shown) if json else say(f"reviewed {made}: {verdict.value}, {counted(len(shown.decisions), 'decision')} under it")


@app.command("list")
def list_(
    unreviewed: Annotated[bool, typer.Option("--unreviewed", help="Only those that are over, and whose review is open.")] = False,
    json: JsonFlag = False,
) -> None:
    """List what was asked for, is open, or was, newest first."""
    with store() as embedded:
        found = emergencies(embedded.runtime, [Stage.ENDED] if unreviewed else tuple(Stage))
    if json:
        show_json(found)
        return
    table = [
        (
            one.id,
            _stage(one),
            one.agent,
            _what(one),
            when(one.asked),
            one.asked_by,
            one.confirmed_by or "-",
            one.incident,
            one.reason,
        )
        for one in found
    ]
    columns = ("break-glass", "stage", "agent", "opens", "asked (UTC)", "by", "confirmed by", "incident", "reason")
    narrow = ("break-glass", "agent", "incident", "stage")
    short = [(one.id, one.agent, one.incident, _stage(one)) for one in found]
    show_list((columns, table), (narrow, short), "no review is open" if unreviewed else "nobody has asked for break-glass")


@app.command("show")
def show(glass: Id, json: JsonFlag = False) -> None:
    """Show one of them: who, for what and until when, and the decisions that nothing else permits."""
    with store() as embedded:
        found = embedded.store.break_glass(BreakGlassId(glass))
        if found is None:
            raise not_found(f"there is no break-glass `{glass}`: see `remit break-glass list`")
        shown = told(embedded.runtime, embedded.store.log, found)
    if json:
        show_json(shown)
    else:
        _tell(shown)


@app.command("status")
def status_(json: JsonFlag = False) -> None:
    """Say what is open now, what waits for the second person, and which reviews are open or overdue."""
    with store() as embedded:
        found, now = status(embedded.runtime), embedded.runtime.clock()
    if json:
        show_json(found)
        return
    for one in found.open:
        say(f"OPEN for another {(one.until - now) // SECOND} s: {one}, {_what(one)}", "red")
    for one in found.asked:
        say(f"waits for a second person until {when(one.confirm_by)} UTC: {one}, {_what(one)}")
    if not found.open and not found.asked:
        say("nothing is open, and nothing waits for a second person")
    if found.unreviewed:
        say(f"{counted(len(found.unreviewed), 'review')} open, {found.overdue} overdue: `remit break-glass list --unreviewed`")


def warnings(embedded: Embedded) -> tuple[str, ...]:
    """What whoever looks after a store must know of at once."""
    found, now = status(embedded.runtime), embedded.runtime.clock()
    texts = [f"BREAK-GLASS {one} is open for another {(one.until - now) // SECOND} s: {_what(one)}" for one in found.open]
    if found.overdue:
        texts.append(f"{counted(found.overdue, 'review')} of break-glass overdue: `remit break-glass list --unreviewed`")
    return tuple(texts)


def opened_by(glass: BreakGlass) -> str:
    """Which one it is, who opened it, and why, for people."""
    return f"{glass}, asked for by `{glass.asked_by}`, confirmed by `{glass.confirmed_by}`: {glass.reason}"


def _what(glass: BreakGlass) -> str:
    return ", ".join((*glass.tools, *glass.resources))


def _stage(one: BreakGlassSeen) -> str:
    return "review overdue" if one.overdue else one.verdict.value if one.verdict is not None else one.stage.value


def _tell(shown: BreakGlassTold) -> None:
    say(f"{shown}: {_stage(shown)}")
    rows = [
        ("opens", _what(shown)),
        ("because", shown.reason),
        (
            "asked by",
            f"{shown.asked_by} ({shown.asked_verified_by}) at {when(shown.asked)} UTC, for {counted(shown.minutes, 'minute')}",
        ),
        ("confirmed by", f"{shown.confirmed_by} ({shown.confirmed_verified_by})" if shown.started else ""),
        ("open", f"from {when(shown.started)} to {when(shown.ended or shown.until)} UTC" if shown.started else ""),
        ("ended by", shown.ended_by),
        ("reviewed by", f"{shown.reviewed_by}: {shown.comment}" if shown.reviewed else ""),
    ]
    for name, text in rows:
        if text:
            say(f"  {name:12}  {text}")
    for decision in shown.decisions:
        say(f"  let pass      {decision}")
    if shown.stage is Stage.ENDED:
        say(f"look at each with `remit decision explain`, then `remit break-glass review {shown.id} --verdict … --comment …`")
