"""`remit approval`: what waits for a person, and the answers."""

from typing import Annotated

import typer

from remit.cli.card import panel, readable
from remit.cli.output import JsonFlag, asked, out, say, show_json, show_list, store, when
from remit.local.config import this_operator
from remit.model.authorizer import ApprovalState
from remit.model.errors import not_found
from remit.model.identity import ApprovalId
from remit.model.request import SESSION_DECLASSIFY
from remit.runtime.answering import resolve
from remit.runtime.approvals import Shown
from remit.runtime.inbox import as_plain, card, cards
from remit.runtime.store import Approval

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The access request's id (`apr_…`).")]
Why = Annotated[str, typer.Option(help="Why, for the record.")]


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
    rows = [(one.approval, one.shown, one.state) for one in found]
    table = [
        (a.id, state, a.agent, _what(a, s), _arguments(s), a.rule.value, when(a.expires), s.why if s else "(erased)")
        for a, s, state in rows
    ]
    columns = ("request", "state", "agent", "tool or action", "arguments", "needs", "expires (UTC)", "why")
    short = [(a.id, a.agent, _what(a, s), a.rule.value if state == ApprovalState.PENDING else state) for a, s, state in rows]
    narrow = ("request", "agent", "tool or action", "needs")
    show_list((columns, table), (narrow, short), "nothing waits for an approval")
    if out.is_terminal and any(state == ApprovalState.PENDING for _, _, state in rows):
        say("look at one with `remit approval show ID`; answer it with `remit approval approve ID` or `remit approval deny ID`")


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
    json: JsonFlag = False,
) -> None:
    """Approve one exact action, once. The agent may then make exactly that call again."""
    _answer(approval, True, why, json, flow)


@app.command("deny")
def deny(approval: Id, why: Why = "", json: JsonFlag = False) -> None:
    """Deny an access request."""
    _answer(approval, False, why, json)


def _answer(approval: str, grant: bool, why: str, json: bool, flow: bool = False) -> None:
    with store() as embedded:
        answered = resolve(embedded.runtime, ApprovalId(approval), this_operator(), grant, why, flow).result()
        seen = card(embedded.runtime, answered)
    shown = seen.shown
    if json:
        show_json(as_plain(seen))
    else:
        say(f"{answered.state.value} {answered.id}: {_what(answered, shown)} for agent {answered.agent}")
        for offer in shown.offers if flow and shown else ():
            say(f"granted for the rest of the task: {offer.flow}")


def _what(approval: Approval, shown: Shown | None) -> str:
    """The tool, or the action and what it is for; never a session's id, which says nothing to a person."""
    if shown is not None:
        return asked(shown.action, approval.tool)
    return SESSION_DECLASSIFY if approval.tool.startswith("ses_") else approval.tool


def _arguments(shown: Shown | None) -> str:
    return readable(shown) if shown else "(erased)"
