"""The card of an access request: everything its approver should see before answering."""

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from remit.cli.output import plain, when
from remit.pdp.offering import Offer
from remit.runtime.approving.approvals import flows_by, purposes
from remit.runtime.approving.inbox import Card
from remit.runtime.approving.misreading import marks, readable
from remit.runtime.approving.wording import because, came
from remit.runtime.store import Approval


def panel(seen: Card) -> Panel:
    """An access request as its approver should see it."""
    approval, shown, said = seen.approval, seen.shown, seen.said
    if shown is None:
        return Panel(plain("its task's data was erased"), title=approval.id)
    values = [came(steering) for steering in shown.steering]
    untrusted = f"untrusted: {', '.join(shown.label.sources)}" if shown.label.sources else "nothing untrusted"
    rows = [
        ("agent", f"{shown.agent}, for {shown.on_behalf_of or '-'}"),
        *purposes(shown),
        ("wants", f"{shown.action} {shown.resource}"),
        ("arguments", readable(shown)),
        *(
            [("executed by", " ".join(filter(None, (shown.upstream, shown.definition[:12]))))]
            if shown.upstream or shown.definition
            else []
        ),
        *([("said with it", bytes(shown.said).decode())] if bytes(shown.said) != b"{}" else []),
        ("because", because(shown)),
        *[("", value) for value in values],
        *[("look closely" if not n else "", mark) for n, mark in enumerate(marks(shown))],
        ("session", f"has touched {shown.label.confidentiality.value} data, {untrusted}"),
        ("before", ", ".join(f"{name} ×{n}" for name, n in shown.before.items()) or "nothing"),
        *([(f"{said.requester} says", f"{said.words} (nobody checked this)")] if said and said.words not in ("", "{}") else []),
        *[("may grant" if not n else "", _offer(offer)) for n, offer in enumerate(shown.offers)],
        *([("alike", f"{seen.alike} of this task wait for {approval.tool}")] if seen.alike > 1 else []),
        *(
            [("escalated", f"{when(approval.escalated)} UTC, to {', '.join(approval.told) or 'whoever looks'}")]
            if approval.escalated
            else []
        ),
        *([("answered", f"by {approval.resolver}" + (f": {seen.why}" if seen.why else ""))] if approval.resolver else []),
        *([("COUNTS NOT", f"this approval lifts nothing now: {seen.lapse.whole}")] if seen.lapse is not None else []),
        ("needs", f"{needed(approval)} until {when(approval.expires)} UTC; covers this one call, once"),
    ]
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")  # what is approved is shown to its last character
    for name, text in rows:
        # On one line each: arguments must not be able to write lines of their own into what the approver reads.
        grid.add_row(Text(name, "dim"), plain(text.replace("\n", "\\n")))
    return Panel(grid, title=f"{approval.id} · {seen.state}", title_align="left", border_style="yellow")


def needed(approval: Approval) -> str:
    """Who must approve, and who has."""
    flows = flows_by(approval)
    said = {name: f", with its flows {often(uses)}" for name, uses in flows.items()}
    by = ", ".join(one.operator + said.get(one.operator, "") for one in approval.given)
    return f"{approval.rule.value} (approved by {by})" if by else approval.rule.value


def often(uses: int | None) -> str:
    """How long a data flow is granted for, in words."""
    if uses is None:
        return "for the rest of the task"
    return f"to {uses} calls more" if uses > 1 else "to one call more"


def _offer(offer: Offer) -> str:
    others = f" (also lets through {', '.join(offer.others)})" if offer.others else ""
    return f"with --flow, for the rest of the task (or --times N calls): {offer.flow}{others}"
