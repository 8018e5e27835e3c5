"""Who acts and what things are called: ids, entity references, agents and operators."""

import os
import threading
from enum import StrEnum
from typing import NewType

import msgspec

AgentId = NewType("AgentId", str)
TaskId = NewType("TaskId", str)
SessionId = NewType("SessionId", str)
DecisionId = NewType("DecisionId", str)
ApprovalId = NewType("ApprovalId", str)
BreakGlassId = NewType("BreakGlassId", str)
BundleDigest = NewType("BundleDigest", str)


class _Randomness:
    """Random bytes of the operating system, fetched a page at a time: each fetch gives other threads a turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.drop()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.drop)  # a child must never repeat its parent's

    def drop(self) -> None:
        self._page, self._next = b"", 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bytes:
        with self._lock:
            if self._next + count > len(self._page):
                self._page, self._next = os.urandom(4096), 0
            start = self._next
            self._next = start + count
            return self._page[start : self._next]


random_bytes = _Randomness().take
"""So many random bytes, never given twice. At most 4096 at a time."""


def new_id(prefix: str, now: int) -> str:
    """A sortable unique id: `prefix_`, the 48-bit millisecond of `now` (µs) and 80 random bits, in 32 hex digits."""
    return f"{prefix}_{now // 1000 & 0xFFFFFFFFFFFF:012x}{random_bytes(10).hex()}"


def floor_id(prefix: str, now: int) -> str:
    """Sorts before each `new_id` of that time (µs) and later, and behind those of before."""
    return f"{prefix}_{max(now, 0) // 1000 & 0xFFFFFFFFFFFF:012x}"


class EntityRef(msgspec.Struct, frozen=True, gc=False, order=True):
    """A typed name, as Cedar and AuthZEN know it: `Agent::"support-bot"`."""

    type: str
    id: str

    def __str__(self) -> str:
        escaped = self.id.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.type}::"{escaped}"'


AGENT = "Agent"
"""The type of a registered agent; subjects of other types are known by a bundle's entities alone."""


class AgentStatus(StrEnum):
    """Where a non-human identity stands in its life; only `active` may act."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Agent(msgspec.Struct, frozen=True):
    """A non-human identity that acts: it has an owner, a purpose and a status.

    `version` grows by one with each change; `groups` are `Group` ids that policies can name. `identities` are what proves over a network
    that it is this agent: `ISSUER#SUBJECT` of tokens, or a SPIFFE ID.
    """

    id: AgentId
    owner: str
    purpose: str
    groups: tuple[str, ...] = ()
    status: AgentStatus = AgentStatus.ACTIVE
    version: int = 1
    identities: tuple[str, ...] = ()

    @property
    def ref(self) -> EntityRef:
        """The agent as a Cedar principal."""
        return EntityRef(AGENT, self.id)


class Operator(msgspec.Struct, frozen=True):
    """A human (or service) whose identity was verified outside of the agent, and how."""

    id: str
    verified_by: str
    """How the identity was proven, e.g. `os` (the user of this process) or an issuer."""

    @property
    def ref(self) -> EntityRef:
        """The operator as a Cedar entity."""
        return EntityRef("User", self.id)
