"""The card of an access request: everything its approver should see before answering."""

from rich.panel import Panel
from rich.table import Table

from remit.cli.output import one_line, plain, when
from remit.cli.seen import Seen
from remit.pdp.offering import Offer
from remit.runtime.approving.approvals import purposes
from remit.runtime.approving.misreading import readable
from remit.runtime.approving.wording import because, came


def panel(seen: Seen) -> Panel:
    """An access request as its approver should see it."""
    shown, said = seen.shown, seen.submitted
    if shown is None:
        return Panel(plain("its task's data was erased"), title=plain(one_line(seen.id)))
    values = [came(steering) for steering in shown.steering]
    untrusted = f"untrusted: {', '.join(shown.label.sources)}" if shown.label.sources else "nothing untrusted"
    words = bytes(said.says).decode() if said else "{}"
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
        *[("look closely" if not n else "", mark) for n, mark in enumerate(seen.look_closely)],
        ("session", f"has touched {shown.label.confidentiality.value} data, {untrusted}"),
        ("before", ", ".join(f"{name} ×{n}" for name, n in shown.before.items()) or "nothing"),
        *([(f"{said.by} says", f"{words} (nobody checked this)")] if said and words != "{}" else []),
        *[("may grant" if not n else "", _offer(offer)) for n, offer in enumerate(shown.offers)],
        *([("alike", f"{seen.alike} of this task wait for {seen.tool}")] if seen.alike > 1 else []),
        *([("escalated", f"{when(seen.escalated)} UTC, to {', '.join(seen.told) or 'whoever looks'}")] if seen.escalated else []),
        *([("answered", f"by {seen.resolver}" + (f": {seen.why}" if seen.why else ""))] if seen.resolver else []),
        *([("COUNTS NOT", f"this approval lifts nothing now: {seen.lapsed}")] if seen.lapsed else []),
        ("needs", f"{needed(seen)} until {when(seen.expires)} UTC; covers this one call, once"),
    ]
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")  # what is approved is shown to its last character
    for row in rows:
        # On one line each: arguments must not be able to write lines of their own into what the approver reads.
        grid.add_row(*[plain(one_line(text)) for text in row])
    title = plain(one_line(f"{seen.id} · {seen.state}"))
    return Panel(grid, title=title, title_align="left", border_style="yellow")


def needed(seen: Seen) -> str:
    """Who must approve, and who has."""
    said = {name: f", with its flows {often(uses)}" for name, uses in seen.flows_by.items()}
    by = ", ".join(name + said.get(name, "") for name in seen.approved_by)
    return f"{seen.rule} (approved by {by})" if by else seen.rule


def often(uses: int | None) -> str:
    """How long a data flow is granted for, in words."""
    if uses is None:
        return "for the rest of the task"
    return f"to {uses} calls more" if uses > 1 else "to one call more"


def _offer(offer: Offer) -> str:
    others = f" (also lets through {', '.join(offer.others)})" if offer.others else ""
    return f"with --flow, for the rest of the task (or --times N calls): {offer.flow}{others}"
