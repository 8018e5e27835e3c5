"""Tasks as the log tells of them: what each declared, what was spent and done under it, and the chains they stand in."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from remit.decision_log.entry import DecisionMade, FlowGranted, TaskOpened
from remit.decision_log.sealing import SealKey
from remit.model.identity import AgentId, DecisionId, EntityRef, TaskId
from remit.model.memory import Memory
from remit.model.request import EvaluationRequest
from remit.model.task import Budgets, Scope, Spent, Task, TaskState, TaskStatus
from remit.pdp.effects import NotAnAmount, flows_used, spend
from remit.pdp.history import adding, with_history
from remit.pdp.rates import spend_rates
from remit.reviews.actions import Actions

Asked = Callable[[DecisionMade, EntityRef], EvaluationRequest]
"""Makes the request of a decision from its subject, where it is needed."""
_UNBOUNDED = Budgets()


class Bounds(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A chain of tasks as checks meet it: whose it is, until when it carries authority, and what it declared.

    One object for each state of a chain: it is compared by what it is, not by what it holds.
    """

    agent: AgentId
    until: int
    plain: bool
    scopes: tuple[Scope, ...]
    chain: tuple[TaskState, ...]

    def holds(self, agent: str, now: int) -> bool:
        """Whether its checks pass for this agent, whatever was done before."""
        return self.plain and agent == self.agent and now < self.until


class PastTasks:
    """All tasks by now. With `deeds`, what was done under each is followed too, not only what bounds it."""

    def __init__(self, actions: Actions, deeds: bool) -> None:
        self._actions, self._deeds = actions, deeds
        self._tasks: dict[str, Task] = {}
        self._spent: dict[str, Spent] = {}
        self._chains: dict[str, tuple[TaskState, ...] | None] = {}
        self._bounds: dict[str, Bounds] = {}
        self._linked_to: dict[str, set[str]] = {}

    def knows(self, task: str | None) -> bool:
        """Whether the log has opened a task, as far as this history was told."""
        return task in self._tasks

    def chain(self, task: str | None) -> tuple[TaskState, ...] | None:
        """A task and those it was delegated from, leaf first; None where the log lacks one of them."""
        if task is None:
            return ()
        if task not in self._chains:
            found = self._chains[task] = self._linked(task)
            for link in found or ():
                self._linked_to.setdefault(link.task.id, set()).add(task)
        return self._chains[task]

    def _linked(self, task: str) -> tuple[TaskState, ...] | None:
        links, wanted = [], TaskId(task)
        while True:
            found = self._tasks.get(wanted)
            if found is None:
                return None
            links.append(TaskState(found, self._spent.get(found.id, Spent())))
            if found.parent is None:
                return tuple(links)
            wanted = found.parent

    def bounds(self, task: str | None) -> Bounds | None:
        """What checks meet of a task and those above it, None where the log lacks one, or without a task."""
        known = self._bounds.get(task or "")
        if known is not None:
            return known
        chain = self.chain(task)
        if not chain or task is None:
            return None
        until = min(link.task.expires if link.task.status is TaskStatus.OPEN else 0 for link in chain)
        plain = len(chain) == 1 and _counts_nothing(chain[0].task)
        found = Bounds(chain[0].task.agent, until, plain, tuple([link.task.scope for link in chain]), chain)
        return self._bounds.setdefault(task, found)

    def open(self, body: TaskOpened, time: int, key: SealKey | None) -> None:
        """A task was opened; `key` is its data key, None once destroyed."""
        purpose = key.open(body.sealed, body.task).decode() if key is not None else ""
        self._tasks[body.task] = Task(
            id=TaskId(body.task),
            agent=AgentId(body.agent),
            purpose=purpose,
            opener=body.opener,
            on_behalf_of=body.on_behalf_of,
            opened=time,
            expires=body.expires,
            type=body.type,
            parent=TaskId(body.parent) if body.parent else None,
            scope=msgspec.convert(body.scope, Scope),
            budgets=msgspec.convert(body.budgets, Budgets),
            purpose_trusted=body.purpose_trusted,
        )

    def close(self, task: str) -> None:
        """A task ended, if the log has opened it."""
        if task in self._tasks:
            self._tasks[task] = replace(self._tasks[task], status=TaskStatus.CLOSED)
            self._unlink(task)

    def grant(self, body: FlowGranted, key: SealKey | None) -> None:
        """An approver granted a flow for the rest of a task."""
        if body.task in self._tasks:
            task = self._tasks[body.task]
            flow = key.open(body.sealed, body.approval).decode() if key is not None else ""
            self._tasks[body.task] = replace(task, flows=(*task.flows, flow)) if flow else task
            self._unlink(body.task)

    def spend(self, body: DecisionMade, subject: EntityRef, request: Asked) -> None:
        """What a permitted decision spends of the budgets and grants of its task and of those above it."""
        bounds = self.bounds(body.task)
        if bounds is None or (bounds.plain and not self._deeds):
            return
        for link in bounds.chain:
            after = flows_used(link, body.flows).spent
            if self._deeds or not _counts_nothing(link.task):
                try:
                    asked, budgets = request(body, subject), link.task.budgets
                    after = spend(after, asked, budgets.amounts, DecisionId(body.id))
                    if budgets.rates:
                        after, _ = spend_rates(after, budgets.rates, asked, self._actions.groups(body), body.at)
                except NotAnAmount:
                    continue
            if after is link.spent:
                continue
            self._spent[link.task.id] = after
            self._unlink(link.task.id)

    def remember(self, body: DecisionMade, memory: Memory | None) -> None:
        """Add a call to the history of the first task it was made under."""
        chain = self.chain(body.task)
        if not chain:
            return
        after = with_history(chain, adding(self._actions.adds(body), memory))
        if after is not chain:
            root = after[-1]
            self._spent[root.task.id] = root.spent
            self._unlink(root.task.id)

    def _unlink(self, task: str) -> None:
        """Forget the chains that this task is in."""
        for below in self._linked_to.pop(task, ()):
            self._chains.pop(below, None)
            self._bounds.pop(below, None)


def _counts_nothing(task: Task) -> bool:
    return task.budgets == _UNBOUNDED and not task.scope.flows and not task.flows
