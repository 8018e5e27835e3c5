"""`remit log`: prove what is in it, verify it anywhere, and erase a task's personal data."""

import sys
from json import loads as json_of
from pathlib import Path
from typing import Annotated

import typer

from remit.cli.archiving import archive
from remit.cli.exporting import export, tell
from remit.cli.output import NOT_SO, JsonFlag, err, say, show_json, store, store_to_change
from remit.cli.streaming import stream
from remit.cli.verifying import Trusted, known_head, known_policy, verify_file, verify_store
from remit.decision_log.entry import DecisionMade
from remit.decision_log.verify import Report
from remit.local.config import this_operator
from remit.local.wiring import Embedded
from remit.model.errors import malformed, not_found, unavailable
from remit.model.identity import TaskId
from remit.runtime.administration import erase as erase_task

app = typer.Typer(no_args_is_help=True)
app.command("export")(export)
app.command("archive")(archive)
app.command("stream")(stream)


@app.command("key")
def key(json: JsonFlag = False) -> None:
    """Print the log's public key, for auditors to pin."""
    with store() as embedded:
        vkey = embedded.head.vkey
    show_json({"key": vkey}) if json else say(vkey)


@app.command("verify")
def verify(
    path: Annotated[
        Path | None, typer.Argument(help="An export, an archive or a proof; without one, the store of REMIT_HOME.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The log's public key as you know it (C2SP vkey).")] = None,
    witness: Annotated[list[str] | None, typer.Option(help="A witness's public key (C2SP vkey).")] = None,
    policy: Annotated[Path | None, typer.Option(help="A file of logs, witnesses and their quorum (C2SP tlog-policy).")] = None,
    head: Annotated[Path | None, typer.Option(help="A signed head kept from before: the log must still begin with it.")] = None,
    json: JsonFlag = False,
) -> None:
    """Verify a log offline: every byte, every chain, every join, and the signature of its head. Or a proof, for which give --key.

    Of the store itself also that agents, tasks, budgets, sessions, approvals and kills are as the log says.
    """
    trusted = Trusted(key, tuple(witness or ()), known_policy(policy), known_head(head))
    report, wrong = (verify_file(path, trusted), []) if path is not None else verify_store(trusted)
    if json:
        document = json_of(report.to_json())
        show_json(document if path is not None else {**document, "verified": report.verified and not wrong, "state": wrong})
    else:
        say(report.to_text("the store") if path is None and isinstance(report, Report) else report.to_text())
        for difference in wrong:
            say(f"NOT AS LOGGED: {difference}", "red")
        if path is None and report.verified and not wrong:
            say("state: as the log says")
    if not report.verified or wrong:
        raise typer.Exit(NOT_SO)


@app.command("witness")
def witness(json: JsonFlag = False) -> None:
    """Have the witnesses of the configured policy cosign the log's head. Ends with 1 if they are fewer than the policy demands."""
    with store() as embedded:
        seen = embedded.witness()
    if seen is None:
        raise malformed("no witnesses are configured: name a C2SP tlog-policy file in `witnesses` (docs/storage.md)")
    if json:
        show_json(seen)
    else:
        tell(seen)
    if not seen.quorum:
        raise typer.Exit(NOT_SO)


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
    witness: Annotated[bool, typer.Option(help="Have the configured witnesses cosign the head first.")] = True,
) -> None:
    """Prove that an entry is in the log, or that the log only grew since a head. `remit log verify FILE --key KEY` checks it anywhere.

    A proof of an entry shows the entry: what is sealed in it stays sealed, the rest can be read.
    """
    if bool(entry) == (since is not None):
        raise malformed("say what to prove: an entry, or `--since` and a head kept from before")
    kept = known_head(since)
    with store() as embedded:
        seen = embedded.witness() if witness else None
        proof = embedded.head.prove_growth(kept) if kept is not None else embedded.head.prove_entry(_index_of(embedded, entry))
    if seen is not None and not seen.quorum:
        err.print(
            f"unwitnessed: {'; '.join(f'{name}: {why}' for name, why in seen.missing.items())}", style="yellow", markup=False
        )
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
    with store_to_change() as embedded:
        if embedded.store.task(TaskId(task)) is None:
            raise not_found(f"there is no task `{task}`: see `remit task list`")
        if not yes:
            typer.confirm(f"Erase the personal data of {task} for good?", abort=True)
        erase_task(embedded.runtime, TaskId(task), this_operator()).result()
    show_json({"task": task, "erased": True}) if json else say(f"erased the personal data of {task}")
