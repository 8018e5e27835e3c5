"""Permits whose outcome nobody reports: settled once nobody can use them any more, many in one commit."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.clock import MINUTE, SECOND
from remit.model.decision import Permit
from remit.model.identity import DecisionId
from remit.runtime.outcome import settle

GRACE = 5 * SECOND
"""So long after its end (µs) a permit that nobody used is settled, unless its door says so itself."""
SILENCE = MINUTE
"""So long after its end a permit is settled that was given to somebody who did not promise to report."""
LONGEST = 60 * MINUTE
"""So long after its end a permit is settled that a door has used: it is gone, or its report is lost."""
MAX_SILENT = 50_000
"""So many permits wait for the report of somebody who promised none; beyond that the oldest wait no longer than those of doors."""
AGAIN = 30 * SECOND
"""So long after the store could not be written it is tried again."""
PART = 32
"""So many are settled at once: while they are, nobody is answered."""
_EVERY = 1.0
_log = logging.getLogger("remit.server")


class _Waiting(NamedTuple):
    """A permit, its end, and when it is due (µs)."""

    decision: DecisionId
    until: int
    due: int


class Unreported:
    """The permits that were given over HTTP, by when they are settled. Within each line, what was given first is due first."""

    def __init__(self, embedded: Embedded, told: Callable[[int], None] = lambda _settled: None) -> None:
        """`told` is told how many were settled, each time."""
        self._embedded, self._told = embedded, told
        self._promised: deque[_Waiting] = deque()
        self._silent: deque[_Waiting] = deque()
        self._used: deque[_Waiting] = deque()
        self._again: deque[tuple[int, Outcome]] = deque()
        self._sweeping: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """How many are waited for; some of them may have been reported."""
        return len(self._promised) + len(self._silent) + len(self._used) + len(self._again)

    def promised(self, permit: Permit) -> None:
        """A door was given a permit, and promised to ask again before it acts, and to report."""
        self._add(self._promised, _Waiting(permit.id, permit.until, permit.until + GRACE))

    def handed_out(self, permit: Permit) -> None:
        """Somebody was given a permit who promised nothing."""
        self._add(self._silent, _Waiting(permit.id, permit.until, permit.until + SILENCE))

    def _add(self, line: deque[_Waiting], waiting: _Waiting) -> None:
        line.append(waiting)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.ensure_future(self._sweep())
        elif line[0].due <= self._embedded.runtime.clock():
            self._wake.set()

    async def _sweep(self) -> None:
        while len(self):
            while due := self._due(self._embedded.runtime.clock()):
                settled = await settle(self._embedded.runtime, due)
                self._told(settled.recorded)
                if settled.left:
                    _log.warning("the outcomes of permits that nobody reported cannot be recorded: the store is not there")
                    later = self._embedded.runtime.clock() + AGAIN
                    self._again.extend((later, outcome) for outcome in settled.left)
                await asyncio.sleep(0)
            self._wake.clear()
            try:
                async with asyncio.timeout(_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _due(self, now: int) -> list[Outcome]:
        """What is to be settled now, at most a part of it."""
        view, due = self._embedded.runtime.view, list[Outcome]()
        while len(due) < PART and self._again and self._again[0][0] <= now:
            due.append(self._again.popleft()[1])
        while len(due) < PART and self._promised and self._promised[0].due <= now:
            waiting = self._promised.popleft()
            # INVARIANT (labels come from what was touched): whoever took it out may act, so only what nobody has is unused.
            if view.live.pop(waiting.decision, None) is not None:
                due.append(Outcome(waiting.decision, None, OutcomeStatus.NOT_PERFORMED))
            elif waiting.decision in view.permits:
                self._used.append(waiting._replace(due=waiting.until + LONGEST))
        for line in (self._silent, self._used):
            while len(due) < PART and line and self._is_over(line, now):
                waiting = line.popleft()
                if waiting.decision in view.permits:
                    due.append(Outcome(waiting.decision, None, OutcomeStatus.UNKNOWN))
        return due

    def _is_over(self, line: deque[_Waiting], now: int) -> bool:
        crowded = line is self._silent and len(line) > MAX_SILENT
        return (line[0].until + GRACE if crowded else line[0].due) <= now
