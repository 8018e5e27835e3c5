"""The history of a task: what one call adds to it, and what policies see of it. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from remit.model.hints import NO_HINTS, Hints
from remit.model.history import NO_HISTORY, History
from remit.model.identity import DecisionId, EntityRef
from remit.model.memory import Memory
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import TaskState, next_version
from remit.pdp.cedar.reads import Node
from remit.pdp.compiled import CompiledBundle
from remit.pdp.effects import counted_as
from remit.pdp.entities import UNKNOWN
from remit.pdp.tier import described, output_label


def added_by(bundle: CompiledBundle, action: str, resource: EntityRef, hints: Hints = NO_HINTS) -> History:
    """What a call adds to its task's history once it is permitted; the same for all calls of an action on a resource."""
    annotations = described(bundle, action, resource, hints)
    effect = annotations.effect.value if annotations.effect else UNKNOWN
    reach = annotations.reach.value if annotations.reach else UNKNOWN
    tool = bundle.tools.get(resource.id) if action == TOOL_CALL else None
    classed = bundle.class_of(resource) if action != TOOL_CALL else None
    return History(
        (counted_as(action, resource.id),),
        (effect, f"{effect}-{reach}"),
        tuple(sorted(tool.tool.groups)) if tool else (),
        () if action == TOOL_CALL else (f"{action} {classed.pattern if classed else resource.type}",),
        output_label(bundle, action, resource, hints),
    )


def adding(added: History, memory: Memory | None) -> History:
    """What a call adds that writes or reads this memory: what was written there is touched too."""
    return added if memory is None else replace(added, touched=added.touched.join(memory.label))


def history_of(chain: tuple[TaskState, ...]) -> History:
    """All that was done under a task, by every session of it, the tasks it was delegated from and all that these delegated."""
    # INVARIANT (history belongs to the task): neither another session nor a sub-task is a way to begin anew.
    return chain[-1].spent.history if chain else NO_HISTORY


def with_history(chain: tuple[TaskState, ...], added: History) -> tuple[TaskState, ...]:
    """A chain as it will be once a call that adds this was permitted."""
    if not chain:
        return chain
    root = chain[-1]
    joined = root.spent.history.join(added)
    if joined is root.spent.history:
        return chain
    return (*chain[:-1], TaskState(root.task, replace(root.spent, history=joined)))


def raised(chain: tuple[TaskState, ...], after: tuple[TaskState, ...], decision: DecisionId) -> tuple[TaskState, ...]:
    """The chain, as it is `after` a call (empty where that changed nothing), once a session of it can have touched more than before."""
    if not chain:
        return after
    root = (after or chain)[-1]
    spent = replace(root.spent, raised=root.spent.raised + 1)
    if not after:
        spent = replace(spent, version=next_version(spent.version, f"raised by {decision}"))
    return (*(after or chain)[:-1], TaskState(root.task, spent))


def remembered(chain: tuple[TaskState, ...], added: History, decision: DecisionId) -> tuple[TaskState, ...]:
    """The chain after a call that happens although it spends nothing, as shadow mode lets it; empty where nothing changes."""
    after = with_history(chain, added)
    if after is chain:
        return ()
    return tuple(
        [
            TaskState(state.task, replace(state.spent, version=next_version(state.spent.version, f"history of {decision}")))
            for state in after
        ]
    )


def history_context(node: Node, chain: tuple[TaskState, ...], request: EvaluationRequest) -> Mapping[str, Any]:
    """What policies that read `node` of the history see of it."""
    wanted = _PARTS.keys() if node.whole else node.children.keys()
    return {name: _PARTS[name](chain[-1], request) for name in wanted if name in _PARTS}


def _calls_of_tool(root: TaskState, request: EvaluationRequest) -> int:
    return root.spent.tools.get(counted_as(request.action, request.resource.id), 0)


_PARTS: dict[str, Callable[[TaskState, EvaluationRequest], Any]] = {
    "calls": lambda root, _request: root.spent.calls,
    "callsOfTool": _calls_of_tool,
    "used": lambda root, _request: list(root.spent.history.used),
    "effects": lambda root, _request: list(root.spent.history.effects),
    "groups": lambda root, _request: list(root.spent.history.groups),
    "confidentiality": lambda root, _request: root.spent.history.touched.confidentiality,
    "confidentialityRank": lambda root, _request: root.spent.history.touched.confidentiality.rank,
    "untrusted": lambda root, _request: root.spent.history.touched.untrusted,
}
HISTORY = tuple(_PARTS)
"""The names that policies know of a history."""
