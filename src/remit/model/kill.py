"""A kill: an administrator's stop that outranks every policy, from the next decision and the next act on."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from remit.model.identity import EntityRef
from remit.model.task import Task


class KillKind(StrEnum):
    """What a kill stops."""

    AGENT = "agent"
    TASK = "task"
    TASK_TYPE = "task-type"
    TOOL = "tool"
    ALL = "all"


class Kill(msgspec.Struct, frozen=True, order=True):
    """One kill in force. `name` is empty for `all`; `at` is µs since the epoch, `operator` who set it and `why` in their words."""

    kind: KillKind
    name: str
    at: int
    operator: str
    why: str

    def stops(self, agent: str, resource: EntityRef, tasks: Iterable[Task]) -> bool:
        """Whether it stops `agent` acting on `resource` under these tasks (the task and all it was delegated from).

        An agent or task that was killed stops those it delegated to as well.
        """
        match self.kind:
            case KillKind.ALL:
                return True
            case KillKind.AGENT:
                return agent == self.name or any(task.agent == self.name for task in tasks)
            case KillKind.TASK:
                return any(task.id == self.name for task in tasks)
            case KillKind.TASK_TYPE:
                return any(task.type == self.name for task in tasks)
            case KillKind.TOOL:
                return resource == EntityRef("Tool", self.name)

    def __str__(self) -> str:
        return "everything" if self.kind is KillKind.ALL else f"{self.kind.value} `{self.name}`"
