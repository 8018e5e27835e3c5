"""Callers who wait: so many at a time, and all of them for one look at the store."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Generic, TypeVar

from starlette.requests import Request

from remit.local.wiring import Embedded
from remit.model.authorizer import ApprovalState
from remit.model.identity import ApprovalId
from remit.runtime.approving.approvals import of_tasks_over, state_of
from remit.runtime.store import Approval
from remit.server.crowds import Crowd
from remit.server.known import Known

OF_ONE, OF_ALL = 256, 4096
"""So many requests of one caller, and of all, wait at a time in one process."""
EVERY = 0.2
"""So old (seconds) may what those who wait are told of the store be."""


Told = TypeVar("Told")
Where = tuple[dict[ApprovalId, ApprovalState], set[ApprovalId]]
"""Where access requests stand, and which of those that wait are of tasks that are over."""


class _Shared(Generic[Told]):
    """What one look at the store says to all who wait for it: no more than one at a time, and not before the last one is `EVERY` old."""

    def __init__(self) -> None:
        self._look: asyncio.Task[Told] | None = None
        self._until = 0.0

    async def by(self, read: Callable[[], Told]) -> Told:
        """What the latest look said. Raises what it raised."""
        look = self._look
        if look is None or (look.done() and time.monotonic() >= self._until):
            # INVARIANT (whoever waits holds nobody up): a store may hang, and the loop that all are answered on does not.
            look = self._look = asyncio.create_task(asyncio.to_thread(read))
            look.add_done_callback(self._done)
        await asyncio.wait((look,))  # whoever hangs up ends it for nobody else
        return look.result()

    def _done(self, look: asyncio.Task[Told]) -> None:
        self._until = time.monotonic() + EVERY
        with suppress(asyncio.CancelledError):
            look.exception()  # nobody may be left to hear it


class Waits:
    """Who waits here. For one event loop."""

    def __init__(
        self,
        embedded: Embedded,
        of_one: int = OF_ONE,
        of_all: int = OF_ALL,
        told: Callable[[int], None] = lambda _waiting: None,
    ) -> None:
        """`told` is told how many wait, each time that it has changed."""
        self._embedded = embedded
        self._crowd = Crowd(of_one, of_all, "too many requests wait already: ask without waiting, or later", told)
        self._revision, self._standing = _Shared[int](), _Shared[Where]()
        self._asked: Counter[ApprovalId] = Counter()
        self._read: dict[ApprovalId, Approval] = {}
        """What is asked about, as it was when somebody began to wait: what it shows can be long, and is not read again."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._crowd)

    def one(self, caller: Known) -> AbstractContextManager[None]:
        """While a request of this caller waits. Raises `Problem` (429) where too many do."""
        return self._crowd.one(caller)

    async def goes_on(self, request: Request, until: float) -> bool:
        """Whether a request waits on: its time (monotonic, s) is not up, this server does not end, and the caller is still there."""
        if time.monotonic() >= until or self._embedded.ending or await request.is_disconnected():
            return False
        await asyncio.sleep(EVERY)
        return True

    async def approval(self, request: Request, asked: Approval, seconds: float) -> ApprovalState:
        """Where an access request stands that was just read, once somebody answered or nobody waits. Raises `RemitError` (unavailable)."""
        until, state = time.monotonic() + seconds, await asyncio.to_thread(state_of, self._embedded.runtime, asked)
        self._asked[asked.id] += 1
        self._read[asked.id] = asked
        try:
            while state is ApprovalState.PENDING and await self.goes_on(request, until):
                state = self._state(asked, await self._look())
            return state
        finally:
            self._asked[asked.id] -= 1
            if not self._asked[asked.id]:
                del self._asked[asked.id], self._read[asked.id]

    async def _look(self) -> Where:
        """Where those stand that are asked about."""
        about = dict(self._read)
        return await self._standing.by(lambda: _where(self._embedded, about))

    def _state(self, asked: Approval, where: Where) -> ApprovalState:
        found, over = where
        state = found.get(asked.id, asked.state)
        if state is not ApprovalState.PENDING:
            return state
        if self._embedded.runtime.clock() >= asked.expires:
            return ApprovalState.EXPIRED
        return ApprovalState.CANCELLED if asked.id in over else state

    async def revision(self) -> int:
        """The count of administrative changes. Raises `RemitError` (unavailable)."""
        return await self._revision.by(lambda: self._embedded.store.standing(())[0])


def _where(embedded: Embedded, about: dict[ApprovalId, Approval]) -> Where:
    found = embedded.store.approval_states(list(about))
    pending = [about[name] for name, state in found.items() if state is ApprovalState.PENDING]
    return found, of_tasks_over(embedded.runtime, pending)
