"""`remit approval watch` and `stats`: the inbox as it changes, and how it is answered."""

import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table

from remit.cli.card import needed
from remit.cli.changes import LOOKED, Changes
from remit.cli.inboxes import LOOKING, Afar, Beside, Inbox, inbox, written
from remit.cli.output import JsonFlag, counted, one_line, out, plain, say, show_json, show_list, store, warn, when
from remit.cli.seen import Seen, seen_in
from remit.decision_log.encoding import decode
from remit.decision_log.entry import Entry
from remit.local.webhooks.messages import event_of
from remit.local.wiring import Embedded
from remit.model.clock import MINUTE, SECOND
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId, TaskId
from remit.reviews.fatigue import Habit, fatigue
from remit.runtime.approving.approvals import is_over
from remit.runtime.approving.inbox import card, cards
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
    with inbox() as at:
        ticks = _ticks(at, every, until)
        if isinstance(at, Afar):
            at.seconds = LOOKING
        if out.is_terminal:
            _shown(at, ticks)
        elif isinstance(at, Afar):
            _compared(at, ticks)
        else:
            _told(at.embedded, ticks)


def _ticks(at: Beside | Afar, every: float, until: float | None) -> Iterator[None]:
    """Once at first, and whenever it is time to look again. A server looks after what is overdue itself."""
    while True:
        if isinstance(at, Beside):
            sweep(at.embedded.runtime).result()
        yield
        if until is not None and time.monotonic() >= until:
            return
        time.sleep(every)


class _Gone:
    """Since when a server has not answered: it is asked on, as long as it may be there again."""

    def __init__(self, at: Inbox) -> None:
        self._at = at
        self._last = 0
        self.words = ""

    def answered(self) -> None:
        """It did."""
        self._last, self.words = self._at.now(), ""

    def is_borne(self, error: RemitError) -> bool:
        """Whether to go on: a server that answered before has gone away. Who is refused, and a store that fails, is told so."""
        if not self._last or error.kind is not ErrorKind.UNAVAILABLE or not isinstance(self._at, Afar):
            return False
        self.words = f"no answer since {when(self._last)} UTC, trying on: {error.message}"
        return True


def _shown(at: Inbox, ticks: Iterator[None]) -> None:
    found, gone = list[Seen](), _Gone(at)
    with Live(console=out, auto_refresh=False) as live:
        for _ in ticks:
            try:
                found = [seen_in(one) for one in at.listed(_SHOWN, False)]
                gone.answered()
            except RemitError as error:
                if not gone.is_borne(error):
                    raise
            live.update(_screen(found, at.now(), gone.words), refresh=True)


def _screen(found: list[Seen], now: int, gone: str) -> RenderableType:
    table = _table(found, now)
    return Group(plain(f"{gone}\nas it was then:"), table) if gone else table


def _table(found: list[Seen], now: int) -> Table:
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
        tool = one.tool + (f" (1 of {one.alike})" if one.alike > 1 else "") + (", escalated" if one.escalated else "")
        cells = (one.id, one.agent, tool, needed(one), f"{max(0, one.expires - now) // MINUTE} min")
        table.add_row(*[plain(one_line(cell)) for cell in cells])
    return table


def _told(embedded: Embedded, ticks: Iterator[None]) -> None:
    size = embedded.store.log.size()
    for one in reversed(cards(embedded.runtime, _SHOWN)):
        _line("waiting", written(one))
    for _ in ticks:
        end = embedded.store.log.size()
        for index, line in enumerate(embedded.store.log.lines(size, end), size):
            event = event_of(body := decode(index, line).body) if line.startswith(_OURS) else ""
            found = embedded.store.approval(ApprovalId(body.id)) if event else None  # type: ignore[union-attr]
            if found is not None:
                _line(event, written(card(embedded.runtime, found)))
        size = end


def _compared(at: Afar, ticks: Iterator[None]) -> None:
    """What has changed from look to look: whoever may answer need not be one who may read the log."""
    changes, gone = Changes(), _Gone(at)
    for _ in ticks:
        try:
            told = list(changes.since(at))
        except RemitError as error:
            known = gone.words
            if not gone.is_borne(error):
                raise
            if not known:
                warn(gone.words)
            continue
        if gone.words:
            warn("the server answers again")
        gone.answered()
        if changes.missed:
            warn(f"{LOOKED} requests are newer than one that was watched: what becomes of that one is not told")
        for event, one in told:
            _line(event, one)


def _line(event: str, one: msgspec.Raw) -> None:
    text = bytes(one).replace(b"\n", b" ").replace(b"\r", b" ")  # in JSON they stand between values alone
    typer.echo(b'{"event":"%s",%s' % (event.encode(), text[1:]))


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
