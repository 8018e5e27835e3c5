"""The evaluation request: subject, action, resource and context (AuthZEN 1.0, NIST SP 800-162), and its tier."""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from remit.model.caller import Proof
from remit.model.hints import NO_HINTS, Hints, well_formed
from remit.model.identity import EntityRef, SessionId, TaskId
from remit.model.values import NO_ARGUMENTS, Arguments


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
SESSION_DECLASSIFY = "session.declassify"

ACTIONS = (TOOL_CALL, FILE_READ, FILE_WRITE, FILE_DELETE, NET_REQUEST, MODEL_INVOKE, AGENT_DELEGATE, SESSION_DECLASSIFY)
"""The actions every bundle knows; a bundle's schema may define any others."""

TASK_OPEN = "task.open"
"""Asked before a task is opened, where a bundle's schema defines it: for the types of subject, and of `TaskType`, that it says."""


RESOURCE_TYPES = {
    TOOL_CALL: "Tool",
    FILE_READ: "File",
    FILE_WRITE: "File",
    FILE_DELETE: "File",
    NET_REQUEST: "Host",
    MODEL_INVOKE: "Model",
    AGENT_DELEGATE: "Agent",
    SESSION_DECLASSIFY: "Session",
}
"""The one type of resource that each of these actions is asked for on."""

MAX_NAME = 4096
"""A longer name in a request is cut for the record, and the request denied."""


class EvaluationRequest(msgspec.Struct, frozen=True, gc=False):
    """May `subject` perform `action` on `resource` with these arguments, now?

    `upstream` names what would execute it (a server, or empty for a function of this process). `definition` is the digest
    of the tool's definition as the door sees it, empty where the door cannot see one; if the bundle's catalogue pins
    another, or another was seen first, the request is denied. `defined` is that definition in canonical form, if the door has it.
    `malformed` says what was wrong with arguments that could not be read: such a request carries none and is denied, so that the
    attempt is on record. `hints` are what the tool's server says of it: they can only make it count as worse. `properties` are what the
    caller says of the subject, the resource and the circumstances, under `subject`, `resource` and `context`: they count only as far as
    the bundle says. `caller` is who asked over a network, by issuer and name, and `proof` how the subject's authority came with it; both
    are empty for a caller in this process.
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
    hints: Hints = NO_HINTS
    defined: bytes = b""
    properties: Arguments = NO_ARGUMENTS
    caller: str = ""
    proof: Proof | None = None


def readable(request: EvaluationRequest) -> EvaluationRequest:
    """The request itself; or, where a name in it is no valid Unicode or too long, one with that shown in ASCII, marked malformed;
    so is one with hints that are none."""
    if request.hints is not NO_HINTS and not well_formed(request.hints):
        request = replace(request, hints=NO_HINTS, malformed=request.malformed or "the hints are none of a tool: pass `Hints`")
    names = (
        request.subject.type,
        request.subject.id,
        request.action,
        request.resource.type,
        request.resource.id,
        request.task or "",
        request.session or "",
        request.upstream,
        request.definition,
    )
    together = "".join(names)
    if len(together) <= MAX_NAME and len(request.malformed) <= MAX_NAME and _encodable(together + request.malformed):
        return request
    return EvaluationRequest(
        EntityRef(_shown(request.subject.type), _shown(request.subject.id)),
        _shown(request.action),
        EntityRef(_shown(request.resource.type), _shown(request.resource.id)),
        NO_ARGUMENTS,
        TaskId(_shown(request.task)) if request.task else None,
        SessionId(_shown(request.session)) if request.session else None,
        _shown(request.upstream),
        _shown(request.definition),
        _shown(request.malformed)
        or f"a name in the request is no valid Unicode, or they are longer than {MAX_NAME} characters in all",
        request.hints,
        caller=request.caller,
        proof=request.proof,
    )


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    shown = name if _encodable(name) else ascii(name)[1:-1]
    return shown if len(shown) <= MAX_NAME else f"{shown[:256]}… ({len(name)} characters)"
