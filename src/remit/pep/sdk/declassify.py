"""`remit.declassify`: ask that the label of the session at hand is lowered."""

from collections.abc import Callable, Sequence
from typing import Any

from remit.model.errors import refused
from remit.model.identity import EntityRef
from remit.model.request import SESSION_DECLASSIFY, EvaluationRequest
from remit.model.values import freeze
from remit.pep.drive import run
from remit.pep.gate import Enforcement, Options, enforce
from remit.pep.sdk.context import Working


class Declassify:
    """Asks for the session that the code is working in; `operator` is the person whose process it is."""

    def __init__(self, working: Callable[[], Working], operator: Callable[[], str]) -> None:
        self._working, self._operator = working, operator

    def __call__(
        self, why: str, *, confidentiality: str | None = None, sources: Sequence[str] | None = None, wait: float = 0.0
    ) -> None:
        """Lower what this session counts as having touched: to a class, and without these untrusted sources.

        Two people must want it: the denial opens an access request for four eyes, and the same call passes once it is approved (`wait`:
        how many seconds to wait for that). What values came from stays as it was. Raises `remit.Denied`; `RemitError` (refused) outside
        of a task.
        """
        run(self._enforcement(why, confidentiality, sources, wait), lambda: "")

    def _enforcement(self, why: str, confidentiality: str | None, sources: Sequence[str] | None, wait: float) -> Enforcement:
        working = self._working()
        if working.session is None:
            raise refused("only a session has a label to lower: enter a task first")
        # INVARIANT (the guard is guarded): whose process asks has asked, and does not approve it.
        request = declassification(working, why, confidentiality, sources, self._operator())
        return enforce(working.authorizer, request, Options(wait))


def declassification(
    working: Working, why: str, confidentiality: str | None, sources: Sequence[str] | None, by: str = ""
) -> EvaluationRequest:
    """The request to lower the label of a session; `by` is the person who asks, if it is no agent."""
    wanted: dict[str, Any] = {"why": why}
    if confidentiality is not None:
        wanted["confidentiality"] = confidentiality
    if sources is not None:
        wanted["sources"] = list(sources)
    if by:
        wanted["by"] = by
    resource = EntityRef("Session", working.session or "")
    subject = EntityRef("Agent", working.agent)
    return EvaluationRequest(subject, SESSION_DECLASSIFY, resource, freeze(wanted), working.task, working.session)
