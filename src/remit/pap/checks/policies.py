"""Checks of policies beside their types: the names they use, their annotations, how many can match."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from remit.model.decision import ApproverRule
from remit.model.identity import EntityRef
from remit.model.obligations import KNOWN_OBLIGATIONS
from remit.pap.checks.context import Checking
from remit.pap.checks.types import OTHER_TOOL, arguments_read, is_untyped
from remit.pap.problems import Problem, did_you_mean, error, warning
from remit.pap.reading.files import TOOLS_FILE
from remit.pdp.arguments import ArgumentTypes
from remit.pdp.break_glass import BREAK_GLASS, NEVER
from remit.pdp.cedar.policies import Policy
from remit.pdp.cedar.scopes import Constraint, Relation
from remit.pdp.entities import ancestors
from remit.pdp.obligations import OBLIGATION, REQUESTABLE

MANY = 20
"""Where more policies can match one tool, a decision costs more and nobody can tell what they say together."""

ANNOTATIONS: Mapping[str, str] = {
    "id": "the policy's name in decisions, logs and links",
    "description": "why the policy exists, in words shown to the agent and to approvers",
    OBLIGATION: "what the enforcement point must do for a permit to stand: `type:argument`, several with `;`",
    REQUESTABLE: "who may lift this forbid by an approval: `one`, `four-eyes` or `two`",
    BREAK_GLASS: "on a forbid: `never`, if nobody may open what it forbids, not even two people in an incident",
}

_OBLIGATION_ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "deadline": (r"[0-9]+(\.[0-9]+)?", "seconds, as in `deadline:30`"),
    "limit-result": (r"[1-9][0-9]*", "bytes, as in `limit-result:65536`"),
    "notify": (r"\S.*", "a channel, as in `notify:security`"),
    "redact-result": (r"[^,]*[^,\s][^,]*(,[^,]*[^,\s][^,]*)*", "fields, as in `redact-result:iban,ssn`"),
}


def policy_problems(checking: Checking) -> Iterator[Problem]:
    """What is wrong with each policy, and with all of them together."""
    known = _known(checking)
    for policy in checking.contents.policies:
        yield from _names(policy, known)
        yield from _annotations(checking, policy)
    yield from _unlinked(checking)
    yield from _arguments(checking)
    yield from _many(checking)


def _place(policy: Policy) -> tuple[str, int]:
    return policy.source, policy.line


def _names(policy: Policy, known: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    tools, groups, declared = known["Tool"], known["ToolGroup"], known["Group"]
    for named in _entities(policy):
        what = f"policy `{policy.id}` names `{named}`"
        if named.type == "Tool" and named.id not in tools:
            hint = did_you_mean(named.id, tools) or "add it to `tools.yaml`; its name is enough"
            yield error(_place(policy), "unknown-tool", f"{what}, which is not in the catalogue", hint)
        elif named.type == "ToolGroup" and named.id not in groups:
            hint = did_you_mean(named.id, groups) or "add it to the `groups` of a tool"
            yield error(_place(policy), "unknown-tool-group", f"{what}, which no tool is in", hint)
        elif named.type == "Group" and named.id not in declared:
            hint = did_you_mean(named.id, declared) if declared else ""
            hint = hint or "add it to `entities.yaml` to say that it is meant"
            yield warning(_place(policy), "unknown-group", f"{what}, which `entities.yaml` does not have", hint)


def _known(checking: Checking) -> dict[str, frozenset[str]]:
    """The ids that policies can name, by type."""
    entities = checking.compiled.entities
    first = [EntityRef("ToolGroup", group) for tool in checking.contents.tools for group in tool.groups]
    first += [ref for ref in entities if ref.type == "ToolGroup"]
    return {
        "Tool": frozenset(checking.compiled.tools),
        "ToolGroup": frozenset(ref.id for ref in ancestors(checking.compiled, first) if ref.type == "ToolGroup"),
        "Group": frozenset(ref.id for ref in entities if ref.type == "Group"),
    }


def _entities(policy: Policy) -> list[EntityRef]:
    scoped = [part.entity for part in (policy.scope.principal, policy.scope.resource) if part.entity]
    return sorted({*scoped, *policy.reads.entities})


def _annotations(checking: Checking, policy: Policy) -> Iterator[Problem]:
    place = _place(policy)
    for name, text in policy.annotations.items():
        if not text.replace("\n", " ").isprintable() or (name == "id" and not text.isprintable()):
            message = f"the `@{name}` of policy `{policy.id!r}` has control characters, which a terminal would obey"
            yield error(place, "annotation", message, "write printable text")
        if name not in ANNOTATIONS:
            message = f"policy `{policy.id}` has the annotation `@{name}`, which means nothing here"
            yield warning(place, "unknown-annotation", message, did_you_mean(name, ANNOTATIONS))
    if "id" not in policy.annotations:
        message = f"policy `{policy.id}` has no `@id`: its name changes when policies before it do"
        yield warning(place, "no-id", message, 'write `@id("…")` before it')
    if OBLIGATION in policy.annotations:
        yield from _obligations(checking, policy, policy.annotations[OBLIGATION])
    if REQUESTABLE in policy.annotations:
        yield from _requestable(policy, policy.annotations[REQUESTABLE])
    if BREAK_GLASS in policy.annotations and (policy.annotations[BREAK_GLASS] != NEVER or policy.effect == "permit"):
        message = f"policy `{policy.id}` has a `@break_glass` that is not `never`, or permits"
        yield error(place, "break-glass", message, 'write `@break_glass("never")` at a forbid, or remove it')


def _obligations(checking: Checking, policy: Policy, written: str) -> Iterator[Problem]:
    allowed = checking.contents.manifest.obligations
    known = KNOWN_OBLIGATIONS.keys() if allowed is None else set(allowed)
    if policy.effect == "forbid":
        message = f"policy `{policy.id}` forbids: its `@obligation` is never asked for"
        yield warning(_place(policy), "idle-obligation", message, "write it at the permit that it belongs to")
    asked = [text.strip() for text in written.split(";") if text.strip()]
    if not asked:
        message = f"policy `{policy.id}` has an empty `@obligation`"
        yield error(_place(policy), "obligation", message, "write `type:argument`, or remove it")
    for text in asked:
        kind, _, argument = text.partition(":")
        if kind not in known:
            message = f"policy `{policy.id}` asks for obligation `{kind}`, which turns its permits into denials"
            yield error(_place(policy), "unknown-obligation", message, did_you_mean(kind, known))
            continue
        pattern, form = _OBLIGATION_ARGUMENTS.get(kind, (".*", ""))
        if not re.fullmatch(pattern, argument.strip()):
            message = f"policy `{policy.id}` asks for `{text}`, which cannot be fulfilled"
            yield error(_place(policy), "obligation", message, f"write {form}")


def _requestable(policy: Policy, written: str) -> Iterator[Problem]:
    place = _place(policy)
    rules = [rule.value for rule in ApproverRule]
    if written not in rules:
        message = f"policy `{policy.id}` is requestable of `{written}`, which is nobody"
        yield error(place, "requestable", message, "write " + " or ".join(f"`{rule}`" for rule in rules))
    if policy.effect == "permit":
        message = f"policy `{policy.id}` permits: only a forbid can be `@requestable`"
        yield error(place, "requestable", message, "move the annotation to the forbid that denies")
    elif not policy.reads.context.whole and "approval" not in policy.reads.context.children:
        message = f"policy `{policy.id}` is `@requestable`, but forbids with an approval too"
        yield error(place, "requestable", message, "write `unless { context.approval.granted }`")


def _unlinked(checking: Checking) -> Iterator[Problem]:
    linked = {link.template for link in checking.contents.links}
    for policy in checking.contents.policies:
        if policy.is_template and policy.id not in linked:
            message = f"template `{policy.id}` is linked nowhere: it decides nothing"
            yield warning(_place(policy), "unlinked", message, "link it in `links.yaml`, or remove it")


def _arguments(checking: Checking) -> Iterator[Problem]:
    """Guarded reads that the schema cannot see through: of what no tool has, and of what has no one type."""
    meets: dict[str, list[ArgumentTypes]] = {}
    for tool, names in checking.matches.by_tool.items():
        for name in names:
            meets.setdefault(name, []).append(checking.compiled.tools[tool].types)
    for policy in checking.contents.policies:
        read = arguments_read(policy)
        types = meets.get(policy.id, [])
        for argument in read.children if read else ():
            yield from _argument(policy, argument, types, policy.id in checking.matches.other)


def _argument(policy: Policy, argument: str, types: list[ArgumentTypes], others: bool) -> Iterator[Problem]:
    known = {name for tool in types for name in tool.root.fields}
    what = f"policy `{policy.id}` reads `context.args.{argument}`"
    if any(argument in tool.root.fields and is_untyped(tool.root.fields[argument]) for tool in types):
        message = f"{what}, which has no one type: what is compared with it is not checked"
        yield warning(_place(policy), "unchecked-argument", message, f"give `{argument}` one `type` in the tool's `schema`")
    elif types and argument not in known and not others and all(tool.closed for tool in types):
        message = f"{what}, which no tool it can match has"
        yield warning(_place(policy), "argument-nowhere", message, did_you_mean(argument, known))


def _many(checking: Checking) -> Iterator[Problem]:
    for position, tool in enumerate(checking.contents.tools):
        count = _for_one_agent(checking, checking.matches.by_tool[tool.name])
        if count > MANY:
            message = f"{count} policies can match one call of tool `{tool.name}`, more than {MANY}"
            yield warning(checking.place(TOOLS_FILE, position), "many-policies", message, _NARROW)
    count = _for_one_agent(checking, checking.matches.other)
    if count > MANY:
        message = f"{count} policies can match one call of {OTHER_TOOL.name[1:-1]}, more than {MANY}"
        yield warning(("bundle.yaml", 1), "many-policies", message, _NARROW)


_NARROW = "narrow their scopes: name tools, tool groups or agent groups there instead of in conditions"


def _for_one_agent(checking: Checking, policies: tuple[str, ...]) -> int:
    """How many can match for one agent: those for every agent, and the most that are for any one agent or group."""
    every = 0
    tied: Counter[EntityRef] = Counter()
    for name in policies:
        principal: Constraint = checking.policies[name].scope.principal
        if principal.relation in (Relation.ANY, Relation.IS) or principal.entity is None:
            every += 1
        else:
            tied[principal.entity] += 1
    return every + max((_reached(checking, ref, tied) for ref in tied), default=0)


def _reached(checking: Checking, ref: EntityRef, tied: Counter[EntityRef]) -> int:
    return sum(tied[above] for above in ancestors(checking.compiled, [ref]))
