"""Permits that another process gave: what only that one can say or knows best is asked of it, where it can be."""

from contextlib import suppress
from http import HTTPStatus
from typing import Protocol

from remit.local.wiring import Embedded
from remit.model.authorizer import Outcome
from remit.model.identity import DecisionId
from remit.runtime.authorize import may_act
from remit.server.problems import Problem


class Gone(Exception):
    """The process that is to be asked is not there any more, and was asked nothing."""


class Others(Protocol):
    """The other processes of this server, each known by its writer."""

    async def act(self, writer: str, decision: DecisionId) -> bool:
        """Whether a permit of that process stands, just before it is used. Raises `Gone`, `RemitError`."""
        ...

    async def report(self, writer: str, outcome: Outcome) -> None:
        """Record what became of a permit of that process. Raises `Gone`, `RemitError`."""
        ...


async def act(others: Others | None, embedded: Embedded, decision: DecisionId) -> bool:
    """Whether a permit stands, just before it is used: said by the process that gave it. Raises `Problem` (421) where that is not known
    here, `RemitError` (unavailable) where it does not answer."""
    writer = _elsewhere(embedded, decision)
    if not writer:
        return may_act(embedded.runtime, decision)
    with suppress(Gone):
        if others is not None:
            return await others.act(writer, decision)
    # INVARIANT (what was decided is what runs): whether it was used, only the process knows that gave it.
    raise Problem(
        HTTPStatus.MISDIRECTED_REQUEST,
        "the process that gave this permit is gone, or on another machine, and only it can say whether the permit stands: "
        "ask for a new decision, and let a balancer keep a caller at one machine",
    )


async def report(others: Others | None, embedded: Embedded, outcome: Outcome) -> None:
    """Record what became of a permit, by the process that gave it where that is here, as it knows the most. Raises `RemitError`."""
    writer = _elsewhere(embedded, outcome.decision)
    if writer and others is not None:
        with suppress(Gone):
            return await others.report(writer, outcome)
    return await embedded.report(outcome)


def _elsewhere(embedded: Embedded, decision: DecisionId) -> str:
    """The writer of a permit of another process that is not reported; empty for any other."""
    view = embedded.runtime.view
    if decision in view.permits:
        return ""
    permit = embedded.store.permit(decision)
    return permit.writer if permit is not None and permit.writer != embedded.runtime.appender.writer else ""
