"""What is said to a server and what it answers, as our nouns; whatever is not exactly that is no answer."""

import re
from typing import Any, TypeVar

import msgspec

from remit.model.authorizer import ApprovalState, Outcome
from remit.model.break_glass import OpenGlass
from remit.model.decision import ApproverRule, Basis, Decision, Deny, Obligation, Permit, Reason, Steering
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId, BreakGlassId, DecisionId, SessionId
from remit.model.kill import Kill
from remit.model.request import EvaluationRequest, Tier, readable
from remit.model.task import Opening
from remit.model.values import read_json

OURS = "remit"
T = TypeVar("T")
MAX_CONTENT = 3 << 20
"""A result that takes more bytes is not sent on: what it was stays unknown, and the worst is assumed."""
TOLERANCE = 300_000_000
"""So far (µs) behind a server's clock ours may be, or before it."""
_DECISION = re.compile(r"dec_[0-9a-f]{32}")
_encode = msgspec.json.Encoder().encode


class Unreadable(Exception):
    """An answer that is none. Says what is wrong with it."""


def evaluation(request: EvaluationRequest) -> bytes:
    """The body of an evaluation request. Names that JSON cannot carry are shown in ASCII, and the request malformed."""
    return _encode(_evaluation(readable(request)))


def _evaluation(request: EvaluationRequest) -> dict[str, Any]:
    said: dict[str, Any] = request.properties.values
    ours: dict[str, Any] = {"door": True}
    for name, value in (
        ("task", request.task),
        ("session", request.session),
        ("upstream", request.upstream),
        ("definition", request.definition),
        ("malformed", request.malformed),
        ("defined", request.defined.decode("utf-8", "replace")),
    ):
        if value:
            ours[name] = value
    if request.hints:
        ours["hints"] = request.hints
    if OURS in said.get("context", {}):
        ours["malformed"] = request.malformed or f"`{OURS}` in the context is the door's own: name the property otherwise"
    return {
        "subject": {"type": request.subject.type, "id": request.subject.id, "properties": said.get("subject", {})},
        "action": {"name": request.action, "properties": request.arguments.values},
        "resource": {"type": request.resource.type, "id": request.resource.id, "properties": said.get("resource", {})},
        "context": {**said.get("context", {}), OURS: ours},
    }


def report(outcome: Outcome) -> bytes:
    """The body of a report."""
    content = outcome.content and outcome.content.encode("utf-8", "replace").decode()
    if content and len(_encode(content)) > MAX_CONTENT:
        content = None  # INVARIANT (labels come from what was touched): what nobody could look at counts as the worst
    error = outcome.error.encode("utf-8", "replace").decode()
    return _encode({"status": outcome.status.value, "content": content, "error": error})


def opening(wanted: Opening, session: SessionId | None) -> bytes:
    """The body that opens a task; `session` is the one that an agent opens it from."""
    return _encode({**msgspec.structs.asdict(wanted), "session": session})


class _Approval(msgspec.Struct, frozen=True):
    id: ApprovalId
    rule: ApproverRule


class _Asked(msgspec.Struct, frozen=True):
    """One obligation by the Obligations profile; one that is none of ours is kept as one that nobody understands."""

    type: str
    properties: dict[str, Any] = {}

    def noun(self) -> Obligation:
        said = self.properties
        ours = self.type == "custom" and said.get("vendor") == OURS and {"obligation", "argument", "policy"} <= said.keys()
        if not ours:
            return Obligation(f"{self.type} of another vendor")
        return msgspec.convert({**said, "type": said["obligation"]}, Obligation)


class _Whole(msgspec.Struct, frozen=True):
    """What a door is told beside what AuthZEN's answer has."""

    until: int = 0
    enforced: bool = True
    approval: ApprovalId | None = None
    requestable: ApproverRule | None = None
    obligations: tuple[Obligation, ...] = ()
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    steering: tuple[Steering, ...] = ()
    flows: tuple[str, ...] = ()
    bundle: str = ""


class _Context(msgspec.Struct, frozen=True):
    id: DecisionId
    reason: Reason
    remit: _Whole
    message: str = ""
    tier: Tier | None = None
    obligations: tuple[_Asked, ...] = ()
    break_glass: BreakGlassId | None = None


class _Evaluated(msgspec.Struct, frozen=True):
    decision: bool
    context: _Context


def decision(body: bytes, now: int) -> Decision:
    """The decision in an answer that came at `now` (µs). Raises `Unreadable`: then nothing is permitted."""
    answer = read(body, _Evaluated)
    context, whole = answer.context, answer.context.remit
    basis = Basis(whole.policies, whole.errors, 0, b"{}", whole.entities, whole.steering, whole.bundle, whole.flows)
    if not _DECISION.fullmatch(context.id):
        raise Unreadable("a decision without an id")
    if not answer.decision:
        if context.reason in (Reason.PERMITTED, Reason.BREAK_GLASS):
            raise Unreadable(f"a denial whose reason is `{context.reason}`")
        return Deny(
            context.id,
            context.reason,
            context.message,
            context.tier,
            whole.requestable,
            whole.approval,
            whole.obligations,
            basis,
        )
    if context.tier is None or whole.until <= 0:
        raise Unreadable("a permit without a tier and an end")
    _agrees(context)
    if not whole.until - now > -TOLERANCE:
        raise Unreadable("a permit that has ended long ago: is this an old answer, or is a clock wrong?")
    asked = tuple([_noun(one) for one in context.obligations])
    said = context.reason, context.message, basis, whole.approval, whole.enforced, context.break_glass
    return Permit(context.id, context.tier, whole.until, asked, *said)


def _agrees(permit: _Context) -> None:
    """That a permit does not contradict itself. Raises `Unreadable`."""
    whole, opened = permit.remit, permit.break_glass is not None
    # INVARIANT (fail closed): what says both yes and no is no yes.
    if whole.enforced:
        fitting = permit.reason is (Reason.BREAK_GLASS if opened else Reason.PERMITTED)
    else:
        fitting = permit.reason not in (Reason.PERMITTED, Reason.BREAK_GLASS) and not opened
    if not fitting:
        raise Unreadable(f"a permit whose reason is `{permit.reason}`")
    if whole.errors and permit.reason is Reason.PERMITTED:
        raise Unreadable("a permit by policies that could not be evaluated")
    if whole.obligations or whole.requestable is not None:
        raise Unreadable("a permit with what only a denial has")


def _noun(asked: _Asked) -> Obligation:
    try:
        return asked.noun()
    except msgspec.ValidationError as error:
        raise Unreadable(f"an obligation that is none ({error})") from None


class Stands(msgspec.Struct, frozen=True):
    """Whether a permit may be used now."""

    stands: bool


class Approved(msgspec.Struct, frozen=True):
    """Where an access request stands, and what whoever denied it says."""

    id: ApprovalId
    state: ApprovalState
    why: str = ""


class Watched(msgspec.Struct, frozen=True):
    """Administrative changes, counted; the mode of the published bundle (`enforce`, `shadow`, empty without one); the kills in force, and
    what is open as break-glass."""

    revision: int
    mode: str
    kills: tuple[Kill, ...]
    break_glass: tuple[OpenGlass, ...] = ()


class Taken(msgspec.Struct, frozen=True):
    """Who this process is taken for, and how it showed that."""

    name: str
    agent: str | None
    roles: tuple[str, ...]
    proof: str


class Found(msgspec.Struct, frozen=True):
    """A page of a search: each result has an `id` with its `type`, or a `name`."""

    page: dict[str, Any]
    results: tuple[dict[str, str], ...]


class _Problem(msgspec.Struct, frozen=True):
    status: int
    detail: str


_KINDS = {
    400: ErrorKind.MALFORMED,
    401: ErrorKind.REFUSED,
    403: ErrorKind.REFUSED,
    404: ErrorKind.NOT_FOUND,
    405: ErrorKind.MALFORMED,
    407: ErrorKind.REFUSED,
    409: ErrorKind.CONFLICT,
    410: ErrorKind.NOT_FOUND,
    413: ErrorKind.MALFORMED,
    415: ErrorKind.MALFORMED,
    422: ErrorKind.MALFORMED,
}


def refusal(status: int, detail: str) -> RemitError:
    """The error that a status is, with what the server says of it. What is not about the request may be otherwise another time."""
    if status in (401, 407):
        detail = f"the server does not accept who is calling: {detail}"
    return RemitError(_KINDS.get(status, ErrorKind.UNAVAILABLE), detail)


def problem(status: int, body: bytes) -> RemitError:
    """The error that a problem of RFC 9457 stands for. Raises `Unreadable` for what is none."""
    found = read(body, _Problem)
    detail = "".join(char if char.isprintable() else "?" for char in found.detail)[:1000]
    return refusal(status, detail)


def read(body: bytes, kind: type[T]) -> T:
    """An answer, read strictly. Raises `Unreadable`."""
    try:
        return msgspec.convert(read_json(body), kind)
    except RemitError as error:
        raise Unreadable(error.message) from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unreadable(str(error) or type(error).__name__) from None
