"""Whether a submitted access request is for the evaluation that was denied: compared with what is on record (AuthZEN ARAP)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from remit.model.errors import RemitError
from remit.model.request import EvaluationRequest
from remit.model.values import NO_ARGUMENTS, freeze, thaw
from remit.runtime.approving.approvals import UNBOUND, VOLATILE
from remit.runtime.recorded import Recorded
from remit.server.api.messages import MACHINERY, request_of

_encode = msgspec.json.Encoder(order="deterministic").encode
ACTOR = "act"
"""The property of a subject that says who acts for it: a submission may say so as `client.actor` instead (AuthZEN ARAP, delegation)."""
_NOT_SAID = frozenset({"subject", "resource", "action", "denial", "context", "callback"})


def is_bound(made: Recorded, message: Mapping[str, Any]) -> bool:
    """Whether subject, action, resource and what of the context counts are those of the denial; only more may be said.

    What counts of the context: the task, session, upstream and definition under `remit`, and all circumstances but such as time.
    """
    if made.sealed is None:
        return False
    try:
        asked = request_of(message)
        arguments = thaw(bytes(made.sealed.arguments))
    except RemitError:
        return False
    body = made.body
    same = (
        f"{asked.subject.type}::{asked.subject.id}" == body.subject
        and (asked.action, asked.resource.type, asked.resource.id) == (body.action, body.resource_type, body.resource)
        and (asked.task, asked.session, asked.upstream) == (body.task, body.session, body.upstream)
        and asked.definition == body.definition
        and asked.arguments.canonical == arguments.canonical
    )
    return same and _as_said(_recorded(made), asked)


def _recorded(made: Recorded) -> Mapping[str, Any]:
    if made.sealed is None or made.sealed.properties is None:
        return {}
    return thaw(_encode(made.sealed.properties)).values


def _as_said(before: Mapping[str, Any], asked: EvaluationRequest) -> bool:
    now = asked.properties.values if asked.properties is not NO_ARGUMENTS else {}
    if _form(before.get("resource")) != _form(now.get("resource")) or _subject(before) != _subject(now):
        return False
    was, given = before.get("context") or {}, now.get("context") or {}
    return all(name in given and _form(given[name]) == _form(was[name]) for name in was if name not in UNBOUND)


def _subject(said: Mapping[str, Any]) -> bytes:
    return _form({name: value for name, value in (said.get("subject") or {}).items() if name != ACTOR})


def _form(value: Any) -> bytes:
    """A form in which values of one type and content are equal, and others are not."""
    return freeze({"value": value}).canonical


def augmentations(made: Recorded, message: Mapping[str, Any]) -> dict[str, Any]:
    """What is said for the request beyond the evaluation itself."""
    known = _recorded(made).get("context") or {}
    context = message.get("context")
    given = context if isinstance(context, dict) else {}
    added = {name: value for name, value in given.items() if name not in known and name not in MACHINERY | VOLATILE}
    more = {name: value for name, value in message.items() if name not in _NOT_SAID}
    return {**({"context": added} if added else {}), **more}
