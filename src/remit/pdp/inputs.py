"""What one decision is made from: everything `decide` may know, loaded beforehand."""

import msgspec

from remit.model.break_glass import BreakGlass
from remit.model.decision import ApproverRule, Decision, Effects, Obligation, Steering
from remit.model.definition import KnownDefinition
from remit.model.flow import FlowGrant
from remit.model.identity import Agent, ApprovalId, DecisionId, SessionId
from remit.model.kill import Kill
from remit.model.labels import Label
from remit.model.memory import Memory
from remit.model.person import OwnerState
from remit.model.request import EvaluationRequest
from remit.model.task import NOTHING_SPENT, Session, Spent, TaskState
from remit.pdp.compiled import CompiledBundle
from remit.pdp.outside import Outside
from remit.pdp.provenance.seen import NOTHING_OBSERVED, Observed

PERMIT_MICROSECONDS = 10_000_000
"""How long a permit stands before it must be asked for again."""


class Grant(msgspec.Struct, frozen=True, gc=False):
    """An approval that was given for exactly this action and is still unused, with what its approver was shown.

    It covers the action under those obligations, from those origins, in a session that has touched no more than `label`. `touches` is
    what the session counted then: a label is lowered of what was touched before the approval was asked for, not of what came after.
    `others` are those who approved it beside `approver`, where more than one had to. `flows` are the data-flow grants that were offered
    with it, however often they may be used: they are for other calls.
    """

    id: ApprovalId
    approver: str
    rule: ApproverRule
    label: Label
    steering: tuple[Steering, ...]
    obligations: tuple[Obligation, ...]
    touches: int = 0
    others: tuple[str, ...] = ()
    flows: tuple[FlowGrant, ...] = ()


class Inputs(msgspec.Struct, frozen=True, gc=False):
    """One evaluation request and the state it meets.

    `chain` is the task and those it was delegated from, leaf first, empty without a task; `complete` is false if a link could not be
    loaded. `decision` is the id the decision will carry; `now` is µs since the epoch, `latest` the time of the latest decision that
    is known of. `delegators` are the agents of the tasks above the first, None for one that is not registered;
    `target` is the registered agent that the action is on, if it is on one. `outside` is what engines outside of this process said.
    `memory` is the memory that the action writes or reads, if it does; `account` what the agent has spent over all its tasks.
    `known` is the definition of the tool that counts, if one was seen before. `beside` is how much the other sessions of the task and of
    those above it have touched, and `under_way` how many calls that can touch something they have under way, where a label is to be
    lowered. `behind` says that other sessions were, or can be, told what is untrusted that this one has not taken over.
    `glass` is what two people may have opened for it. `owner` is what the directory knows of the owners of the agent and of those that
    delegated to it, together.
    """

    bundle: CompiledBundle | None
    request: EvaluationRequest
    agent: Agent | None
    now: int
    decision: DecisionId
    chain: tuple[TaskState, ...] = ()
    complete: bool = True
    session: Session | None = None
    grant: Grant | None = None
    observed: Observed = NOTHING_OBSERVED
    latest: int = 0
    kills: tuple[Kill, ...] = ()
    delegators: tuple[Agent | None, ...] = ()
    target: Agent | None = None
    outside: Outside | None = None
    memory: Memory | None = None
    account: Spent = NOTHING_SPENT
    known: KnownDefinition | None = None
    beside: dict[SessionId, int] | None = None
    under_way: int = 0
    behind: bool = False
    glass: BreakGlass | None = None
    owner: OwnerState = OwnerState.UNKNOWN


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A decision and what committing it changes. `uncovered` says, naming nobody, what the approval that came with it does not cover."""

    decision: Decision
    effects: Effects
    uncovered: str = ""
