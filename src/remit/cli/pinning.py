"""`remit policy pin`: what a server's tools are beside what was reviewed, and their definitions pinned in the catalogue."""

import os
from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import NOT_SO, JsonFlag, counted, say, show_json
from remit.model.definition import Definition, DefinitionChange
from remit.model.errors import ErrorKind, RemitError, malformed, not_found, refused, unavailable
from remit.pap.pinning import Pin, PinState, compared, listed, to_write, with_pins
from remit.pap.reading.files import TOOLS_FILE
from remit.pap.reading.folder import read_bundle

MAX_SHOWN = 400
"""So many characters of a value are shown on each side of a difference."""
_STYLES = {PinState.CHANGED: "red", PinState.NEW: "yellow", PinState.REMOVED: "yellow", PinState.UNPINNED: "yellow"}
_SAID = {
    PinState.CHANGED: "changed: its calls are denied until this is reviewed",
    PinState.NEW: "new: not in the catalogue",
    PinState.REMOVED: "removed: in the catalogue, and not in the list",
    PinState.UNPINNED: "not pinned",
}


def pin(
    folder: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    definitions: Annotated[Path, typer.Argument(metavar="DEFINITIONS.json", help="The result of a server's `tools/list`.")],
    write: Annotated[bool, typer.Option("--write", help="Pin the definitions of the catalogue's tools in `tools.yaml`.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Also those with characters that nobody sees.")] = False,
    json: JsonFlag = False,
) -> None:
    """Compare what a server says its tools are with what was reviewed; write only with `--write`.

    Ends with 1 while a tool is new, changed, gone or not pinned.
    """
    pins = compared(read_bundle(folder).contents.tools, _listed(definitions))
    digests = to_write(pins)
    if json:
        show_json(pins)
    else:
        for one in pins:
            _show(one)
    if write:
        _write(folder / TOOLS_FILE, digests, [one for one in pins if one.hidden and one.tool in digests and not hidden])
        if not json:
            say(
                f"pinned {counted(len(digests), 'definition')} in {folder / TOOLS_FILE}: read the change, then publish the bundle"
            )
    left = [one for one in pins if one.standing is not PinState.PINNED and not (write and one.tool in digests)]
    if not json:
        say(f"{counted(len(pins), 'tool')}, {len(pins) - len(left)} as reviewed")
    if left:
        raise typer.Exit(NOT_SO)


def _listed(path: Path) -> tuple[Definition, ...]:
    try:
        return listed(_read(path))
    except RemitError as error:
        if error.kind is not ErrorKind.MALFORMED:
            raise
        raise malformed(f"`{path}`: {error.message}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise not_found(f"there is no file `{path}`: save the result of the server's `tools/list` to it") from None
    except OSError as error:
        raise malformed(f"it cannot be read ({error.strerror})") from None


def _show(one: Pin) -> None:
    if one.standing is not PinState.PINNED:
        say(f"{one.tool}: {_SAID[one.standing]}", _STYLES[one.standing])
    for unseen in one.hidden:
        say(f"  hidden: {unseen}", "red")
    if one.standing in (PinState.PINNED, PinState.REMOVED):
        return
    if one.pinned:
        say(f"  pinned: {one.pinned}")
    say(f'  definition: "{one.digest}"')
    if one.proposal:
        say(f"  a proposal, from what it says of itself and to be read before it is used: {one.proposal}")
    if one.changes is None and one.standing is PinState.CHANGED:
        say("  what it was is not known here: the catalogue has neither its `description` nor its `schema`")
    show_changes(one.changes or ())


def show_changes(found: tuple[DefinitionChange, ...]) -> None:
    """Differences, a line for each side; characters that nobody sees are shown as escapes."""
    for change in found:
        say(f"  {change.place}:")
        for sign, text, style in (("-", change.before, "red"), ("+", change.after, "green")):
            if text:
                cut = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)"
                say(f"    {sign} {cut}", style)


def _write(path: Path, digests: dict[str, str], unseen: list[Pin]) -> None:
    if unseen:
        names = ", ".join(f"`{one.tool}`" for one in unseen)
        raise refused(
            f"definitions of {names} have characters that nobody sees: nothing was written; `--hidden` pins them all the same"
        )
    if not digests:
        return
    text = path.read_bytes().decode("utf-8")
    written = with_pins(text, digests)
    if written is None:
        lines = "; ".join(f'`{name}`: `definition: "{digest}"`' for name, digest in digests.items())
        raise refused(f"`{path}` is laid out in a way that cannot be changed safely: nothing was written; write by hand {lines}")
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(written.encode())
        os.replace(beside, path)
    except OSError as error:
        raise unavailable(f"`{path}` cannot be written ({error.strerror}): nothing was changed") from None
