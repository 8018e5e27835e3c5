"""A bundle made ready to decide with: indexed policies, typed tools, task types, and what it says of resources."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from remit.model.break_glass import BreakGlassRules
from remit.model.decision import ApproverRule
from remit.model.identity import BundleDigest, EntityRef
from remit.model.labels import Confidentiality
from remit.model.rate import Rate
from remit.model.request import Tier
from remit.model.task import Budgets, Scope
from remit.model.tool import Reach, Tool
from remit.pdp.arguments import ArgumentTypes
from remit.pdp.cedar.reads import Node
from remit.pdp.cedar.slices import PolicyIndex
from remit.pdp.facts.fact import NO_FACTS, FactSet
from remit.pdp.memo import Memo
from remit.pdp.outside import Opa
from remit.pdp.patterns import matches


class Mode(StrEnum):
    """Whether denials bind (`enforce`) or are only decided and logged (`shadow`)."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class FirstUse(StrEnum):
    """What a first use that widens does to the tier of the call: nothing but being a fact for policies, or raise it by a step."""

    OBSERVE = "observe"
    RAISE = "raise"


class TaskType(msgspec.Struct, frozen=True):
    """An administrator's template of a task's scope: the least privilege for one kind of work.

    `seconds` is the longest a task of this type may live; `agent_may_open` lets the agent itself open one.
    """

    name: str
    description: str = ""
    scope: Scope = Scope()
    budgets: Budgets = Budgets()
    seconds: int = 3600
    agent_may_open: bool = False


class ResourceClass(msgspec.Struct, frozen=True):
    """What is known of the resources of one type whose id matches a pattern (`*` any text); the first match counts.

    `memory` names what agents write there and read again, also in later sessions.
    """

    type: str
    pattern: str
    sensitivity: Confidentiality | None = None
    reach: Reach | None = None
    trusted: bool = False
    tier: Tier | None = None
    memory: str = ""


class EntityDocument(msgspec.Struct, frozen=True):
    """One Cedar entity: its attributes in Cedar's JSON form and its direct parents."""

    ref: EntityRef
    attributes: dict[str, Any] = {}
    parents: tuple[EntityRef, ...] = ()


class CompiledTool(msgspec.Struct, frozen=True):
    """A tool of the catalogue with its arguments' types."""

    tool: Tool
    types: ArgumentTypes


class Rego(msgspec.Struct, frozen=True):
    """The policies in Rego: what they can read of the document they are shown, and who evaluates them.

    `evaluate` does so in this process; without it, `opa` is asked. `digest` tells their meaning from that of others, empty where it
    cannot be known. `compared` are paths of the document whose order is asked for in this process, with what of (`number`, `text`).
    """

    reads: Node
    evaluate: Callable[[bytes], bytes] | None = None
    opa: Opa | None = None
    digest: str = ""
    compared: tuple[tuple[tuple[str, ...], str], ...] = ()


class ApprovalTerms(msgspec.Struct, frozen=True):
    """What a bundle says of access requests. No more than `per_task` of one task and `per_agent` of one agent wait at a time. One that
    nobody answered for `escalate_after` seconds (0: none) is told to `escalate_to`, too. `rules` raise who must approve at a tier."""

    per_task: int = 20
    per_agent: int = 100
    escalate_after: int = 0
    escalate_to: tuple[str, ...] = ()
    rules: Mapping[Tier, ApproverRule] = {}


class CompiledBundle(msgspec.Struct, frozen=True):
    """Everything a decision needs of a published bundle; immutable, shared by all threads.

    `actions` are those that can be asked for, each with the types of resource that it is asked for on, `principals` with the types of
    subject that ask for it. `task_free` are `action` or
    `action resource-id` patterns that pass without a task. `directory` are the principals a deployment knows: exact destinations, or
    `@domain`. `obligations` are the types its policies may ask for. `request_attributed` are the entity types whose properties may come
    with the request. `rego` are the policies in that language, if any, `facts` what it declares; `reads_history` says that decisions may
    hang on what was done under the task, `first_uses` that they may hang on whether a call is a first use. `memories` are the names of all
    that tools and classes declare, `agent_rates` bound what each agent may use up over all its tasks. `approvals` are its terms for access
    requests. `loci` remembers what `pdp.locus` found; it changes no answer. `break_glass` bounds what people may open
    against it.
    """

    digest: BundleDigest
    name: str
    mode: Mode
    index: PolicyIndex
    actions: Mapping[str, frozenset[str]]
    tools: Mapping[str, CompiledTool] = {}
    task_types: Mapping[str, TaskType] = {}
    classes: tuple[ResourceClass, ...] = ()
    entities: Mapping[EntityRef, EntityDocument] = {}
    task_free: tuple[str, ...] = ()
    directory: tuple[str, ...] = ()
    request_attributed: frozenset[str] = frozenset()
    principals: Mapping[str, frozenset[str]] = {}
    rego: Rego | None = None
    facts: FactSet = NO_FACTS
    reads_history: bool = False
    memories: frozenset[str] = frozenset()
    agent_rates: tuple[Rate, ...] = ()
    first_use: FirstUse = FirstUse.OBSERVE
    first_uses: bool = False
    break_glass: BreakGlassRules = BreakGlassRules()
    approvals: ApprovalTerms = ApprovalTerms()
    loci: Memo[Any, Any] = msgspec.field(default_factory=lambda: Memo(4096))

    def needs_task(self, action: str, resource: EntityRef) -> bool:
        """Whether this action is refused without a task."""
        named = f"{action} {resource.id}"
        return not any(matches(action if " " not in free else named, free) for free in self.task_free)

    def reads(self, *path: str) -> bool:
        """Whether any policy can read this part of the context."""
        return self.index.reads(*path) or (self.rego is not None and self.rego.reads.reaches("context", *path))

    def class_of(self, resource: EntityRef) -> ResourceClass | None:
        """The first class whose pattern fits, or None."""
        for known in self.classes:
            if known.type == resource.type and matches(resource.id, known.pattern):
                return known
        return None
