"""The card of an access request: everything its approver should see before answering."""

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from remit.cli.output import plain, when
from remit.model.decision import Steering
from remit.pdp.offering import Offer
from remit.pdp.provenance.origins import STEERED
from remit.runtime.approving.approvals import Shown, purposes
from remit.runtime.approving.inbox import Card
from remit.runtime.approving.misreading import marks, readable
from remit.runtime.store import Approval

NOT_SEEN = "a call whose output nobody reported, or that was too much to search"
"""Where a value may come from of which nobody knows that it came from untrusted output; policies treat it as if it did."""


def panel(seen: Card) -> Panel:
    """An access request as its approver should see it."""
    approval, shown, said = seen.approval, seen.shown, seen.said
    if shown is None:
        return Panel(plain("its task's data was erased"), title=approval.id)
    values = [f"`{s.argument}` = `{s.value}` {_comes(s)} from {told(s.origin, s.source)}" for s in shown.steering]
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
        ("because", shown.why + _unless_unseen(shown)),
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


def _comes(steering: Steering) -> str:
    return "may come" if steering.origin == STEERED and not steering.source else "comes"


def _unless_unseen(shown: Shown) -> str:
    """What qualifies the words of a policy, which cannot tell untrusted text from what nobody reported or searched."""
    untrusted = [one for one in shown.steering if one.origin == STEERED]
    unseen = untrusted and not any(one.source for one in untrusted)
    return " (or may have: what a call returned was not reported, or not searched)" if unseen else ""


def needed(approval: Approval) -> str:
    """Who must approve, and who has."""
    by = ", ".join(one.operator + (f", with its flows {often(one.uses)}" if one.flows else "") for one in approval.given)
    return f"{approval.rule.value} (approved by {by})" if by else approval.rule.value


def often(uses: int | None) -> str:
    """How long a data flow is granted for, in words."""
    if uses is None:
        return "for the rest of the task"
    return f"to {uses} calls more" if uses > 1 else "to one call more"


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
        "untrusted": f"UNTRUSTED output of {source}" if source else NOT_SEEN,
        "nowhere": "nowhere that was seen: the agent composed it",
    }
    return words[origin]


def _offer(offer: Offer) -> str:
    others = f" (also lets through {', '.join(offer.others)})" if offer.others else ""
    return f"with --flow, for the rest of the task (or --times N calls): {offer.flow}{others}"
