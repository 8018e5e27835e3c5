"""Policies checked against the Cedar schema: each as often as the tools it can match have different arguments."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from remit.model.identity import EntityRef
from remit.model.request import TOOL_CALL
from remit.model.tool import Tool
from remit.pap.contents import Bundle
from remit.pap.problems import Problem, did_you_mean, error
from remit.pap.schema import NO_ARGUMENTS, parse, vocabulary
from remit.pdp.arguments import ArgumentType, ArgumentTypes, argument_types
from remit.pdp.cedar.engine import Schema
from remit.pdp.cedar.policies import Policy, validate
from remit.pdp.cedar.reads import Node
from remit.pdp.cedar.scopes import ACTION, Constraint, PolicyScope, Relation
from remit.pdp.cedar.slices import PolicyIndex
from remit.pdp.compiled import CompiledBundle
from remit.pdp.entities import ancestors
from remit.pdp.facts.fact import Fact, facts_type
from remit.pdp.facts.types import type_of, untyped

ANY_AGENT = EntityRef("Agent", "(any agent)")
OTHER_TOOL = Tool("(a tool that is not in the catalogue)")

_OPTIONAL = re.compile(r"unable to guarantee safety of access to (?:optional attribute|tag) `([^`]+)`(.*)", re.S)
_ABSENT = re.compile(r"attribute `([^`]+)`(.*) not found(.*)", re.S)
_UNKNOWN = re.compile(r"unrecognized (action|entity type) `([^`]+)`.*", re.S)
_IMPOSSIBLE = "unable to find an applicable action given the policy scope constraints"
_DENIES = " (a policy that errs denies all that it can match)"
_ELSEWHERE = re.compile(r'in context for Action::"(?!tool\.call")')


_TOOL_CALL_ALONE = (Constraint(Relation.EQUAL, "", EntityRef(ACTION, TOOL_CALL)),)


class Matches(msgspec.Struct, frozen=True):
    """Which policies can match which tools, whoever calls: the names of policies for each tool, and for one nobody described."""

    by_tool: Mapping[str, tuple[str, ...]]
    other: tuple[str, ...]


def matches(bundle: Bundle, compiled: CompiledBundle) -> Matches:
    """Find them by scope, leaving the principal open."""
    contents = bundle.contents
    open_to_all = [
        msgspec.structs.replace(policy, scope=PolicyScope(actions=policy.scope.actions, resource=policy.scope.resource))
        for policy in contents.policies
    ]
    above = {name: frozenset(groups) for name, groups in contents.actions.items()}
    index = PolicyIndex(open_to_all, above)

    def candidates(tool: Tool) -> tuple[str, ...]:
        resource = frozenset(ancestors(compiled, tool_parents(compiled, tool)))
        return index.candidates(ANY_AGENT, frozenset(), TOOL_CALL, tool.ref, resource)

    return Matches({tool.name: candidates(tool) for tool in contents.tools}, candidates(OTHER_TOOL))


def tool_parents(compiled: CompiledBundle, tool: Tool) -> tuple[EntityRef, ...]:
    """The groups a tool is in, by the catalogue and by the bundle's entities."""
    declared = compiled.entities.get(tool.ref)
    groups = tuple(EntityRef("ToolGroup", group) for group in tool.groups)
    return (*groups, *(declared.parents if declared else ()))


def arguments_read(policy: Policy) -> Node | None:
    """What a policy can read of `context.args`, or None."""
    context = policy.reads.context
    return Node(True) if context.whole else context.children.get("args")


class _Fault(msgspec.Struct, frozen=True):
    """What the engine says against one policy, and the tools it says it for (none: whatever the tool)."""

    policy: str
    message: str
    tools: tuple[str, ...] = ()


def type_problems(bundle: Bundle, found: Matches) -> list[Problem]:
    """Everything that the schema has against the policies."""
    policies = {policy.id: policy for policy in bundle.contents.policies}
    readers = [policy for policy in policies.values() if arguments_read(policy) is not None]
    names = {policy.id for policy in readers}
    faults = _check_others(bundle, [policy for policy in policies.values() if policy.id not in names])
    # Which arguments a template can read is known only of what is linked from it.
    faults += _check_readers(bundle, [policy for policy in readers if not policy.is_template], found)
    impossible = {fault.policy for fault in faults if fault.message != _IMPOSSIBLE}
    tools = {tool.name: tool for tool in bundle.contents.tools}
    explain = _Explainer(bundle, tools)
    mistyped = {f"`context.facts.{fact.name}`" for fact in bundle.contents.facts if untyped(type_of(fact.schema))}
    return [
        explain.problem(policies[fault.policy], fault)
        for fault in faults
        if (fault.message != _IMPOSSIBLE or fault.policy not in impossible) and not _is_about(fault, mistyped)
    ]


def _is_about(fault: _Fault, paths: Collection[str]) -> bool:
    absent = _ABSENT.fullmatch(fault.message)
    return absent is not None and _path(absent[1], absent[2]) in paths


def _check_others(bundle: Bundle, policies: Sequence[Policy]) -> list[_Fault]:
    """Those that read no arguments, once; what a policy costs grows with the actions it is checked against."""
    own, facts = bundle.contents.schema, facts_type(bundle.contents.facts)
    narrow = [policy for policy in policies if _only_tools(policy)]
    wide = [policy for policy in policies if not _only_tools(policy)]
    return _check(narrow, parse(own, NO_ARGUMENTS, others=False, facts=facts)) + _check(wide, parse(own, facts=facts))


def _only_tools(policy: Policy) -> bool:
    return policy.scope.actions == _TOOL_CALL_ALONE


def _check(policies: Sequence[Policy], schema: Schema, tools: tuple[str, ...] = ()) -> list[_Fault]:
    return [_Fault(name, message, tools) for name, message in validate(policies, schema)] if policies else []


def _check_readers(bundle: Bundle, readers: Sequence[Policy], found: Matches) -> list[_Fault]:
    """Those that read arguments: once against all other actions, and once for each record of arguments they can meet."""
    own, facts = bundle.contents.schema, facts_type(bundle.contents.facts)
    by_type = _by_type(bundle, {policy.id: policy for policy in readers}, found)
    matching = {policy for meeting in by_type.values() for policy in meeting}
    faults = [
        fault
        for fault in _check([policy for policy in readers if not _only_tools(policy)], parse(own, None, facts=facts))
        if fault.message != _IMPOSSIBLE or fault.policy not in matching
    ]
    by_name = {policy.id: policy for policy in readers}
    for arguments, meeting in by_type.items():
        schema = parse(own, arguments, others=False, facts=facts)
        for fault in _check([by_name[name] for name in meeting], schema):
            if fault.message != _IMPOSSIBLE and not _ELSEWHERE.search(fault.message):
                faults.append(_Fault(fault.policy, fault.message, tuple(meeting[fault.policy])))
    return _merged(faults)


def _merged(faults: Iterable[_Fault]) -> list[_Fault]:
    tools: dict[tuple[str, str], dict[str, None]] = {}
    for fault in faults:
        tools.setdefault((fault.policy, fault.message), {}).update(dict.fromkeys(fault.tools))
    return [_Fault(policy, message, tuple(named)) for (policy, message), named in tools.items()]


def _by_type(bundle: Bundle, readers: Mapping[str, Policy], found: Matches) -> dict[str, dict[str, list[str]]]:
    """For each record of arguments, cut to what a policy reads of it: the policies that meet it, and in which tools."""
    grouped: dict[str, dict[str, list[str]]] = {}
    reads = {name: arguments_read(policy) for name, policy in readers.items()}
    for tool in (*bundle.contents.tools, OTHER_TOOL):
        types = argument_types(tool.schema)
        records: dict[frozenset[str] | None, str] = {}
        for name in found.other if tool is OTHER_TOOL else found.by_tool[tool.name]:
            tree = reads.get(name)
            if tree is not None:
                wanted = None if tree.whole else frozenset(tree.children)
                if wanted not in records:
                    records[wanted] = _record(types, wanted)
                grouped.setdefault(records[wanted], {}).setdefault(name, []).append(tool.name)
    return grouped


def _record(types: ArgumentTypes, wanted: frozenset[str] | None) -> str:
    root = types.root
    if wanted is None:
        return types.cedar_type()
    fields = {name: field for name, field in root.fields.items() if name in wanted}
    if not fields:
        return NO_ARGUMENTS
    return ArgumentTypes(ArgumentType("object", fields, root.required & wanted)).cedar_type()


def is_untyped(node: ArgumentType) -> bool:
    """Whether an argument has no one type that policies can be checked against."""
    return ArgumentTypes(ArgumentType("object", {"it": node})).cedar_type() == NO_ARGUMENTS


class _Explainer:
    """Puts what the engine says into words that name the tool and say what to do."""

    def __init__(self, bundle: Bundle, tools: Mapping[str, Tool]) -> None:
        self._tools = tools
        self._facts = bundle.contents.facts
        self._names = vocabulary(parse(bundle.contents.schema))

    def problem(self, policy: Policy, fault: _Fault) -> Problem:
        place = policy.source, policy.line
        if unknown := _UNKNOWN.fullmatch(fault.message):
            return self._unknown(policy, *unknown.groups())
        if fault.message == _IMPOSSIBLE:
            message = f"the scope of policy `{policy.id}` fits no request"
            return error(place, "no-request", message, "name an action together with the resources it is for")
        if optional := _OPTIONAL.fullmatch(fault.message):
            path = _path(optional[1], optional[2])
            message = f"policy `{policy.id}` reads {path}, which {self._of(fault)} may lack{_DENIES}"
            return error(place, "unguarded", message, f"write {_guard(path)} before it")
        if absent := _ABSENT.fullmatch(fault.message):
            return self._absent(policy, fault, _path(absent[1], absent[2]))
        message = f"policy `{policy.id}`{self._for(fault)}: {fault.message}"
        return error(place, "type", message, _type_hint(fault.message))

    def _unknown(self, policy: Policy, kind: str, name: str) -> Problem:
        place = policy.source, policy.line
        message = f"policy `{policy.id}` names {kind} `{name}`, which there is not"
        if kind == "action":
            known = [f'Action::"{action}"' for action in (*self._names.actions, *self._names.groups)]
            return error(place, "unknown-action", message, did_you_mean(name, known))
        return error(place, "unknown-entity-type", message, did_you_mean(name, self._names.types))

    def _absent(self, policy: Policy, fault: _Fault, path: str) -> Problem:
        place = policy.source, policy.line
        argument = path.removeprefix("`context.args.").rstrip("`")
        if not path.startswith("`context.args."):
            message = f"policy `{policy.id}` reads {path}, which is not there"
            if path.startswith("`context.facts."):
                return error(
                    place, "unknown-fact", message, unknown_fact(path.strip("`").removeprefix("context.facts."), self._facts)
                )
            return error(place, "unknown-attribute", message, "docs/policy.md lists what policies can read")
        if self._untyped(fault, argument):
            message = f"policy `{policy.id}` reads {path}, to which {self._of(fault)} gives no one type"
            return error(place, "untyped-argument", message, f"give `{argument}` one `type` in the tool's `schema`")
        message = f"policy `{policy.id}` reads {path}, which {self._of(fault)} does not declare{_DENIES}"
        hint = f"guard it by {_guard(path)}, or name only tools that have it in the policy's scope"
        return error(place, "undeclared-argument", message, hint)

    def _untyped(self, fault: _Fault, name: str) -> bool:
        tools = [self._tools[tool] for tool in fault.tools if tool in self._tools]
        return any(name.split(".")[0] in argument_types(tool.schema).root.fields for tool in tools)

    def _of(self, fault: _Fault) -> str:
        return _tools(fault.tools) or "a request"

    def _for(self, fault: _Fault) -> str:
        return f" for {_tools(fault.tools)}" if fault.tools else ""


def unknown_fact(path: str, facts: Iterable[Fact]) -> str:
    """What to do about a path below `context.facts` that no fact has."""
    known = {fact.name: fact for fact in facts}
    name, *below = path.split(".")
    if name not in known:
        return did_you_mean(name, known) or "declare it in `facts.yaml`"
    node = type_of(known[name].schema)
    for step in below:
        if step not in node.fields:
            return did_you_mean(step, node.fields) or f"declare it in the schema of fact `{name}`"
        node = node.fields[step]
    return ""


def _tools(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    first = names[0][1:-1] if names[0] == OTHER_TOOL.name else f"tool `{names[0]}`"
    return first if len(names) == 1 else f"{first} (and {len(names) - 1} more)"


def _path(attribute: str, where: str) -> str:
    """An attribute as a policy writes it: the engine says `in context for …` or `on entity type …`."""
    if " in context" in where:
        return f"`context.{attribute}`"
    return f"`{attribute}`{where}" if where else f"`{attribute}`"


def _guard(path: str) -> str:
    base, _, name = path.strip("`").rpartition(".")
    return f"`{base} has {name} && …`" if base else f"`… has {name} && …`"


def _type_hint(message: str) -> str:
    if "decimal" in message:
        return '`number` arguments are decimals: compare them by `.lessThan(decimal("1.0"))` and its like'
    return ""
