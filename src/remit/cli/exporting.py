"""`remit log export`: the whole log in one file, signed for auditors, or in a form that other programs read."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remit.cli.output import JsonFlag, say, show_json, store
from remit.decision_log.ocsf.events import write_ocsf
from remit.decision_log.plain import write_plain
from remit.local.archiving import export_parquet

if TYPE_CHECKING:
    from remit.local.witnessing import Witnessed


class Format(StrEnum):
    """What an export is for."""

    SIGNED = "signed"
    JSONL = "jsonl"
    PARQUET = "parquet"
    OCSF = "ocsf"


def export(
    output: Annotated[Path, typer.Option(help="The file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    witness: Annotated[bool, typer.Option(help="Have the configured witnesses cosign the head first.")] = True,
    format: Annotated[
        Format, typer.Option(help="`signed` is for auditors; `jsonl`, `parquet` and `ocsf` (for SIEMs) are for other programs.")
    ] = Format.SIGNED,
    json: JsonFlag = False,
) -> None:
    """Export the whole log with its signed head; `remit log verify FILE` checks it anywhere. Or in a form for other programs."""
    if format is not Format.SIGNED:
        written = _for_programs(output, format, overwrite)
        show_json({"path": str(output), "entries": written}) if json else say(f"wrote {written} entries to {output}")
        return
    with store() as embedded:
        seen = embedded.witness() if witness else None
        summary = embedded.head.export(output, overwrite)
        vkey = embedded.head.vkey
    if json:
        show_json(
            {
                "path": summary.path,
                "entries": summary.size,
                "bytes": summary.bytes,
                "root": summary.root.hex(),
                "key": vkey,
                "witnesses": seen.cosigned if seen else (),
            }
        )
        return
    say(f"wrote {summary.size} entries to {summary.path}")
    if seen is not None:
        tell(seen)
    say(f"give the auditor this key by another way: {vkey}")


def _for_programs(output: Path, format: Format, overwrite: bool) -> int:
    with store() as embedded:
        origin, log = embedded.settings.origin, embedded.store.log
        lines = log.lines(0, log.size())
        if format is Format.PARQUET:
            return export_parquet(output, lines, overwrite)
        write = write_ocsf if format is Format.OCSF else write_plain
        return write(output, origin, lines, overwrite)


def tell(seen: "Witnessed", style: str = "") -> None:
    """Who cosigned, and why the others did not."""
    size = seen.note.split("\n")[1]
    for name in seen.cosigned:
        say(f"{name}: cosigned the head of {size} entries")
    for name, why in seen.missing.items():
        say(f"{name}: did not cosign: {why}", "yellow")
    say(
        "as many witnesses as the policy demands" if seen.quorum else "unwitnessed: fewer witnesses than the policy demands",
        style,
    )
