"""`remit log`: export the log, verify it anywhere, and erase a task's personal data."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from remit.cli.output import NOT_SO, JsonFlag, err, say, show_json, store
from remit.decision_log.verify import Report, UnusableInput, verify_export
from remit.local.config import this_operator
from remit.model.errors import malformed
from remit.model.identity import TaskId
from remit.runtime.administration import erase as erase_task

app = typer.Typer(no_args_is_help=True)


@app.command("export")
def export(
    output: Annotated[Path, typer.Option(help="The file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    json: JsonFlag = False,
) -> None:
    """Export the whole log with its signed head; `remit log verify FILE` checks it anywhere."""
    with store() as embedded:
        summary = embedded.head.export(output, overwrite)
        vkey = embedded.head.vkey
    if json:
        show_json(
            {"path": summary.path, "entries": summary.size, "bytes": summary.bytes, "root": summary.root.hex(), "key": vkey}
        )
        return
    say(f"wrote {summary.size} entries to {summary.path}")
    say(f"give the auditor this key by another way: {vkey}")


@app.command("key")
def key(json: JsonFlag = False) -> None:
    """Print the log's public key, for auditors to pin."""
    with store() as embedded:
        vkey = embedded.head.vkey
    show_json({"key": vkey}) if json else say(vkey)


@app.command("verify")
def verify(
    path: Annotated[Path | None, typer.Argument(help="An export; without one, the store of REMIT_HOME.")] = None,
    key: Annotated[str | None, typer.Option(help="The log's public key as you know it (C2SP vkey).")] = None,
    head: Annotated[Path | None, typer.Option(help="A signed head kept from before: the log must still begin with it.")] = None,
    json: JsonFlag = False,
) -> None:
    """Verify a log offline: every byte, every chain, every join, and the signature of its head."""
    report = _verify(path, key, head) if path is not None else _verify_store(key, head)
    if json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        say(report.to_text())
    if not report.verified:
        raise typer.Exit(NOT_SO)


def _verify(path: Path, key: str | None, head: Path | None) -> Report:
    columns = (TextColumn("verifying"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        try:
            known = head.read_text("utf-8") if head is not None else None
            return verify_export(path, key, head=known, progress=advance)
        except (OSError, UnicodeDecodeError) as error:
            raise malformed(f"head `{head}` cannot be read ({error})") from None
        except UnusableInput as unusable:
            raise malformed(str(unusable)) from None


def _verify_store(key: str | None, head: Path | None) -> Report:
    with tempfile.TemporaryDirectory() as folder, store() as embedded:
        file = Path(folder) / "export"
        embedded.head.export(file, overwrite=False)
        return _verify(file, key, head)


@app.command("erase")
def erase(
    task: Annotated[str, typer.Argument(help="The closed task whose personal data is to be erased.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonFlag = False,
) -> None:
    """Destroy the key of a closed task: purpose, arguments and outputs can never be read again; the log still verifies."""
    if not yes:
        typer.confirm(f"Erase the personal data of {task} for good?", abort=True)
    with store() as embedded:
        erase_task(embedded.runtime, TaskId(task), this_operator()).result()
    show_json({"task": task, "erased": True}) if json else say(f"erased the personal data of {task}")
