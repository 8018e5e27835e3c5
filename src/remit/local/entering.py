"""`remit.guard` and `remit.task`, on the embedded store of this process or on a server."""

import atexit
import builtins
import os
import threading
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from remit.local.config import SERVER_VARIABLE, Settings, home_folder, read_settings, this_operator
from remit.local.entrances import Entrance, OnStore
from remit.local.wiring import Embedded, has_store, no_store
from remit.model.authorizer import Authorizer, Pending
from remit.model.errors import ErrorKind, RemitError, malformed, refused
from remit.model.identity import AgentId, SessionId, TaskId
from remit.model.task import Budgets, Opening, Scope, Session, Task
from remit.pep.drive import run, run_async
from remit.pep.sdk.context import Working, current
from remit.pep.sdk.declassify import Declassify
from remit.pep.sdk.guard import Guard

if TYPE_CHECKING:
    from remit.pep.remote.client import Remote

TASK_VARIABLE = "REMIT_TASK"
Steps: TypeAlias = Generator[Pending[Any], Any, None]
"""Yields what to wait for, and is sent the answer."""

_opened: dict[tuple[int, str], Embedded] = {}
_connected: dict[str, "Remote"] = {}
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
                raise no_store(home, settings)
            known = _opened[key] = Embedded(home, settings)
            atexit.register(known.close)
        return known


def _default() -> Entrance:
    """Where this process's tasks are entered, by its settings: on a server, or else on its store."""
    settings = _settings()
    if not settings.server:
        return OnStore(open_default())
    from remit.local.on_server import OnServer, connect

    with _opening:
        known = _connected.get(settings.server)
        if known is None:
            known = _connected[settings.server] = connect(settings.server)
            atexit.register(known.close)
    return OnServer(known, settings.agent)


def _settings() -> Settings:
    """The settings of this process; those of a store that is open were read when it was opened, only the server may be set since."""
    home = home_folder()
    known = _opened.get((os.getpid(), str(home)))
    if known is None:
        return read_settings(home)
    return replace(known.settings, server=os.environ.get(SERVER_VARIABLE, known.settings.server))


def _entrance_to(authorizer: Authorizer, agent: str) -> Entrance:
    """The entrance beside who decides already."""
    if isinstance(authorizer, Embedded):
        return OnStore(authorizer)
    from remit.local.on_server import OnServer
    from remit.pep.remote.client import Remote

    return OnServer(authorizer, agent) if isinstance(authorizer, Remote) else _default()


def _working() -> Working:
    """The task that was entered; else the one that REMIT_TASK names, in a session of its own; else the agent without a task."""
    entered = current.get()
    if entered is not None:
        if entered.session in _owed:
            run(_settled(_entrance_to(entered.authorizer, entered.agent), entered.session), _nothing)
        return entered
    entrance = _default()
    named = os.environ.get(TASK_VARIABLE)
    if named:
        with _opening:
            session = _sessions.get((os.getpid(), named))
            if session is None:
                session = _sessions[os.getpid(), named] = entrance.open_session(TaskId(named)).result()
        return _work(entrance, session)
    return Working(entrance.authorizer, AgentId(entrance.agent), protected=entrance.protected)


def _work(entrance: Entrance, session: Session) -> Working:
    return Working(entrance.authorizer, session.agent, session.task, session.id, entrance.protected)


def _asking() -> str:
    """The person who asks that a label is lowered. Raises `RemitError` (refused) on a server."""
    outer = current.get()
    entrance = _default() if outer is None else _entrance_to(outer.authorizer, outer.agent)
    if not isinstance(entrance, OnStore):
        # INVARIANT (the guard is guarded): a server takes nobody's word for who asks, and must know to keep them from approving it.
        raise refused("on a server no program lowers a label: an operator does, `remit session declassify` beside its store")
    return this_operator().id


_sessions: dict[tuple[int, str], Session] = {}
_owed: dict[SessionId, list[SessionId]] = {}
"""The sessions whose touches one has to join before anything is decided in it: those that were left when that could not be done."""


_owing = threading.Lock()


def _owe(session: SessionId, child: SessionId) -> None:
    with _owing:
        _owed.setdefault(session, []).append(child)


def _settled(entrance: Entrance, session: SessionId) -> Steps:
    """Join what is owed to a session. Raises `RemitError` if that cannot be done; then it is owed still.

    Several may be at it at once: what one of them has joined is off the list, and nothing that came meanwhile.
    """
    while True:
        with _owing:
            left = _owed.get(session)
            if not left:
                _owed.pop(session, None)
                return
            child = left[0]
        yield entrance.inherit(session, child)
        with _owing:
            if child in left:
                left.remove(child)


guard = Guard(_working)
declassify = Declassify(_working, _asking)


def _nothing() -> None:
    """Entering and leaving yield no act."""


async def _nothing_async() -> None:
    _nothing()


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
        run(self._entering(), _nothing)
        return self

    async def __aenter__(self) -> "task":
        await run_async(self._entering(), _nothing_async)
        return self

    def _entering(self) -> Steps:
        outer = current.get()
        entrance = _default() if outer is None else _entrance_to(outer.authorizer, outer.agent)
        try:
            yield from self._enter(entrance, outer)
        except RemitError:
            if self.task is not None:  # nobody is in it, and nobody would close it
                with suppress(RemitError):
                    yield entrance.close_task(self.task)
            raise

    def _enter(self, entrance: Entrance, outer: Working | None) -> Steps:
        if self._session is not None:
            self.session = yield entrance.resume(self._session)
        else:
            if self._resume is None:
                self.task = yield entrance.open_task(*self._wanted(entrance, outer))
            self.session = yield entrance.open_session(self._resume or self._task().id)
        entered = self._session_entered()
        if outer is not None and outer.session is not None and outer.session != entered.id:
            yield from _settled(entrance, outer.session)
            # INVARIANT (labels come from what was touched): what was read outside can be used inside.
            self.session = entered = yield entrance.inherit(entered.id, outer.session)
        self._token = current.set(_work(entrance, entered))
        self._entered = entrance

    def _wanted(self, entrance: Entrance, outer: Working | None) -> tuple[Opening, Working | None]:
        opening = self._opening
        if outer is not None and outer.task is not None:
            return replace(opening, agent=opening.agent or outer.agent, parent=outer.task), outer
        if not opening.agent:
            opening = replace(opening, agent=entrance.agent)
        if not opening.agent:
            raise malformed("say which agent: `agent=`, or the setting `agent`")
        return opening, None

    def _task(self) -> Task:
        assert self.task is not None
        return self.task

    def _session_entered(self) -> Session:
        assert self.session is not None
        return self.session

    def __exit__(
        self, kind: builtins.type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.reset(self._token)
        run(self._leaving(), _nothing)

    async def __aexit__(
        self, kind: builtins.type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.reset(self._token)
        await run_async(self._leaving(), _nothing_async)

    def _leaving(self) -> Steps:
        outer = current.get()
        try:
            if outer is not None and outer.session is not None and self.session is not None:
                # INVARIANT (labels come from what was touched): owed until it is joined, whatever becomes of this.
                _owe(outer.session, self.session.id)
                yield from _settled(self._entered, outer.session)
        finally:
            if self.task is not None:
                yield from self._closed(self._entered, self.task)

    @staticmethod
    def _closed(entrance: Entrance, task: Task) -> Steps:
        try:
            yield entrance.close_task(task)
        except RemitError as error:
            if error.kind is not ErrorKind.CONFLICT:  # somebody else closed it already: that is what was wanted
                raise
