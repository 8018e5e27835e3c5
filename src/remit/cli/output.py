"""How verbs speak: tables for people, `--json` for programs, errors in one line, documented exit codes."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from remit.local.config import home_folder, read_settings
from remit.local.wiring import STORE_FILE, Embedded
from remit.model.errors import ErrorKind, RemitError, unavailable

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
"""Columns to lay tables out for when nobody says how wide the other end is."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED)
err = Console(stderr=True, highlight=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@contextmanager
def store() -> Iterator[Embedded]:
    """The embedded store of REMIT_HOME, closed afterwards. Raises `RemitError` (unavailable) if there is none."""
    home = home_folder()
    if not (home / STORE_FILE).exists():
        raise unavailable(f"there is no Remit store in `{home}`: run `remit init`, or set REMIT_HOME")
    embedded = Embedded(home, read_settings(home))
    try:
        yield embedded
    finally:
        embedded.close()


def say(text: str, style: str = "") -> None:
    """A line for people; long ones are left to the terminal to wrap, so that they can be copied."""
    out.print(plain(text), style=style, soft_wrap=True)


def show_json(value: Any) -> None:
    """One JSON document, on one line, for programs."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """A table for people, or what to say if there are no rows."""
    if not rows:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[plain(cell) for cell in row])
    out.print(table)


def plain(text: str) -> Any:
    """Text that comes from outside: shown as it is, with control characters made visible."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text))


def when(time: int) -> str:
    """A time (µs) for people, in UTC."""
    return datetime.fromtimestamp(time / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def fail(error: RemitError) -> int:
    """Say what went wrong; the exit code for it."""
    err.print("[bold red]error:[/]", plain(error.message), soft_wrap=True)
    return EXIT_CODES[error.kind]
