"""What the catalogue says of a tool, raised by what its server says: hints may make a tool count as worse, never as better."""

from msgspec.structs import replace

from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import EntityRef
from remit.model.request import TOOL_CALL, Tier
from remit.model.tool import UNANNOTATED, Annotations, Reach, ToolEffect
from remit.pdp.compiled import CompiledBundle, CompiledTool

_INSIDE = frozenset({Reach.WORKSPACE, Reach.INTERNAL})


def hinted(annotations: Annotations, hints: Hints) -> Annotations:
    """The annotations that count once a server has said this of its tool.

    | it says | and the catalogue | then it counts as |
    |---|---|---|
    | `readOnlyHint: false` or `destructiveHint: true` | `effect: read` | unannotated: one of the two is wrong, and nobody knows which |
    | `destructiveHint: true` | effect or reach unknown, or so by the line above | critical |
    | `destructiveHint: true` | any other | at least high |
    | `openWorldHint: true` | a reach inside | reaching outside, its output untrusted |
    """
    # INVARIANT (fail closed): a server is not trusted. No hint takes away what another, or the catalogue, says.
    counts = annotations
    if annotations.effect is ToolEffect.READ and (hints.read_only is False or hints.destructive):
        counts = Annotations(sensitivity=annotations.sensitivity, tier=annotations.tier)
    if hints.open_world:
        reach = Reach.EXTERNAL if counts.reach in _INSIDE else counts.reach
        counts = replace(counts, reach=reach, output_trusted=counts.output_trusted and reach is counts.reach)
    if hints.destructive:
        floor = Tier.HIGH if counts.complete else Tier.CRITICAL
        counts = replace(counts, tier=max(floor, counts.tier or floor, key=lambda tier: tier.rank))
    return counts


def contradicted(annotations: Annotations, hints: Hints) -> str:
    """What the server says that makes the tool count as worse, in words; empty if nothing does."""
    if not hints or hinted(annotations, hints) == annotations:
        return ""
    return f"its server says `{hints}`"


def annotations_of(bundle: CompiledBundle, action: str, resource: EntityRef, hints: Hints = NO_HINTS) -> Annotations:
    """The annotations that count for a tool; those of an unknown one for anything that is no tool call."""
    known = bundle.tools.get(resource.id) if action == TOOL_CALL else None
    annotations = known.tool.annotations if known else UNANNOTATED
    return hinted(annotations, hints) if hints is not NO_HINTS and action == TOOL_CALL else annotations


def tool_of(bundle: CompiledBundle, action: str, resource: EntityRef, hints: Hints = NO_HINTS) -> CompiledTool | None:
    """The tool of the catalogue that is called, with the annotations that count; None if there is none."""
    known = bundle.tools.get(resource.id) if action == TOOL_CALL else None
    if known is None or hints is NO_HINTS:
        return known
    return replace(known, tool=replace(known.tool, annotations=hinted(known.tool.annotations, hints)))
