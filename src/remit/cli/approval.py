"""`remit approval`: what waits for a person, and the answers."""

from typing import Annotated

import typer

from remit.cli.card import needed, often, panel
from remit.cli.inbox import stats, watch
from remit.cli.output import JsonFlag, asked, out, say, show_json, show_list, store, store_to_change, when
from remit.local.config import this_operator
from remit.model.authorizer import ApprovalState
from remit.model.errors import not_found
from remit.model.flow import MAX_USES, flow_grant
from remit.model.identity import ApprovalId
from remit.model.request import SESSION_DECLASSIFY
from remit.runtime.approving.answering import as_granted, resolve
from remit.runtime.approving.approvals import Shown
from remit.runtime.approving.inbox import Card, as_plain, card, cards, group
from remit.runtime.approving.misreading import readable
from remit.runtime.store import Approval

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
    with store() as embedded:
        found = cards(embedded.runtime, limit, all_)
    if json:
        show_json([as_plain(one) for one in found])
        return
    place = {name: number for number, name in enumerate(dict.fromkeys(group(one.approval) for one in found))}
    found.sort(
        key=lambda one: place[group(one.approval)]
    )  # what one task asks of one tool stands together, the newest group first
    rows = [(one.approval, one.shown, _where(one)) for one in found]
    wide = [_what(one.approval, one.shown) + (f" (1 of {one.alike})" if one.alike > 1 else "") for one in found]
    table = [
        (a.id, state, a.agent, what, _arguments(s), needed(a), when(a.expires), s.why if s else "(erased)")
        for (a, s, state), what in zip(rows, wide, strict=True)
    ]
    columns = ("request", "state", "agent", "tool or action", "arguments", "needs", "expires (UTC)", "why")
    short = [
        (one.approval.id, one.approval.agent, what, needed(one.approval) if one.waits else _where(one))
        for one, what in zip(found, wide, strict=True)
    ]
    narrow = ("request", "agent", "tool or action", "needs")
    show_list((columns, table), (narrow, short), "nothing waits for an approval")
    if out.is_terminal and any(one.waits for one in found):
        say("look at one with `remit approval show ID`; answer it with `remit approval approve ID` or `remit approval deny ID`")


def _where(seen: Card) -> str:
    """Where it stands, and what of that its state does not say."""
    if seen.lapse is not None:
        return f"{seen.state}, counts not"
    return f"{seen.state}, escalated" if seen.waits and seen.approval.escalated else seen.state


@app.command("show")
def show(approval: Id, json: JsonFlag = False) -> None:
    """Show one access request: who, for whom, what exactly, and where the values came from."""
    with store() as embedded:
        found = embedded.store.approval(ApprovalId(approval))
        if found is None:
            raise not_found(f"there is no access request `{approval}`: see `remit approval list`")
        seen = card(embedded.runtime, found)
    if json:
        show_json(as_plain(seen))
        return
    out.print(panel(seen))
    if seen.waits:
        say(f"answer it with `remit approval approve {found.id}` or `remit approval deny {found.id}`")


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
    with store_to_change() as embedded:
        answered = resolve(embedded.runtime, ApprovalId(approval), this_operator(), grant, why, flow, times).result()
        seen = card(embedded.runtime, answered)
    shown = seen.shown
    if json:
        show_json(as_plain(seen))
    else:
        say(f"{_told(answered)} {answered.id}: {_what(answered, shown)} for agent {answered.agent}")
        for granted in as_granted(answered, [offer.flow for offer in shown.offers]) if shown else ():
            say(f"granted {often(flow_grant(granted).uses)}: {granted}")


def _told(answered: Approval) -> str:
    if answered.state is ApprovalState.PENDING:
        return f"approved by {len(answered.given)} of {answered.rule.people}, another person must approve"
    return answered.state.value


def _what(approval: Approval, shown: Shown | None) -> str:
    """The tool, or the action and what it is for; never a session's id, which says nothing to a person."""
    if shown is not None:
        return asked(shown.action, approval.tool)
    return SESSION_DECLASSIFY if approval.tool.startswith("ses_") else approval.tool


def _arguments(shown: Shown | None) -> str:
    return readable(shown) if shown else "(erased)"
