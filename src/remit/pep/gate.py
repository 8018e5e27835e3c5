"""The one enforcement sequence of every door: ask, fulfil, act, report."""

import logging
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

import msgspec
from msgspec.structs import replace

from remit.model.authorizer import ApprovalState, Authorizer, Outcome, OutcomeStatus, Pending
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import RemitError
from remit.model.identity import ApprovalId
from remit.model.request import EvaluationRequest
from remit.pep.obligations import Duties, ObligationFailed, duties_of

_log = logging.getLogger("remit")


class Denied(Exception):
    """The action did not happen. The text is written for an agent: why, the decision's id, and whether it can be requested.

    `decision` is the denial itself.
    """

    def __init__(self, decision: Deny) -> None:
        super().__init__(explain(decision))
        self.decision = decision

    @property
    def reason(self) -> Reason:
        """The reason code."""
        return self.decision.reason


class Interrupted(Exception):
    """Carries a tool's own `GeneratorExit` into the sequence, which would take it for its own end. `original` is what the tool raised."""

    def __init__(self, original: BaseException) -> None:
        super().__init__(str(type(original).__name__))
        self.original = original


class OutcomeUnrecorded(Exception):
    """The action ran, but the log could not take its outcome: its result is withheld and its session keeps the worst label."""


def explain(deny: Deny) -> str:
    """A denial in words an agent can act on."""
    text = f"denied ({deny.reason.value}): {deny.message}. Decision {deny.id}."
    if deny.approval is not None:
        return (
            f"{text} An approval was requested as {deny.approval}: a person must answer it, you cannot; "
            "once it is approved, make exactly this call again."
        )
    if deny.reason is Reason.TOO_MANY_REQUESTS:
        return f"{text} No access request was opened for this call: do not repeat it before a person has answered some of those that wait."
    return f"{text} It cannot be requested: do not repeat this call, do something else or tell the user."


class Act(msgspec.Struct, frozen=True):
    """The driver must now perform the action and send back its result. A stream's items go through `duties` one by one."""

    duties: Duties


Enforcement: TypeAlias = Generator[Pending[Any] | Act, Any, Any]
"""Yields what to wait for, and once the command to act; it is sent the answers."""


class Options(msgspec.Struct, frozen=True):
    """How a door enforces: how many seconds it waits for an approval, and how it turns a result into text for labels."""

    wait: float = 0.0
    to_text: Callable[[Any], str | None] = lambda result: None if result is None else str(result)


def enforce(authorizer: Authorizer, request: EvaluationRequest, options: Options) -> Enforcement:
    """The sequence. Raises `Denied`, `OutcomeUnrecorded`, and whatever the action raises."""
    decision = yield from _ask(authorizer, request, options)
    match decision:
        case Deny():
            raise Denied(decision)
        case Permit():
            return (yield from _perform(authorizer, request, decision, options))


def _ask(authorizer: Authorizer, request: EvaluationRequest, options: Options) -> Generator[Pending[Any] | Act, Any, Decision]:
    decision: Decision = yield authorizer.evaluate(request)
    if isinstance(decision, Deny) and (approval := decision.approval) is not None and options.wait > 0:
        state = yield authorizer.wait(approval, options.wait)
        # A denial stays a denial: an approval only allows a new evaluation.
        if state is ApprovalState.APPROVED:
            decision = yield authorizer.evaluate(request)
        elif state is ApprovalState.DENIED:
            said = yield from _denied(authorizer, approval)
            decision = replace(decision, message=f"{decision.message}; {said}", approval=None)  # none waits any more
    return decision


def _denied(authorizer: Authorizer, approval: ApprovalId) -> Generator[Pending[Any] | Act, Any, str]:
    """That a person has denied it, and why, in words for the agent."""
    why = ""
    with suppress(RemitError):  # it is denied, whether or not anybody can say why
        why = yield authorizer.why_denied(approval)
    return f"a person has denied it (`{approval}`){f': {why}' if why else ''}"


def _perform(authorizer: Authorizer, request: EvaluationRequest, permit: Permit, options: Options) -> Enforcement:
    try:
        duties = duties_of(permit.obligations)
    except ObligationFailed as problem:
        yield from _not_performed(authorizer, request, permit, Reason.OBLIGATION_FAILED, str(problem))
    # INVARIANT (what was decided is what runs): a permit is used once, and asked about again just before the act.
    stands = authorizer.may_act(permit.id)
    if not (stands if isinstance(stands, bool) else (yield stands)):
        yield from _not_performed(
            authorizer, request, permit, Reason.PERMIT_EXPIRED, "the permit was used, came too late, or was taken back: ask again"
        )
    if permit.break_glass is not None:
        _log.warning("BREAK-GLASS: decision %s lets `%s` pass: %s", permit.id, request.resource.id, permit.message)
    try:
        result = duties.fulfil((yield Act(duties)))
    except GeneratorExit:
        raise
    except BaseException as error:  # the action's own, or whoever called is gone: it ran, so its outcome is reported
        text = _words(error)
        yield from _report(authorizer, Outcome(permit.id, request.session, OutcomeStatus.FAILED, text, text[:500]))
        if duties.changes_result and isinstance(error, Exception) and not isinstance(error, ObligationFailed):
            # What may not come back in a result may not come back in an error either.
            raise ObligationFailed(
                f"the action failed ({type(error).__name__}, decision {permit.id}); its words are withheld"
            ) from None
        raise
    content = _content(options, result)
    yield from _report(authorizer, Outcome(permit.id, request.session, OutcomeStatus.SUCCEEDED, content))
    return result


def _content(options: Options, result: Any) -> str | None:
    try:
        return options.to_text(result)
    except Exception:  # a result of the tool's that cannot be shown: the worst is assumed
        return None


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # an exception of the tool's that cannot even be shown
        return type(error).__name__


def _not_performed(
    authorizer: Authorizer, request: EvaluationRequest, permit: Permit, reason: Reason, message: str
) -> Generator[Pending[Any] | Act, Any, NoReturn]:
    try:
        yield from _report(authorizer, Outcome(permit.id, request.session, OutcomeStatus.NOT_PERFORMED, None, message))
    except OutcomeUnrecorded:
        message += " (nothing was done, but that could not be recorded)"  # then its session keeps the worst label
    raise Denied(Deny(permit.id, reason, message, permit.tier))


def _report(authorizer: Authorizer, outcome: Outcome) -> Generator[Pending[Any] | Act, Any, None]:
    try:
        yield authorizer.report(outcome)
    except Interrupted:
        raise
    except Exception as error:  # whatever it is: the caller must be told that the action ran
        raise OutcomeUnrecorded(
            f"the action of decision {outcome.decision} ended ({outcome.status.value}), but that could not be recorded: {error}"
        ) from error
