"""The decision point behind a server, as the protocol of the doors: it fails closed, and repeats no action."""

import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from remit.model.authorizer import ApprovalState, Outcome, OutcomeStatus
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError, unavailable
from remit.model.identity import ApprovalId, DecisionId, SessionId, TaskId, random_bytes
from remit.model.request import EvaluationRequest
from remit.model.task import Opening, Session, Task
from remit.pep.remote import messages
from remit.pep.remote.asking import Asked
from remit.pep.remote.connection import Answer, Connections, Lost, NotSent, Prover, Token, address_of
from remit.pep.remote.messages import Found, Taken, Unreadable, Watched
from remit.pep.remote.tracing import trace_headers

T = TypeVar("T")
SECONDS = 10.0
"""So long an answer may take."""
LONGEST_WAIT = 5.0
"""So long one request waits for somebody else, before it asks again."""
MAX_WATCH = 30.0
"""So long a server lets a watcher wait."""
REMEMBERED = 16_384
"""So many of the latest decisions are known again; older ones have ended."""
UNRECORDED = DecisionId("unrecorded")
"""The id of a denial that no log has, for nobody was there to write it."""
ASK_DOCTOR = " (`remit doctor` says what is wrong)"
PAUSES = (0.0, 0.1, 0.4)
"""Seconds before each attempt at what can be repeated."""
_encode = msgspec.json.Encoder().encode


def _no_token() -> str:
    return ""


def _no_clock() -> int:
    return 0


class Opened(msgspec.Struct, frozen=True):
    """A task that was opened, and what it names that the published bundle does not have."""

    task: Task
    warnings: tuple[str, ...]


class Remote:
    """An `Authorizer` over HTTP. `token` gives what is shown to the server, anew for each request; `seconds` bounds each answer.
    `prover` has the key that the token is bound to, if it is. `clock` (µs) tells permits that have ended long ago; without one, only the
    server does.

    Raises `RemitError` (malformed) for an address that is none.
    """

    def __init__(
        self,
        url: str,
        token: Token = _no_token,
        seconds: float = SECONDS,
        prover: Prover | None = None,
        clock: Callable[[], int] = _no_clock,
    ) -> None:
        self._connections = Connections(address_of(url), token, prover)
        self._seconds = seconds
        self._clock = clock
        self._given, self._used = _Seen(), _Seen()

    def __repr__(self) -> str:
        return f"<Remote {self._connections.address}>"

    def evaluate(self, request: EvaluationRequest) -> Asked[Decision]:
        """Decide durably, on the server; whatever keeps it from answering is a `Deny`. See `Authorizer`."""
        return Asked(lambda: self._evaluate(request), self._abandon)

    def _evaluate(self, request: EvaluationRequest) -> Decision:
        body = messages.evaluation(request)
        try:
            answer = self._ask("POST", "/access/v1/evaluation", body, repeatable=True)
            return self._new(messages.decision(answer.body, self._clock()))
        except Unreadable as fault:
            why = f"the server `{self._connections.address}` answered what is no decision ({fault})"
        except RemitError as error:
            if error.kind is ErrorKind.MALFORMED:
                return Deny(UNRECORDED, Reason.MALFORMED_REQUEST, error.message)
            why = error.message
        # INVARIANT (fail closed): a server that is gone, slow or babbles permits nothing.
        return Deny(UNRECORDED, Reason.STORE_UNAVAILABLE, why + ASK_DOCTOR)

    def _new(self, decision: Decision) -> Decision:
        """Raises `Unreadable` for a decision that was given before: each request is asked under a key of its own."""
        # INVARIANT (what was decided is what runs): a permit is for one request, whoever gives it twice.
        if not self._given.first(decision.id):
            raise Unreadable("the decision on another request")
        return decision

    def _abandon(self, decision: Decision) -> None:
        """Say of a permit that nobody will use it: whoever asked for it is gone."""
        if isinstance(decision, Permit):
            with suppress(RemitError):  # the server settles what nobody used
                self._report(Outcome(decision.id, None, OutcomeStatus.NOT_PERFORMED))

    def may_act(self, decision: DecisionId) -> Asked[bool]:
        """Whether a permit still stands; asked once, and an answer that is lost is no. See `Authorizer`."""
        return Asked(lambda: self._may_act(decision))

    def _may_act(self, decision: DecisionId) -> bool:
        # INVARIANT (what was decided is what runs): never repeated. The first may have been answered, and to somebody else.
        if not self._used.first(decision):
            return False
        try:
            return self._read(self._ask("POST", f"/v1/decisions/{_part(decision)}/act", b"{}"), messages.Stands).stands
        except RemitError:
            return False

    def report(self, outcome: Outcome) -> Asked[None]:
        """Record what became of a permit; repeated until it is known to be recorded. See `Authorizer`."""
        return Asked(lambda: self._report(outcome))

    def _report(self, outcome: Outcome) -> None:
        body = messages.report(outcome)
        self._ask("POST", f"/v1/decisions/{_part(outcome.decision)}/outcome", body, repeatable=True, patient=True)

    def wait(self, approval: ApprovalId, seconds: float) -> "Waiting":
        """Wait until somebody has answered, at most so many seconds; a server that is away may come back meanwhile."""
        return Waiting(lambda left: self._state(approval, left), time.monotonic() + seconds)

    def _state(self, approval: ApprovalId, left: float) -> ApprovalState:
        path = f"/v1/approvals/{_part(approval)}?wait={left:.3f}"
        try:
            return self._read(self._ask("GET", path, waiting=left), messages.Approved).state
        except RemitError as error:
            if error.kind is not ErrorKind.UNAVAILABLE:
                raise
            time.sleep(min(1.0, left))
            return ApprovalState.PENDING  # as far as anybody here knows: the denial stays one

    def why_denied(self, approval: ApprovalId) -> Asked[str]:
        """What whoever denied an access request says. Raises `RemitError`. See `Authorizer`."""
        path = f"/v1/approvals/{_part(approval)}"
        return Asked(lambda: self._read(self._ask("GET", path, repeatable=True), messages.Approved).why)

    def watch(self, since: int = -1, seconds: float = 0.0) -> Asked[Watched]:
        """Administrative changes and kills, once there are others than at revision `since`, or the time (30 s at most) is up.

        Raises `RemitError` (unavailable).
        """
        seconds = min(seconds, MAX_WATCH)
        path = f"/v1/watch?since={since}&wait={seconds:.3f}"
        return Asked(lambda: self._read(self._ask("GET", path, repeatable=True, waiting=seconds), Watched), waits=True)

    def search(self, kind: str, request: Mapping[str, Any]) -> Asked[Found]:
        """A page of AuthZEN's search for a `subject`, `resource` or `action`. Raises `RemitError`."""
        body = _encode(request)
        return Asked(lambda: self._read(self._ask("POST", f"/access/v1/search/{_part(kind)}", body, repeatable=True), Found))

    def caller(self) -> Asked[Taken]:
        """Who this process is to the server. Raises `RemitError`."""
        return Asked(lambda: self._read(self._ask("GET", "/v1/caller", repeatable=True), Taken))

    def healthy(self) -> Asked[None]:
        """That the server is there. Raises `RemitError` (unavailable)."""
        return Asked(self._healthy)

    def _healthy(self) -> None:
        self._ask("GET", "/healthz", expected="text/plain", repeatable=True)

    def open_task(self, opening: Opening, session: SessionId | None = None) -> Asked[Opened]:
        """Open a task; `session` is the one that an agent opens it from. Raises `RemitError`."""
        body = messages.opening(opening, session)

        def ask() -> Opened:
            answer = self._ask("POST", "/v1/tasks", body)
            return Opened(self._read(answer, Task), self._read(answer, _Warned).warnings)

        return Asked(ask, lambda opened: self._close_unwanted(opened.task.id))

    def _close_unwanted(self, task: TaskId) -> None:
        with suppress(RemitError):  # it ends by itself
            self._ask("POST", f"/v1/tasks/{_part(task)}/close", b"{}")

    def close_task(self, task: TaskId) -> Asked[None]:
        """End a task. Raises `RemitError`: conflict if it is closed already."""
        return Asked(lambda: _nothing(self._ask("POST", f"/v1/tasks/{_part(task)}/close", b"{}")))

    def open_session(self, task: TaskId) -> Asked[Session]:
        """Begin a run of the task's agent. Raises `RemitError`."""
        return Asked(lambda: self._read(self._ask("POST", f"/v1/tasks/{_part(task)}/sessions", b"{}"), Session))

    def resume(self, session: SessionId) -> Asked[Session]:
        """Go on with a session, with all that the others of its task have touched by now. Raises `RemitError`."""
        path = f"/v1/sessions/{_part(session)}/resume"
        return Asked(lambda: self._read(self._ask("POST", path, b"{}", repeatable=True, patient=True), Session))

    def inherit(self, session: SessionId, child: SessionId) -> Asked[Session]:
        """Join what another session has touched to this one, which is returned. Raises `RemitError`."""
        path, body = f"/v1/sessions/{_part(session)}/inherit", _encode({"from": child})
        return Asked(lambda: self._read(self._ask("POST", path, body, repeatable=True, patient=True), Session))

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        self._connections.close()

    def _read(self, answer: Answer, kind: type[T]) -> T:
        try:
            return messages.read(answer.body, kind)
        except Unreadable as fault:
            raise unavailable(f"the server `{self._connections.address}` answered what cannot be read ({fault})") from None

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        expected: str = "application/json",
        repeatable: bool = False,
        patient: bool = False,
        waiting: float = 0.0,
    ) -> Answer:
        """One answer of the kind expected, in time. What is `repeatable` may have been done before; `patient`, also by a server that was
        slow, and each attempt has all the time.

        Raises `RemitError`: what the server says is wrong, or unavailable where it does not answer, or with something else.
        """
        asked = random_bytes(16).hex()
        headers = {"Content-Type": "application/json", "X-Request-ID": asked, **trace_headers()}
        if repeatable and body is not None:
            headers["Idempotency-Key"] = (
                f'"{asked}"'  # what is sent once needs none, and the server would remember it for nothing
            )
        why, until = "", time.monotonic() + self._seconds + waiting
        for pause in PAUSES if repeatable else PAUSES[:1]:
            time.sleep(pause)
            left = self._seconds + waiting if patient else until - time.monotonic()
            if left <= 0:
                break
            try:
                answer = self._connections.exchange(method, path, body, headers, left)
            except NotSent as fault:
                why = str(fault)
            except Lost as fault:
                why = str(fault)
                if fault.late and not patient:
                    break
            else:
                if patient and answer.status in (429, 503):
                    why = "is not available"
                    continue
                return self._checked(answer, asked, expected)
        raise unavailable(f"the server `{self._connections.address}` {why}")

    def _checked(self, answer: Answer, asked: str, expected: str) -> Answer:
        server = f"the server `{self._connections.address}`"
        if 300 <= answer.status < 400:
            raise unavailable(f"{server} points elsewhere ({answer.status}), where nobody is asked: give the address itself")
        if (answer.status, answer.kind) != (200, expected) and not (
            answer.status >= 400 and answer.kind == "application/problem+json"
        ):
            raise unavailable(f"{server} answered {answer.status} with `{answer.kind[:100] or 'nothing'}`: is it Remit?")
        # INVARIANT (what was decided is what runs): an answer to another question is none.
        if answer.id != asked:
            raise unavailable(f"{server} answered another request than was asked: is something between that keeps answers?")
        if answer.status == 200:
            return answer
        try:
            raise messages.problem(answer.status, answer.body)
        except Unreadable as fault:
            raise unavailable(f"{server} answered {answer.status} with what is no problem ({fault})") from None


class _Seen:
    """The latest ids that came here. Safe to share between threads, and with processes that are forked off: nothing is locked, which a
    thread that the child does not have could hold for ever."""

    def __init__(self) -> None:
        self._ids: dict[DecisionId, object] = {}
        self._order: deque[DecisionId] = deque()

    def first(self, one: DecisionId) -> bool:
        """Whether it comes for the first time, of the last `REMEMBERED`."""
        mine = object()
        if self._ids.setdefault(one, mine) is not mine:  # one step, of which no other thread sees a part
            return False
        self._order.append(one)
        if len(self._order) > REMEMBERED:
            with suppress(IndexError):  # another thread was first
                self._ids.pop(self._order.popleft(), None)
        return True


class Waiting:
    """A `Pending` answer by a person. An awaiting caller that is cancelled leaves one request behind, of `LONGEST_WAIT` seconds at most."""

    def __init__(self, state: Callable[[float], ApprovalState], until: float) -> None:
        self._state, self._until = state, until

    def _once(self) -> ApprovalState:
        return self._state(max(0.0, min(self._until - time.monotonic(), LONGEST_WAIT)))

    def result(self) -> ApprovalState:
        """Block until it is answered, or time is up."""
        while (state := self._once()) is ApprovalState.PENDING and time.monotonic() < self._until:
            pass
        return state

    def __await__(self) -> Generator[Any, Any, ApprovalState]:
        """Await the answer, or the end of the time."""
        while True:
            state = yield from Asked(self._once, waits=True).__await__()
            if state is not ApprovalState.PENDING or time.monotonic() >= self._until:
                return state


class _Warned(msgspec.Struct, frozen=True):
    warnings: tuple[str, ...] = ()


def _part(name: str) -> str:
    return quote(name, safe="")


def _nothing(_answer: Answer) -> None:
    return None
