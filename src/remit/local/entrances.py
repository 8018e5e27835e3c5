"""Where tasks are opened and sessions begun: the store of this process, or a server; the same to whoever enters."""

from typing import Protocol

from remit.local.config import this_operator
from remit.local.unknown import unknown_names, warn
from remit.local.wiring import Embedded
from remit.model.authorizer import Authorizer, Pending
from remit.model.identity import SessionId, TaskId
from remit.model.task import Opening, Session, Task
from remit.pep.sdk.context import Working
from remit.runtime import sessions, tasks
from remit.runtime.pending import Driven, Steps
from remit.runtime.tasks import AgentOpener


class Entrance(Protocol):
    """What entering a task needs of the decision point, in process or remote. Each raises `RemitError`."""

    @property
    def authorizer(self) -> Authorizer:
        """Who decides."""
        ...

    @property
    def agent(self) -> str:
        """The agent of whoever names none, empty for none."""
        ...

    @property
    def protected(self) -> tuple[str, ...]:
        """The real path of what no tool may touch, empty for none."""
        ...

    def open_task(self, opening: Opening, outer: Working | None) -> Pending[Task]:
        """Open a task: as this process's caller, or within `outer` as its agent."""
        ...

    def close_task(self, task: Task) -> Pending[None]:
        """End a task. Raises conflict if it is closed already."""
        ...

    def open_session(self, task: TaskId) -> Pending[Session]:
        """Begin a run."""
        ...

    def resume(self, session: SessionId) -> Pending[Session]:
        """Go on with a run, with all that the others of its task have touched by now."""
        ...

    def inherit(self, session: SessionId, child: SessionId) -> Pending[Session]:
        """Join what another session has touched; the session as it then is."""
        ...


class OnStore:
    """The embedded store."""

    def __init__(self, embedded: Embedded) -> None:
        self.authorizer = embedded
        self.agent, self.protected = embedded.settings.agent, (embedded.real_home,)

    def open_task(self, opening: Opening, outer: Working | None) -> Driven[Task]:
        """As the user of this process, or as the agent outside; see `Entrance`."""
        return Driven(lambda: self._open(opening, outer))

    def _open(self, opening: Opening, outer: Working | None) -> Steps[Task]:
        opener = AgentOpener(outer.agent, outer.session) if outer is not None else this_operator()
        opened = yield from tasks.opening_task(self.authorizer.runtime, opening, opener)
        for text in unknown_names(self.authorizer, opening.scope, opening.budgets):
            warn(text)
        return opened

    def close_task(self, task: Task) -> Driven[None]:
        """As who opened it; see `Entrance`."""
        return tasks.close_task(self.authorizer.runtime, task.id, task.opener)

    def open_session(self, task: TaskId) -> Driven[Session]:
        """See `Entrance`."""
        return sessions.open_session(self.authorizer.runtime, task)

    def resume(self, session: SessionId) -> Driven[Session]:
        """See `Entrance`."""
        return Driven(lambda: self._resume(session))

    def _resume(self, session: SessionId) -> Steps[Session]:
        # INVARIANT (labels come from what was touched): what other sessions of the task have read since may be known in this one.
        yield from sessions.taking_over(self.authorizer.runtime, session)
        return sessions.resume(self.authorizer.runtime, session)

    def inherit(self, session: SessionId, child: SessionId) -> Driven[Session]:
        """See `Entrance`."""
        return Driven(lambda: self._inherit(session, child))

    def _inherit(self, session: SessionId, child: SessionId) -> Steps[Session]:
        yield from sessions.inheriting(self.authorizer.runtime, session, child)
        return sessions.resume(self.authorizer.runtime, session)
