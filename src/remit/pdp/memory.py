"""What reading and writing a memory does to labels. Pure."""

from remit.model.identity import EntityRef
from remit.model.labels import Confidentiality, Label
from remit.model.memory import Memory
from remit.model.request import TOOL_CALL
from remit.model.tool import ToolEffect
from remit.pdp.compiled import CompiledBundle
from remit.pdp.declassification import provenance_of
from remit.pdp.hints import hints_for
from remit.pdp.inputs import Inputs
from remit.pdp.tier import described


def memory_of(bundle: CompiledBundle, action: str, resource: EntityRef) -> str:
    """The memory that a call writes or reads, empty for none."""
    if not bundle.memories:
        return ""
    if action == TOOL_CALL:
        known = bundle.tools.get(resource.id)
        return known.tool.annotations.memory if known else ""
    classed = bundle.class_of(resource)
    return classed.memory if classed else ""


def lost(name: str) -> Memory:
    """A memory whose label cannot be read: it may hold anything."""
    return Memory(name, Label(Confidentiality.RESTRICTED, (Memory(name).source,)))


def came_back(own: Label, memory: Memory) -> Label:
    """What a call touched that something came back of: what the tool itself is known for, and all that was written up to now."""
    return own.join(memory.label)


def under_way(own: Label, memory: Memory) -> Label:
    """The worst a call can touch while it is under way: another session may write to the memory before it is read."""
    return came_back(own, memory).join(Label(sources=(memory.source,)))


def after_writing(inputs: Inputs) -> Memory | None:
    """The memory once this call, if it does more than read, has written there what its session knows; None where nothing changes."""
    memory, bundle, request = inputs.memory, inputs.bundle, inputs.request
    if (
        memory is None
        or bundle is None
        or described(bundle, request.action, request.resource, hints_for(bundle, request)).effect is ToolEffect.READ
    ):
        return None
    unknown = Label(Confidentiality.RESTRICTED, (f"agent:{request.subject.id}",))  # without a session it may have read anything
    # INVARIANT (labels come from what was touched): who lowers the label of a session vouches for it, not for what others read of it.
    raised = memory.raised(provenance_of(inputs.session) if inputs.session is not None else unknown, inputs.decision)
    return None if raised is memory else raised
