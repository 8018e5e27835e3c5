"""`remit.guard` and `remit.task` on the embedded store of this process."""

import atexit
import builtins
import os
import threading
from types import TracebackType

from msgspec.structs import replace

from remit.local.config import home_folder, read_settings, this_operator
from remit.local.unknown import warn_of_unknown_names
from remit.local.wiring import Embedded, has_store
from remit.model.errors import ErrorKind, RemitError, malformed, unavailable
from remit.model.identity import AgentId, SessionId, TaskId
from remit.model.task import Budgets, Scope, Session, Task
from remit.pep.sdk.context import Working, current
from remit.pep.sdk.declassify import Declassify
from remit.pep.sdk.guard import Guard
from remit.runtime import sessions, tasks
from remit.runtime.tasks import AgentOpener, Opener, Opening

TASK_VARIABLE = "REMIT_TASK"

_opened: dict[tuple[int, str], Embedded] = {}
_opening = threading.Lock()


def open_default() -> Embedded:
    """The embedded store of this process, opened once for each process and folder.

    Raises `RemitError` (unavailable) if there is none: `remit init` makes one.
    """
    home = home_folder()
    key = (os.getpid(), str(home))
    with _opening:
        known = _opened.get(key)
        if known is None:
            settings = read_settings(home)
            if not has_store(home, settings):
                raise unavailable(f"there is no Remit store in `{home}`: run `remit init`, or set REMIT_HOME")
            known = _opened[key] = Embedded(home, settings)
            atexit.register(known.close)
        return known


def _working() -> Working:
    """The task that was entered; else the one that REMIT_TASK names, in a session of its own; else the agent without a task."""
    entered = current.get()
    if entered is not None:
        return entered
    embedded = open_default()
    named = os.environ.get(TASK_VARIABLE)
    if named:
        with _opening:
            session = _sessions.get((os.getpid(), named))
            if session is None:
                session = _sessions[os.getpid(), named] = sessions.open_session(embedded.runtime, TaskId(named)).result()
        return Working(embedded, session.agent, session.task, session.id, embedded.real_home)
    return Working(embedded, AgentId(embedded.settings.agent), protected=embedded.real_home)


_sessions: dict[tuple[int, str], Session] = {}
guard = Guard(_working)
declassify = Declassify(_working, lambda: this_operator().id)


class task:
    """Enter a task: `with remit.task("answer ticket 4711", agent="support-bot"):` (also `async with`).

    Opens the task as the user of this process and closes it at the end. `resume` enters a task that somebody opened before (and does not
    close it); `session` continues one of its sessions with all it has touched. Inside another task it opens a sub-task, which can only be
    narrower, by the agent itself. `task` and `session` are set once entered.
    Raises `RemitError` if the task cannot be opened.
    """

    def __init__(
        self,
        purpose: str = "",
        *,
        agent: str = "",
        type: str = "",
        on_behalf_of: str = "",
        scope: Scope | None = None,
        budgets: Budgets | None = None,
        seconds: int | None = None,
        resume: str | None = None,
        session: str | None = None,
    ) -> None:
        if bool(purpose) == bool(resume or session):
            raise RemitError(ErrorKind.MALFORMED, "a task needs either a purpose, or `resume=` or `session=` of one that is open")
        for value, kind in ((scope, Scope), (budgets, Budgets)):
            if value is not None and not isinstance(value, kind):
                name, fields = kind.__name__, ", ".join(kind.__struct_fields__)
                raise malformed(f"`{name.lower()}=` takes a `remit.{name}` ({fields}), not `{value!r:.100}`")
        self._opening = Opening(agent, purpose, on_behalf_of, type, scope or Scope(), budgets or Budgets(), seconds)
        self._resume = TaskId(resume) if resume else None
        self._session = SessionId(session) if session else None
        self.task: Task | None = None
        self.session: Session | None = None

    def __repr__(self) -> str:
        if self.session is None:
            return "<remit.task: not entered>"
        return f"<remit.task {self.session.task} of agent {self.session.agent}, session {self.session.id}>"

    def __enter__(self) -> "task":
        outer = current.get()
        embedded = outer.authorizer if outer is not None and isinstance(outer.authorizer, Embedded) else open_default()
        runtime = embedded.runtime
        if self._session is not None:
            # INVARIANT (labels come from what was touched): what other sessions of the task have read since may be known in this one.
            sessions.take_over(runtime, self._session).result()
            self.session = sessions.resume(runtime, self._session)
        else:
            self.session = sessions.open_session(runtime, self._resume or self._open(embedded, outer)).result()
        if outer is not None and outer.session is not None and outer.session != self.session.id:
            # INVARIANT (labels come from what was touched): what was read outside can be used inside.
            sessions.inherit(runtime, self.session.id, outer.session).result()
            self.session = sessions.resume(runtime, self.session.id)
        working = Working(embedded, self.session.agent, self.session.task, self.session.id, embedded.real_home)
        self._token = current.set(working)
        self._entered = embedded
        return self

    def _open(self, embedded: Embedded, outer: Working | None) -> TaskId:
        opening = self._opening
        opener: Opener = this_operator()
        if outer is not None and outer.task is not None:
            opening = replace(opening, agent=opening.agent or outer.agent, parent=outer.task)
            opener = AgentOpener(outer.agent, outer.session)
        elif not opening.agent:
            opening = replace(opening, agent=embedded.settings.agent)
        if not opening.agent:
            raise malformed("say which agent: `agent=`, or the setting `agent`")
        self.task = tasks.open_task(embedded.runtime, opening, opener).result()
        warn_of_unknown_names(embedded, opening.scope, opening.budgets)
        return self.task.id

    def __exit__(
        self, kind: builtins.type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.reset(self._token)
        outer = current.get()
        if outer is not None and outer.session is not None and self.session is not None:
            sessions.inherit(self._entered.runtime, outer.session, self.session.id).result()
        if self.task is not None:
            self._close(self._entered, self.task)

    @staticmethod
    def _close(embedded: Embedded, opened: Task) -> None:
        try:
            tasks.close_task(embedded.runtime, opened.id, opened.opener).result()
        except RemitError as error:
            if error.kind is not ErrorKind.CONFLICT:  # somebody else closed it already: that is what was wanted
                raise

    async def __aenter__(self) -> "task":
        return self.__enter__()

    async def __aexit__(
        self, kind: builtins.type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
