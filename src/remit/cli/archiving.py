"""`remit log archive`: the sealed part of the log, copied into a folder of Parquet segments."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import structs

from remit.cli.exporting import tell
from remit.cli.output import JsonFlag, counted, progress, say, show_json, store
from remit.local.archiving import archive as archive_log


def archive(
    folder: Annotated[Path, typer.Argument(help="The folder of the archive; made if it is not there.")],
    witness: Annotated[bool, typer.Option(help="Have the configured witnesses cosign the head first.")] = True,
    json: JsonFlag = False,
) -> None:
    """Copy whole segments of 65,536 entries into a folder of Parquet files, those that it lacks; `remit log verify FOLDER` checks it.

    Nothing is deleted from the store.
    """
    with store() as embedded, progress("archiving") as advance:
        seen = embedded.witness() if witness else None
        done = archive_log(folder, embedded.head, embedded.store.log, advance)
        vkey = embedded.head.vkey
    if json:
        show_json({**structs.asdict(done), "key": vkey, "witnesses": seen.cosigned if seen else ()})
        return
    say(f"wrote {counted(done.new, 'segment')} to {folder}: it has {done.entries} of {done.size} entries")
    if seen is not None:
        tell(seen)
    say(f"give the auditor this key by another way: {vkey}")
