"""The task (an agent's remit: declared intent, on whose behalf, until when, with which budgets) and its session."""

from enum import StrEnum
from typing import NewType
from zlib import crc32

import msgspec

from remit.model.history import NO_HISTORY, History
from remit.model.identity import AgentId, DecisionId, SessionId, TaskId
from remit.model.labels import PUBLIC_TRUSTED, Confidentiality, Label
from remit.model.rate import Rate, Window

Amount = NewType("Amount", int)
"""A sum in ten-thousandths, the precision of Cedar's `decimal`."""


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task declares it will touch; `None` leaves a dimension to policy.

    `tools` are tool names, `group:NAME`, or `effect:NAME` for all annotated tools of that effect that do not reach outside; `resources`
    are patterns over resource ids (`*` any text, a trailing `/` a folder); `destinations` are exact values or `@domain`;
    `confidentiality` is the highest class it may touch; `flows` are data-flow grants as `remit.model.flow` reads them (None: no grants).
    """

    tools: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    destinations: tuple[str, ...] | None = None
    confidentiality: Confidentiality | None = None
    flows: tuple[str, ...] | None = None


class Budgets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Upper bounds on what a task may use up in all, its sub-tasks included.

    `calls` counts permits; `tools` counts permits per tool; `amounts` sums a numeric argument, keyed `tool.argument`; `rates` bound what
    it may use up within some time.
    """

    calls: int | None = None
    tools: dict[str, int] = {}
    amounts: dict[str, Amount] = {}
    rates: tuple[Rate, ...] = ()


class Opening(msgspec.Struct, frozen=True):
    """What is asked for: who shall do what for whom, and within which bounds.

    `seconds` is how long the task may live (the type's bound, else an hour, if left out). `parent` makes it a sub-task.
    """

    agent: str
    purpose: str
    on_behalf_of: str = ""
    type: str = ""
    scope: Scope = Scope()
    budgets: Budgets = Budgets()
    seconds: int | None = None
    parent: TaskId | None = None


class TaskStatus(StrEnum):
    """Whether a task still carries authority."""

    OPEN = "open"
    CLOSED = "closed"


class Task(msgspec.Struct, frozen=True):
    """The remit as it was opened, and whether it still stands.

    `purpose` is trusted intent only if `purpose_trusted`: text an agent wrote carries its labels instead. `parent` is the task
    it was delegated from; `flows` are data-flow grants that approvers gave since. Times are µs since the epoch.
    """

    id: TaskId
    agent: AgentId
    purpose: str
    opener: str
    on_behalf_of: str
    opened: int
    expires: int
    type: str = ""
    parent: TaskId | None = None
    scope: Scope = Scope()
    budgets: Budgets = Budgets()
    status: TaskStatus = TaskStatus.OPEN
    purpose_trusted: bool = True
    purpose_label: Label = PUBLIC_TRUSTED
    flows: tuple[str, ...] = ()


def next_version(version: int, act: str) -> int:
    """The version of the state that `act` leads to: a count in the high bits, and a fingerprint of where it comes from.

    A version names a state, not just its number: two processes that each took a step from the same state must not be mistaken for
    one another.
    """
    return ((version >> 32) + 1) << 32 | crc32(act.encode("utf-8", "replace"), version & 0xFFFFFFFF)


class Spent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a task has used of its budgets; `version` is compared and set at each commit.

    `flows` counts the uses of each data-flow grant by its number (those of the scope, then those of approvers). `history` is kept by the
    first task of a chain, for all that was delegated from it, and so are `raised`, which counts how often one of their sessions came to
    touch more, and `lowered`: whether one of them ever had its label lowered. `tainted` counts the permits of the task's own sessions
    that can bring back what is untrusted, and how often such came back from a sub-task; `rates` are windows by the key of their rate.
    """

    calls: int = 0
    tools: dict[str, int] = {}
    amounts: dict[str, Amount] = {}
    version: int = 0
    flows: dict[int, int] = {}
    history: History = NO_HISTORY
    rates: dict[str, Window] = {}
    raised: int = 0
    tainted: int = 0
    lowered: bool = False


NOTHING_SPENT = Spent()


class TaskState(msgspec.Struct, frozen=True, gc=False):
    """A task and what it has spent."""

    task: Task
    spent: Spent = Spent()


class Session(msgspec.Struct, frozen=True, gc=False):
    """One run of an agent within a task: its label, the worst case of calls still under way, and counters.

    `version` is compared and set at each commit; `seen` is the latest time this session acted at (µs), so that a clock that went
    backwards shows; `calls` counts permits per resource, `denials` all denials. `unreported` counts the permits that can touch
    something and whose outcome is not known yet, `tainting` those of them that can bring back what is untrusted: also where the label
    covers that already. `touches` counts what can ever have touched something: permits, and what other sessions passed on. `forgiven` are
    the untrusted sources that somebody took out of the label; `settled` is how much the other sessions of the task had touched then.
    `tainted` is how much of what its task counts as `tainted` was its own, `heard` how much of what the other sessions of the task and of
    those above it brought back it has taken over; `awaits` are the sessions below that can still be told what it does not know.
    """

    id: SessionId
    task: TaskId | None
    agent: AgentId
    label: Label = PUBLIC_TRUSTED
    pending: dict[DecisionId, Label] = {}
    calls: dict[str, int] = {}
    denials: int = 0
    seen: int = 0
    version: int = 0
    unreported: int = 0
    tainting: int = 0
    touches: int = 0
    forgiven: tuple[str, ...] = ()
    settled: dict[SessionId, int] = {}
    tainted: int = 0
    heard: int = 0
    awaits: tuple[SessionId, ...] = ()

    @property
    def reached(self) -> Label:
        """The label with every pending call at its worst."""
        label = self.label
        if not self.pending:
            return label
        for worst in dict.fromkeys(self.pending.values()):  # most calls under way can touch the same
            label = label.join(worst)
        return label
