"""What `/v1` gives to doors without a store: each thing once, and to nobody whose it is not."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request

from remit.decision_log.entry import TaskOpened
from remit.model.caller import Caller, Proof, Role
from remit.model.errors import unavailable
from remit.model.identity import AgentId, ApprovalId
from remit.model.kill import KillKind
from remit.model.labels import PUBLIC_TRUSTED
from remit.runtime import kills
from remit.runtime.approving.answering import resolve
from remit.server.problems import Problem
from remit.server.waits import Waits
from tests.conftest import OpenStore
from tests.runtime.world import ANA, CARL, Clock, World, small_bundle
from tests.server.serving import Answer, Client, serving

PEOPLE = {
    "bot": Caller("bot", frozenset({Role.AGENT}), "idp", Proof.DPOP, AgentId("bot")),
    "other": Caller("other", frozenset({Role.AGENT}), "idp", Proof.DPOP, AgentId("other")),
    "gateway": Caller("gateway", frozenset({Role.ENFORCEMENT_POINT}), "idp", Proof.MTLS),
    "proxy": Caller("proxy", frozenset({Role.ENFORCEMENT_POINT}), "idp", Proof.MTLS),
    "agent-named-door": Caller("bot", frozenset({Role.ENFORCEMENT_POINT}), "idp", Proof.MTLS),
    "marked-door": Caller("agent:bot", frozenset({Role.ENFORCEMENT_POINT}), "idp", Proof.MTLS),
    "bot-elsewhere": Caller("bot", frozenset({Role.AGENT}), "spiffe", Proof.MTLS, AgentId("bot")),
    "ada": Caller("ada", frozenset({Role.ADMINISTRATOR}), "idp", Proof.DPOP),
    "aud": Caller("aud", frozenset({Role.AUDITOR}), "idp", Proof.DPOP),
    "nobody": Caller("nobody", frozenset(), "idp", Proof.DPOP),
}


class ByToken:
    """Knows its callers by name."""

    async def identify(self, request: Request) -> Caller:
        known = PEOPLE.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if known is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "say who you are")
        return known


TYPES = """
- {name: tidy, agent_may_open: true, scope: {tools: [look, secret]}, seconds: 600}
- {name: plain, scope: {tools: [look]}}
"""


@pytest.fixture
def world(open_store: OpenStore) -> World:
    world = open_store(bundle=small_bundle(task_types=TYPES))
    world.register("other")
    return world


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with serving(world.embedded, ByToken()) as client:
        yield client


def tell(client: Client, who: str, path: str, message: object = None, **headers: str) -> Answer:
    return client.post(path, {} if message is None else message, Authorization=f"Bearer {who}", **headers)


def get(client: Client, who: str, path: str) -> Answer:
    return client.send("GET", path, None, {"Authorization": f"Bearer {who}"})


def fine(answer: Answer) -> Any:
    assert answer.status == 200, answer.text
    return answer.body


def refused(answer: Answer, status: int) -> str:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    return str(answer.body["detail"])


def opened(client: Client, agent: str = "bot", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = fine(tell(client, "ada", "/v1/tasks", {"purpose": "look around", "agent": agent, **more}))
    return found


def begun(client: Client, agent: str = "bot", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = fine(tell(client, agent, f"/v1/tasks/{opened(client, agent, **more)['id']}/sessions"))
    return found


def asks(session: dict[str, Any], tool: str = "look", door: bool = True, **arguments: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "Agent", "id": session["agent"]},
        "action": {"name": "tool.call", "properties": arguments},
        "resource": {"type": "Tool", "id": tool},
        "context": {"remit": {"task": session["task"], "session": session["id"], **({"door": True} if door else {})}},
    }


def decided(client: Client, session: dict[str, Any], tool: str = "look", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = fine(tell(client, session["agent"], "evaluation", asks(session, tool, **more)))["context"]
    return found


def stands(client: Client, who: str, decision: str) -> bool:
    found: bool = fine(tell(client, who, f"/v1/decisions/{decision}/act"))["stands"]
    return found


SUCCEEDED = {"status": "succeeded", "content": "seen"}


class TestTasks:
    def test_are_opened_by_people_in_their_name(self, client: Client, world: World) -> None:
        task = opened(client, scope={"tools": ["look", "lok"]}, budgets={"calls": 3}, on_behalf_of="cleo", seconds=60)
        assert (task["opener"], task["on_behalf_of"], task["purpose_trusted"]) == ("ada", "cleo", True)
        assert any("lok" in text for text in task["warnings"])
        many = [f"tool-{number}" for number in range(1001)]
        asked = {"purpose": "x", "agent": "bot", "scope": {"tools": many}}
        assert "`scope.tools` has 1001 entries, 1000 at most" in refused(tell(client, "ada", "/v1/tasks", asked), 400)
        [entry] = [e.body for e in world.entries() if isinstance(e.body, TaskOpened)]
        assert (entry.opener, entry.verified_by) == ("ada", "idp")
        warnings = opened(client, scope={"tools": many[:1000]})["warnings"]
        assert len(warnings) == 21 and "tool-19`" in warnings[19] and "there is more" in warnings[20]
        assert fine(get(client, "aud", f"/v1/tasks/{task['id']}"))["spent"] == {}
        assert fine(tell(client, "ada", f"/v1/tasks/{task['id']}/close")) == {"id": task["id"], "status": "closed"}
        refused(tell(client, "ada", f"/v1/tasks/{task['id']}/close"), 409)

    @pytest.mark.parametrize("who", ["gateway", "aud", "nobody"])
    def test_are_opened_by_nobody_else(self, client: Client, world: World, who: str) -> None:
        assert f"`{who}` may not open tasks" in refused(tell(client, who, "/v1/tasks", {"purpose": "x", "agent": "bot"}), 403)
        assert world.store.tasks(1) == []

    def test_an_agent_opens_what_its_types_let_it(self, client: Client) -> None:
        task = fine(tell(client, "bot", "/v1/tasks", {"purpose": "tidy up", "type": "tidy"}))
        assert (task["agent"], task["opener"], task["purpose_trusted"]) == ("bot", "bot", False)
        for wanted in ({}, {"type": "plain"}, {"type": "tidy", "agent": "other"}, {"type": "tidy", "on_behalf_of": "the boss"}):
            refused(tell(client, "bot", "/v1/tasks", {"purpose": "x", **wanted}), 403)

    def test_an_agent_delegates_from_its_own(self, client: Client) -> None:
        session = begun(client)
        inner = {"purpose": "part of it", "parent": session["task"], "agent": "other", "session": session["id"]}
        for who in ("bot", "gateway"):
            task = fine(tell(client, who, "/v1/tasks", inner))
            assert (task["opener"], task["agent"], task["on_behalf_of"]) == ("bot", "other", "ada")
        assert "there is no session" in refused(tell(client, "other", "/v1/tasks", inner), 404)
        assert "there is no task" in refused(
            tell(client, "other", "/v1/tasks", {"purpose": "x", "parent": session["task"], "type": "tidy"}), 404
        )
        refused(tell(client, "ada", "/v1/tasks", inner), 403)  # an administrator is not the agent
        fine(tell(client, "bot", f"/v1/tasks/{task['id']}/close"))  # it opened that

    @pytest.mark.parametrize(
        ("message", "what"),
        [({}, "`purpose`"), ({"purpose": 5, "agent": "bot"}, "`$.purpose`"), ({"purpose": "x", "agent": "bot", "more": 1}, "`more`"),
         ({"purpose": "x", "agent": "bot", "scope": {"tool": []}}, "`$.scope`"), ({"purpose": "x"}, "`agent`"),
         ({"purpose": "x", "agent": "bot", "budgets": {"calls": "3"}}, "`$.budgets.calls`"),
         ({"purpose": "x", "agent": "bot", "seconds": 1.5}, "`$.seconds`"), ({"purpose": " ", "agent": "bot"}, "a purpose in words"),
         ({"purpose": "x", "agent": "bot", "budgets": {"calls": 1 << 70}}, "a budget must lie between"),
         ([], "one JSON object"), ("x", "one JSON object"), (None, "one JSON object")],
    )  # fmt: skip
    def test_what_is_no_opening_is_told_so(self, client: Client, message: object, what: str) -> None:
        body = json.dumps(message).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer ada"}
        assert what in refused(client.send("POST", "/v1/tasks", body, headers), 400)


class TestPermits:
    def test_stand_once_and_are_reported_once(self, client: Client, world: World) -> None:
        session = begun(client)
        told = decided(client, session)
        assert told["remit"]["until"] > world.runtime.clock() and told["remit"]["policies"] == ["any-tool"]
        path = f"/v1/decisions/{told['id']}/outcome"
        assert [stands(client, "bot", told["id"]) for _ in range(3)] == [True, False, False]
        for _ in range(3):
            assert fine(tell(client, "bot", path, SUCCEEDED)) == {"decision": told["id"], "status": "succeeded"}
        for other in ({"status": "failed", "content": "seen"}, {**SUCCEEDED, "content": "sEen"}, {**SUCCEEDED, "error": "x"}):
            refused(tell(client, "bot", path, other), 409)
        assert [(seen.decision, seen.status) for seen in world.outcomes()] == [(told["id"], "succeeded")]
        assert not stands(client, "bot", told["id"])

    @pytest.mark.parametrize(
        ("asker", "others"),
        [
            ("gateway", ("proxy", "bot", "agent-named-door")),
            ("bot", ("gateway", "agent-named-door", "marked-door")),
            ("marked-door", ("gateway", "bot", "bot-elsewhere")),
        ],
    )
    def test_are_of_the_door_that_asked(
        self, client: Client, world: World, open_store: OpenStore, asker: str, others: tuple[str, ...]
    ) -> None:
        session = begun(client)
        told = fine(tell(client, asker, "evaluation", asks(session)))["context"]["id"]
        # Also by a process that learns of it from the log alone.
        with serving(open_store(again=True).embedded, ByToken()) as again:
            for server in (client, again):
                for other in others:
                    for path, message in (("act", {}), ("outcome", SUCCEEDED)):
                        refused(tell(server, other, f"/v1/decisions/{told}/{path}", message), 404)
        assert world.outcomes() == []
        assert stands(client, "bot-elsewhere" if asker == "bot" else asker, told)
        fine(tell(client, asker, f"/v1/decisions/{told}/outcome", SUCCEEDED))

    def test_a_report_is_known_again_after_a_restart(self, client: Client, world: World, open_store: OpenStore) -> None:
        session = begun(client)
        told = decided(client, session)
        assert stands(client, "bot", told["id"])
        fine(tell(client, "bot", f"/v1/decisions/{told['id']}/outcome", SUCCEEDED))
        with serving(open_store(again=True).embedded, ByToken()) as again:
            fine(tell(again, "bot", f"/v1/decisions/{told['id']}/outcome", SUCCEEDED))
            refused(tell(again, "bot", f"/v1/decisions/{told['id']}/outcome", {"status": "unknown"}), 409)
        assert len(world.outcomes()) == 1

    def test_of_many_that_ask_at_once_one_is_told_yes(self, client: Client) -> None:
        told = decided(client, begun(client))
        answers: list[bool] = []
        threads = [threading.Thread(target=lambda: answers.append(stands(client, "bot", told["id"]))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [False] * 15 + [True]

    def test_one_that_is_not_to_be_asked_about_again_counts_as_used(self, client: Client, world: World) -> None:
        session = begun(client)
        told = decided(client, session, "secret", door=False)
        assert "remit" not in told and not stands(client, "bot", told["id"])
        fine(tell(client, "bot", f"/v1/decisions/{told['id']}/outcome", {"status": "not-performed"}))
        after = fine(get(client, "bot", f"/v1/sessions/{session['id']}"))["label"]
        assert after["confidentiality"] == "restricted", "that nothing was done is not believed of whoever did not ask"

    def test_what_a_door_did_not_use_is_settled(self, client: Client, world: World, clock: Clock) -> None:
        session = begun(client)
        unused, used = decided(client, session, "secret")["id"], decided(client, session)["id"]
        plain = decided(client, session, door=False)["id"]
        assert stands(client, "bot", used)
        clock.forward(60)
        decided(client, session)
        until = time.monotonic() + 5
        while not world.outcomes() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)
        assert [(seen.decision, seen.status) for seen in world.outcomes()] == [(unused, "not-performed")]
        assert not stands(client, "bot", unused) and plain != unused
        after = world.runtime.view.session(session["id"])
        assert after is not None and after.label == PUBLIC_TRUSTED

    def test_are_taken_back_by_a_kill(self, client: Client, world: World) -> None:
        told = decided(client, begun(client))
        kills.kill(world.runtime, KillKind.AGENT, "bot", "stop", ANA).result()
        assert not stands(client, "bot", told["id"])

    @pytest.mark.parametrize("report", [{}, {"status": "done"}, {"status": "succeeded", "content": 5}, {**SUCCEEDED, "session": "x"},
                                        {"status": "failed", "error": "x" * 4001}])  # fmt: skip
    def test_what_is_no_report_is_told_so(self, client: Client, report: object) -> None:
        told = decided(client, begun(client))
        refused(tell(client, "bot", f"/v1/decisions/{told['id']}/outcome", report), 400)


class TestAnothersThings:
    """What is another agent's is as if it did not exist."""

    def test_are_not_there(self, client: Client, world: World) -> None:
        session = begun(client)
        told, held = decided(client, session), decided(client, session, "pay", to="a", amount=1)
        ids = {"tasks": session["task"], "sessions": session["id"], "decisions": told["id"], "approvals": held["approval"]["id"]}
        for kind, rest, message in (
            ("tasks", None, None), ("tasks", "/close", {}), ("tasks", "/sessions", {}), ("sessions", None, None), ("sessions", "/resume", {}),
            ("sessions", "/inherit", {"from": session["id"]}), ("decisions", "/act", {}), ("decisions", "/outcome", SUCCEEDED), ("approvals", None, None),
        ):  # fmt: skip
            said = []
            for name in (ids[kind], ids[kind][:4] + "0" * 32):
                path = f"/v1/{kind}/{name}{rest or ''}"
                answer = get(client, "other", path) if message is None else tell(client, "other", path, message)
                said.append(refused(answer, 404).replace(name, "ID"))
            assert said[0] == said[1], "who asks learns nothing"
        assert stands(client, "bot", told["id"]), "and changes nothing"
        assert world.store.session(session["id"]) is not None and world.outcomes() == []

    def test_do_not_join_ones_own(self, client: Client) -> None:
        mine, theirs = begun(client, "other"), begun(client, "bot")
        for who, not_theirs in (("other", theirs), ("bot", mine)):
            told = refused(tell(client, who, f"/v1/sessions/{mine['id']}/inherit", {"from": theirs["id"]}), 404)
            assert told == f"there is no session `{not_theirs['id']}`"
        assert fine(tell(client, "gateway", f"/v1/sessions/{mine['id']}/inherit", {"from": theirs["id"]}))["id"] == mine["id"]

    def test_what_was_delegated_joins(self, client: Client) -> None:
        outer = begun(client)
        inner = {"purpose": "part", "parent": outer["task"], "agent": "other", "session": outer["id"]}
        task = fine(tell(client, "bot", "/v1/tasks", inner))
        session = fine(tell(client, "other", f"/v1/tasks/{task['id']}/sessions"))
        told = decided(client, session, "secret")
        assert stands(client, "other", told["id"])
        fine(tell(client, "other", f"/v1/decisions/{told['id']}/outcome", SUCCEEDED))
        joined = fine(tell(client, "bot", f"/v1/sessions/{outer['id']}/inherit", {"from": session["id"]}))
        assert joined["label"]["confidentiality"] == "restricted"
        refused(tell(client, "other", f"/v1/sessions/{session['id']}/inherit", {"from": outer["id"]}), 404)

    def test_nobody_asks_as_another(self, client: Client) -> None:
        session = begun(client)
        for who in ("other", "ada", "aud", "nobody"):
            refused(tell(client, who, "evaluation", asks(session)), 403)
            refused(tell(client, who, "search/resource", {**asks(session), "resource": {"type": "Tool"}}), 403)
            several = fine(tell(client, who, "evaluations", {"evaluations": [asks(session)]}))["evaluations"]
            assert several[0]["decision"] is False and several[0]["context"]["error"]["status"] == 403
        refused(tell(client, "bot", "search/subject", {**asks(session), "subject": {"type": "Agent"}}), 403)
        assert fine(tell(client, "gateway", "evaluation", asks(session)))["decision"] is True
        fine(tell(client, "gateway", "search/subject", {**asks(session), "subject": {"type": "Agent"}}))

    def test_without_proof_nothing(self, client: Client, world: World) -> None:
        before = len(world.entries())
        for path in ("evaluation", "evaluations", "search/action", "/v1/tasks", "/v1/decisions/x/act", "/v1/sessions/x/resume"):
            assert refused(tell(client, "stranger", path), 401) == "say who you are"
        for path in ("/v1/watch", "/v1/tasks/x", "/v1/sessions/x", "/v1/approvals/x"):
            assert refused(get(client, "stranger", path), 401) == "say who you are"
        assert len(world.entries()) == before


class TestApprovals:
    def test_are_waited_for(self, client: Client, world: World) -> None:
        session = begun(client)
        approval = decided(client, session, "pay", to="a", amount=1)["approval"]["id"]
        assert fine(get(client, "bot", f"/v1/approvals/{approval}"))["state"] == "pending"
        threading.Timer(0.3, lambda: resolve(world.runtime, approval, CARL, True).result()).start()
        begun_at = time.monotonic()
        assert fine(get(client, "bot", f"/v1/approvals/{approval}?wait=15")) == {"id": approval, "state": "approved"}
        assert 0.2 < time.monotonic() - begun_at < 5

    @pytest.mark.parametrize("query", ["wait=x", "wait=-1", "wait=31", "wait=nan", "wait=1&wait=1", "wait="])
    def test_not_for_ever(self, client: Client, query: str) -> None:
        approval = decided(client, begun(client), "pay", to="a", amount=1)["approval"]["id"]
        assert "`wait` must be one number from 0 to 30" in refused(get(client, "bot", f"/v1/approvals/{approval}?{query}"), 400)


class TestWatching:
    def test_a_kill_by_another_process_is_told(self, client: Client, world: World, open_store: OpenStore) -> None:
        seen = fine(get(client, "bot", "/v1/watch"))
        assert (seen["kills"], seen["mode"]) == ([], "enforce")
        other = open_store(again=True)
        threading.Timer(0.3, lambda: kills.kill(other.runtime, KillKind.TOOL, "look", "it leaks", ANA).result()).start()
        told = fine(get(client, "bot", f"/v1/watch?since={seen['revision']}&wait=15"))
        assert told["revision"] > seen["revision"]
        assert [(kill["kind"], kill["name"], kill["why"]) for kill in told["kills"]] == [("tool", "look", "it leaks")]

    def test_so_many_wait_and_no_more(self, client: Client, monkeypatch: pytest.MonkeyPatch, open_store: OpenStore) -> None:
        made: list[Waits] = []
        monkeypatch.setattr("remit.server.app.Waits", lambda embedded, told: made.append(Waits(embedded, 2, 3, told)) or made[-1])
        with serving(open_store(again=True).embedded, ByToken()) as bounded:
            approval = decided(bounded, begun(bounded), "pay", to="a", amount=1)["approval"]["id"]
            seen = fine(get(bounded, "bot", "/v1/watch"))["revision"]
            paths = [f"/v1/watch?since={seen}&wait=2", f"/v1/approvals/{approval}?wait=2"]
            answers: list[Answer] = []
            waiting = [threading.Thread(target=lambda path=path: answers.append(get(bounded, "bot", path))) for path in paths]
            for thread in waiting:
                thread.start()
            while len(made[0]) < 2:
                time.sleep(0.01)
            answer = get(bounded, "bot", paths[0])
            assert answer.status == 429 and answer.headers["retry-after"] == "1"
            refused(get(bounded, "bot", paths[1]), 429)
            assert fine(get(bounded, "bot", f"/v1/approvals/{approval}"))["state"] == "pending", "who does not wait is answered"
            fine(get(bounded, "gateway", f"/v1/watch?since={seen}&wait=0.01"))
            for thread in waiting:
                thread.join()
            assert [one.status for one in answers] == [200, 200]
            fine(get(bounded, "bot", f"/v1/watch?since={seen}&wait=0.01"))

    def test_who_hangs_up_waits_no_more_and_all_who_wait_are_one_look(
        self, client: Client, world: World, monkeypatch: pytest.MonkeyPatch, open_store: OpenStore
    ) -> None:
        made: list[Waits] = []
        monkeypatch.setattr("remit.server.app.Waits", lambda embedded, told: made.append(Waits(embedded, told=told)) or made[-1])
        embedded = open_store(again=True).embedded
        looks: list[list[ApprovalId]] = []
        read = embedded.store.approval_states
        monkeypatch.setattr(embedded.store, "approval_states", lambda names: looks.append(list(names)) or read(names))

        def reach(many: int) -> None:
            end = time.monotonic() + 10
            while len(made[0]) != many:
                assert time.monotonic() < end, f"{len(made[0])} wait"
                time.sleep(0.01)

        with serving(embedded, ByToken()) as served:
            session = begun(served)
            one, two = (decided(served, session, "pay", to="a", amount=n)["approval"]["id"] for n in (1, 2))
            seen = fine(get(served, "bot", "/v1/watch"))["revision"]
            paths = [f"/v1/watch?since={seen}&wait=30", f"/v1/approvals/{one}?wait=30", f"/v1/approvals/{two}?wait=30",
                     f"/access/v1/requests/{two}"]  # fmt: skip
            sockets = []
            for path in paths * 5:
                sockets.append(socket.create_connection(("127.0.0.1", served.port)))
                head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer bot\r\nPrefer: wait=30\r\n\r\n"
                sockets[-1].sendall(head.encode())
            reach(20)
            before, began = len(looks), time.monotonic()
            while len(looks) < before + 3:
                time.sleep(0.01)
            assert time.monotonic() - began > 0.3 and set(looks[-1]) == {one, two} and len(looks[-1]) == 2
            for connection in sockets:
                connection.close()
            reach(0)

    @pytest.mark.parametrize("hanging", ["approval_states", "standing"])
    def test_a_store_that_hangs_holds_up_nobody_but_those_who_wait(
        self, monkeypatch: pytest.MonkeyPatch, world: World, hanging: str
    ) -> None:
        goes_on, held = threading.Event(), threading.Event()
        goes_on.set()
        read = getattr(world.embedded.store, hanging)

        def slow(asked: Any) -> Any:
            if not goes_on.is_set():
                held.set()
                goes_on.wait(20)
            return read(asked)

        monkeypatch.setattr(world.embedded.store, hanging, slow)
        with serving(world.embedded, ByToken()) as served:
            approval = decided(served, begun(served), "pay", to="a", amount=1)["approval"]["id"]
            seen = fine(get(served, "bot", "/v1/watch"))["revision"]
            path = f"/v1/approvals/{approval}?wait=2" if hanging == "approval_states" else f"/v1/watch?since={seen}&wait=2"
            answers: list[int] = []
            waiting = [threading.Thread(target=lambda: answers.append(get(served, "bot", path).status)) for _ in range(3)]
            for thread in waiting:
                thread.start()
            time.sleep(0.1)
            goes_on.clear()
            try:
                assert held.wait(10)
                began = time.monotonic()
                for _ in range(5):
                    assert served.send("GET", "/healthz", None, {}).status == 200
                assert time.monotonic() - began < 5, "the loop goes on"
            finally:
                goes_on.set()
            for thread in waiting:
                thread.join()
            assert answers == [200, 200, 200]

    def test_a_look_that_fails_is_told_to_all_who_wait_and_the_next_is_taken(
        self, monkeypatch: pytest.MonkeyPatch, world: World
    ) -> None:
        read, broken = world.embedded.store.approval_states, threading.Event()

        def failing(names: Any) -> Any:
            if broken.is_set():
                raise unavailable("the store is away")
            return read(names)

        monkeypatch.setattr(world.embedded.store, "approval_states", failing)
        with serving(world.embedded, ByToken()) as served:
            approval = decided(served, begun(served), "pay", to="a", amount=1)["approval"]["id"]
            broken.set()
            assert get(served, "bot", f"/v1/approvals/{approval}?wait=5").status == 503
            broken.clear()
            threading.Timer(0.3, lambda: resolve(world.runtime, ApprovalId(approval), CARL, True).result()).start()
            assert fine(get(served, "bot", f"/v1/approvals/{approval}?wait=15"))["state"] == "approved"

    def test_nobody_waits_for_another_ones_searches(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        held, session = threading.Event(), begun(client)
        monkeypatch.setattr("remit.server.api.access.search", lambda *_: iter([held.wait(10)][:0]))
        asked = {"subject": {"type": "Agent"}, "action": {"name": "tool.call"}, "resource": {"type": "Tool", "id": "look"}}
        answers: list[int] = []

        def searching() -> None:
            answers.append(tell(client, "gateway", "search/subject", asked).status)

        threads = [threading.Thread(target=searching) for _ in range(20)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 5
        while len(answers) < 12 and time.monotonic() < until:
            time.sleep(0.01)
        assert answers == [429] * 12, "eight are under way or in line"
        assert decided(client, session, "pay", to="a", amount=1)["approval"], "what is read beside a decision is read"
        held.set()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [200] * 8 + [429] * 12

    def test_nothing_has_changed(self, client: Client) -> None:
        seen = fine(get(client, "bot", "/v1/watch"))
        assert fine(get(client, "bot", f"/v1/watch?since={seen['revision']}&wait=0.3")) == seen

    def test_an_agent_is_not_told_of_others(self, client: Client, world: World) -> None:
        kills.kill(world.runtime, KillKind.AGENT, "bot", "stop", ANA).result()
        shown = {who: len(fine(get(client, who, "/v1/watch"))["kills"]) for who in ("bot", "other", "gateway", "aud")}
        assert shown == {"bot": 1, "other": 0, "gateway": 1, "aud": 1}


class TestAgain:
    def test_the_same_question_under_one_key_is_one_decision(self, client: Client, world: World) -> None:
        message, ids = asks(begun(client)), list[str]()
        ask = lambda: ids.append(fine(tell(client, "bot", "evaluation", message, **{"Idempotency-Key": '"k"'}))["context"]["id"])  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == 8 and len(set(ids)) == 1 and len(world.decisions()) == 1
        gate = fine(tell(client, "gateway", "evaluation", message, **{"Idempotency-Key": '"k"'}))["context"]["id"]
        assert gate != ids[0], "a key is its caller's"

    @pytest.mark.parametrize("over", ["killed", "ended", "closed", "changed"])
    def test_a_permit_that_nobody_asks_about_again_is_repeated_only_while_it_stands(
        self, client: Client, world: World, clock: Clock, over: str
    ) -> None:
        session = begun(client)

        def ask(door: bool) -> tuple[str, bool]:
            key = {"Idempotency-Key": f'"{door}"'}
            told = fine(tell(client, "gateway", "evaluation", asks(session, door=door), **key))
            return told["context"]["id"], told["decision"]

        plain, door = ask(False), ask(True)
        assert (plain[1], door[1], ask(False)) == (True, True, plain)
        match over:
            case "killed":
                kills.kill(world.runtime, KillKind.AGENT, "bot", "stop", ANA).result()
            case "ended":
                clock.forward(30)
            case "closed":
                fine(tell(client, "ada", f"/v1/tasks/{session['task']}/close"))
            case _:
                world.register("newcomer")
        assert ask(False)[1] is (over in ("ended", "changed")) and ask(False)[0] != plain[0], "decided anew"
        assert ask(True) == door and stands(client, "gateway", door[0]) is (over == "changed"), "a door asks before it acts"

    def test_another_question_under_it_is_refused(self, client: Client, world: World) -> None:
        session = begun(client)
        fine(tell(client, "bot", "evaluation", asks(session), **{"Idempotency-Key": '"k"'}))
        refused(tell(client, "bot", "evaluation", asks(session, "secret"), **{"Idempotency-Key": '"k"'}), 422)
        refused(tell(client, "bot", "evaluation", asks(session), **{"Idempotency-Key": "k" * 129}), 400)
        assert len(world.decisions()) == 1

    def test_what_was_refused_may_be_asked_again(self, client: Client, world: World) -> None:
        message = asks(begun(client))
        told = [refused(tell(client, "other", "evaluation", message, **{"Idempotency-Key": '"k"'}), 403) for _ in range(2)]
        assert told[0] == told[1] and "`other` asks only for itself" in told[0] and world.decisions() == []
        assert fine(tell(client, "bot", "evaluation", message, **{"Idempotency-Key": '"k"'}))["decision"] is True, (
            "a key of its own"
        )


@pytest.mark.parametrize(
    "remit",
    [
        {"door": "yes"},
        {"hints": {"readOnly": True}},
        {"hints": {"readOnlyHint": 1}},
        {"hints": []},
        {"defined": {}},
        {"malformed": ""},
    ],
)
def test_what_is_no_request_of_a_door_is_told_so(client: Client, world: World, remit: dict[str, Any]) -> None:
    message = asks(begun(client))
    message["context"]["remit"] |= remit
    [name] = remit
    assert refused(tell(client, "bot", "evaluation", message), 400).startswith(f"`context.remit.{name}`")
    assert world.decisions() == []
