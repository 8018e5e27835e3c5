"""The messages of the AuthZEN Authorization API 1.0, as our nouns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from remit.model.decision import Decision, Deny, Obligation, Permit
from remit.model.errors import malformed
from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import EntityRef, SessionId, TaskId
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.values import ARGUMENTS, NO_ARGUMENTS, PROPERTIES, Arguments, freeze
from remit.pdp.memo import Memo
from remit.runtime.searching import SearchKind
from remit.server.reading import object_in

OURS = "remit"
"""The member of a request's context that is for Remit alone."""
MACHINERY = frozenset({OURS, "approval"})
"""Members of a request's context that are no circumstances: they say which session it is of, and which approval it may rest on."""
_PARTS = frozenset({"task", "session", "upstream", "definition", "malformed", "defined"})
LIGHT = 16_384
"""A body that takes no more bytes than this, once it is read, is remembered with what it asks: most programs ask the same again."""
OF_BYTE, OF_PART = 4, 256
"""So many bytes a byte of text and a value can take once they are read."""


class Asked(NamedTuple):
    """An evaluation as its message says: nobody changes it, for others may ask the same. `door`: a door of ours asks, which promises to
    ask again just before the act, and to report. `approval` is the one that it refers to, by whatever name; None for none."""

    message: Mapping[str, Any]
    request: EvaluationRequest
    door: bool
    approval: str | None


_known: Memo[bytes, Asked] = Memo(1024)


def asked_in(body: bytes) -> Asked:
    """What a body asks. Raises `Problem`, `RemitError` (malformed)."""
    known = _known.find(body)
    if known is not None:
        return known
    asked = asked_by(object_in(body))
    return _known.keep(body, asked) if _weight(body) <= LIGHT else asked


def _weight(body: bytes) -> int:
    """At most so many bytes it takes to remember a body: a short one can hold a thousand objects."""
    return OF_BYTE * len(body) + OF_PART * sum(map(body.count, (b"{", b"[", b",")))


def asked_by(message: Mapping[str, Any]) -> Asked:
    """What a message asks. Raises `RemitError` (malformed)."""
    return Asked(message, request_of(message), is_door(message), presented(message))


def request_of(message: Mapping[str, Any], searched: SearchKind | None = None) -> EvaluationRequest:
    """The request of an evaluation; in a search, what is searched for has no name yet. Unknown members are ignored.

    `action.properties` are its arguments. `subject.properties`, `resource.properties` and `context` are what the caller says; of the
    context, `remit` names the task and session it is for, and what would execute it and how that is described. Raises `RemitError`
    (malformed).
    """
    # A door asks as the guarded code does, be it without a name: then the denial is on record.
    bare = searched is None and is_door(message)
    subject, said_subject = _entity(message, "subject", searched is not SearchKind.SUBJECT, bare)
    resource, said_resource = _entity(message, "resource", searched is not SearchKind.RESOURCE, bare)
    action, arguments = "", NO_ARGUMENTS
    if searched is not SearchKind.ACTION:
        action, arguments = _action(message)
    context = _object(message, "context", "")
    ours = _ours(context)
    return EvaluationRequest(
        subject,
        action,
        resource,
        arguments,
        TaskId(ours["task"]) if "task" in ours else None,
        SessionId(ours["session"]) if "session" in ours else None,
        ours.get("upstream", ""),
        ours.get("definition", ""),
        ours.get("malformed", ""),
        _hints(ours),
        ours.get("defined", "").encode(),
        properties=_properties(said_subject, said_resource, context),
    )


def _entity(message: Mapping[str, Any], part: str, named: bool, bare: bool) -> tuple[EntityRef, dict[str, Any]]:
    value = message.get(part)
    if not isinstance(value, dict):
        raise malformed(f"`{part}` must be an object with `type` and `id`")
    kind, name = value.get("type"), value.get("id") if named else ""
    if not isinstance(kind, str) or not kind:
        raise malformed(f"`{part}.type` must be text that is not empty")
    if not isinstance(name, str) or (named and not name and not bare):
        raise malformed(f"`{part}.id` must be text that is not empty")
    return EntityRef(kind, name), _object(value, "properties", f"{part}.")


def _action(message: Mapping[str, Any]) -> tuple[str, Arguments]:
    value = message.get("action")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        raise malformed("`action` must be an object with a `name` that is text and not empty")
    given = _object(value, "properties", "action.")
    called = ARGUMENTS if value["name"] == TOOL_CALL else PROPERTIES
    return value["name"], freeze(given, called=called) if given else NO_ARGUMENTS


def _object(value: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise malformed(f"`{where}{name}` must be an object")
    return found


def is_door(message: Mapping[str, Any]) -> bool:
    """Whether a door of ours asks."""
    return _ours(_object(message, "context", "")).get("door") is True


def presented(message: Mapping[str, Any]) -> str | None:
    """The approval that an evaluation refers to, as the caller says; None for none. Its name opens nothing."""
    context = message.get("context")
    approval = context.get("approval") if isinstance(context, dict) else None
    if approval is None:
        return None
    name = approval.get("id") if isinstance(approval, dict) else None
    return name if isinstance(name, str) else ""


def _ours(context: dict[str, Any]) -> dict[str, Any]:
    ours = _object(context, OURS, "context.")
    for name in _PARTS & ours.keys():
        if not isinstance(ours[name], str) or not ours[name]:
            raise malformed(f"`context.{OURS}.{name}` must be text that is not empty")
    if not isinstance(ours.get("door", False), bool):
        raise malformed(f"`context.{OURS}.door` must be true or false")
    return ours


def _hints(ours: dict[str, Any]) -> Hints:
    if "hints" not in ours:
        return NO_HINTS
    try:
        return msgspec.convert(ours["hints"], Hints)
    except msgspec.ValidationError as error:
        raise malformed(f"`context.{OURS}.hints` are none of a tool ({error})") from None


def _properties(subject: dict[str, Any], resource: dict[str, Any], context: dict[str, Any]) -> Arguments:
    said = {
        "subject": subject,
        "resource": resource,
        "context": {name: context[name] for name in context if name not in MACHINERY},
    }
    told = {name: values for name, values in said.items() if values}
    return freeze(told, called=PROPERTIES) if told else NO_ARGUMENTS


def answer_of(decision: Decision, door: bool = False) -> dict[str, Any]:
    """A decision as its caller is told: its id, the reason, what to do, what a permit asks of the enforcement point; a door, all of it."""
    context: dict[str, Any] = {"id": decision.id, "reason": decision.reason.value}
    if decision.message:
        context["message"] = (decision.told if isinstance(decision, Deny) else "") or decision.message
    if decision.tier:
        context["tier"] = decision.tier.value
    permitted = isinstance(decision, Permit)
    if permitted and decision.obligations:
        context["obligations"] = [_obligation(number, one) for number, one in enumerate(decision.obligations, start=1)]
    if isinstance(decision, Permit) and decision.break_glass is not None:
        context["break_glass"] = decision.break_glass
    if not isinstance(decision, Permit) and decision.approval is not None and decision.requestable is not None:
        context["approval"] = {"id": decision.approval, "rule": decision.requestable.value}
    if door:
        context[OURS] = _whole(decision)
    return {"decision": permitted, "context": context}


def _whole(decision: Decision) -> dict[str, Any]:
    """What a door is told beside what AuthZEN's answer has, to act as one in this process would; not what policies read."""
    basis, told = decision.basis, dict[str, Any]()
    if isinstance(decision, Permit):
        told |= {"until": decision.until, "enforced": decision.enforced}
    else:
        told |= {"requestable": decision.requestable, "obligations": decision.obligations}
    shown = ("policies", "errors", "entities", "steering", "flows", "bundle")
    return told | {"approval": decision.approval} | {name: getattr(basis, name) for name in shown}


def _obligation(number: int, obligation: Obligation) -> dict[str, Any]:
    """By the Obligations profile (draft 1): ours are none of its registered types."""
    properties = {"vendor": OURS, "obligation": obligation.type, "argument": obligation.argument, "policy": obligation.policy}
    return {"id": f"obl-{number}", "type": "custom", "properties": properties}


def failure(message: str, status: int = 400) -> dict[str, Any]:
    """The answer to one of several evaluations that cannot be read: no decision was made, so it is none to act on."""
    return {"decision": False, "context": {"error": {"status": status, "message": message}}}
