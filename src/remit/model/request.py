"""The evaluation request: subject, action, resource and context (AuthZEN 1.0, NIST SP 800-162), and its tier."""

from enum import StrEnum

import msgspec

from remit.model.identity import EntityRef, SessionId, TaskId
from remit.model.values import Arguments


class Tier(StrEnum):
    """How deep an action is inspected, low < moderate < high < critical."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 (low) to 3 (critical), for policies that compare."""
        return _RANK[self]


_RANK = {tier: rank for rank, tier in enumerate(Tier)}

TOOL_CALL = "tool.call"
FILE_READ = "file.read"
FILE_WRITE = "file.write"
FILE_DELETE = "file.delete"
NET_REQUEST = "net.request"
MODEL_INVOKE = "model.invoke"
AGENT_DELEGATE = "agent.delegate"

ACTIONS = (TOOL_CALL, FILE_READ, FILE_WRITE, FILE_DELETE, NET_REQUEST, MODEL_INVOKE, AGENT_DELEGATE)
"""The actions every bundle knows; a bundle's schema may define any others."""


class EvaluationRequest(msgspec.Struct, frozen=True):
    """May `subject` perform `action` on `resource` with these arguments, now?

    `upstream` names what would execute it (a server, or empty for a function of this process). `definition` is the digest
    of the tool's definition as the door sees it, empty where the door cannot see one; if the bundle's catalogue pins
    another, the request is denied. `malformed` says what was wrong with arguments that could not be read: such a request
    carries none and is denied, so that the attempt is on record.
    """

    subject: EntityRef
    action: str
    resource: EntityRef
    arguments: Arguments
    task: TaskId | None = None
    session: SessionId | None = None
    upstream: str = ""
    definition: str = ""
    malformed: str = ""
