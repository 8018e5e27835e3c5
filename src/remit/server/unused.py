"""Permits of doors that ask before they act, and did not: nothing was done under them, and nobody can any more."""

import asyncio
from contextlib import suppress

from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.clock import SECOND
from remit.model.decision import Permit
from remit.model.errors import RemitError
from remit.model.identity import DecisionId

GRACE = 5 * SECOND
"""So long after its end (µs) a permit that nobody used is settled, unless its door says so itself."""


class Unused:
    """The permits that doors were given, with the time (µs) at which each is settled."""

    def __init__(self) -> None:
        self._due: dict[DecisionId, int] = {}
        self._settling: asyncio.Task[None] | None = None

    def promised(self, embedded: Embedded, permit: Permit) -> None:
        """A door was given a permit, and promised to ask again before it acts; those of others that are due are settled."""
        self._due[permit.id] = permit.until + GRACE
        now = embedded.runtime.clock()
        if next(iter(self._due.values())) <= now and (self._settling is None or self._settling.done()):
            self._settling = asyncio.ensure_future(self._settle(embedded, now))

    async def _settle(self, embedded: Embedded, now: int) -> None:
        for decision in [known for known, due in self._due.items() if due <= now]:
            del self._due[decision]
            # INVARIANT (labels come from what was touched): whoever took it out may act, so only what nobody has is unused.
            if embedded.runtime.view.live.pop(decision, None) is not None:
                with suppress(RemitError):  # then its session keeps the worst, and the next start says that nobody knows
                    await embedded.report(Outcome(decision, None, OutcomeStatus.NOT_PERFORMED))
