"""How verbs speak: tables for people, `--json` for programs, errors in one line, documented exit codes."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from remit.cli.over_http import over_http
from remit.local.config import SERVER_VARIABLE, home_folder, read_settings
from remit.local.wiring import Embedded, has_store, no_store
from remit.model.errors import ErrorKind, RemitError
from remit.model.request import SESSION_DECLASSIFY, TOOL_CALL

OK = 0
NOT_SO = 1
"""The answer is no: a case failed, a log does not verify, a check found errors."""
UNUSABLE = 2
"""The command or its input cannot be read."""
UNAVAILABLE = 3
"""The store, disk or another process stood in the way; try again."""
NO_SUCH = 4
"""There is no such thing, or it is no longer as the command expects."""
REFUSED = 5
"""The rules do not allow it for this person."""
CORRUPT = 6
"""Stored data is not what was written."""

EXIT_CODES = {
    ErrorKind.MALFORMED: UNUSABLE,
    ErrorKind.UNAVAILABLE: UNAVAILABLE,
    ErrorKind.NOT_FOUND: NO_SUCH,
    ErrorKind.CONFLICT: NO_SUCH,
    ErrorKind.REFUSED: REFUSED,
    ErrorKind.CORRUPT: CORRUPT,
}

_PIPED = 160
"""Columns to lay panels out for when nobody says how wide the other end is."""


def _columns() -> int | None:
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal() else _PIPED


MAX_ROW = 300
"""Characters of a line in a piped list."""
MAX_CELL = 60
"""Characters of a cell of a list on a terminal."""
Listing = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Columns, and rows of as many cells."""

out = Console(highlight=False, width=_columns())
err = Console(stderr=True, highlight=False)

VERB: ContextVar[tuple[str, ...]] = ContextVar("verb", default=())
"""The words of the verb that is run, as `task`, `list`."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def begun(context: typer.Context) -> None:
    """Notes which verb is run, as far as its words are known: called for the whole, then for its group if it is in one."""
    group = (context.info_name or "",) if context.parent is not None else ()
    VERB.set((*group, context.invoked_subcommand or ""))


def store_folder() -> Path:
    """REMIT_HOME, or `.remit` here. Raises `RemitError` (unavailable) if there is no store in it."""
    home = home_folder()
    settings = read_settings(home)
    if not has_store(home, settings):
        raise no_store(home, settings, over_http(VERB.get()))
    return home


@contextmanager
def store() -> Iterator[Embedded]:
    """The embedded store of REMIT_HOME, closed afterwards. Raises `RemitError` (unavailable) if there is none."""
    home = store_folder()
    embedded = Embedded(home, read_settings(home))
    try:
        yield embedded
    finally:
        embedded.close()


@contextmanager
def store_to_change() -> Iterator[Embedded]:
    """The same, for a verb that changes something: it says so where the guards of this machine may never know of it."""
    with store() as embedded:
        server = os.environ.get(SERVER_VARIABLE)
        if server:
            where = embedded.settings.store or embedded.home
            warn(f"this changes the store `{where}`, and not that of the server `{server}` (REMIT_SERVER), unless they are one")
        yield embedded


def say(text: str, style: str = "") -> None:
    """A line for people; long ones are left to the terminal to wrap, so that they can be copied."""
    out.print(plain(text), style=style, soft_wrap=True)


def warn(text: str) -> None:
    """A warning for people, beside what a program reads."""
    err.print(plain(f"warning: {text}"), style="yellow", soft_wrap=True)


@contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for people while something takes long; it is told how much is done and how much there is."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(doing), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show_json(value: Any) -> None:
    """One JSON document, on one line, for programs."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """A table for people, or what to say if there are no rows."""
    if not rows:
        say(empty)
        return
    if not out.is_terminal and "COLUMNS" not in os.environ:
        for row in (columns, *rows):  # a program, or a person's `grep`, gets one line for each row, whatever its length
            say("  ".join(f"{cell:{max(len(r[n]) for r in (columns, *rows))}}" for n, cell in enumerate(row)).rstrip())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)  # the first names the row: it is there to be copied
    for row in rows:
        table.add_row(*[plain(cell) for cell in row])
    out.print(table)


def show_list(wide: Listing, narrow: Listing, empty: str) -> None:
    """A list that is longer in a pipe than on a terminal: `narrow` for people, every column of `wide` for programs and `grep`."""
    columns, rows = narrow if out.is_terminal else wide
    if not rows or not out.is_terminal:
        show_table(columns, _cut(columns, rows), empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):  # the first is there to be copied, the last to be read: what is between gives way
        table.add_column(column, overflow="ellipsis", no_wrap=number in (0, len(columns) - 1))
    for row in rows:
        table.add_row(*[plain(cut(cell, MAX_CELL)) for cell in row])
    out.print(table)


def _cut(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows, none longer than `MAX_ROW`: the longest cells are cut, and say so."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    room = MAX_ROW - 2 * (len(columns) - 1)
    most = next(most for most in range(room, 0, -1) if sum(min(width, most) for width in widths) <= room)
    return [[cut(cell, most) for cell in row] for row in rows]


def cut(text: str, most: int) -> str:
    """The text, or its beginning and `…` where it has more than so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def asked(action: str, resource: str) -> str:
    """What was asked for, in a list: a tool by its name, else the action and its resource."""
    if action == TOOL_CALL:
        return resource
    return action if action == SESSION_DECLASSIFY else f"{action} {resource}"


def counted(number: int, what: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def plain(text: str) -> Any:
    """Text that comes from outside: shown as it is, with control characters made visible."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text))


def one_line(text: str) -> str:
    """Text that comes from outside, where it must not write lines of its own."""
    return text.replace("\n", "\\n")


def when(time: int) -> str:
    """A time (µs) for people, in UTC."""
    return datetime.fromtimestamp(time / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def fail(error: RemitError) -> int:
    """Say what went wrong; the exit code for it."""
    err.print("[bold red]error:[/]", plain(error.message), soft_wrap=True)
    return EXIT_CODES[error.kind]
