"""Callers of a server, each an enforcement point that asks, acts and reports, and remembers what it was told."""

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from benchmarks.chaos.checking import AMOUNT, CALLS
from benchmarks.chaos.told import Answered, Told
from benchmarks.furnishing import AGENT
from remit.model.request import TOOL_CALL

PATIENCE = 15.0
"""So long (s) an answer is waited for."""
AGAIN = 0.2
"""So long (s) before a request that got no answer is sent again."""
_EVALUATION = "/access/v1/evaluation"


class Answer(NamedTuple):
    """What came back; status 0 for nothing."""

    status: int
    body: Any = None


class Server:
    """The server under load, reached by one kept connection for each thread; `tokens` by `door`, `approver` and `administrator`."""

    def __init__(self, port: int, tokens: Mapping[str, str], told: Told) -> None:
        self._port, self._tokens, self.told = port, tokens, told
        self._kept, self._all = threading.local(), list[http.client.HTTPConnection]()

    def post(self, path: str, body: Mapping[str, Any], key: str = "", by: str = "door") -> Answer:
        """Send it once."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._tokens[by]}"}
        text, begun = json.dumps(body), time.monotonic()
        answer = self._sent(path, text, {**headers, "Idempotency-Key": key} if key else headers)
        self.told.heard(answer.status, time.monotonic() - begun)
        return answer

    def _sent(self, path: str, text: str, headers: Mapping[str, str]) -> Answer:
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._kept.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            self._all.append(connection)
        try:
            connection.request("POST", path, text, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()  # which opens again with the next request
            return Answer(0)

    def close(self) -> None:
        """Hang up, once nobody asks any more."""
        for connection in self._all:
            connection.close()


class Shared:
    """A task that several callers work in; a new one follows when its budget is used up."""

    def __init__(self, server: Server, budget: str, limit: int) -> None:
        self._server, self._budget, self._limit = server, budget, limit
        self._lock = threading.Lock()
        self.task = ""

    def current(self, spent: str, over: Callable[[], bool]) -> str:
        """The task to work in, which is another than `spent`; empty once the run is over."""
        with self._lock:
            while self.task == spent and not over():
                limit = self._limit
                budgets = {"calls": limit} if self._budget == CALLS else {"amounts": {"spend.amount": limit * 10_000}}
                answer = self._server.post("/v1/tasks", {"purpose": "x", "agent": AGENT, "budgets": budgets}, by="administrator")
                if answer.status == 200:
                    self.task = answer.body["id"]
                    self._server.told.tasks[self.task] = self._budget, limit
                else:
                    time.sleep(AGAIN)
            return self.task if self.task != spent else ""


class Caller:
    """One enforcement point, at work in a session of its own until `over`."""

    def __init__(self, server: Server, shared: Shared, seed: int, over: threading.Event) -> None:
        self._server, self._shared, self._over, self._told = server, shared, over, server.told
        self._random, self._numbers, self._name = random.Random(seed), itertools.count(), f"c{seed}"
        self._together = ThreadPoolExecutor(3)
        self._task = self._session = ""

    def work(self) -> None:
        """Ask and act, until it is over."""
        kinds: Sequence[tuple[Callable[[], None], int]] = (
            (self._spend, 60),
            (self._ask_plainly, 10),
            (self._ask_twice, 15),
            (self._pay, 10),
        )
        while not self._over.is_set():
            if not self._session or self._task in self._told.exhausted:
                self._begin()
            else:
                self._random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]()
        self._together.shutdown()

    def _begin(self) -> None:
        self._session, spent = "", self._task if self._task in self._told.exhausted else ""
        self._task = self._shared.current(spent, self._over.is_set) or self._task
        answer = self._server.post(f"/v1/tasks/{self._task}/sessions", {}) if self._task else Answer(0)
        if answer.status == 200:
            self._session = answer.body["id"]
        else:
            time.sleep(AGAIN)

    def _spend(self) -> None:
        """Ask, act (once or twice at a time), and report what came of it, or not."""
        permit = self._decided(self._asked("spend"))
        if permit is None:
            return
        path = f"/v1/decisions/{permit}/act"
        for answer in self._together.map(lambda _: self._server.post(path, {}), range(self._random.choice((1, 1, 1, 2, 3)))):
            if answer.status == 200 and answer.body["stands"]:
                self._told.stood(permit)
        what = self._random.choice(("succeeded", "succeeded", "succeeded", "failed", ""))
        if what:
            self._report(permit, what)

    def _ask_plainly(self) -> None:
        """Ask as any AuthZEN client does, which promises nothing; or as a door that then does not act, and says so."""
        if self._random.random() < 0.5:
            self._decided(self._asked("spend", door=False), door=False)
            return
        permit = self._decided(self._asked("spend"))
        if permit is not None:
            self._report(permit, "not-performed")

    def _ask_twice(self) -> None:
        """Send one request more than once at a time, under one key."""
        key = f"{self._name}-{next(self._numbers)}"
        asked = self._asked("spend")
        told = [one for one in self._together.map(lambda _: self._evaluated(asked, key=key), range(3)) if one]
        self._told.repeated.append(tuple(told))

    def _pay(self) -> None:
        """Ask for what needs an approval, have it approved, and come with it more than once at a time."""
        asked = self._asked("pay")
        found = self._told.decisions.get(self._evaluated(asked))
        if found is None or not found.approval:
            return
        answer = self._server.post(f"/v1/approvals/{found.approval}/answer", {"approve": True}, by="approver")
        if answer.status == 200:
            told = list(self._together.map(lambda _: self._evaluated(asked), range(3)))
            self._refuse(
                {self._told.decisions[one].approval for one in told if one and not self._told.decisions[one].permit}
                - {"", found.approval}
            )
            ended = any(one and self._told.decisions[one].reason == "budget-exhausted" for one in told)
            self._told.approved[found.approval] = all(told) and not ended

    def _refuse(self, opened: set[str]) -> None:
        """Deny what was asked for again once the approval was used up: so many may wait at a time."""
        for name in opened:
            self._server.post(f"/v1/approvals/{name}/answer", {"approve": False}, by="approver")

    def _asked(self, tool: str, door: bool = True) -> dict[str, Any]:
        arguments = {"amount": AMOUNT, "to": f"{self._name}-{next(self._numbers)}"}
        return {
            "subject": {"type": "Agent", "id": AGENT},
            "action": {"name": TOOL_CALL, "properties": arguments},
            "resource": {"type": "Tool", "id": tool},
            "context": {"remit": {"task": self._task, "session": self._session, "door": door}},
        }

    def _decided(self, asked: dict[str, Any], door: bool = True) -> str | None:
        """The permit that was given, if one was that a door may use."""
        decision = self._evaluated(asked)
        return decision if door and decision and self._told.decisions[decision].permit else None

    def _evaluated(self, asked: dict[str, Any], key: str = "") -> str:
        """The decision that was made; empty if none was told."""
        ours = asked["context"]["remit"]
        answer = self._server.post(_EVALUATION, asked, key)
        if answer.status != 200:
            self._told.missed(ours["session"])
            return ""
        context = answer.body["context"]
        decision, reason = str(context["id"]), str(context["reason"])
        approval = context.get("approval", {}).get("id", "")
        self._told.decided(decision, Answered(answer.body["decision"], reason, ours["session"], approval))
        if reason == "budget-exhausted":
            self._told.exhausted.add(ours["task"])
        return decision

    def _report(self, permit: str, status: str) -> None:
        """Say what became of it until it is known to be recorded, and sometimes once more."""
        body = {"status": status, "content": "done" if status == "succeeded" else ""}
        for _ in range(20):
            answer = self._server.post(f"/v1/decisions/{permit}/outcome", body)
            if answer.status == 200:
                self._told.reported[permit] = status
                if self._random.random() < 0.8:
                    return
            elif answer.status == 409:
                if permit not in self._told.reported:
                    self._told.late.add(permit)
                return
            else:
                time.sleep(AGAIN)
