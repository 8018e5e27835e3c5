"""What the server counts, and when."""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from remit.decision_log.append import Committed
from remit.local.trust import Trust
from remit.local.wiring import Embedded
from remit.model.authorizer import ApprovalState, OutcomeStatus
from remit.model.clock import SECOND, Clock
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.request import EvaluationRequest
from remit.runtime.observing import Course, Stage
from remit.runtime.store import Approval
from remit.server.observing.instruments import Instruments
from remit.server.observing.trouble import Trouble

OTHER = "other"
"""The route of a request for what there is not, and the method of one that nothing takes."""
_METHODS = frozenset({"GET", "HEAD", "POST"})
_NANO = 1e-9
LATER = 0.25
"""So long (s) after it has happened something is counted, at most."""
MOST = 10_000
"""So much is remembered that is not counted."""
_FEW = 3
_AGAIN = frozenset({Stage.ASK, Stage.CATCH_UP})
_CANNOT = frozenset({Reason.STORE_UNAVAILABLE, Reason.NO_BUNDLE, Reason.CLOCK_BACKWARDS})
"""Of these, nothing at all can be decided."""
_T = TypeVar("_T")


class Figures:
    """Counts what happens on a server. Safe to be told by any thread.

    What happens with every decision is only remembered, and counted by a thread of its own, many at once: within `LATER` it is told.
    """

    def __init__(self) -> None:
        self.instruments = Instruments()
        self._trouble = Trouble()
        self._decided: deque[tuple[Any, ...]] = deque()
        """Effect, reason and ns of each decision, then each stage and its ns: flat, for the collector of garbage to have little to do."""
        self._committed: deque[Committed] = deque()
        self._answered: deque[tuple[str, str, int, float]] = deque()
        self._shown: deque[tuple[str, str]] = deque()
        """Kind and result of each token."""
        self._wanted, self._lock = threading.Event(), threading.Lock()
        self._following = 0

    def follow(self, embedded: Embedded) -> None:
        """Count the decisions and commits of a store from now on."""
        embedded.runtime.observers.append(self)
        embedded.runtime.appender.told.append(self._committed.append)
        self._following += 1
        if self._following == 1:
            threading.Thread(target=self._run, name="remit-figures", daemon=True).start()

    def leave(self, embedded: Embedded) -> None:
        """Count them no more."""
        embedded.runtime.observers[:] = [one for one in embedded.runtime.observers if one is not self]
        embedded.runtime.appender.told[:] = [one for one in embedded.runtime.appender.told if one != self._committed.append]
        self._following -= 1
        self._wanted.set()
        self.count()

    def _run(self) -> None:
        while self._following > 0:
            self._wanted.wait(1.0)
            self._wanted.clear()
            time.sleep(LATER)
            self.count()

    def count(self) -> None:
        """Count what is remembered, now."""
        with self._lock:
            self._count_decisions(_taken(self._decided))
            commits = _taken(self._committed)
            if commits:
                self.instruments.commit_seconds.add([went.seconds for went in commits])
                self.instruments.commit_size.add([went.size for went in commits])
                self._add(self.instruments.store_errors, Counter("commit" for went in commits if went.failed))
            self._count_requests(_taken(self._answered))
            self._add(self.instruments.tokens, Counter(_taken(self._shown)))

    def _count_decisions(self, decided: Sequence[tuple[Any, ...]]) -> None:
        if not decided:
            return
        made, stages, retries = self.instruments, defaultdict[str, list[float]](list), Counter[str]()
        for one in decided:
            for stage, took in zip(one[3::2], one[4::2], strict=True):
                stages[stage.value].append(took * _NANO)
                retries[stage.value] += stage in _AGAIN
            retries["conflict"] += max(0, one[3::2].count(Stage.COMMIT) - 1)
        self._add(made.decisions, Counter((one[0], str(one[1])) for one in decided))
        made.decision_seconds.add([one[2] * _NANO for one in decided])
        for name, seconds in stages.items():
            made.stage_seconds.labels(name).add(seconds)
        self._add(made.retries, +retries)
        failed = sum(one[1] is Reason.STORE_UNAVAILABLE for one in decided)
        self._add(made.store_errors, Counter({"decide": failed}) if failed else Counter())

    def _count_requests(self, answered: Sequence[tuple[str, str, int, float]]) -> None:
        if not answered:
            return
        seconds = defaultdict[str, list[float]](list)
        counts = Counter[tuple[str, ...]]()
        for method, route, status, took in answered:
            known = route or OTHER
            counts[method if method in _METHODS else OTHER, known, str(status)] += 1
            seconds[known].append(took)
        self._add(self.instruments.requests, counts)
        for route, values in seconds.items():
            self.instruments.request_seconds.labels(route).add(values)

    @staticmethod
    def _add(counter: Any, counts: Mapping[Any, int]) -> None:
        for labels, count in counts.items():
            counter.labels(*((labels,) if isinstance(labels, str) else labels)).inc(count)

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
        told = [effect_of(decision), decision.reason, course.ended - course.began]
        for stage, began, ended in course.stages:
            told += (stage, ended - began)
        self._decided.append(tuple(told))
        self.decides(decision.message if isinstance(decision, Deny) and (decision.told or decision.reason in _CANNOT) else "")
        if len(self._decided) < _FEW:
            self._wanted.set()

    def decides(self, missing: str) -> None:
        """Whether the server could decide just now; `missing` is why not."""
        if missing:
            self._trouble.met(missing)
        elif self._trouble.lasts:
            self._trouble.over()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the template of its path, empty for none."""
        self._answered.append((method, route, status, seconds))
        if len(self._answered) < _FEW:
            self._wanted.set()
        elif len(self._answered) > MOST:  # nobody follows, or the thread that counts is kept from it
            self.count()

    def token(self, kind: str, result: str) -> None:
        """A token was shown of a caller or a task: `verified`, or why it was not."""
        self._shown.append((kind, result))  # its request is answered yet, so whoever counts that will count this

    def outcome(self, status: OutcomeStatus) -> None:
        """A door has reported what became of a permit."""
        self.instruments.outcomes.labels(status.value).inc()

    def settled(self, count: int) -> None:
        """Permits were settled that nobody reported."""
        self.instruments.settled.inc(count)

    def waiting(self, count: int) -> None:
        """So many requests wait now for an answer by a person, or for a change."""
        self.instruments.waiting.set(count)

    def failed(self, error: RemitError) -> None:
        """A request was answered with this error: whether it is the store's."""
        if error.kind in (ErrorKind.UNAVAILABLE, ErrorKind.CORRUPT):
            self.instruments.store_errors.labels("request").inc()
            if error.told != error.message:
                self.decides(error.message)

    def faulted(self) -> None:
        """A request met a fault of the server itself."""
        self.instruments.faults.inc()

    def dropped(self, count: int) -> None:
        """Lines about the server were lost."""
        self.instruments.lines_dropped.inc(count)

    def resolved(self, approval: Approval, now: int) -> None:
        """A person has answered an access request on this server; one that waits for a second person has no answer yet."""
        if approval.state is ApprovalState.PENDING:
            return
        seconds = max(0, now - approval.opened) / SECOND
        self.instruments.answer_seconds.labels(approval.state.value).observe(seconds)


def effect_of(decision: Decision) -> str:
    """`permit`, `deny`, or `shadow-permit` for what was let pass although policy denied."""
    if not isinstance(decision, Permit):
        return "deny"
    return "permit" if decision.enforced else "shadow-permit"


def _taken(happened: deque[_T]) -> list[_T]:
    """All that is remembered by now; what comes meanwhile stays for the next time."""
    return [happened.popleft() for _ in range(len(happened))]
