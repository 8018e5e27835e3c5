"""`remit doctor`: whether what guards the agents of this machine really denies."""

import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import typer

from remit.cli import break_glass, people
from remit.cli.output import NOT_SO, JsonFlag, say, show_json, store, warn, when
from remit.local.config import Settings, home_folder, read_settings
from remit.local.wiring import Embedded
from remit.model.authorizer import Authorizer, Outcome, OutcomeStatus
from remit.model.caller import Role
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import RemitError, corrupt, malformed, unavailable
from remit.model.identity import AGENT, EntityRef
from remit.model.request import TOOL_CALL, EvaluationRequest
from remit.model.values import NO_ARGUMENTS
from remit.pdp.compiled import Mode

if TYPE_CHECKING:
    from remit.pep.remote.messages import Taken

CANARY = "remit-doctor-canary"
"""The agent, unless the settings name one, and the tool that nobody has."""
TIMES = 5
_UNHEARD = frozenset({Reason.STORE_UNAVAILABLE, Reason.MALFORMED_REQUEST, Reason.INTERNAL_ERROR})
"""Denials of a request that did not get as far as a decision."""


class Examined(msgspec.Struct, frozen=True):
    """What the doctor found. `well`: the canary was denied, and policy is enforced; `mode` is that of the published bundle, empty without
    one; `milliseconds` is the median of a decision's way and back."""

    well: bool
    where: str
    mode: str
    effect: str
    reason: str
    decision: str
    milliseconds: float
    warnings: tuple[str, ...]


class _Place(NamedTuple):
    where: str
    mode: str
    authorizer: Authorizer
    embedded: Embedded | None
    warnings: tuple[str, ...]
    agent: str = ""
    no_guard: str = ""
    """Why no guard asks with this token, if so."""


def doctor(json: JsonFlag = False) -> None:
    """Prove that a canary is denied: ask for a tool that nobody has, without a task, and demand a denial that is on the log."""
    settings = read_settings(home_folder())
    with _said_here(), _place(settings) as place:
        found = _examine(place, EntityRef(AGENT, place.agent or settings.agent or CANARY))
    if json:
        show_json(found)
    else:
        _tell(found)
    if not found.well:
        raise typer.Exit(NOT_SO)


@contextmanager
def _said_here() -> Iterator[None]:
    """While the doctor says itself, once, what each process says in its log as it meets it."""
    log = logging.getLogger("remit")

    def other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(("BREAK-GLASS", "SHADOW MODE"))

    log.addFilter(other)
    try:
        yield
    finally:
        log.removeFilter(other)


@contextmanager
def _place(settings: Settings) -> Iterator[_Place]:
    """What the guards of this process ask, once it was reached and knows who asks. Raises `RemitError`."""
    if not settings.server:
        with store() as embedded:
            yield _Place(
                settings.store or str(embedded.home),
                embedded.mode,
                embedded,
                embedded,
                (*break_glass.warnings(embedded), *people.warnings(embedded)),
            )
        return
    from remit.local.on_server import connect, explained, open_to_others

    remote = connect(settings.server)
    try:
        try:
            remote.healthy().result()
            taken, watched = remote.caller().result(), remote.watch().result()
        except RemitError as error:
            raise explained(error) from None
        stopped = tuple([f"{kill} was stopped by `{kill.operator}`: {kill.why}" for kill in watched.kills])
        opened = tuple(
            [f"BREAK-GLASS `{one.id}` is open for agent `{one.agent}` until {when(one.until)} UTC" for one in watched.break_glass]
        )
        warned = (*open_to_others(), *stopped, *opened)
        yield _Place(settings.server, watched.mode, remote, None, warned, taken.agent or "", _no_guard(taken))
    finally:
        remote.close()


def _no_guard(taken: "Taken") -> str:
    if taken.agent is not None or Role.ENFORCEMENT_POINT in taken.roles:
        return ""
    return f" (guards ask with the token of an agent, or of an enforcement point; this one is of `{taken.name}`, {', '.join(taken.roles)})"


def _examine(place: _Place, agent: EntityRef) -> Examined:
    request = EvaluationRequest(agent, TOOL_CALL, EntityRef("Tool", CANARY), NO_ARGUMENTS)
    took: list[float] = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        decision = place.authorizer.evaluate(request).result()
        took.append((time.perf_counter() - begun) * 1000)
        if isinstance(decision, Permit):
            place.authorizer.report(Outcome(decision.id, None, OutcomeStatus.NOT_PERFORMED)).result()
    _on_record(place, decision)
    denied = isinstance(decision, Deny)
    well = denied and place.mode != Mode.SHADOW
    took_median = round(statistics.median(took), 2)
    effect = "deny" if denied else "permit"
    return Examined(well, place.where, place.mode, effect, decision.reason, decision.id, took_median, place.warnings)


def _on_record(place: _Place, decision: Decision) -> None:
    """Raises `RemitError` for a denial that came about without a decision, or is not on the log."""
    if isinstance(decision, Deny) and decision.reason in _UNHEARD:
        kind = malformed if decision.reason is Reason.MALFORMED_REQUEST else unavailable
        from remit.pep.remote.client import ASK_DOCTOR

        why = decision.message.removesuffix(ASK_DOCTOR) + place.no_guard
        raise kind(f"nothing was decided ({decision.reason.value}): {why}")
    if place.embedded is not None and not place.embedded.store.log.by_decision(decision.id):
        raise corrupt(f"decision `{decision.id}` is not on the log: run `remit log verify`")


def _tell(found: Examined) -> None:
    for text in found.warnings:
        warn(text)
    say(f"asked {found.where}: {found.milliseconds:g} ms there and back")
    if found.well:
        say(f"the canary was denied ({found.reason}), on record as {found.decision}", "green")
    elif found.mode == Mode.SHADOW:
        say(
            f"SHADOW MODE: {found.decision} was decided ({found.reason}), but nothing is enforced: publish a bundle that does",
            "red",
        )
    else:
        say(f"THE CANARY WAS PERMITTED: `remit decision explain {found.decision}` says by which policy", "red")
