"""What a server says of a tool of its own: MCP's tool annotations, hints of somebody who is not trusted."""

from typing import Any

import msgspec

from remit.model.errors import malformed

_NAMES = {
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}


class Hints(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename=_NAMES):
    """MCP's `ToolAnnotations` as a server sent them (names in JSON are MCP's); None is what it did not say.

    What was not said is not taken for MCP's default: hints raise what the catalogue says, and only what is said can. `read_only`: it
    does not change its environment; `destructive`: it may destroy or overwrite, not only add; `idempotent`: repeating it changes
    nothing more (recorded, decides nothing); `open_world`: it deals with an open world of others. `foreign` no server says: it is not
    the tool that the catalogue describes, but one of that name of another upstream.
    """

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    foreign: bool | None = None

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return self != NO_HINTS

    def __str__(self) -> str:
        said = msgspec.to_builtins(self)
        return ", ".join(f"{name}: {str(value).lower()}" for name, value in said.items())


NO_HINTS = Hints()


def hints_of(annotations: Any) -> Hints:
    """The hints in the `annotations` of a tool as MCP's `tools/list` gives them; other members (`title`) say nothing.

    Raises `RemitError` (malformed) for a hint that is neither true nor false: whoever lists the tool must not call it.
    """
    if annotations is None:
        return NO_HINTS
    if not isinstance(annotations, dict):
        raise malformed("a tool's `annotations` are no JSON object: have its server corrected")
    said = {field: annotations.get(name) for field, name in _NAMES.items()}
    for field, value in said.items():
        if value is not None and not isinstance(value, bool):
            raise malformed(f"a tool's `{_NAMES[field]}` is neither true nor false: have its server corrected")
    return Hints(**said)


def well_formed(hints: Any) -> bool:
    """Whether these are hints that can be put on record."""
    return type(hints) is Hints and all(value is None or type(value) is bool for value in msgspec.structs.astuple(hints))
