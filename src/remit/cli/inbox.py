"""`remit approval watch` and `stats`: the inbox as it changes, and how it is answered."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer
from rich.live import Live
from rich.table import Table

from remit.cli.card import needed
from remit.cli.output import JsonFlag, counted, out, plain, say, show_json, show_list, store
from remit.decision_log.encoding import decode
from remit.decision_log.entry import Entry
from remit.local.webhooks.messages import event_of
from remit.local.wiring import Embedded
from remit.model.clock import MINUTE, SECOND
from remit.model.identity import ApprovalId, TaskId
from remit.reviews.fatigue import Habit, fatigue
from remit.runtime.approving.approvals import is_over
from remit.runtime.approving.inbox import Card, as_plain, card, cards
from remit.runtime.approving.overdue import sweep

_OURS = b'{"kind":"approval'
_SHOWN = 50
_DAY = 86_400


def watch(
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds; without it, never.")] = None,
    every: Annotated[float, typer.Option(min=0.05, help="Look every so many seconds.")] = 1.0,
) -> None:
    """Show what waits as it changes. In a pipe, one JSON line for each event, after one for each request that waits already."""
    until = None if seconds is None else time.monotonic() + seconds
    with store() as embedded:
        (_shown if out.is_terminal else _told)(embedded, _ticks(embedded, every, until))


def _ticks(embedded: Embedded, every: float, until: float | None) -> Iterator[None]:
    """Once at first, and whenever it is time to look again."""
    while True:
        sweep(embedded.runtime).result()
        yield
        if until is not None and time.monotonic() >= until:
            return
        time.sleep(every)


def _shown(embedded: Embedded, ticks: Iterator[None]) -> None:
    with Live(console=out, auto_refresh=False) as live:
        for _ in ticks:
            live.update(_table(cards(embedded.runtime, _SHOWN), embedded.runtime.clock()), refresh=True)


def _table(found: list[Card], now: int) -> Table:
    table = Table(
        box=None,
        pad_edge=False,
        title=f"{'answer with `remit approval approve ID` or `deny ID`' if found else 'nothing waits'}; leave with Ctrl-C",
        title_justify="left",
    )
    for column in ("request", "agent", "tool", "needs", "left"):
        # The first is there to be copied: the others give way, the agent's name first.
        table.add_column(column, overflow="ellipsis", no_wrap=column != "agent", min_width=36 if column == "request" else None)
    for one in found:
        approval = one.approval
        tool = approval.tool + (f" (1 of {one.alike})" if one.alike > 1 else "") + (", escalated" if approval.escalated else "")
        cells = (approval.id, approval.agent, tool, needed(approval), f"{max(0, approval.expires - now) // MINUTE} min")
        table.add_row(*[plain(cell) for cell in cells])
    return table


def _told(embedded: Embedded, ticks: Iterator[None]) -> None:
    size = embedded.store.log.size()
    for one in reversed(cards(embedded.runtime, _SHOWN)):
        _line("waiting", one)
    for _ in ticks:
        end = embedded.store.log.size()
        for index, line in enumerate(embedded.store.log.lines(size, end), size):
            event = event_of(body := decode(index, line).body) if line.startswith(_OURS) else ""
            found = embedded.store.approval(ApprovalId(body.id)) if event else None  # type: ignore[union-attr]
            if found is not None:
                _line(event, card(embedded.runtime, found))
        size = end


def _line(event: str, seen: Card) -> None:
    told: dict[str, Any] = {"event": event, **as_plain(seen)}
    typer.echo(msgspec.json.encode(told))


def stats(
    days: Annotated[int, typer.Option(min=1, help="Of the requests that were opened in so many days.")] = 30,
    json: JsonFlag = False,
) -> None:
    """Say how access requests are answered: how fast, how many, in bulk, with yes; each approver and all together."""
    with store() as embedded:
        now = embedded.runtime.clock()
        over = lambda task: is_over(embedded.runtime, TaskId(task) if task else None)  # noqa: E731
        found = fatigue(_entries(embedded), now, now - days * _DAY * SECOND, over)
    if json:
        show_json(msgspec.to_builtins(found))
        return
    say(f"{counted(found.requests, 'request')} in {days} days: {found.unanswered} never answered, {found.waiting} wait")
    rows = [(name, *_row(habit)) for name, habit in found.approvers.items()]
    rows += [("all", *_row(found.overall))] if found.overall is not None else []
    columns = ("approver", "answers", "approved", "median", "90 %", "most in an hour", "in bulk")
    short = [(name, answers, approved, middle) for name, answers, approved, middle, *_ in rows]
    show_list((columns, rows), (columns[:4], short), "nobody has answered any")


def _entries(embedded: Embedded) -> Iterator[Entry]:
    for index, line in enumerate(embedded.store.log.lines()):
        if line.startswith(_OURS):
            yield decode(index, line)


def _row(habit: Habit) -> tuple[str, ...]:
    median, slow = f"{habit.median_seconds:.0f} s", f"{habit.p90_seconds:.0f} s"
    return str(habit.answers), f"{habit.share_approved:.0%}", median, slow, str(habit.busiest_hour), str(habit.in_bulk)
