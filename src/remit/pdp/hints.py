"""What the catalogue says of a tool, raised by what its server and its own words say: they make it count as worse, never as better."""

from msgspec.structs import replace

from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import EntityRef
from remit.model.request import TOOL_CALL, EvaluationRequest, Tier
from remit.model.tool import UNANNOTATED, Annotations, Reach, Tool, ToolEffect
from remit.pdp.compiled import CompiledBundle, CompiledTool
from remit.pdp.speaking import spoken_effect

_INSIDE = frozenset({Reach.WORKSPACE, Reach.INTERNAL})


def hinted(annotations: Annotations, hints: Hints) -> Annotations:
    """The annotations that count once a server has said this of its tool.

    | it says | and the catalogue | then it counts as |
    |---|---|---|
    | `readOnlyHint: false` or `destructiveHint: true` | `effect: read` | unannotated: one of the two is wrong, and nobody knows which |
    | `destructiveHint: true` | effect or reach unknown, or so by the line above | critical |
    | `destructiveHint: true` | any other | at least high |
    | `openWorldHint: true` | a reach inside | reaching outside, its output untrusted |
    | (it is another upstream than the catalogue's) | anything | unannotated |
    """
    # INVARIANT (fail closed): a server is not trusted. No hint takes away what another, or the catalogue, says.
    if hints.foreign:
        annotations = Annotations(tier=Tier.CRITICAL if annotations.effect in _GRAVE else annotations.tier)
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


_GRAVE = {
    ToolEffect.EXECUTE: "executing",
    ToolEffect.GRANT: "granting access",
    ToolEffect.DELETE: "deleting",
}


def assumed(tool: Tool, annotations: Annotations) -> Annotations:
    """The annotations of a tool of which effect or reach is unknown: critical, if it executes, grants or deletes, or speaks of it."""
    # INVARIANT (fail closed): what is left out is taken at its worst, and what a tool says of itself never for better.
    if annotations.complete or _grave(tool, annotations) is None:
        return annotations
    return replace(annotations, tier=Tier.CRITICAL)


def _grave(tool: Tool, annotations: Annotations) -> ToolEffect | None:
    effect = annotations.effect or spoken_effect(tool.name, tool.description)
    return effect if effect in _GRAVE else None


def counted(tool: Tool, hints: Hints = NO_HINTS) -> Annotations:
    """The annotations that count for a tool: the catalogue's, as its server's hints and its own words leave them."""
    said = tool.annotations if hints is NO_HINTS else hinted(tool.annotations, hints)
    return assumed(tool, said)


def raised(tool: Tool, hints: Hints) -> str:
    """Why a tool counts as worse than the catalogue has it, in words; empty if it does not."""
    why = []
    said = hinted(tool.annotations, hints)
    if hints.foreign:
        why.append(f"the catalogue describes the tool of `{tool.upstream}`, and this is another's")
    if said != hinted(tool.annotations, Hints(foreign=hints.foreign)):
        why.append(f"its server says `{replace(hints, foreign=None)}`")
    grave = None if said.complete else _grave(tool, said)
    if grave is not None and tool.annotations.effect is None:
        why.append(f"nobody has annotated it, and it speaks of {_GRAVE[grave]}")
    return " and ".join(why)


def heard(bundle: CompiledBundle, action: str, resource: EntityRef, upstream: str, hints: Hints) -> Hints:
    """What a server says of its tool, and whether that is another's than the catalogue's."""
    # INVARIANT (fail closed): a name is anybody's to give: what was reviewed is the tool of one upstream, where the catalogue names it.
    known = bundle.tools.get(resource.id) if action == TOOL_CALL else None
    if known is None or not known.tool.upstream or known.tool.upstream == upstream:
        return hints
    return replace(hints, foreign=True)


def hints_for(bundle: CompiledBundle, request: EvaluationRequest) -> Hints:
    """The same, of a request."""
    return heard(bundle, request.action, request.resource, request.upstream, request.hints)


def annotations_of(bundle: CompiledBundle, action: str, resource: EntityRef, hints: Hints = NO_HINTS) -> Annotations:
    """The annotations that count for a tool; those of an unknown one for anything that is no tool call."""
    return counted(described(bundle, resource), hints) if action == TOOL_CALL else UNANNOTATED


def described(bundle: CompiledBundle, resource: EntityRef) -> Tool:
    """The tool as the catalogue has it; of one that it has not, the name."""
    known = bundle.tools.get(resource.id)
    return known.tool if known is not None else Tool(resource.id)


def tool_of(bundle: CompiledBundle, action: str, resource: EntityRef, hints: Hints = NO_HINTS) -> CompiledTool | None:
    """The tool of the catalogue that is called, with the annotations that count; None if there is none."""
    known = bundle.tools.get(resource.id) if action == TOOL_CALL else None
    if known is None:
        return None
    annotations = counted(known.tool, hints)
    return known if annotations is known.tool.annotations else replace(known, tool=replace(known.tool, annotations=annotations))
