"""Calls that a bundle's facts need, though they were made under one that needed nothing of them: what the log itself tells of them."""

from collections.abc import Collection

from remit.decision_log.entry import DecisionMade, OutcomeSeen
from remit.model.decision import CallAbout
from remit.model.identity import DecisionId
from remit.model.request import EvaluationRequest
from remit.pdp.effects import counted_as
from remit.pdp.facts.fact import FactSet
from remit.pdp.provenance.seen import Report
from remit.pdp.told import MAX_CALL, Told, told_of


class Calls:
    """The calls of one session, and of those it goes on from. `fill` gives what came back of them what is missing for facts."""

    def __init__(self, facts: tuple[FactSet, ...]) -> None:
        self._facts = tuple(one for one in facts if one.facts)
        self._about: dict[str, CallAbout] = {}
        self._reported: dict[str, tuple[int, str]] = {}

    def wants(self, body: DecisionMade) -> bool:
        """Whether a call has a part in any fact."""
        return any(one.needs(counted_as(body.action, body.resource)) for one in self._facts)

    def made(self, body: DecisionMade, request: EvaluationRequest) -> None:
        """A call was permitted."""
        tool, canonical = counted_as(body.action, body.resource), request.arguments.canonical
        call = canonical.decode() if len(canonical) <= MAX_CALL else ""
        gives = any(one.gives(tool) for one in self._facts)
        self._about[body.id] = CallAbout(tool, call, body.at, body.session or "", gives)

    def reported(self, body: OutcomeSeen, time: int) -> None:
        """What became of a call is known."""
        if body.decision in self._about:
            self._reported[body.decision] = time, body.status

    def join(self, other: "Calls") -> None:
        """Go on from another session."""
        self._about |= other._about
        self._reported |= other._reported

    def fill(self, decision: DecisionId, report: Report) -> Report:
        """What came back of a call, with what facts need; as it is, if it has it or nothing is known."""
        about, ended = self._about.get(decision), self._reported.get(decision)
        if report.told is not None or about is None or ended is None:
            return report
        return report._replace(told=told_of(about, report.text, *ended, report.records or not report.untrusted))

    def unseen(self, seen: Collection[str]) -> list[Told]:
        """The calls of which nothing was kept, because nothing came back: those that are not among `seen`."""
        ended = ((decision, *found) for decision, found in self._reported.items() if decision not in seen)
        return [told_of(self._about[decision], None, time, status, False) for decision, time, status in ended]
