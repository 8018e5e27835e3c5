"""`remit log`: export the log, prove what is in it, verify it anywhere, and erase a task's personal data."""

import sys
import tempfile
from json import loads as json_of
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from remit.cli.output import NOT_SO, JsonFlag, err, say, show_json, store, store_folder
from remit.decision_log.entry import DecisionMade
from remit.decision_log.verify import ProofReport, Report, UnusableInput, is_proof, verify_export, verify_proof
from remit.local.config import read_settings, this_operator
from remit.local.head import Head
from remit.local.wiring import Embedded, open_store
from remit.model.errors import malformed, not_found, unavailable
from remit.model.identity import TaskId
from remit.runtime.administration import erase as erase_task
from remit.runtime.audit import Difference, differences

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
    path: Annotated[Path | None, typer.Argument(help="An export or a proof; without one, the store of REMIT_HOME.")] = None,
    key: Annotated[str | None, typer.Option(help="The log's public key as you know it (C2SP vkey).")] = None,
    head: Annotated[Path | None, typer.Option(help="A signed head kept from before: the log must still begin with it.")] = None,
    json: JsonFlag = False,
) -> None:
    """Verify a log offline: every byte, every chain, every join, and the signature of its head. Or a proof, for which give --key.

    Of the store itself also that agents, tasks, budgets, sessions, approvals and kills are as the log says.
    """
    known = _known_head(head)
    if path is not None and _is_proof(path):
        proven = _verify_proof(path, key, known)
        show_json(json_of(proven.to_json())) if json else say(proven.to_text())
        if not proven.verified:
            raise typer.Exit(NOT_SO)
        return
    report, wrong = (_verify(path, key, known), []) if path is not None else _verify_store(key, known)
    if json:
        document = json_of(report.to_json())
        show_json(document if path is not None else {**document, "verified": report.verified and not wrong, "state": wrong})
    else:
        say(report.to_text())
        for difference in wrong:
            say(f"NOT AS LOGGED: {difference}", "red")
        if path is None and report.verified and not wrong:
            say("state: as the log says")
    if not report.verified or wrong:
        raise typer.Exit(NOT_SO)


def _is_proof(path: Path) -> bool:
    try:
        return is_proof(path)
    except UnusableInput as unusable:
        raise malformed(str(unusable)) from None


def _verify_proof(path: Path, key: str | None, head: str | None) -> ProofReport:
    if key is None:
        raise malformed("a proof does not name the log's key: give the one you know with `--key`, as `remit log key` prints it")
    try:
        return verify_proof(path, key, head=head)
    except UnusableInput as unusable:
        raise malformed(str(unusable)) from None


def _verify(path: Path, key: str | None, head: str | None) -> Report:
    columns = (TextColumn("verifying"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        try:
            return verify_export(path, key, head=head, progress=advance)
        except UnusableInput as unusable:
            raise malformed(str(unusable)) from None


def _verify_store(key: str | None, head: str | None) -> tuple[Report, list[Difference]]:
    """The log of the store as it lies there, and where the tables beside it say something else."""
    home = store_folder()
    settings = read_settings(home)
    opened = open_store(home, settings)
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "export"
            Head(home, settings.origin, opened.log).export(file, overwrite=False, as_is=True)
            report = _verify(file, key, head)
        return report, differences(opened.log, opened) if report.verified else []
    finally:
        opened.close()


def _known_head(path: Path | None) -> str | None:
    """A head kept from before: the signed note itself, or the JSON that `remit log head --json` and the store keep it in."""
    if path is None:
        return None
    try:
        text = path.read_text("utf-8")
        return str(json_of(text)["note"]) if text.lstrip().startswith("{") else text
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise malformed(f"head `{path}` cannot be read ({error}): keep what `remit log head` prints") from None


@app.command("head")
def head_(json: JsonFlag = False) -> None:
    """Print the log's head, signed as of now. Whoever keeps it notices a log that was cut short or written anew."""
    with store() as embedded:
        note = embedded.head.sign()
    if json:
        show_json({"note": note})
    else:
        sys.stdout.write(note)


@app.command("prove")
def prove(
    entry: Annotated[str, typer.Argument(help="A decision's id, or the index of any entry.")] = "",
    since: Annotated[Path | None, typer.Option(help="A head kept from before: prove that the log only grew since.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write; without one, the proof is printed.")] = None,
) -> None:
    """Prove that an entry is in the log, or that the log only grew since a head. `remit log verify FILE --key KEY` checks it anywhere.

    A proof of an entry shows the entry: what is sealed in it stays sealed, the rest can be read.
    """
    if bool(entry) == (since is not None):
        raise malformed("say what to prove: an entry, or `--since` and a head kept from before")
    kept = _known_head(since)
    with store() as embedded:
        proof = embedded.head.prove_growth(kept) if kept is not None else embedded.head.prove_entry(_index_of(embedded, entry))
    if output is None:
        sys.stdout.write(proof)
        return
    try:
        output.write_text(proof, "utf-8")
    except OSError as error:
        raise unavailable(f"the proof could not be written to `{output}` ({error.strerror})") from None


def _index_of(embedded: Embedded, entry: str) -> int:
    if entry.isascii() and entry.isdecimal() and len(entry) < 19:
        return int(entry)
    for found in embedded.store.log.by_decision(entry):
        if isinstance(found.body, DecisionMade):
            return found.index
    raise not_found(f"there is no decision `{entry}`: see `remit decision list`, or give the index of an entry")


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
