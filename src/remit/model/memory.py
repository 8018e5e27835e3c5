"""Memories: what agents write down in one session and read in another, and the label of all that was ever written there."""

import msgspec

from remit.model.labels import PUBLIC_TRUSTED, Label
from remit.model.task import next_version

MEMORY = "memory:"
"""How labels name memories as sources."""


class Memory(msgspec.Struct, frozen=True, gc=False):
    """One memory of a deployment, named by the tools (`memory` in their annotations) or files that write and read it.

    `label` joins what the sessions had touched that wrote there; it never goes down. `version` is compared and set at each commit.
    """

    name: str
    label: Label = PUBLIC_TRUSTED
    version: int = 0

    @property
    def source(self) -> str:
        """How labels name it."""
        return f"{MEMORY}{self.name}"

    def raised(self, label: Label, act: str) -> "Memory":
        """The memory once something with this label was written; itself where that is covered already."""
        # INVARIANT (labels come from what was touched): no sequence of sessions lowers the label of what they wrote.
        joined = self.label.join(label)
        return self if joined is self.label else Memory(self.name, joined, next_version(self.version, f"{act}: {joined}"))
