"""How deep an action is inspected: from its annotations, raised by what the data is, never lowered."""

from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import EntityRef
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.request import (
    AGENT_DELEGATE,
    FILE_DELETE,
    FILE_READ,
    FILE_WRITE,
    MODEL_INVOKE,
    NET_REQUEST,
    SESSION_DECLASSIFY,
    TOOL_CALL,
    Tier,
)
from remit.model.tool import Annotations, Reach, Tool, ToolEffect
from remit.pdp.compiled import CompiledBundle
from remit.pdp.hints import annotations_of, tool_of

_OF_ACTION = {
    FILE_READ: (ToolEffect.READ, Reach.INTERNAL),
    FILE_WRITE: (ToolEffect.WRITE, Reach.WORKSPACE),
    FILE_DELETE: (ToolEffect.DELETE, Reach.WORKSPACE),
    NET_REQUEST: (ToolEffect.SEND, Reach.EXTERNAL),
    MODEL_INVOKE: (ToolEffect.READ, Reach.INTERNAL),
    AGENT_DELEGATE: (ToolEffect.WRITE, Reach.INTERNAL),
    SESSION_DECLASSIFY: (ToolEffect.GRANT, Reach.INTERNAL),
}
"""What an action without a catalogue entry does, at least."""


def tier_of_annotations(annotations: Annotations) -> Tier:
    """The tier that follows from effect, reach and sensitivity (DESIGN §6); incomplete annotations are high."""
    if annotations.effect is None or annotations.reach is None:
        return _highest(Tier.HIGH, annotations.tier)
    tier = _tier_of(annotations.effect, annotations.reach, annotations.sensitivity or Confidentiality.INTERNAL)
    return _highest(tier, annotations.tier)


def _tier_of(effect: ToolEffect, reach: Reach, sensitivity: Confidentiality) -> Tier:
    match effect:
        case ToolEffect.EXECUTE | ToolEffect.GRANT:
            return Tier.CRITICAL
        case ToolEffect.DELETE:
            return Tier.HIGH if reach is Reach.WORKSPACE else Tier.CRITICAL
        case ToolEffect.SEND | ToolEffect.SPEND:
            return Tier.CRITICAL if reach is Reach.PRODUCTION else Tier.HIGH
        case ToolEffect.WRITE if reach is Reach.PRODUCTION:
            return Tier.CRITICAL
        case ToolEffect.WRITE:
            return Tier.MODERATE if reach is Reach.WORKSPACE else Tier.HIGH
        case ToolEffect.READ if sensitivity is Confidentiality.RESTRICTED:
            return Tier.HIGH
        case ToolEffect.READ:
            return Tier.LOW if sensitivity is Confidentiality.PUBLIC else Tier.MODERATE


def described(bundle: CompiledBundle, action: str, resource: EntityRef, hints: Hints = NO_HINTS) -> Annotations:
    """What is known of an action on a resource: the tool's annotations as its server's hints leave them, or what follows from the action
    and the resource's class."""
    if action == TOOL_CALL:
        return annotations_of(bundle, action, resource, hints)
    effect, reach = _OF_ACTION.get(action, (None, None))
    classed = bundle.class_of(resource)
    if classed is None:
        return Annotations(effect, reach)
    return Annotations(effect, classed.reach or reach, classed.sensitivity, classed.tier)


def tier_of(bundle: CompiledBundle, action: str, resource: EntityRef, label: Label, hints: Hints = NO_HINTS) -> Tier:
    """The tier of an action now: what the catalogue and the resource's class say, raised by what the session has touched and by what
    the tool's server says.

    An unannotated tool and an action nobody described are high. A session that holds restricted data raises everything that
    is not a plain read by one step.
    """
    annotations = described(bundle, action, resource, hints)
    tier = tier_of_annotations(annotations)
    if label.confidentiality is Confidentiality.RESTRICTED and annotations.effect is not ToolEffect.READ:
        tier = _RAISED[tier]
    return tier


def output_label(bundle: CompiledBundle, action: str, resource: EntityRef, hints: Hints = NO_HINTS) -> Label:
    """The worst a session can have touched after this action: as catalogue or class say, else as for an unknown tool."""
    if action == TOOL_CALL:
        known = tool_of(bundle, action, resource, hints)
        return (known.tool if known else Tool(resource.id)).output_label
    if action == SESSION_DECLASSIFY:
        return PUBLIC_TRUSTED
    classed = bundle.class_of(resource)
    sensitivity = classed.sensitivity if classed and classed.sensitivity else Confidentiality.INTERNAL
    return Label(sensitivity, () if classed and classed.trusted else (resource.id,))


def _highest(one: Tier, other: Tier | None) -> Tier:
    return other if other is not None and other.rank > one.rank else one


_RAISED = {
    Tier.LOW: Tier.MODERATE,
    Tier.MODERATE: Tier.HIGH,
    Tier.HIGH: Tier.CRITICAL,
    Tier.CRITICAL: Tier.CRITICAL,
}
