"""The history of a task: what one call adds to it, and what policies see of it. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from remit.model.hints import NO_HINTS, Hints
from remit.model.history import NO_HISTORY, History
from remit.model.identity import DecisionId, EntityRef
from remit.model.memory import Memory
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.task import Session, TaskState, next_version
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


def told_beside(
    chain: tuple[TaskState, ...], after: tuple[TaskState, ...], before: Session, session: Session, decision: DecisionId
) -> tuple[TaskState, ...]:
    """The chain, as it is `after` a call (empty where that changed nothing), with what it tells other sessions of the step from `before`
    to `session`: that it can have touched more, or can be told what is untrusted."""
    if not chain:
        return after
    states = after or chain
    # INVARIANT (fail closed): what one session can be told, the others do not know until they have taken it over.
    tainted = session.tainted - before.tainted
    # INVARIANT (labels come from what was touched): the other sessions of the task learn of it before they decide again. Of one that was
    # lowered, it is not enough that its label had covered it: it counts whatever they touch.
    more = session.pending is not before.pending or (chain[-1].spent.lowered and session.touches != before.touches)
    if not tainted and not more:
        return after
    root = states[-1]
    raised, alone = root.spent.raised + more, len(states) == 1
    if alone:
        return (_with(root, bool(after), decision, tainted=root.spent.tainted + tainted, raised=raised),)
    leaf = _with(states[0], bool(after), decision, tainted=states[0].spent.tainted + tainted) if tainted else states[0]
    return (leaf, *states[1:-1], _with(root, bool(after), decision, raised=raised) if more else root)


def once_lowered(chain: tuple[TaskState, ...], after: tuple[TaskState, ...], decision: DecisionId) -> tuple[TaskState, ...]:
    """The chain, as it is `after` a call, once a session of it had its label lowered: from now on others count whatever they touch."""
    states = after or chain
    if not states or states[-1].spent.lowered:
        return after
    return (*states[:-1], _with(states[-1], bool(after), decision, lowered=True))


def _with(state: TaskState, moved: bool, decision: DecisionId, **counts: int) -> TaskState:
    """A task with other counts; a version of its own where nothing else moved it."""
    version = state.spent.version if moved else next_version(state.spent.version, f"{sorted(counts)} by {decision}")
    return TaskState(state.task, replace(state.spent, version=version, **counts))


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
