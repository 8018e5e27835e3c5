"""Callers who wait: so many at a time, and all of them for one look at the store."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

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
        self._revision, self._until = -1, 0.0
        self._asked: Counter[ApprovalId] = Counter()
        self._read: dict[ApprovalId, Approval] = {}
        """What is asked about, as it was when somebody began to wait: what it shows can be long, and is not read again."""
        self._found: dict[ApprovalId, ApprovalState] = {}
        self._over: set[ApprovalId] = set()
        self._looked = 0.0

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
                self._look()
                state = self._state(asked, self._found.get(asked.id, asked.state))
            return state
        finally:
            self._asked[asked.id] -= 1
            if not self._asked[asked.id]:
                del self._asked[asked.id], self._read[asked.id]

    def _look(self) -> None:
        """Read once for all who wait what they ask about."""
        now = time.monotonic()
        if now >= self._looked:
            self._found = self._embedded.store.approval_states(list(self._asked))
            pending = [self._read[name] for name, state in self._found.items() if state is ApprovalState.PENDING]
            self._over = of_tasks_over(self._embedded.runtime, pending)
            self._looked = now + EVERY

    def _state(self, asked: Approval, state: ApprovalState) -> ApprovalState:
        if state is not ApprovalState.PENDING:
            return state
        if self._embedded.runtime.clock() >= asked.expires:
            return ApprovalState.EXPIRED
        return ApprovalState.CANCELLED if asked.id in self._over else state

    def revision(self) -> int:
        """The count of administrative changes, read once for all who wait. Raises `RemitError` (unavailable)."""
        now = time.monotonic()
        if now >= self._until:
            self._revision, self._until = self._embedded.store.standing(())[0], now + EVERY
        return self._revision
