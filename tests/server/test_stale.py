"""What another process on the store has changed, while this one commits nothing: the very next request here is answered by it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from remit.decision_log.entry import TokenIssued
from remit.inventory.agents import with_identity, with_status, without_identity
from remit.local.config import Settings
from remit.local.enrolment import begin
from remit.local.issuing import task_token
from remit.local.people import Import
from remit.local.trust import own_issuer, read_trust
from remit.local.wiring import wall_clock
from remit.model.authorizer import ApprovalState
from remit.model.errors import RemitError
from remit.model.identity import Agent, AgentStatus, ApprovalId, BreakGlassId, Operator, SessionId, TaskId
from remit.model.kill import KillKind
from remit.model.request import TOOL_CALL
from remit.pap.contents import Bundle
from remit.runtime import administration, kills
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.overdue import sweep
from remit.runtime.approving.requesting import cancel
from remit.runtime.emergency import break_glass
from remit.runtime.tasks import close_task
from remit.server.api import enrolment
from remit.server.callers import Proven
from tests.cli.running import ok, run
from tests.conftest import OpenStore, StoreUrl
from tests.runtime.test_opening import guarded
from tests.runtime.world import AGENT, ANA, CARL, SMALL, World, small_bundle
from tests.server.idp import ISSUER, Idp
from tests.server.serving import Answer, Client, served, serving

URL = "https://remit.example"
ROLES = {"administrator": "ada", "approver": "carl eve", "reviewer": "rex", "auditor": "aud", "enforcement-point": "gateway"}
TYPES = "- {name: tidy, agent_may_open: true, seconds: 600}\n"
NOVEL = "- {name: novel, annotations: {effect: read, reach: internal}}\n"
EXCLUDING = """
@id("not-carl") forbid (principal, action == Action::"tool.call", resource == Tool::"pay")
  when { context.approval.granted && context.approval.approver == "carl" };
@id("no-look") forbid (principal, action == Action::"tool.call", resource == Tool::"look");
"""
FIRST = small_bundle(task_types=TYPES)
SECOND = small_bundle(
    task_types=TYPES.replace("tidy", "fresh"),
    tools=SMALL["tools.yaml"] + NOVEL,
    policies=SMALL["policies/all.cedar"] + EXCLUDING,
    manifest=SMALL["bundle.yaml"] + "break_glass: {minutes: 5}\n",
)
SHADOW = small_bundle(manifest=SMALL["bundle.yaml"] + "mode: shadow\n")
STAFF = "id,user_name,active\n1,ada,true\n2,ben,true\n3,carl,true\n4,eve,true\n"
AS_BOT = f"{ISSUER}#client-7"


class Beside:
    """A server `here`, asked over HTTP, and another process `there` on the same store."""

    def __init__(self, here: World, there: World, client: Client, idp: Idp) -> None:
        self.here, self.there, self._client, self._numbers = here, there, client, count()
        names = [(name, role) for role, names in ROLES.items() for name in names.split()]
        self._tokens = {name: idp.token(f"sub-{name}", URL, name=name, groups=[role]) for name, role in names}
        self._tokens["bot"] = idp.token("client-7", URL)
        self.task = there.open_task().id
        self.session = self.begun()

    def begun(self) -> SessionId:
        return SessionId(self.body("bot", f"/v1/tasks/{self.task}/sessions", {})["id"])

    def ask(self, who: str, path: str, message: object = None) -> Answer:
        """GET without a message."""
        token = {"Authorization": f"Bearer {self._tokens.get(who, who)}"}
        return self._client.send("GET", path, None, token) if message is None else self._client.post(path, message, **token)

    def body(self, who: str, path: str, message: object = None) -> Any:
        answer = self.ask(who, path, message)
        assert answer.status in (200, 201), answer.text
        return answer.body

    def call(self, tool: str, door: bool = False, **arguments: object) -> dict[str, Any]:
        within = {"task": self.task, "session": self.session, **({"door": True} if door else {})}
        action = {"name": TOOL_CALL, **({"properties": arguments} if arguments else {})}
        subject, resource = {"type": "Agent", "id": AGENT}, {"type": "Tool", "id": tool}
        return {"subject": subject, "action": action, "resource": resource, "context": {"remit": within}}

    def decided(self, tool: str, **arguments: object) -> Any:
        """What a decision is told as: its reason, or `permit`."""
        told = self.body("gateway", "evaluation", self.call(tool, **arguments))
        return "permit" if told["decision"] else told["context"]["reason"]

    def given(self, tool: str = "look") -> str:
        """A permit that is not used yet."""
        told = self.body("gateway", "evaluation", self.call(tool, door=True))
        assert told["decision"], told
        name: str = told["context"]["id"]
        return name

    def stands(self, permit: str) -> bool:
        return bool(self.body("gateway", f"/v1/decisions/{permit}/act", {})["stands"])

    def prepared(self) -> None:
        """What questions are about, each anew; and all of this process's memory as of now."""
        with suppress(RemitError):  # what was asked before may have closed it
            close_task(self.there.runtime, self.task, "ana").result()
        self.task = self.there.open_task().id
        self.session, self.side = self.begun(), self.begun()
        self.approved = self.requested()
        self.waiting = self.requested()
        own = own_issuer(self.here.home, URL, wall_clock)
        self.token = task_token(self.there.embedded, own, self.task, 600, ANA).result()
        assert self.ask(self.token, "/v1/caller").status == 200
        resolve(self.there.runtime, self.approved, CARL, True).result()
        assert self.found() and self.body("ada", f"/v1/sessions/{self.session}")["label"]["confidentiality"] == "public"
        assert not self.body("eve", f"/v1/approvals/{self.approved}")["lapsed"]

    def requested(self, tool: str = "pay") -> ApprovalId:
        """An access request, opened here."""
        self.payee = f"boss{next(self._numbers)}@corp.com"
        told = self.body("gateway", "evaluation", self.call(tool, to=self.payee))["context"]
        return ApprovalId(told["approval"]["id"])

    def found(self, **more: Any) -> set[str]:
        """The tools that a search has."""
        wanted = {**self.call("any"), "resource": {"type": "Tool"}, **more}
        return {one["id"] for one in self.body("gateway", "/access/v1/search/resource", wanted)["results"]}

    def changed(self, change: Callable[[Agent | None], Agent]) -> None:
        administration.change_agent(self.there.runtime, AGENT, change, ANA).result()

    def moved(self, status: AgentStatus) -> None:
        self.changed(lambda known: with_status(known, AGENT, status))

    def staff(self, text: str) -> None:
        Import(text.encode(), "file:hr", whole=False, most=100).apply(self.there.embedded, Operator("root", "os"))

    def opened(self, *tools: str) -> BreakGlassId:
        """A break-glass that two people have opened there."""
        wanted = break_glass.EmergencyRequest("it is stuck", "INC-7", AGENT, None, tools, (), 5)
        asked = break_glass.ask(self.there.runtime, wanted, Operator("ada", ISSUER)).result()
        return break_glass.confirm(self.there.runtime, asked.id, Operator("eve", ISSUER)).result().id


@pytest.fixture
def beside(open_store: OpenStore) -> Iterator[Beside]:
    here = open_store(bundle=FIRST, clock=wall_clock)
    there, idp = open_store(again=True, clock=wall_clock), Idp()
    if here.url:
        # It tells a process of a change within a tenth of a second, mostly; nothing rests on it.
        here.store._watcher._changed = lambda _revision: None  # type: ignore[attr-defined]
    here.register("other")
    administration.change_agent(here.runtime, AGENT, lambda known: with_identity(known, AGENT, AS_BOT), ANA).result()
    idp.publish(here.home / "idp.json")
    roles = {role: (role,) for role in ROLES}
    issuer = {"issuer": ISSUER, "jwks_file": "idp.json", "name_claim": "name", "roles_claim": "groups", "roles": roles}
    trust = read_trust(Settings(issuers=(issuer,)), here.home, URL, wall_clock)
    with serving(here.embedded, Proven(trust, here.embedded, URL)) as client:
        beside = Beside(here, there, client, idp)
        beside.staff(STAFF)
        for name in ("ada", "carl", "eve"):  # whoever acts for the first time is put on record, which would be a commit
            assert beside.ask(name, "/v1/kills/release", {"kind": "all", **KILL}).status in (403, 404)
        yield beside


Question = Callable[[Beside, str], object]
"""Asked here, with a permit that a door was given here before the change."""
Change = Callable[[Beside], object]
KILL = {"why": "stop"}
TASK = {"agent": AGENT, "purpose": "tidy up", "seconds": 400}
SUB_TASK = {**TASK, "agent": "other", "parent": "{task}"}
GLASS = {"reason": "it is stuck", "incident": "INC-7", "agent": AGENT, "tools": ["never"], "minutes": 10}


def filled(beside: Beside, text: Any) -> Any:
    return json.loads(json.dumps(text).replace("{task}", beside.task).replace("{session}", beside.session))


def status(who: str, path: str, message: object = None) -> Question:
    return lambda beside, _: beside.ask(who, filled(beside, path), filled(beside, message)).status


def of(who: str, path: str, *names: str) -> Question:
    def asked(beside: Beside, _: str) -> object:
        told = beside.body(who, filled(beside, path))
        for name in names:
            told = told[name]
        return told

    return asked


def decided(tool: str) -> Question:
    return lambda beside, _: beside.decided(tool)


def stands(beside: Beside, permit: str) -> object:
    return beside.stands(permit)


def finds(tool: str) -> Question:
    return lambda beside, _: tool in beside.found()


def batch(beside: Beside, _: str) -> object:
    told = beside.body("gateway", "/access/v1/evaluations", {"evaluations": [beside.call("look"), beside.call("free")]})
    return [one["decision"] for one in told["evaluations"]]


def stopped(beside: Beside, _: str) -> object:
    told = [beside.body("bot", path)[member] for path, member in (("/v1/kills", "items"), ("/v1/watch", "kills"))]
    return [[one["kind"] for one in part] for part in told]


def answers(who: str, **more: object) -> Question:
    def asked(beside: Beside, _: str) -> object:
        return beside.ask(who, f"/v1/approvals/{beside.waiting}/answer", {"approve": True, **more}).status

    return asked


def lapsed(beside: Beside, _: str) -> object:
    """Whether an approval that carl gave before is told not to count any more."""
    return bool(beside.body("eve", f"/v1/approvals/{beside.approved}")["lapsed"])


def published(bundle: Bundle) -> Change:
    return lambda beside: beside.there.publish(bundle)


def killed(kind: KillKind, name: str) -> Change:
    return lambda beside: kills.kill(beside.there.runtime, kind, filled(beside, name), "stop", ANA).result()


def released(kind: KillKind, name: str) -> Change:
    return lambda beside: kills.release(beside.there.runtime, kind, filled(beside, name), "go on", ANA).result()


def moved(status: AgentStatus) -> Change:
    return lambda beside: beside.changed(lambda known: with_status(known, AGENT, status))


def staffed(text: str) -> Change:
    return lambda beside: beside.staff(f"id,user_name,active\n{text}\n")


def unbound(beside: Beside) -> None:
    beside.changed(lambda known: without_identity(known, AGENT, AS_BOT))


def bound(beside: Beside) -> None:
    beside.changed(lambda known: with_identity(known, AGENT, AS_BOT))


NOBODY_DECIDES = {
    "a decision": (decided("look"), "killed"),
    "several": (batch, [False, False]),
    "an act": (stands, False),
    "a search": (finds("look"), False),
    "a break-glass": (status("ada", "/v1/break-glass", GLASS), 403),
    "a sub-task": (status("bot", "/v1/tasks", SUB_TASK), 403),
}
MATRIX: dict[str, tuple[Change, Change, dict[str, tuple[Question, object]]]] = {
    "a bundle": (
        published(SECOND),
        published(FIRST),
        {
            "a decision": (decided("look"), "forbidden"),
            "several": (batch, [False, True]),
            "an act": (stands, False),
            "a search": (finds("look"), False),
            "a search, of what is new": (finds("novel"), True),
            "an answer": (answers("carl"), 403),
            "an answer that grants more": (answers("carl", flows=True), 403),
            "an answer of somebody else": (answers("eve"), 200),
            "why an approval lapsed": (lapsed, True),
            "a kill of what is new": (status("ada", "/v1/kills", {"kind": "tool", "name": "novel", **KILL}), 201),
            "a kill of what is gone": (status("ada", "/v1/kills", {"kind": "task-type", "name": "tidy", **KILL}), 404),
            "a task of a type that is new": (status("ada", "/v1/tasks", {**TASK, "type": "fresh"}), 200),
            "a task of a type that is gone": (status("bot", "/v1/tasks", {**TASK, "type": "tidy"}), 400),
            "a break-glass": (status("ada", "/v1/break-glass", GLASS), 400),
            "the bundle": (of("ada", "/v1/bundles/active", "digest"), SECOND.digest),
            "health": (of("ada", "/v1/health", "bundle"), SECOND.digest),
        },
    ),
    "policies about opening": (
        published(guarded("Agent, User")),
        published(FIRST),
        {
            "a task": (status("ada", "/v1/tasks", TASK), 403),
            "a task of an agent's own": (status("bot", "/v1/tasks", {**TASK, "seconds": 60, "type": "incident"}), 403),
        },
    ),
    "shadow mode": (
        published(SHADOW),
        published(FIRST),
        {
            "the mode": (of("bot", "/v1/watch", "mode"), "shadow"),
            "health": (of("ada", "/v1/health", "mode"), "shadow"),
            "a decision": (decided("never"), "permit"),
        },
    ),
    "a kill of all": (killed(KillKind.ALL, ""), released(KillKind.ALL, ""), NOBODY_DECIDES | {"kills": (stopped, [["all"]] * 2)}),
    "a kill of the agent": (killed(KillKind.AGENT, AGENT), released(KillKind.AGENT, AGENT), NOBODY_DECIDES),
    "a kill of the task": (
        killed(KillKind.TASK, "{task}"),
        released(KillKind.TASK, "{task}"),
        {name: NOBODY_DECIDES[name] for name in ("a decision", "an act", "a search", "a sub-task")},
    ),
    "a kill of a type": (
        killed(KillKind.TASK_TYPE, "tidy"),
        released(KillKind.TASK_TYPE, "tidy"),
        {"a task": (status("bot", "/v1/tasks", {**TASK, "type": "tidy"}), 403)},
    ),
    "a suspension": (
        moved(AgentStatus.SUSPENDED),
        moved(AgentStatus.ACTIVE),
        {
            "a decision": (decided("look"), "agent-inactive"),
            "an act": (stands, False),
            "a search": (finds("look"), False),
            "a task": (status("ada", "/v1/tasks", TASK), 403),
            "a token": (status("ada", f"/v1/agents/{AGENT}/tokens", {}), 403),
            "a token of its task": (status("ada", "/v1/tasks/{task}/tokens", {}), 403),
            "a break-glass": (status("ada", "/v1/break-glass", GLASS), 403),
            "the agent": (of("ada", f"/v1/agents/{AGENT}", "status"), "suspended"),
        },
    ),
    "an identity that is unbound": (
        unbound,
        bound,
        {
            "who calls": (status("bot", "/v1/caller"), 403),
            "a decision": (lambda beside, _: beside.ask("bot", "evaluation", beside.call("look")).status, 403),
            "a task": (status("bot", "/v1/tasks", SUB_TASK), 403),
            "its session": (status("bot", "/v1/sessions/{session}/resume", {}), 403),
            "what is in force": (status("bot", "/v1/watch"), 403),
        },
    ),
    "an approver who is gone": (
        staffed("3,carl,false"),
        staffed("3,carl,true"),
        {
            "who calls": (status("carl", "/v1/caller"), 403),
            "an answer": (answers("carl"), 403),
            "a denial": (answers("carl", approve=False), 403),
            "why an approval lapsed": (lapsed, True),
        },
    ),
    "an administrator who is gone": (
        staffed("1,ada,false"),
        staffed("1,ada,true"),
        {
            "a task": (status("ada", "/v1/tasks", TASK), 403),
            "a kill": (status("ada", "/v1/kills", {"kind": "all", **KILL}), 403),
            "a bundle": (status("ada", "/v1/bundles/rollback", {}), 403),
            "a token": (status("ada", f"/v1/agents/{AGENT}/tokens", {}), 403),
            "people": (status("ada", "/v1/people"), 403),
            "what she opened": (decided("never"), "forbidden"),
        },
    ),
}


@pytest.mark.parametrize("change", MATRIX)
def test_what_is_asked_next_is_answered_by_what_holds_then(beside: Beside, change: str) -> None:
    make, undo, questions = MATRIX[change]
    beside.opened("never")
    found = {}
    for name, (question, _) in questions.items():
        beside.prepared()
        permit = beside.given()
        make(beside)
        found[name] = question(beside, permit)
        undo(beside)
    assert found == {name: expected for name, (_, expected) in questions.items()}


def closed(beside: Beside) -> None:
    close_task(beside.there.runtime, beside.task, "ana").result()


def ended(beside: Beside) -> None:
    break_glass.end(beside.there.runtime, beside.glass, Operator("eve", ISSUER)).result()


def answered(grant: bool) -> Change:
    return lambda beside: resolve(beside.there.runtime, beside.waiting, CARL, grant, "not now").result()


def cancelled(beside: Beside) -> None:
    cancel(beside.there.runtime, beside.waiting, CARL).result()


def performed(beside: Beside, session: SessionId) -> None:
    """The agent has read something restricted by the other process, in a session that this one knows."""
    known = beside.there.store.session(session)
    assert known is not None
    beside.there.perform(known, "secret", "the word is aardvark")


def asks(beside: Beside, _: str) -> object:
    """What people who are asked are shown that the session has touched."""
    told = beside.body("gateway", "evaluation", beside.call("pay", to="zoe@corp.com"))["context"]
    shown = beside.body("eve", f"/v1/approvals/{told['approval']['id']}")
    return shown["shown"]["label"]["confidentiality"]


def arap(beside: Beside, _: str) -> object:
    return beside.body("bot", f"/access/v1/requests/{beside.waiting}")["task"]["status"]


def told(beside: Beside, _: str) -> object:
    return beside.body("bot", f"/v1/approvals/{beside.waiting}")["state"]


def inbox(beside: Beside, _: str) -> object:
    return beside.waiting in {one["id"] for one in beside.body("eve", "/v1/approvals")["items"]}


def of_task_token(beside: Beside, _: str) -> object:
    return beside.ask(beside.token, "/v1/caller").status


def labelled(beside: Beside, _: str) -> object:
    """What the purpose of a task counts as that the agent opens from its session."""
    return beside.body("bot", "/v1/tasks", filled(beside, {**SUB_TASK, "session": "{session}"}))["purpose_label"][
        "confidentiality"
    ]


OVER: dict[str, tuple[Change, dict[str, tuple[Question, object]]]] = {
    "a task that is closed": (
        closed,
        {
            "a decision": (decided("look"), "task-closed"),
            "several": (batch, [False, False]),
            "an act": (stands, False),
            "a search": (finds("look"), False),
            "a session": (status("bot", "/v1/tasks/{task}/sessions", {}), 403),
            "a sub-task": (status("bot", "/v1/tasks", SUB_TASK), 403),
            "its token": (of_task_token, 401),
            "a token": (status("ada", "/v1/tasks/{task}/tokens", {}), 403),
            "an answer": (answers("carl"), 403),
            "an access request": (arap, "cancelled"),
            "what its agent is told": (told, "cancelled"),
            "the inbox": (inbox, False),
            "why an approval lapsed": (lapsed, False),
            "a break-glass": (status("ada", "/v1/break-glass", {**GLASS, "agent": "", "task": "{task}"}), 403),
            "once more": (status("ada", "/v1/tasks/{task}/close", {}), 409),
        },
    ),
    "a break-glass that ended": (
        ended,
        {
            "a decision": (decided("never"), "forbidden"),
            "an act": (lambda beside, _: beside.stands(beside.by_glass), False),
            "a search": (finds("never"), False),
            "what is in force": (of("bot", "/v1/watch", "break_glass"), []),
            "its end": (lambda beside, _: beside.ask("ada", f"/v1/break-glass/{beside.glass}/end", {}).status, 409),
        },
    ),
    "an approval": (
        answered(True),
        {
            "an access request": (arap, "approved"),
            "what its agent is told": (told, "approved"),
            "another answer": (answers("eve"), 409),
            "a withdrawal": (lambda beside, _: beside.ask("bot", f"/access/v1/requests/{beside.waiting}/cancel", {}).status, 409),
            "a decision": (lambda beside, _: beside.decided("pay", to=beside.payee), "permit"),
        },
    ),
    "a denial": (
        answered(False),
        {
            "an access request": (arap, "denied"),
            "another answer": (answers("eve"), 409),
            "the inbox": (inbox, False),
            "a decision": (
                lambda beside, _: (
                    "not now" in beside.body("gateway", "evaluation", beside.call("pay", to=beside.payee))["context"]["message"]
                ),
                True,
            ),
        },
    ),
    "a withdrawal": (cancelled, {"an access request": (arap, "cancelled"), "an answer": (answers("eve"), 409)}),
    "what a session has read": (
        lambda beside: performed(beside, beside.session),
        {
            "whom a call asks": (asks, "restricted"),
            "its label": (of("ada", "/v1/sessions/{session}", "label", "confidentiality"), "restricted"),
            "a sub-task's purpose": (labelled, "restricted"),
            "a decision": (decided("send"), "forbidden"),
            "a search": (finds("send"), False),
            "why an approval lapsed": (lapsed, True),
        },
    ),
    "what a session beside it has read": (
        lambda beside: performed(beside, beside.side),
        {
            "whom a call asks": (asks, "restricted"),
            "a decision": (decided("send"), "forbidden"),
            "a search": (finds("send"), False),
        },
    ),
}


@pytest.mark.parametrize("change", OVER)
def test_what_is_over_is_over_here(beside: Beside, change: str) -> None:
    make, questions = OVER[change]
    found = {}
    for name, (question, _) in questions.items():
        beside.prepared()
        if make is ended:
            beside.glass = beside.opened("never")
            beside.by_glass = beside.given("never")
        permit = beside.given()
        make(beside)
        found[name] = question(beside, permit)
    assert found == {name: expected for name, (_, expected) in questions.items()}


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("bot", "/access/v1/requests/{approval}"),
        ("bot", "/v1/approvals/{approval}"),
        ("eve", "/v1/approvals/{approval}"),
        ("eve", "/v1/approvals?all=true"),
        ("bot", "/v1/decisions/{decision}"),
        ("aud", "/v1/decisions/{decision}"),
        ("aud", "/v1/decisions?limit=500"),
    ],
)
def test_what_is_erased_is_read_by_nobody_here(beside: Beside, who: str, path: str) -> None:
    approval = beside.requested()
    resolve(beside.there.runtime, approval, CARL, False, "no aardvarks").result()
    request = beside.here.store.approval(approval)
    assert request is not None
    place = path.replace("{approval}", approval).replace("{decision}", request.decision)
    words = (b"boss", b"aardvarks", b"needs an approval")
    closed(beside)
    assert any(word in beside.ask(who, place).text for word in words)
    with suppress(RemitError):  # what this process reads keeps remains in the write-ahead log of SQLite
        administration.erase(beside.there.runtime, TaskId(beside.task), ANA).result()
    assert beside.there.store.secret(TaskId(beside.task)) is None
    told = beside.ask(who, place)
    assert told.status == 200 and not any(word in told.text for word in words), told.text


def test_an_outcome_that_came_before_is_not_compared_with_what_is_erased(beside: Beside) -> None:
    permit, report = beside.given(), {"status": "succeeded", "content": "aardvark"}
    assert beside.stands(permit)
    for _ in range(2):
        assert beside.ask("gateway", f"/v1/decisions/{permit}/outcome", report).status == 200
    closed(beside)
    with suppress(RemitError):
        administration.erase(beside.there.runtime, TaskId(beside.task), ANA).result()
    assert beside.ask("gateway", f"/v1/decisions/{permit}/outcome", report).status == 409


def test_the_guard_in_this_process_is_told_the_same(beside: Beside) -> None:
    embedded = beside.here.embedded
    beside.prepared()
    closed(beside)
    assert embedded.wait(beside.waiting, 0).result() is ApprovalState.CANCELLED
    beside.prepared()
    answered(False)(beside)
    assert embedded.wait(beside.waiting, 0).result() is ApprovalState.DENIED
    assert embedded.why_denied(beside.waiting).result() == "not now"
    closed(beside)
    with suppress(RemitError):
        administration.erase(beside.there.runtime, TaskId(beside.task), ANA).result()
    assert embedded.why_denied(beside.waiting).result() == ""


def limited(terms: str) -> Bundle:
    return small_bundle(task_types=TYPES, manifest=SMALL["bundle.yaml"] + f"approvals: {{{terms}}}\n")


def test_an_agent_is_not_held_to_what_tasks_ask_for_that_are_closed(beside: Beside) -> None:
    beside.there.publish(limited("per_agent: 1"))
    beside.requested()
    closed(beside)
    beside.task = beside.there.open_task().id
    beside.session = beside.begun()
    assert beside.requested(), "nobody can answer the other any more"


@pytest.mark.sqlite
def test_people_are_told_late_as_the_bundle_says_that_holds_and_of_nothing_that_is_closed(beside: Beside) -> None:
    waiting = beside.requested()
    beside.there.publish(limited("escalate_after: 1, escalate_to: [eve]"))
    time.sleep(1.1)
    assert sweep(beside.here.runtime).result() == 1
    told = beside.here.store.approval(waiting)
    assert told is not None and told.told == ("eve",)
    beside.requested()
    closed(beside)
    time.sleep(1.1)
    assert sweep(beside.here.runtime).result() == 0


@pytest.mark.postgresql
def test_of_two_servers_on_a_store_one_makes_the_first_administrator(
    tmp_path: Path, store_url: StoreUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a link of its own, and both are used at the same moment."""
    worlds = [World(tmp_path / name, wall_clock, 10.0, store_url()) for name in ("one", "other")]
    both = threading.Barrier(2)
    asks = enrolment.needs_administrator

    def together(*about: Any) -> bool:
        with suppress(threading.BrokenBarrierError):  # whoever holds the other up is asked alone
            both.wait(0.5)
        return asks(*about)

    monkeypatch.setattr(enrolment, "needs_administrator", together)
    with serving(worlds[0].embedded) as one, serving(worlds[1].embedded) as other, ThreadPoolExecutor(2) as threads:
        links = [(client, begin(world.home, wall_clock)) for client, world in zip((one, other), worlds, strict=True)]
        answers = list(threads.map(lambda link: link[0].post("/v1/enrolment", {"code": link[1], "name": "ana"}).status, links))
    issued = [entry.body for entry in worlds[0].entries() if isinstance(entry.body, TokenIssued)]
    for world in worlds:
        world.close()
    assert sorted(answers) == [200, 403] and len(issued) == 1


@pytest.mark.sqlite
def test_a_server_beside_the_command_line(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that commits nothing, and an operator on its machine."""
    world = open_store("home", bundle=FIRST, clock=wall_clock)
    monkeypatch.setenv("REMIT_HOME", str(world.home))
    session = world.open_session()
    within = {"context": {"remit": {"task": session.task, "session": session.id}}, "subject": {"type": "Agent", "id": AGENT}}
    paying = {"resource": {"type": "Tool", "id": "pay"}, "action": {"name": TOOL_CALL, "properties": {"to": "kim@far.net"}}}
    searching = {"resource": {"type": "Tool"}, "action": {"name": TOOL_CALL}}
    with served(tmp_path) as client:

        def get(path: str) -> Any:
            return client.send("GET", path, None, {}).body

        def found() -> int:
            return len(client.post("search/resource", {**within, **searching}).body["results"])

        told = client.post("evaluation", {**within, **paying}).body["context"]
        request, decision = f"/access/v1/requests/{told['approval']['id']}", f"/v1/decisions/{told['id']}"
        assert get(request)["task"]["status"] == "pending" and get(decision)["values"] == {"to": "kim@far.net"} and found()
        ok("approval", "deny", told["approval"]["id"], "--why", "no aardvarks")
        assert get(request)["task"]["display"]["description"] == "no aardvarks"
        ok("kill", "agent", AGENT, "--why", "stop")
        assert not found() and [one["kind"] for one in get("/v1/watch")["kills"]] == ["agent"]
        ok("release", "agent", AGENT, "--why", "go on")
        assert found()
        ok("task", "close", str(session.task))
        assert not found()
        run("log", "erase", str(session.task), "--yes")  # what the server reads keeps remains in the write-ahead log
        assert (get(decision)["message"], get(decision)["values"]) == ("(erased)", None)
        assert "display" not in get(request)["task"]
