"""Permits of processes that have died, of this server or another on the store: settled by those that live."""

import asyncio
import logging
from collections.abc import Callable

from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome, OutcomeStatus
from remit.model.errors import RemitError
from remit.runtime.outcome import settle

SECONDS = 10.0
"""So often it is looked for writers that are gone."""
_log = logging.getLogger("remit.server")


async def recover(embedded: Embedded, told: Callable[[int], None]) -> None:
    """Settle as unknown, until cancelled, what writers left open that were gone twice in a row: one that has lost its connection to the
    store for a moment still knows more than anybody else. `told` is told how many permits were settled, each time."""
    before = frozenset[str]()
    while True:
        await asyncio.sleep(SECONDS)
        try:
            gone = frozenset(await asyncio.to_thread(embedded.store.gone))
            for writer in sorted(gone & before):
                told(await _settle(embedded, writer))
        except RemitError as error:
            before = frozenset()  # the store may have been away for all: whoever lives gets the time to come back to it
            _log.warning("what processes left open that are gone cannot be settled now: %s", error.message)
        else:
            before = gone


async def _settle(embedded: Embedded, writer: str) -> int:
    left = await asyncio.to_thread(embedded.store.permits_of, writer)
    # INVARIANT (labels come from what was touched): whoever was given them may have used them, and nobody is left who knows.
    settled = await settle(embedded.runtime, [Outcome(one.decision, one.session, OutcomeStatus.UNKNOWN) for one in left])
    return settled.recorded
