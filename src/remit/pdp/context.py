"""The context a slice of policies can read, and nothing beyond it, in Cedar's JSON form."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from remit.model.decision import Steering
from remit.model.labels import Label
from remit.model.person import OwnerState
from remit.model.request import ACTIONS, EvaluationRequest, Tier
from remit.model.task import Session, TaskState
from remit.pdp.arguments import ANY, MAX_LONG, MIN_LONG, UNTYPED, ArgumentType, Unrepresentable, to_cedar
from remit.pdp.cedar.reads import WHOLE, Node, project, stand_in
from remit.pdp.compiled import CompiledBundle, CompiledTool
from remit.pdp.flow import ORIGINS, ROLES
from remit.pdp.history import history_context
from remit.pdp.memo import Memo
from remit.pdp.parties import circumstances

_encode = msgspec.json.Encoder().encode


class Projected(msgspec.Struct, frozen=True, gc=False):
    """Arguments as policies see them, in Cedar's JSON (`read`), and others that they cannot tell from them (`alike`)."""

    read: msgspec.Raw
    alike: msgspec.Raw


class Situation(msgspec.Struct, frozen=True, gc=False):
    """What a context is made from; `approver` is set where an approval is taken as granted, `asked` says that the
    purpose speaks of what the tool does, `links` are the texts with links that untrusted output gave, `flows` the data-flow grants that
    origins rest on, `stated` the facts that the bundle declares, `first_use` that the call widens what the session can touch or do,
    `owner` what is known of who owns the agent."""

    bundle: CompiledBundle
    request: EvaluationRequest
    tier: Tier
    now: int
    chain: tuple[TaskState, ...]
    session: Session | None
    reached: Label
    tool: CompiledTool | None = None
    steering: tuple[Steering, ...] = ()
    approver: str | None = None
    asked: bool = False
    links: tuple[str, ...] = ()
    projected: Memo[bytes, Projected] = msgspec.field(default_factory=lambda: Memo(1))
    flows: tuple[str, ...] = ()
    stated: Mapping[str, Any] = {}
    first_use: bool = False
    owner: OwnerState = OwnerState.UNKNOWN


class Context(msgspec.Struct, frozen=True, gc=False):
    """A projected context as JSON (`read`), and the parts it was made of."""

    read: bytes
    parts: dict[str, Any]
    arguments: Projected | None

    def alike(self) -> bytes:
        """A context that these policies cannot tell from this one, the same for all such; this one if it stands for itself."""
        # Only arguments differ from call to call; all else has few values.
        if self.arguments is None or self.arguments.alike is self.arguments.read:
            return self.read
        return _encode({**self.parts, "args": self.arguments.alike})


def context_of(tree: Node, situation: Situation) -> Context:
    """What these policies can read of the context, and nothing beyond it.

    Raises `Unrepresentable` if a policy can read an argument that Cedar cannot say; the message names the argument.
    """
    parts = context_parts(tree, situation, _args)
    arguments: Projected | None = parts.get("args")
    if arguments is not None:
        parts["args"] = arguments.read
    return Context(_encode(parts), parts, arguments)


def context_parts(tree: Node, situation: Situation, arguments: Callable[[Node, Situation], Any]) -> dict[str, Any]:
    """The projected context in Cedar's JSON form; `arguments` makes what is to be seen of them. Raises `Unrepresentable`."""
    wanted = _PARTS.keys() if tree.whole else tree.children.keys()
    context: dict[str, Any] = {}
    given = circumstances(situation.request) if situation.request.action not in ACTIONS else {}
    for name in wanted:
        build = arguments if name == "args" else _PARTS.get(name)
        if build is None:
            if given.get(name) is not None:
                context[name] = _typed(name, given[name], ANY)
        else:
            part = build(WHOLE if tree.whole else tree.children[name], situation)
            if part is not None:
                context[name] = part
    return context


def _args(node: Node, situation: Situation) -> Projected:
    """What policies see of the arguments: a function of the locus and of their canonical form, and remembered as such."""
    canonical = situation.request.arguments.canonical
    known = situation.projected.find(canonical)
    if known is not None:
        return known
    typed = typed_args(node, situation)
    encoded = _encode(typed)
    read = alike = msgspec.Raw(encoded)
    other = stand_in(node, typed)
    if other is not typed:
        alike = msgspec.Raw(_encode(other))
    return situation.projected.keep(canonical, Projected(read, alike), len(canonical) + 2 * len(encoded))


def typed_args(node: Node, situation: Situation) -> dict[str, Any]:
    """The arguments in Cedar's JSON form, those that can be read. Raises `Unrepresentable`."""
    types = (situation.tool.types if situation.tool else UNTYPED).root.fields
    values = situation.request.arguments.values
    typed: dict[str, Any] = {}
    for name in values if node.whole else node.children:
        value = values.get(name)
        if value is None:
            continue  # a null is an absent attribute
        kind = type(value)
        fits = kind is int and MIN_LONG <= value <= MAX_LONG and types.get(name, ANY).kind != "number"
        if fits or kind is str or kind is bool:
            typed[name] = value
        else:
            part = value if node.whole or kind is not dict else project(node.children[name], value)
            typed[name] = _typed(name, part, types.get(name, ANY))
    return typed


def _typed(name: str, value: Any, expected: ArgumentType) -> Any:
    try:
        return to_cedar(value, expected)
    except Unrepresentable as problem:
        raise Unrepresentable(f"argument `{name}` {problem}") from None


def _session(node: Node, situation: Situation) -> Mapping[str, Any]:
    session, reached = situation.session, situation.reached
    wanted = _SESSION.keys() if node.whole else node.children.keys()
    shown = {name: _SESSION[name](session, reached) for name in wanted if name in _SESSION}
    return {**shown, "firstUse": situation.first_use} if node.whole or "firstUse" in wanted else shown


_SESSION: dict[str, Callable[[Session | None, Label], Any]] = {
    "confidentiality": lambda _session, reached: reached.confidentiality,
    "confidentialityRank": lambda _session, reached: reached.confidentiality.rank,
    "untrusted": lambda _session, reached: reached.untrusted,
    "sources": lambda _session, reached: reached.sources,
    "calls": lambda session, _reached: sum(session.calls.values()) if session else 0,
    "denials": lambda session, _reached: session.denials if session else 0,
    "used": lambda session, _reached: sorted(session.calls) if session else [],
}


def _task(node: Node, situation: Situation) -> Mapping[str, Any] | None:
    shown = task_context(node, situation.chain)
    if shown is None or not node.reaches("history"):
        return shown
    return {**shown, "history": history_context(node.at("history"), situation.chain, situation.request)}


def task_context(node: Node, chain: tuple[TaskState, ...]) -> Mapping[str, Any] | None:
    """What policies that read `node` of the task see of it, its history aside; None without one."""
    if not chain:
        return None
    wanted = _TASK.keys() if node.whole else node.children.keys()
    return {name: _TASK[name](chain) for name in wanted if name in _TASK}


def _user(name: str) -> Mapping[str, Any]:
    return {"__entity": {"type": "User", "id": name}}


_TASK: dict[str, Callable[[tuple[TaskState, ...]], Any]] = {
    "id": lambda chain: chain[0].task.id,
    "type": lambda chain: chain[0].task.type,
    "purpose": lambda chain: chain[0].task.purpose,
    "purposeTrusted": lambda chain: chain[0].task.purpose_trusted,
    "onBehalfOf": lambda chain: _user(chain[0].task.on_behalf_of),
    "opener": lambda chain: _user(chain[0].task.opener),
    "depth": lambda chain: len(chain) - 1,
}


_NO_APPROVAL = {"granted": False, "approver": ""}


def _flow(node: Node, situation: Situation) -> Mapping[str, Any]:
    wanted = (*ORIGINS, *ROLES, "asked", "links") if node.whole else node.children
    flow: dict[str, Any] = {}
    for name in wanted:
        if name in ORIGINS:
            flow[name] = [one.argument for one in situation.steering if one.origin == ORIGINS[name]]
        elif name in ROLES:
            flow[name] = [one.argument for one in situation.steering if one.role == ROLES[name]]
        elif name == "asked":
            flow[name] = situation.asked
        elif name == "links":
            flow[name] = list(situation.links)
    return flow


def _approval(node: Node, situation: Situation) -> Mapping[str, Any]:
    if situation.approver is None:
        return project(node, _NO_APPROVAL)
    whole = {"granted": situation.approver is not None, "approver": situation.approver or ""}
    return project(node, whole)


def _now(_node: Node, situation: Situation) -> dict[str, Any]:
    moment = datetime.fromtimestamp(situation.now // 1000 / 1000, UTC)
    return {"__extn": {"fn": "datetime", "arg": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{situation.now // 1000 % 1000:03d}Z"}}


_PARTS: dict[str, Callable[[Node, Situation], Any]] = {
    "args": _args,
    "tier": lambda _node, situation: situation.tier,
    "tierRank": lambda _node, situation: situation.tier.rank,
    "ownerState": lambda _node, situation: situation.owner,
    "session": _session,
    "task": _task,
    "flow": _flow,
    "approval": _approval,
    "now": _now,
    "facts": lambda node, situation: project(node, situation.stated),
}
