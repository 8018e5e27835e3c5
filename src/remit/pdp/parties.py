"""Subjects that are no agents, and what a caller may say of a subject or a resource: as far as the bundle lets it count."""

from collections.abc import Mapping
from typing import Any

import msgspec

from remit.model.decision import Reason
from remit.model.identity import AGENT, EntityRef
from remit.model.request import EvaluationRequest
from remit.model.values import NO_ARGUMENTS, Arguments
from remit.pdp.arguments import ANY, Unrepresentable, to_cedar
from remit.pdp.compiled import CompiledBundle, EntityDocument
from remit.pdp.refusal import Refusal

SUBJECT, RESOURCE, CONTEXT = "subject", "resource", "context"
"""The names under which properties come with a request."""
_ASK = frozenset({AGENT})
_encode = msgspec.json.Encoder(order="deterministic").encode


def askers(bundle: CompiledBundle, action: str) -> frozenset[str]:
    """The types of subject that an action is for."""
    return bundle.principals.get(action, _ASK)


def check_party(bundle: CompiledBundle, subject: EntityRef) -> None:
    """A subject that is no agent is one that the bundle knows, or of a type that it lets callers describe. Raises `Refusal`."""
    # INVARIANT (authority enters from outside the agent): who is in no inventory has no name that policies could rely on.
    if subject not in bundle.entities and subject.type not in bundle.request_attributed:
        raise Refusal(
            Reason.SUBJECT_UNKNOWN, f"subject `{subject}` is no agent, and the bundle's `entities.yaml` does not have it"
        )


def said(bundle: CompiledBundle, request: EvaluationRequest, part: str, ref: EntityRef) -> Mapping[str, Any]:
    """What the caller says of subject or resource, as far as it counts: of a type that the bundle marks, what the inventory does not
    know better. In Cedar's JSON form. Raises `Refusal` for what Cedar cannot say."""
    # INVARIANT (authority enters from outside the agent): the inventory wins over whatever a request says.
    if request.properties is NO_ARGUMENTS or ref.type not in bundle.request_attributed:
        return {}
    given = request.properties.values.get(part)
    known = bundle.entities.get(ref)
    if not isinstance(given, dict):
        return {}
    return {name: _cedar(part, name, value) for name, value in given.items() if value is not None and not _has(known, name)}


def _has(known: EntityDocument | None, name: str) -> bool:
    return known is not None and name in known.attributes


def _cedar(part: str, name: str, value: Any) -> Any:
    try:
        return to_cedar(value, ANY)
    except Unrepresentable as problem:
        raise Refusal(Reason.UNREPRESENTABLE_ARGUMENT, f"property `{name}` of the {part} {problem}: pass it as text") from None


def party_document(bundle: CompiledBundle, request: EvaluationRequest) -> EntityDocument:
    """A subject that is no agent, as Cedar sees it: as `entities.yaml` has it, with what the caller may say of it."""
    known = bundle.entities.get(request.subject)
    attributes = said(bundle, request, SUBJECT, request.subject)
    if known is None:
        return EntityDocument(request.subject, dict(attributes))
    return EntityDocument(request.subject, {**attributes, **known.attributes}, known.parents)


def told_apart(bundle: CompiledBundle, request: EvaluationRequest) -> bytes:
    """What of the properties that came with a request makes it another one for policies; empty where none counts."""
    if request.properties is NO_ARGUMENTS or not bundle.request_attributed:
        return b""
    values, types = request.properties.values, bundle.request_attributed
    subject = values.get(SUBJECT) if request.subject.type in types else None
    resource = values.get(RESOURCE) if request.resource.type in types else None
    return _encode((subject, resource)) if subject or resource else b""


def circumstances(request: EvaluationRequest) -> Mapping[str, Any]:
    """What the caller says beside subject, action and resource."""
    return circumstances_in(request.properties) if request.properties is not NO_ARGUMENTS else {}


def circumstances_in(properties: Arguments) -> Mapping[str, Any]:
    """The same, of properties as they came."""
    given = properties.values.get(CONTEXT)
    return given if isinstance(given, dict) else {}
