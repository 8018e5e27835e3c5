"""Policy cases: what an agent does step by step, and what must be decided; nouns that every door can run."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

from remit.model.decision import ApproverRule, Decision, Deny, Permit, Reason
from remit.model.hints import NO_HINTS, Hints
from remit.model.identity import Agent, AgentId, AgentStatus, EntityRef
from remit.model.person import OwnerState
from remit.model.request import TASK_OPEN, Tier
from remit.model.task import Budgets, Scope
from remit.model.tool import Tool
from remit.pdp.compiled import ResourceClass


class ExpectedEffect(StrEnum):
    """What a step expects in one word."""

    PERMIT = "permit"
    DENY = "deny"


class Begin(StrEnum):
    """What a step begins before it asks: another session of the same task, a sub-task that the agent opens, or the task once more."""

    SESSION = "session"
    SUB_TASK = "sub-task"
    TASK = "task"


class CaseAgent(msgspec.Struct, frozen=True):
    """Who acts; `owner` and `purpose` matter only to policies that read them."""

    id: str
    owner: str = "owner"
    purpose: str = "work"
    groups: tuple[str, ...] = ()
    status: AgentStatus = AgentStatus.ACTIVE
    owner_state: OwnerState = OwnerState.UNKNOWN

    def noun(self) -> Agent:
        """The agent as it is registered."""
        return Agent(AgentId(self.id), self.owner, self.purpose, self.groups, self.status)


class CaseTask(msgspec.Struct, frozen=True):
    """The task it acts under, opened when the case begins; `parent` is the task this one was delegated from."""

    purpose: str
    type: str = ""
    on_behalf_of: str = "user"
    opener: str = "user"
    scope: Scope = Scope()
    budgets: Budgets = Budgets()
    seconds: int | None = None
    purpose_trusted: bool = True
    parent: "CaseTask | None" = None


class Expectation(msgspec.Struct, frozen=True):
    """What must be decided; what is left out is not looked at.

    `requestable` is who may approve, or false for nobody. `policies` are exactly those that decided, in any order,
    `obligations` exactly those asked for, as `type:argument`. `enforced` is false for what shadow mode lets pass.
    """

    decision: ExpectedEffect
    reason: Reason | None = None
    requestable: ApproverRule | bool | None = None
    tier: Tier | None = None
    policies: tuple[str, ...] | None = None
    obligations: tuple[str, ...] | None = None
    enforced: bool | None = None


class Step(msgspec.Struct, frozen=True):
    """One action, and what is expected of it.

    `after` is how many seconds have passed since the step before. `then` is what is expected once the `approvers` have
    approved a requestable denial (none named: as many as must, whoever they are) and the same is asked again. `returns`
    is what a permitted action gives back, `fails` the error it ends with; without either it gave nothing back.
    `definition` is the digest of the tool's definition as the door sees it, `hints` what its server says of it,
    `upstream` that server (the catalogue's, if left out). `begin` is what is opened before. `subject` is who asks instead of the case's
    agent, outside of its task, and `properties` what is said of subject, resource and circumstances, by these names.
    """

    line: int
    action: str
    resource: EntityRef
    arguments: dict[str, Any]
    expect: Expectation
    then: Expectation | None = None
    approvers: tuple[str, ...] = ()
    returns: str = ""
    fails: str = ""
    after: int = 0
    definition: str = ""
    begin: Begin | None = None
    hints: Hints = NO_HINTS
    upstream: str = ""
    subject: EntityRef | None = None
    properties: dict[str, dict[str, Any]] = {}

    @property
    def is_within(self) -> bool:
        """Whether it is asked within the task and the session of the case: not what another subject asks, nor what opens a task."""
        return self.subject is None and self.action != TASK_OPEN


class Fixture(msgspec.Struct, frozen=True):
    """What a file of cases adds to the bundle while they run: tools, resources, destinations that are known."""

    tools: tuple[Tool, ...] = ()
    resources: tuple[ResourceClass, ...] = ()
    directory: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True):
    """One run of one agent, in a session of its own; `agents` are others that it may delegate to."""

    name: str
    file: str
    line: int
    agent: CaseAgent
    task: CaseTask | None
    steps: tuple[Step, ...]
    fixture: Fixture = Fixture()
    agents: tuple[CaseAgent, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """A step that was not decided as expected: its line, what differs, and what decided."""

    line: int
    message: str


def compared(step: Step, expected: Expectation, decision: Decision) -> list[Failure]:
    """What is not as expected of one decision; empty if nothing is."""
    differences = list(differing(expected, decision))
    return [Failure(step.line, explained(step, "; ".join(differences), decision))] if differences else []


def differing(expected: Expectation, decision: Decision) -> Iterator[str]:
    """In what a decision is not as expected, in words; nothing if it is."""
    found: dict[str, object] = {
        "decision": "permit" if isinstance(decision, Permit) else "deny",
        "reason": decision.reason.value,
        "requestable": _requestable(decision),
        "tier": decision.tier.value if decision.tier else None,
        "policies": sorted(decision.basis.policies),
        "obligations": sorted(f"{o.type}:{o.argument}".rstrip(":") for o in decision.obligations),
        "enforced": not isinstance(decision, Permit) or decision.enforced,
    }
    for name, actual in found.items():
        wanted = getattr(expected, name)
        if isinstance(wanted, tuple):
            wanted = sorted(wanted)
        here = bool(actual) if name == "requestable" and isinstance(wanted, bool) else actual
        if wanted is not None and wanted != here:
            yield f"expected {name} {_words(wanted)}, got {_words(here)}"


def _requestable(decision: Decision) -> str | None:
    return decision.requestable.value if isinstance(decision, Deny) and decision.requestable else None


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return f"`{str(value).lower()}`" if value is not None else "none"


def explained(step: Step, message: str, decision: Decision) -> str:
    """A message, and below it what decided: policies, errors, where values came from, what policies read."""
    basis = decision.basis
    because = f", {decision.message}" if decision.message else ""
    lines = [
        f"`{step.action}` on `{step.resource.id}`: {message}",
        f"  reason: {decision.reason.value}{because}",
        "  decided by: " + (", ".join(f"`{name}`" for name in basis.policies) or "no policy"),
        *(f"  error: {error}" for error in basis.errors),
    ]
    for found in basis.steering:
        source = f" (`{found.source}`)" if found.source else ""
        lines.append(f"  value of `{found.argument}`: `{found.value}` from {found.origin}{source}")
    lines.append(f"  policies read: {basis.read.decode()}")
    return "\n".join(lines)
