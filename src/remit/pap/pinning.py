"""The catalogue beside what a server lists: which definitions are new, changed or gone, and the catalogue with them pinned."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from remit.model.characters import hidden
from remit.model.definition import Definition, DefinitionChange, changes, definition_of
from remit.model.errors import malformed
from remit.model.tool import Tool
from remit.model.values import read_json
from remit.pap.annotating import as_line, proposed
from remit.pap.problems import BundleError
from remit.pap.reading.documents import Document, read_document
from remit.pap.reading.files import TOOLS_FILE
from remit.pap.reading.written import Malformed, checked_tool


class PinState(StrEnum):
    """How a listed tool stands to the catalogue."""

    PINNED = "pinned"
    UNPINNED = "unpinned"
    CHANGED = "changed"
    NEW = "new"
    REMOVED = "removed"


class Pin(msgspec.Struct, frozen=True):
    """One tool: the `digest` of its definition as listed, and the `pinned` one. `changes` are against what the catalogue says of it (its
    description and schema; None where it says neither), `hidden` the characters in it that no reader sees; of a new tool, `proposal`
    is how it may be annotated."""

    tool: str
    standing: PinState
    digest: str = ""
    pinned: str = ""
    changes: tuple[DefinitionChange, ...] | None = None
    hidden: tuple[str, ...] = ()
    proposal: str = ""


def listed(text: bytes) -> tuple[Definition, ...]:
    """The definitions of a `tools/list` result: the result, a response with it, or the list alone.

    Raises `RemitError` (malformed) for anything else, for one page of several, and for a name that stands twice.
    """
    found = read_json(text)
    if isinstance(found, dict) and isinstance(found.get("result"), dict):
        found = found["result"]
    if isinstance(found, dict) and found.get("nextCursor"):
        raise malformed("this is one page of a longer list (`nextCursor`): put the tools of all pages into one list")
    tools = found.get("tools") if isinstance(found, dict) else found
    if not isinstance(tools, list):
        raise malformed("this is no result of MCP's `tools/list`: save the whole result as JSON")
    definitions = tuple(definition_of(tool) for tool in tools)
    names = [definition.name for definition in definitions]
    for name in names:
        if names.count(name) > 1:
            raise malformed(f"tool `{name}` is listed twice: nobody knows which one is called")
    return definitions


def compared(tools: Sequence[Tool], definitions: Sequence[Definition]) -> tuple[Pin, ...]:
    """How each tool of the list and of the catalogue stands, in the order of their names."""
    known = {tool.name: tool for tool in tools}
    there = {definition.name: definition for definition in definitions}
    pins = [_pin(known.get(name), definition) for name, definition in there.items()]
    pins += [Pin(name, PinState.REMOVED, "", tool.definition) for name, tool in known.items() if name not in there]
    return tuple(sorted(pins, key=lambda pin: pin.tool))


def _pin(tool: Tool | None, definition: Definition) -> Pin:
    unseen = tuple(hidden(definition.members))
    if tool is None:
        return Pin(definition.name, PinState.NEW, definition.digest, hidden=unseen, proposal=_proposal(definition))
    standing = PinState.UNPINNED if not tool.definition else PinState.CHANGED
    if tool.definition == definition.digest:
        standing = PinState.PINNED
    said: dict[str, Any] = {"description": tool.description} if tool.description else {}
    said |= {"inputSchema": tool.schema} if tool.schema is not None else {}
    now = {name: definition.members.get(name, "") for name in said}
    return Pin(tool.name, standing, definition.digest, tool.definition, changes(said, now) if said else None, unseen)


def _proposal(definition: Definition) -> str:
    members = definition.members
    try:
        tool = checked_tool(Tool(definition.name, description=members.get("description", ""), schema=members.get("inputSchema")))
    except Malformed:
        return ""
    found = proposed(tool)
    return as_line(found) if found is not None else ""


def with_pins(text: str, digests: Mapping[str, str]) -> str | None:
    """The text of `tools.yaml` with these definitions pinned, comments and all; None where that cannot be written into it safely.

    Raises `BundleError` for a text that is none.
    """
    document = read_document(text, TOOLS_FILE)
    wanted = [{**entry, "definition": digests.get(entry["name"], entry.get("definition"))} for entry in document.data]
    wanted = [{name: value for name, value in entry.items() if value is not None} for entry in wanted]
    lines = text.split("\n")
    for position in reversed(range(len(document.data))):
        if document.data[position] != wanted[position]:
            _write(lines, document, position, wanted[position]["definition"])
    written = "\n".join(lines)
    try:
        # What was written is read again: whatever way the file is laid out, nothing else in it has changed.
        return written if read_document(written, TOOLS_FILE).data == wanted else None
    except BundleError:
        return None


def _write(lines: list[str], document: Document, position: int, digest: str) -> None:
    entry = document.data[position]
    if "definition" in entry:
        number = document.line(position, "definition") - 1
        old = re.compile(r"""(\bdefinition['"]?\s*:\s*)(?:"[^"]*"|'[^']*'|[^\s,}#]+)""")
        lines[number] = old.sub(lambda found: f'{found[1]}"{digest}"', lines[number], count=1)
        return
    number = document.line(position, "name") - 1
    block = re.match(r"\s*(?:- +)?(?=name:)", lines[number])
    if block:
        lines.insert(number + 1, f'{" " * len(block[0])}definition: "{digest}"')
    else:
        flow = re.compile(r"(?<=[{,])(\s*)(?=name\s*:)")
        lines[number] = flow.sub(lambda found: f'{found[1]}definition: "{digest}", ', lines[number], count=1)


def to_write(pins: Iterable[Pin]) -> dict[str, str]:
    """The digests that pinning would write: of tools in the catalogue whose definition is another than the pinned one."""
    return {pin.tool: pin.digest for pin in pins if pin.standing in (PinState.CHANGED, PinState.UNPINNED)}
