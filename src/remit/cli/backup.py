"""`remit backup`: everything that a deployment needs, copied, checked and put back."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import structs

from remit.cli.output import JsonFlag, counted, progress, say, show_json, store, warn, when
from remit.cli.verifying import known_head
from remit.local.config import home_folder, this_operator
from remit.local.wiring import wall_clock

if TYPE_CHECKING:
    from remit.local.backup.ending import Ended
    from remit.local.backup.manifest import Manifest

app = typer.Typer(no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="The folder of the backup.")]
LogKey = Annotated[str | None, typer.Option("--key", help="The log's public key as you know it (C2SP vkey).")]
KnownHead = Annotated[
    Path | None, typer.Option("--head", help="A signed head kept from before: whether the backup has all of it.")
]


@app.command("create")
def create(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must not be there yet.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="With the log's private key: whoever has the backup can then sign in its name.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Copy store, log and settings, as they are at one moment, into a new folder, while everything goes on."""
    from remit.local.backup.making import create as make

    with store() as embedded, progress("backing up") as advance:
        made = make(embedded, folder, with_keys, this_operator(), advance)
    said = made.manifest
    if with_keys:
        warn("the log's private key is in it: keep it as you keep that key, for whoever has it can write another log")
    if json:
        show_json({"path": made.path, "key": made.key, **_about(said)})
        return
    say(f"wrote {said.backup} to {folder}: {said.size} entries, and the state they lead to")
    if not with_keys:
        say("not in it: the log's private key: without it the log can be read, not signed further; keep `log.key` elsewhere")
    say("not in it: the key of Remit's own tokens, which a restore makes anew, and keys that belong to other programs (TLS)")
    for path in said.elsewhere:
        say(f"not in it: {path}, which the settings name: keep it elsewhere")
    say(f"keep this key by another way, to know the backup by: {made.key}")


@app.command("verify")
def verify(folder: Folder, key: LogKey = None, head: KnownHead = None, json: JsonFlag = False) -> None:
    """Check a backup as a restore would: its files, its log, and that a store can be made of it that is as its log says."""
    from remit.local.backup.checking import Trusted, check, rebuild
    from remit.local.backup.ending import Ending

    with progress("verifying"), tempfile.TemporaryDirectory() as scratch:
        checked = check(folder, Trusted(key, _heads(head)), Path(scratch) / "backup")
        ending = Ending(checked.manifest, checked.known, this_operator(), wall_clock())
        ended = rebuild(checked, ending, Path(scratch) / "remit.db")
    if json:
        about = {"pinned": key is not None, "lost": checked.lost, "would_end": structs.asdict(ended)}
        show_json({"path": str(folder), "key": checked.key.text, **_about(checked.manifest), **about})
        return
    said = checked.manifest
    say(f"verified: {said.backup} of {when(said.taken)}, {said.size} entries of {checked.key.name}, from the {said.store} store")
    say(f"key: {checked.key.text}{' (pinned)' if key is not None else ', taken from the backup, not pinned'}")
    say(f"private key of the log: {'in it' if said.keys else 'not in it'}")
    _say_lost(checked.lost)
    say(f"a restore would end {_words(ended)}")


@app.command("restore")
def restore(
    folder: Folder,
    key: LogKey = None,
    head: KnownHead = None,
    log_key: Annotated[Path | None, typer.Option(help="The file with the log's private key, where the backup has none.")] = None,
    new_log_key: Annotated[
        bool, typer.Option("--new-log-key", help="Make another key for the log: the old one is lost.")
    ] = False,
    origin: Annotated[str, typer.Option(help="Give the log another name: witnesses have seen what is lost.")] = "",
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Although a known head has entries that the backup has not.")
    ] = False,
    memories_trusted: Annotated[
        bool, typer.Option("--memories-trusted", help="What agents' memories hold was put back to the same moment, too.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Make a store of a backup in an empty REMIT_HOME (or an empty database). Everything is stopped in it until you release it."""
    from remit.local.backup.checking import Trusted
    from remit.local.backup.restoring import Wanted
    from remit.local.backup.restoring import restore as put_back

    trusted = Trusted(key, _heads(head))
    wanted = Wanted(trusted, log_key, new_log_key, origin, accept_loss, memories_trusted)
    with progress("restoring"):
        done = put_back(home_folder(), folder, wanted, this_operator(), wall_clock)
    said = done.manifest
    for name in done.kept:
        warn(f"`{name}` was left as it is here: in the backup it says otherwise")
    for name in done.unnamed:
        warn(f"`{name}` is in the backup and was not put back: no setting names it")
    if done.aside:
        warn(f"the head that was kept here, which the log does not lead to, is now `{done.aside}`")
    if json:
        about = {"pinned": done.key_pinned, "lost": done.lost, "ended": structs.asdict(done.ended)}
        files = {"kept": done.kept, "unnamed": done.unnamed, "aside": done.aside}
        show_json({"home": str(home_folder()), "key": done.key, "head": done.head, **_about(said), **about, **files})
        return
    say(f"restored {said.backup} of {when(said.taken)}: {said.size} entries")
    _say_lost(done.lost)
    say(f"ended {_words(done.ended)}")
    say("refused from now on: every token that Remit made before")
    say(
        "everything is stopped: say who has left since (`remit people import`), then who is still there (a whole file, or `remit people "
        "confirm`), do again what else was decided (kills, agents, bundles, erasures), then `remit release all --why …`",
        "yellow",
    )
    say(f"the log's key: {done.key}{'' if done.key_pinned else ' (not pinned: compare it with what you know, or give `--key`)'}")


def _heads(head: Path | None) -> tuple[str, ...]:
    note = known_head(head)
    return (note,) if note is not None else ()


def _about(said: "Manifest") -> dict[str, Any]:
    about = structs.asdict(said)
    del about["parts"]
    return about


def _say_lost(lost: int) -> None:
    if lost:
        say(f"LOST: {lost} entries that the known head has are not in it", "red")


def _words(ended: "Ended") -> str:
    return (
        f"{counted(ended.tasks, 'open task')}, {counted(ended.approvals, 'access request')}, {ended.break_glasses} of break-glass "
        f"and the trust in {'1 memory' if ended.memories == 1 else f'{ended.memories} memories'}; no outcome is known of "
        f"{counted(ended.permits, 'permit')}, and {ended.people} people of the directory are refused until somebody says that they are "
        "still there"
    )
