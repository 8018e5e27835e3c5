"""What is known of a tool: its definition, and the annotations that give it a tier."""

from enum import StrEnum
from typing import Any

import msgspec

from remit.model.identity import EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.request import Tier


class ToolEffect(StrEnum):
    """What a tool does to the world; the worst applies."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    SEND = "send"
    SPEND = "spend"
    EXECUTE = "execute"
    GRANT = "grant"


class Reach(StrEnum):
    """How far an effect carries: the agent's own workspace, inside the organisation, outside of it, or production."""

    WORKSPACE = "workspace"
    INTERNAL = "internal"
    EXTERNAL = "external"
    PRODUCTION = "production"


class Annotations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an administrator says of a tool; anything left out is taken at its worst.

    `destinations` are the arguments that choose a receiver, an object, a command (by name, nested names with dots);
    `content` are those that carry text; `output_trusted` says that nobody outside can write what the tool returns, `output_records`
    that its platform keeps the fields of what it returns (ids, who takes part) apart from the text that people write into them.
    `memory` names what agents write by one such tool and read by another, also in later sessions. `tier` may raise the tier that follows
    from the rest, never lower it.
    """

    effect: ToolEffect | None = None
    reach: Reach | None = None
    sensitivity: Confidentiality | None = None
    tier: Tier | None = None
    output_trusted: bool = False
    output_records: bool = False
    destinations: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    memory: str = ""

    @property
    def complete(self) -> bool:
        """Whether effect and reach are known; without them a tool is high."""
        return self.effect is not None and self.reach is not None


UNANNOTATED = Annotations()


class Tool(msgspec.Struct, frozen=True):
    """A tool as the catalogue (or, failing that, only its name) knows it.

    `schema` is the JSON Schema of its arguments; `definition` pins the digest of the definition that was reviewed, if any;
    `upstream` names the server that it is a tool of, empty for any.
    """

    name: str
    annotations: Annotations = UNANNOTATED
    groups: tuple[str, ...] = ()
    description: str = ""
    schema: dict[str, Any] | None = None
    definition: str = ""
    upstream: str = ""

    @property
    def ref(self) -> EntityRef:
        """The tool as a Cedar resource."""
        return EntityRef("Tool", self.name)

    @property
    def output_label(self) -> Label:
        """The worst a session can have touched after calling it: unknown sensitivity is internal, unknown origin untrusted."""
        sensitivity = self.annotations.sensitivity or Confidentiality.INTERNAL
        if self.annotations.output_trusted:
            return PUBLIC_TRUSTED if sensitivity is Confidentiality.PUBLIC else Label(sensitivity)
        return Label(sensitivity, (self.name,))
