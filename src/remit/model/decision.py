"""Decisions: permit or deny, why, under which obligations, and what committing one changes."""

from enum import StrEnum
from typing import NoReturn, TypeAlias

import msgspec

from remit.model.definition import KnownDefinition
from remit.model.identity import ApprovalId, BreakGlassId, DecisionId
from remit.model.labels import Label
from remit.model.memory import Memory
from remit.model.request import Tier
from remit.model.task import Session, Spent, TaskState


class Reason(StrEnum):
    """Why a decision is as it is; every code stands in docs/reasons.md with what to do about it."""

    PERMITTED = "permitted"
    NO_PERMIT = "no-permit"
    FORBIDDEN = "forbidden"
    APPROVAL_REQUIRED = "approval-required"
    BREAK_GLASS = "break-glass"
    TOO_MANY_REQUESTS = "too-many-requests"
    POLICY_ERROR = "policy-error"
    ENGINE_UNAVAILABLE = "engine-unavailable"
    ENGINE_REVISION = "engine-revision"
    NO_BUNDLE = "no-bundle"
    UNKNOWN_ACTION = "unknown-action"
    UNKNOWN_OBLIGATION = "unknown-obligation"
    KILLED = "killed"
    SUBJECT_UNKNOWN = "subject-unknown"
    AGENT_UNKNOWN = "agent-unknown"
    AGENT_INACTIVE = "agent-inactive"
    PROOF_REQUIRED = "proof-required"
    TASK_REQUIRED = "task-required"
    TASK_UNKNOWN = "task-unknown"
    TASK_CLOSED = "task-closed"
    TASK_EXPIRED = "task-expired"
    TASK_OF_ANOTHER = "task-of-another"
    SESSION_UNKNOWN = "session-unknown"
    DELEGATION_BROKEN = "delegation-broken"
    OUTSIDE_SCOPE = "outside-scope"
    BUDGET_EXHAUSTED = "budget-exhausted"
    DEFINITION_CHANGED = "definition-changed"
    MALFORMED_REQUEST = "malformed-request"
    MALFORMED_ARGUMENTS = "malformed-arguments"
    UNREPRESENTABLE_ARGUMENT = "unrepresentable-argument"
    CLOCK_BACKWARDS = "clock-backwards"
    STORE_UNAVAILABLE = "store-unavailable"
    CONFLICT = "conflict"
    OBLIGATION_FAILED = "obligation-failed"
    PERMIT_EXPIRED = "permit-expired"
    INTERNAL_ERROR = "internal-error"


class ApproverRule(StrEnum):
    """Who must approve what a policy calls requestable: one person (never the agent); `four-eyes`, one who is none of the requester, whom
    the task is for, and the agent's owner (nor of those of the tasks it was delegated from); or two such people (`two`), each for
    themselves."""

    ONE = "one"
    FOUR_EYES = "four-eyes"
    TWO = "two"

    @property
    def people(self) -> int:
        """How many different people must approve."""
        return 2 if self is ApproverRule.TWO else 1

    def covers(self, other: "ApproverRule") -> bool:
        """Whether an approval under this rule is one under the other, too."""
        return _STRICTNESS.index(self) >= _STRICTNESS.index(other)

    def and_(self, other: "ApproverRule") -> "ApproverRule":
        """The stricter of two."""
        return self if self.covers(other) else other


_STRICTNESS = (ApproverRule.ONE, ApproverRule.FOUR_EYES, ApproverRule.TWO)


class Obligation(msgspec.Struct, frozen=True, gc=False):
    """What the enforcement point must do for a permit to stand; one it does not understand turns the permit into a denial.

    `type` and `argument` come from a policy's `@obligation("type:argument")`; `policy` says which policy asked.
    """

    type: str
    argument: str = ""
    policy: str = ""


class Steering(msgspec.Struct, frozen=True, gc=False):
    """Where the value of one authority-bearing argument came from: `origin` is one of docs/provenance.md, `source` the tool output it
    was found in, if any, and `role` what the argument chooses."""

    argument: str
    value: str
    origin: str
    source: str = ""
    role: str = ""


class Basis(msgspec.Struct, frozen=True, gc=False):
    """What a decision rests on: the policies that decided, errors, and what they could read, as canonical JSON text.

    `slice_size` counts the policies whose scope matched; `read` is the projected context the engine saw; `entities` are those that
    principal, action and resource are or are in. `flows` are the data-flow grants behind it, as `task#number`.
    """

    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    slice_size: int = 0
    read: bytes = b"{}"
    entities: tuple[str, ...] = ()
    steering: tuple[Steering, ...] = ()
    bundle: str = ""
    flows: tuple[str, ...] = ()


EMPTY_BASIS = Basis()


class Permit(msgspec.Struct, frozen=True, gc=False, tag="permit"):
    """The action may happen once, before `until` (µs), if every obligation is fulfilled.

    `enforced` is false for what shadow mode let pass although policy denied; then `reason` says what would have been. `break_glass` names
    what two people opened for it, where policy denied it and nothing else let it pass.
    """

    id: DecisionId
    tier: Tier
    until: int
    obligations: tuple[Obligation, ...] = ()
    reason: Reason = Reason.PERMITTED
    message: str = ""
    basis: Basis = EMPTY_BASIS
    approval: ApprovalId | None = None
    enforced: bool = True
    break_glass: BreakGlassId | None = None

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision is no truth value: match on Permit and Deny")


class Deny(msgspec.Struct, frozen=True, gc=False, tag="deny"):
    """The action must not happen; `message` says why in words an agent can act on.

    `requestable` says who could approve this exact action, if anybody; `approval` is the access request that was opened for it, and
    `obligations` are those the approved action would carry. `told` is what callers over a network read instead of the message; empty
    where that is for everybody.
    """

    id: DecisionId
    reason: Reason
    message: str
    tier: Tier | None = None
    requestable: ApproverRule | None = None
    approval: ApprovalId | None = None
    obligations: tuple[Obligation, ...] = ()
    basis: Basis = EMPTY_BASIS
    told: str = ""

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision is no truth value: match on Permit and Deny")


Decision: TypeAlias = Permit | Deny


class Query(msgspec.Struct, frozen=True, gc=False):
    """What a permitted call was asked with: its values as text, and whether untrusted text chose them. What comes back is judged by it;
    `written` is what the call can have put where others read it, None for one that only reads; `action` is what was asked for where that
    was no tool call."""

    arguments: tuple[str, ...] = ()
    steered: bool = False
    about: "CallAbout | None" = None
    written: "Written | None" = None
    action: str = ""


class Written(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a permitted call that does more than read can have put where others read it.

    `asked` is when it was permitted (µs), `words` its text word by word as `remit.pdp.provenance.echoes` has it (empty where its session
    had seen nothing untrusted, so that it is nobody else's), `cut` says that there was more. `counted`: the catalogue says so too, and
    not only the tool's server.
    """

    asked: int
    words: str = ""
    cut: bool = False
    counted: bool = True


class CallAbout(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a permitted call that facts hang on: the tool, its arguments in canonical form (empty where they are too large), when
    it was permitted (µs), in which session, and whether facts are taken from what it returns."""

    tool: str
    call: str
    asked: int
    session: str
    gives: bool = False


class Effects(msgspec.Struct, frozen=True, gc=False):
    """What committing a decision changes: the session and the tasks of the chain as they will be, and an approval's use.

    `worst` is the label that a permitted call adds until its outcome is reported (of a memory, what is written there comes to it),
    `query` what it was asked with; `memory` the memory it writes to, where that raises its label,
    `account` what its agent has then spent over all its tasks, where the bundle bounds that. `definition` is what is now known of the
    definition of the tool that was called, where that is more than before.
    """

    session: Session | None = None
    tasks: tuple[TaskState, ...] = ()
    approval_used: ApprovalId | None = None
    worst: Label | None = None
    query: Query | None = None
    memory: Memory | None = None
    account: Spent | None = None
    definition: KnownDefinition | None = None


NO_EFFECTS = Effects()
