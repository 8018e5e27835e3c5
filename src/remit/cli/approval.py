"""`remit approval`: what waits for a person, and the answers."""

from typing import Annotated, Any

import msgspec
import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from remit.cli.output import JsonFlag, out, plain, say, show_json, show_table, store, when
from remit.local.config import this_operator
from remit.local.wiring import Embedded
from remit.model.authorizer import ApprovalState
from remit.model.errors import not_found
from remit.model.identity import ApprovalId
from remit.model.values import thaw
from remit.pdp.offering import Offer
from remit.runtime.approvals import Shown, resolve, shown_to_approver
from remit.runtime.store import Approval

app = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The access request's id (`apr_…`).")]
Why = Annotated[str, typer.Option(help="Why, for the record.")]


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that were answered.")] = False,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 50,
    json: JsonFlag = False,
) -> None:
    """List what waits for an answer."""
    with store() as embedded:
        found = embedded.store.approvals(None if all_ else ApprovalState.PENDING, limit)
        now = embedded.runtime.clock()
        rows = [(approval, _shown(embedded, approval), _state(approval, now)) for approval in found]
    if json:
        show_json([_as_json(*row) for row in rows])
        return
    table = [
        (a.id, state, a.agent, a.tool, _arguments(s), a.rule.value, when(a.expires), s.why if s else "(erased)")
        for a, s, state in rows
    ]
    columns = ("request", "state", "agent", "tool", "arguments", "needs", "expires (UTC)", "why")
    show_table(columns, table, "nothing waits for an approval")


@app.command("show")
def show(approval: Id, json: JsonFlag = False) -> None:
    """Show one access request: who, for whom, what exactly, and where the values came from."""
    with store() as embedded:
        found = embedded.store.approval(ApprovalId(approval))
        if found is None:
            raise not_found(f"there is no access request `{approval}`: see `remit approval list`")
        shown, state = _shown(embedded, found), _state(found, embedded.runtime.clock())
    show_json(_as_json(found, shown, state)) if json else out.print(panel(found, shown, state))


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
        shown = _shown(embedded, answered)
    if json:
        show_json(_as_json(answered, shown, answered.state.value))
    else:
        say(f"{answered.state.value} {answered.id}: {answered.tool} for agent {answered.agent}")
        for offer in shown.offers if flow and shown else ():
            say(f"granted for the rest of the task: {offer.flow}")


def _shown(embedded: Embedded, approval: Approval) -> Shown | None:
    with embedded.runtime.view.lock:
        embedded.runtime.view.refresh()
        return shown_to_approver(approval, embedded.runtime.view.key(approval.task))


def _state(approval: Approval, now: int) -> str:
    expired = approval.state in (ApprovalState.PENDING, ApprovalState.APPROVED) and now >= approval.expires
    return ApprovalState.EXPIRED.value if expired else approval.state.value


def _arguments(shown: Shown | None) -> str:
    return _readable(shown) if shown else "(erased)"


def _readable(shown: Shown) -> str:
    """The arguments as they were passed."""
    return msgspec.json.encode(thaw(bytes(shown.arguments)).values).decode()


def _as_json(approval: Approval, shown: Shown | None, state: str) -> dict[str, Any]:
    return {
        "id": approval.id,
        "state": state,
        "decision": approval.decision,
        "task": approval.task,
        "agent": approval.agent,
        "rule": approval.rule,
        "opened": approval.opened,
        "expires": approval.expires,
        "resolver": approval.resolver,
        "shown": msgspec.to_builtins(shown, builtin_types=(msgspec.Raw,)) if shown else None,
    }


def panel(approval: Approval, shown: Shown | None, state: str) -> Panel:
    """An access request as its approver should see it."""
    if shown is None:
        return Panel(plain("its task's data was erased"), title=approval.id)
    values = [f"`{s.argument}` = `{s.value}` comes from {told(s.origin, s.source)}" for s in shown.steering]
    untrusted = f"untrusted: {', '.join(shown.label.sources)}" if shown.label.sources else "nothing untrusted"
    rows = [
        ("agent", f"{shown.agent}, for {shown.on_behalf_of or '-'}"),
        ("purpose", shown.purpose or "(no task)"),
        ("wants", f"{shown.action} {shown.resource}"),
        ("arguments", _readable(shown)),
        ("because", shown.why),
        *[("", value) for value in values],
        ("session", f"has touched {shown.label.confidentiality.value} data, {untrusted}"),
        ("before", ", ".join(f"{name} ×{n}" for name, n in shown.before.items()) or "nothing"),
        *[("may grant" if not n else "", _offer(offer)) for n, offer in enumerate(shown.offers)],
        ("needs", f"{approval.rule.value} until {when(approval.expires)} UTC; covers this one call, once"),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, text in rows:
        # On one line each: arguments must not be able to write lines of their own into what the approver reads.
        grid.add_row(Text(name, "dim"), plain(text.replace("\n", "\\n")))
    return Panel(grid, title=f"{approval.id} · {state}", title_align="left", border_style="yellow")


def told(origin: str, source: str) -> str:
    """Where a value came from, in words for who has to answer."""
    words = {
        "intent": "the task's own words",
        "directory": "the directory of known principals",
        "trusted": f"trusted output of {source}",
        "granted": f"{source}, as a data-flow grant allows",
        "named": f"a record of {source} that the task names",
        "record": f"a record of {source} that the task does not name",
        "linked": f"the only link in UNTRUSTED output of {source}",
        "document": f"{source}, a document that the task names and anybody may have written",
        "untrusted": f"UNTRUSTED output of {source or 'a tool'}",
        "nowhere": "nowhere that was seen: the agent composed it",
    }
    return words[origin]


def _offer(offer: Offer) -> str:
    others = ", ".join(offer.others)
    return f"with --flow, for the rest of the task: {offer.flow}" + (f" (also lets through {others})" if others else "")
