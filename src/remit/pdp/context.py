"""The context a slice of policies can read, and nothing beyond it, in Cedar's JSON form."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from remit.model.decision import Steering
from remit.model.labels import Label
from remit.model.request import TOOL_CALL, EvaluationRequest, Tier
from remit.model.task import Session, TaskState
from remit.model.tool import UNANNOTATED, ToolEffect
from remit.pdp.arguments import UNTYPED, ArgumentTypes, Unrepresentable, to_cedar
from remit.pdp.compiled import CompiledBundle, CompiledTool
from remit.pdp.provenance import INTENDED, KNOWN, STEERED, TRUSTED, UNKNOWN, Observed, normalise, trace
from remit.pdp.reads import PathTree, project

_encode = msgspec.json.Encoder().encode


class Facts(msgspec.Struct, frozen=True):
    """What a context is made from; `approver` is set where an approval is taken as granted."""

    bundle: CompiledBundle
    request: EvaluationRequest
    tier: Tier
    now: int
    chain: tuple[TaskState, ...]
    session: Session | None
    reached: Label
    observed: Observed
    tool: CompiledTool | None = None
    steering: tuple[Steering, ...] = ()
    approver: str | None = None


def context_bytes(tree: PathTree, facts: Facts) -> bytes:
    """The projected context as JSON: equal bytes mean that these policies see equal contexts.

    Raises `Unrepresentable` if a policy can read an argument that Cedar cannot say; the message names the argument.
    """
    wanted = _PARTS.keys() if tree.whole else tree.children.keys()
    context: dict[str, Any] = {}
    for name in wanted:
        build = _PARTS.get(name)
        if build is not None:
            part = build(WHOLE if tree.whole else tree.children[name], facts)
            if part is not None:
                context[name] = part
    return _encode(context)


WHOLE = PathTree(True)


def _args(node: PathTree, facts: Facts) -> dict[str, Any]:
    types = facts.tool.types if facts.tool else UNTYPED
    return _typed(project(node, facts.request.arguments.values), types)


def _typed(values: Mapping[str, Any], types: ArgumentTypes) -> dict[str, Any]:
    typed = {}
    for name, value in values.items():
        if value is not None:
            try:
                typed[name] = to_cedar(value, types.type_of(name))
            except Unrepresentable as problem:
                raise Unrepresentable(f"argument `{name}` {problem}") from None
    return typed


def _session(node: PathTree, facts: Facts) -> Mapping[str, Any]:
    reached, session = facts.reached, facts.session
    whole: dict[str, Any] = {
        "confidentiality": reached.confidentiality.value,
        "confidentialityRank": reached.confidentiality.rank,
        "untrusted": reached.untrusted,
        "sources": reached.sources,
        "denials": session.denials if session else 0,
    }
    if node.whole or "calls" in node.children or "used" in node.children:
        calls = session.calls if session else {}
        whole["calls"] = sum(calls.values())
        whole["used"] = sorted(calls)
    return project(node, whole)


def _task(node: PathTree, facts: Facts) -> Mapping[str, Any] | None:
    if not facts.chain:
        return None
    task = facts.chain[0].task
    whole = {
        "id": task.id,
        "type": task.type,
        "purpose": task.purpose,
        "purposeTrusted": task.purpose_trusted,
        "onBehalfOf": {"__entity": {"type": "User", "id": task.on_behalf_of}},
        "opener": {"__entity": {"type": "User", "id": task.opener}},
        "depth": len(facts.chain) - 1,
    }
    return project(node, whole)


_FLOW = {"intended": INTENDED, "known": KNOWN, "trusted": TRUSTED, "steered": STEERED, "unknown": UNKNOWN}


def _flow(node: PathTree, facts: Facts) -> Mapping[str, Any]:
    whole = {
        name: [steering.argument for steering in facts.steering if steering.origin == origin]
        for name, origin in _FLOW.items()
    }
    return project(node, whole)


def _approval(node: PathTree, facts: Facts) -> Mapping[str, Any]:
    whole = {"granted": facts.approver is not None, "approver": facts.approver or ""}
    return project(node, whole)


def _now(_node: PathTree, facts: Facts) -> dict[str, Any]:
    moment = datetime.fromtimestamp(facts.now // 1000 / 1000, UTC)
    return {"__extn": {"fn": "datetime", "arg": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{facts.now // 1000 % 1000:03d}Z"}}


_PARTS: dict[str, Callable[[PathTree, Facts], Any]] = {
    "args": _args,
    "tier": lambda _node, facts: facts.tier.value,
    "tierRank": lambda _node, facts: facts.tier.rank,
    "session": _session,
    "task": _task,
    "flow": _flow,
    "approval": _approval,
    "now": _now,
}


def steering_of(facts: Facts) -> tuple[Steering, ...]:
    """The origin of every argument that chooses a destination, an object or a command.

    A tool without complete annotations has only such arguments; a resource that is no tool is its own destination.
    """
    request = facts.request
    intent = " \n ".join(normalise(state.task.purpose) for state in facts.chain if state.task.purpose_trusted)
    known = facts.bundle.directory
    if request.action != TOOL_CALL:
        return (trace("resource", request.resource.id, intent, known, facts.observed),)
    annotations = facts.tool.tool.annotations if facts.tool else UNANNOTATED
    values = request.arguments.values
    names = annotations.destinations
    if not annotations.complete or (not names and annotations.effect is not ToolEffect.READ):
        names = tuple(name for name in values if name not in annotations.content)
    found = []
    for name in names:
        value = _lookup(values, name)
        if value is not None:
            found.append(trace(name, value, intent, known, facts.observed))
    return tuple(found)


def _lookup(values: Mapping[str, Any], path: str) -> Any:
    if path in values:
        return values[path]
    here: Any = values
    for part in path.split("."):
        if isinstance(here, list):
            here = [item.get(part) for item in here if isinstance(item, dict)]
        elif isinstance(here, dict):
            here = here.get(part)
        else:
            return None
    return here
