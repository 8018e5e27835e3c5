"""What the server counts, and when."""

from remit.decision_log.append import Committed
from remit.local.trust import Trust
from remit.local.wiring import Embedded
from remit.model.authorizer import OutcomeStatus
from remit.model.clock import SECOND, Clock
from remit.model.decision import Decision, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.request import EvaluationRequest
from remit.runtime.observing import Course, Stage
from remit.runtime.store import Approval
from remit.server.observing.instruments import Instruments, Labelled

OTHER = "other"
"""The route of a request for what there is not, and the method of one that nothing takes."""
_METHODS = frozenset({"GET", "HEAD", "POST"})
_NANO = 1e-9


class Figures:
    """Counts what happens on a server. Safe to be told by any thread."""

    def __init__(self) -> None:
        self.instruments = made = Instruments()
        self._decisions = Labelled(made.decisions.labels)
        self._stages = {stage: made.stage_seconds.labels(stage) for stage in Stage}
        self._retries = Labelled(made.retries.labels)
        self._requests = Labelled(made.requests.labels)
        self._request_seconds = Labelled(made.request_seconds.labels)
        self._tokens = Labelled(made.tokens.labels)

    def follow(self, embedded: Embedded) -> None:
        """Count the decisions and commits of a store from now on."""
        embedded.runtime.observers.append(self)
        embedded.runtime.appender.told.append(self.committed)

    def leave(self, embedded: Embedded) -> None:
        """Count them no more."""
        embedded.runtime.observers[:] = [one for one in embedded.runtime.observers if one is not self]
        embedded.runtime.appender.told[:] = [one for one in embedded.runtime.appender.told if one != self.committed]

    def follow_keys(self, trust: Trust, clock: Clock) -> None:
        """Count the attempts to get the keys of issuers; each is one of the configuration."""
        made = self.instruments
        for name, keys in trust.keys.items():

            def told(came: bool, issuer: str = name) -> None:
                made.key_fetches.labels(issuer, "fetched" if came else "failed").inc()
                made.keys_failing.labels(issuer).set(0 if came else 1)
                if came:
                    made.keys_fetched.labels(issuer).set(clock() / SECOND)

            keys.told = told

    def decided(self, _request: EvaluationRequest, decision: Decision, course: Course) -> None:
        """A decision, and how it went."""
        self._decisions(effect_of(decision), decision.reason.value).inc()
        self.instruments.decision_seconds.observe((course.ended - course.began) * _NANO)
        commits = 0
        for stage, began, ended in course.stages:
            self._stages[stage].observe((ended - began) * _NANO)
            if stage in (Stage.ASK, Stage.CATCH_UP):
                self._retries(stage.value).inc()
            commits += stage is Stage.COMMIT
        if decision.reason is Reason.STORE_UNAVAILABLE:
            self.instruments.store_errors.labels("decide").inc()
        if commits > 1:
            self._retries("conflict").inc(commits - 1)

    def committed(self, went: Committed) -> None:
        """A group was committed, or could not be."""
        self.instruments.commit_seconds.observe(went.seconds)
        self.instruments.commit_size.observe(went.size)
        if went.failed:
            self.instruments.store_errors.labels("commit").inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the template of its path, empty for none."""
        known = route or OTHER
        self._requests(method if method in _METHODS else OTHER, known, str(status)).inc()
        self._request_seconds(known).observe(seconds)

    def token(self, kind: str, result: str) -> None:
        """A token was shown of a caller or a task: `verified`, or why it was not."""
        self._tokens(kind, result).inc()

    def outcome(self, status: OutcomeStatus) -> None:
        """A door has reported what became of a permit."""
        self.instruments.outcomes.labels(status.value).inc()

    def settled(self, count: int) -> None:
        """Permits were settled that nobody reported."""
        self.instruments.settled.inc(count)

    def failed(self, error: RemitError) -> None:
        """A request was answered with this error: whether it is the store's."""
        if error.kind in (ErrorKind.UNAVAILABLE, ErrorKind.CORRUPT):
            self.instruments.store_errors.labels("request").inc()

    def faulted(self) -> None:
        """A request met a fault of the server itself."""
        self.instruments.faults.inc()

    def dropped(self, count: int) -> None:
        """Lines about the server were lost."""
        self.instruments.lines_dropped.inc(count)

    def resolved(self, approval: Approval, now: int) -> None:
        """A person has answered an access request on this server."""
        seconds = max(0, now - approval.opened) / SECOND
        self.instruments.answer_seconds.labels(approval.state.value).observe(seconds)


def effect_of(decision: Decision) -> str:
    """`permit`, `deny`, or `shadow-permit` for what was let pass although policy denied."""
    if not isinstance(decision, Permit):
        return "deny"
    return "permit" if decision.enforced else "shadow-permit"
