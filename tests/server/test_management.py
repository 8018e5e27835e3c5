"""Management over HTTP: each role does what it may, everything in pages, once for each key, and all of it on record with who did it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remit.decision_log.entry import AgentChanged, BundlePublished, DecisionMade, KillReleased, KillSet, TaskClosed, TokenIssued
from remit.decision_log.verify.proofs import verify_proof
from remit.model.identity import AgentStatus
from remit.server import app
from remit.server.repeating.bounds import Bounds
from remit.server.repeating.repeats import Repeats
from tests.conftest import OpenStore
from tests.runtime.world import Clock, World, small_bundle
from tests.server.serving import Answer, Client, serving
from tests.server.test_enforcing import PEOPLE, TYPES, ByToken, begun, decided, fine, get, opened, refused, tell

NOBODY_BUT_ADMINISTRATORS = ("bot", "gateway", "aud", "nobody")


@pytest.fixture
def world(open_store: OpenStore) -> World:
    world = open_store(bundle=small_bundle(task_types=TYPES))
    world.register("other")
    return world


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with serving(world.embedded, ByToken()) as client:
        yield client


def made(answer: Any) -> Any:
    assert answer.status == 201, answer.text
    return answer.body


def all_pages(client: Client, who: str, path: str, limit: int = 2) -> list[Any]:
    """Every item of a list, by pages of so many."""
    found: list[Any] = []
    cursor, join = "", "&" if "?" in path else "?"
    while True:
        page = fine(get(client, who, f"{path}{join}limit={limit}" + (f"&cursor={cursor}" if cursor else "")))
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def by(world: World, kind: type) -> list[Any]:
    return [entry.body for entry in world.entries() if isinstance(entry.body, kind)]


def later_tasks(client: Client, world: World, count: int) -> list[str]:
    """So many tasks of the agents in turn, each a second after the last; the newest first."""
    found: list[str] = []
    for number in range(count):
        found.insert(0, opened(client, ("bot", "other")[number % 2])["id"])
        assert isinstance(world.runtime.clock, Clock)
        world.runtime.clock.forward(1)
    return found


CLEAN = {
    "bundle.yaml": "name: clean\n",
    "tools.yaml": "- {name: look, annotations: {effect: read, reach: internal, sensitivity: public, output_trusted: true}}\n",
    "policies/all.cedar": '@id("look") permit (principal, action == Action::"tool.call", resource == Tool::"look");\n',
}
CHANGES: dict[str, tuple[str, Any]] = {
    "register": ("/v1/agents", {"id": "new", "owner": "ben", "purpose": "tidies"}),
    "move": ("/v1/agents/other/status", {"status": "suspended"}),
    "bind": ("/v1/agents/other/bind", {"identity": "https://idp.example#client-7"}),
    "unbind": ("/v1/agents/other/unbind", {"identity": "https://idp.example#client-7"}),
    "agent token": ("/v1/agents/other/tokens", {}),
    "operator token": ("/v1/operators/mallory/tokens", {"roles": ["administrator"]}),
    "check": ("/v1/bundles/check", {"files": CLEAN}),
    "publish": ("/v1/bundles", {"files": CLEAN}),
    "rollback": ("/v1/bundles/rollback", {}),
    "kill": ("/v1/kills", {"kind": "agent", "name": "other", "why": "it misbehaves"}),
    "release": ("/v1/kills/release", {"kind": "agent", "name": "other", "why": "it does not"}),
}


class TestRoles:
    @pytest.mark.parametrize("what", CHANGES)
    def test_only_administrators_change_anything(self, client: Client, world: World, what: str) -> None:
        path, body = CHANGES[what]
        before = len(world.entries())
        for who in NOBODY_BUT_ADMINISTRATORS:
            refused(tell(client, who, path, body), 403)
        refused(client.post(path, body), 401)
        assert len(world.entries()) == before

    @pytest.mark.parametrize(
        ("path", "what"),
        [("/v1/log", "the log"), ("/v1/log/head", "the log"), ("/v1/log/0/proof", "the log"), ("/v1/health", "how the server is"),
         ("/v1/bundles", "bundles"), ("/v1/bundles/active", "bundles")],
    )  # fmt: skip
    def test_auditors_see_what_agents_do_not(self, client: Client, path: str, what: str) -> None:
        for who in ("aud", "ada"):
            assert fine(get(client, who, path))
        for who in ("bot", "nobody"):
            assert refused(get(client, who, path), 403).startswith(f"you may not see {what}: ")

    def test_a_door_sees_no_log(self, client: Client) -> None:
        for answer in (get(client, "gateway", "/v1/log"), tell(client, "gateway", "/v1/log/growth", {"head": "x"})):
            assert "you may not see the log" in refused(answer, 403)


class TestAgents:
    def test_live_from_registration_to_retirement(self, client: Client, world: World) -> None:
        agent = made(tell(client, "ada", "/v1/agents", {"id": "team/new", "owner": "ben", "purpose": "tidies", "groups": ["g"]}))
        assert (agent["status"], agent["version"], agent["groups"]) == ("active", 1, ["g"])
        for status in ("suspended", "active", "retired"):
            assert fine(tell(client, "ada", "/v1/agents/team/new/status", {"status": status}))["status"] == status
        refused(tell(client, "ada", "/v1/agents/team/new/status", {"status": "active"}), 403)
        assert fine(get(client, "aud", "/v1/agents/team/new"))["version"] == 4
        assert {body.operator for body in by(world, AgentChanged) if body.agent == "team/new"} == {"ada"}

    def test_are_registered_once(self, client: Client) -> None:
        assert "registered already" in refused(
            tell(client, "ada", "/v1/agents", {"id": "bot", "owner": "b", "purpose": "p"}), 409
        )
        refused(tell(client, "ada", "/v1/agents", {"id": "no such name", "owner": "b", "purpose": "p"}), 400)
        refused(tell(client, "ada", "/v1/agents", {"id": "new", "owner": "b", "purpose": "p", "power": "all"}), 400)
        refused(tell(client, "ada", "/v1/agents/nobody/status", {"status": "retired"}), 404)

    def test_are_known_by_identities(self, client: Client) -> None:
        identity = {"identity": "https://idp.example#client-7"}
        assert fine(tell(client, "ada", "/v1/agents/bot/bind", identity))["identities"] == [identity["identity"]]
        assert "is agent `bot`'s" in refused(tell(client, "ada", "/v1/agents/other/bind", identity), 409)
        assert fine(tell(client, "ada", "/v1/agents/bot/unbind", identity))["identities"] == []

    def test_see_themselves_alone(self, client: Client) -> None:
        assert [agent["id"] for agent in all_pages(client, "bot", "/v1/agents")] == ["bot"]
        assert [agent["id"] for agent in all_pages(client, "aud", "/v1/agents", 1)] == ["bot", "other"]
        assert fine(get(client, "bot", "/v1/agents/bot"))["owner"] == "ben"
        # INVARIANT: what is another's is as if it did not exist.
        words = {refused(get(client, "bot", f"/v1/agents/{name}"), 404).replace(name, "_") for name in ("other", "none")}
        assert words == {"there is no agent `_`"}
        refused(get(client, "nobody", "/v1/agents"), 403)

    def test_are_found_by_owner_and_state(self, client: Client) -> None:
        fine(tell(client, "ada", "/v1/agents/other/status", {"status": "suspended"}))
        assert [agent["id"] for agent in all_pages(client, "aud", "/v1/agents?status=suspended")] == ["other"]
        assert all_pages(client, "aud", "/v1/agents?owner=carl") == []
        refused(get(client, "aud", "/v1/agents?status=asleep"), 400)


class TestPages:
    @pytest.fixture
    def cursor(self, client: Client) -> str:
        found: str = fine(get(client, "aud", "/v1/agents?limit=1"))["next_cursor"]
        assert found
        return found

    def test_a_cursor_is_for_its_own_question(self, client: Client, cursor: str) -> None:
        fine(get(client, "aud", f"/v1/agents?limit=5&cursor={cursor}"))
        for other in (f"/v1/agents?owner=ben&cursor={cursor}", f"/v1/kills?cursor={cursor}", f"/v1/tasks?cursor={cursor}"):
            assert "another list" in refused(get(client, "aud", other), 400)

    @pytest.mark.parametrize(
        ("wrong", "what"),
        [("cursor=x", "`cursor`"), ("cursor=e30=", "`cursor`"), ("limit=0", "`$.limit`"), ("limit=501", "`$.limit`"), ("limit=x", "`$.limit`"),
         ("limit=1&limit=2", "more than once"), ("offset=1", "`offset`")],
    )  # fmt: skip
    def test_a_query_that_is_none_is_refused(self, client: Client, wrong: str, what: str) -> None:
        for path in ("/v1/agents", "/v1/tasks", "/v1/decisions", "/v1/bundles", "/v1/kills", "/v1/log"):
            assert what in refused(get(client, "aud", f"{path}?{wrong}"), 400), path

    def test_what_comes_meanwhile_moves_no_page(self, client: Client, world: World) -> None:
        tasks = later_tasks(client, world, 5)
        first = fine(get(client, "aud", "/v1/tasks?limit=2"))
        opened(client)
        rest = fine(get(client, "aud", f"/v1/tasks?limit=500&cursor={first['next_cursor']}"))
        assert [task["id"] for task in [*first["items"], *rest["items"]]] == tasks


class TestTasks:
    def test_are_listed_newest_first(self, client: Client, world: World) -> None:
        names = later_tasks(client, world, 3)
        assert [task["id"] for task in all_pages(client, "aud", "/v1/tasks", 1)] == names
        assert [task["id"] for task in all_pages(client, "other", "/v1/tasks")] == [names[1]]
        assert [task["id"] for task in all_pages(client, "aud", "/v1/tasks?agent=bot")] == [names[0], names[2]]
        fine(tell(client, "ada", f"/v1/tasks/{names[0]}/close"))
        assert [task["id"] for task in all_pages(client, "aud", "/v1/tasks?status=closed")] == [names[0]]
        assert [body.operator for body in by(world, TaskClosed)] == ["ada"]

    def test_have_sessions(self, client: Client) -> None:
        first = begun(client)
        second = fine(tell(client, "bot", f"/v1/tasks/{first['task']}/sessions"))
        found = all_pages(client, "bot", f"/v1/tasks/{first['task']}/sessions", 1)
        assert {one["id"] for one in found} == {first["id"], second["id"]} and len(found) == 2
        refused(get(client, "other", f"/v1/tasks/{first['task']}/sessions"), 404)


class TestDecisions:
    def test_are_listed_by_what_they_are(self, client: Client, world: World) -> None:
        session, others = begun(client), begun(client, "other")
        permitted = decided(client, session)["id"]
        denied = decided(client, session, "never")["id"]
        elsewhere = decided(client, others)["id"]
        for query, expected in {
            "": [elsewhere, denied, permitted],
            "?agent=bot": [denied, permitted],
            f"?task={others['task']}": [elsewhere],
            "?effect=deny": [denied],
            "?reason=forbidden": [d.id for d in by(world, DecisionMade) if d.reason == "forbidden"],
            "?effect=permit&agent=bot": [permitted],
        }.items():
            assert [one["id"] for one in all_pages(client, "aud", f"/v1/decisions{query}", 1)] == expected, query
        assert [one["id"] for one in all_pages(client, "other", "/v1/decisions")] == [elsewhere]
        refused(get(client, "other", f"/v1/decisions/{denied}"), 404)
        refused(get(client, "aud", "/v1/decisions/dec_none"), 404)
        refused(get(client, "aud", "/v1/decisions/%ED%A0%80"), 404)

    def test_are_explained_with_their_outcome_to_those_who_may_see_the_log(self, client: Client) -> None:
        decision = decided(client, begun(client), note="secret words")["id"]
        assert fine(get(client, "aud", f"/v1/decisions/{decision}"))["outcome"] is None
        fine(tell(client, "bot", f"/v1/decisions/{decision}/outcome", {"status": "succeeded", "content": "x"}))
        whole = fine(get(client, "aud", f"/v1/decisions/{decision}"))
        assert (whole["effect"], whole["outcome"], whole["values"]) == ("permit", "succeeded", {"note": "secret words"})
        assert whole["policies"] == ["any-tool"] and "permit" in whole["policy_texts"]["any-tool"]
        for who in ("bot", "gateway"):
            part = fine(get(client, who, f"/v1/decisions/{decision}"))
            assert part["outcome"] == "succeeded" and part["values"] is None and "secret words" not in json.dumps(part)

    def test_what_was_erased_is_gone(self, client: Client, world: World) -> None:
        from remit.runtime.administration import erase
        from tests.runtime.world import ANA

        session = begun(client)
        decision = decided(client, session, note="secret words")["id"]
        fine(tell(client, "bot", f"/v1/decisions/{decision}/outcome", {"status": "succeeded", "content": "x"}))
        fine(tell(client, "ada", f"/v1/tasks/{session['task']}/close"))
        erase(world.runtime, session["task"], ANA).result()
        left = fine(get(client, "aud", f"/v1/decisions/{decision}"))
        assert (left["message"], left["values"], left["read"]) == ("(erased)", None, None)
        assert [one["id"] for one in all_pages(client, "aud", "/v1/decisions")] == [decision]


class TestBundles:
    def test_are_checked_published_shown_and_rolled_back(self, client: Client, world: World) -> None:
        first = fine(get(client, "aud", "/v1/bundles/active"))
        files = CLEAN
        verdict = fine(tell(client, "ada", "/v1/bundles/check", {"files": files}))
        assert verdict["publishable"], verdict
        published = fine(tell(client, "ada", "/v1/bundles", {"files": files}))
        assert (published["previous"], published["changed"], published["rollback"]) == (first["digest"], True, False)
        now = fine(get(client, "aud", "/v1/bundles/active"))
        assert now["digest"] == published["digest"] and (list(now["policies"]), now["tools"]) == (["look"], {"look": "low"})
        assert fine(tell(client, "ada", "/v1/bundles", {"files": files}))["changed"] is False
        assert fine(tell(client, "ada", "/v1/bundles/rollback"))["digest"] == first["digest"]
        assert [one["digest"] for one in all_pages(client, "aud", "/v1/bundles", 1)] == [
            first["digest"],
            published["digest"],
            first["digest"],
        ]
        assert fine(get(client, "aud", f"/v1/bundles/{published['digest']}"))["files"] == files
        refused(get(client, "aud", f"/v1/bundles/{'0' * 64}"), 404)
        assert [body.operator for body in by(world, BundlePublished)][-2:] == ["ada", "ada"]

    @pytest.mark.parametrize(
        ("path", "text", "code"),
        [
            ("policies/bad.cedar", "permit (", "cedar"),
            ("../policies/x.cedar", "", "unknown-file"),
            ("policies/../x.cedar", "", "unknown-file"),
            ("policies//x.cedar", "", "unknown-file"),
            ("policies/.x.cedar", "", "unknown-file"),
            ("README.md", "", "unknown-file"),
            ("policies/\u00e9.cedar", "", "file-name"),
            ("tools.yaml", "\ufeff- {name: x}", "encoding"),
        ],
    )
    def test_what_is_wrong_is_said_and_not_published(self, client: Client, path: str, text: str, code: str) -> None:
        files = {**CLEAN, path: text}
        verdict = fine(tell(client, "ada", "/v1/bundles/check", {"files": files}))
        assert not verdict["publishable"] and code in {problem["code"] for problem in verdict["problems"]}
        assert path in refused(tell(client, "ada", "/v1/bundles", {"files": files}), 422)

    def test_shadow_mode_is_asked_for(self, client: Client) -> None:
        files = {**CLEAN, "bundle.yaml": "name: clean\nmode: shadow\n"}
        assert "shadow mode" in refused(tell(client, "ada", "/v1/bundles", {"files": files}), 403)
        assert fine(tell(client, "ada", "/v1/bundles", {"files": files, "shadow": True}))["mode"] == "shadow"


class TestKills:
    def test_stop_and_are_lifted(self, client: Client, world: World) -> None:
        session = begun(client)
        made(tell(client, "ada", "/v1/kills", {"kind": "tool", "name": "look", "why": "it leaks"}))
        made(tell(client, "ada", "/v1/kills", {"kind": "agent", "name": "other", "why": "it too"}))
        assert decided(client, session)["reason"] == "killed"
        assert [kill["name"] for kill in all_pages(client, "aud", "/v1/kills", 1)] == ["other", "look"]
        assert [kill["name"] for kill in all_pages(client, "bot", "/v1/kills", 1)] == ["look"]
        assert fine(tell(client, "ada", "/v1/kills/release", {"kind": "tool", "name": "look", "why": "mended"}))["name"] == "look"
        refused(tell(client, "ada", "/v1/kills/release", {"kind": "tool", "name": "look", "why": "mended"}), 404)
        assert decided(client, session)["reason"] != "killed"
        assert [(b.operator, b.why) for b in by(world, KillSet)] == [("ada", "it leaks"), ("ada", "it too")]
        assert [(b.operator, b.why) for b in by(world, KillReleased)] == [("ada", "mended")]

    def test_a_mistyped_name_is_said(self, client: Client) -> None:
        assert "did you mean `other`" in refused(
            tell(client, "ada", "/v1/kills", {"kind": "agent", "name": "othr", "why": "x"}), 404
        )
        made(tell(client, "ada", "/v1/kills", {"kind": "agent", "name": "othr", "why": "x", "unknown": True}))


class TestLog:
    def test_is_read_whole_in_pages_as_it_stands(self, client: Client, world: World) -> None:
        decided(client, begun(client))
        lines = [entry.line for entry in world.entries()]
        found = all_pages(client, "aud", "/v1/log", 3)
        assert [one["index"] for one in found] == list(range(len(lines)))
        assert [one["entry"] for one in found] == [json.loads(line) for line in lines]
        assert [one["index"] for one in all_pages(client, "aud", "/v1/log?start=3", 2)] == list(range(3, len(lines)))
        assert lines[0] in get(client, "aud", "/v1/log?limit=1").text  # the bytes that are hashed
        assert fine(get(client, "aud", "/v1/log?start=1000000"))["items"] == []

    def test_is_proven_to_a_stranger(self, client: Client, tmp_path: Path) -> None:
        head = fine(get(client, "aud", "/v1/log/head"))
        opened(client)
        proof = fine(get(client, "aud", "/v1/log/2/proof"))["proof"]
        file = tmp_path / "proof"
        file.write_text(proof)
        assert verify_proof(file, head["key"]).verified
        growth = fine(tell(client, "aud", "/v1/log/growth", {"head": head["note"]}))["proof"]
        file.write_text(growth)
        assert verify_proof(file, head["key"], head=head["note"]).verified
        assert fine(get(client, "aud", "/v1/log/head"))["size"] > head["size"]
        refused(get(client, "aud", "/v1/log/1000000/proof"), 404)
        refused(tell(client, "aud", "/v1/log/growth", {"head": "no head"}), 400)


class TestOnce:
    def test_what_comes_again_under_its_key_is_done_once(self, client: Client, world: World) -> None:
        wanted = {"id": "new", "owner": "ben", "purpose": "tidies"}
        first = made(tell(client, "ada", "/v1/agents", wanted, **{"Idempotency-Key": "k1"}))
        assert made(tell(client, "ada", "/v1/agents", wanted, **{"Idempotency-Key": "k1"})) == first
        assert len([body for body in by(world, AgentChanged) if body.agent == "new"]) == 1
        refused(tell(client, "ada", "/v1/agents", {**wanted, "id": "newer"}, **{"Idempotency-Key": "k1"}), 422)
        refused(tell(client, "ada", "/v1/agents/new/status", {"status": "retired"}, **{"Idempotency-Key": "k1"}), 422)
        refused(tell(client, "ada", "/v1/agents", wanted), 409)

    def test_a_key_is_one_callers(self, client: Client) -> None:
        task = tell(client, "ada", "/v1/tasks", {"purpose": "x", "agent": "bot"}, **{"Idempotency-Key": "k"})
        assert tell(client, "ada", "/v1/tasks", {"purpose": "x", "agent": "bot"}, **{"Idempotency-Key": "k"}).body == task.body
        refused(tell(client, "aud", "/v1/tasks", {"purpose": "x", "agent": "bot"}, **{"Idempotency-Key": "k"}), 403)

    def test_who_has_changed_too_much_is_told_when_to_come_again_and_others_go_on(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(app, "Repeats", lambda clock: Repeats(clock, Bounds(changes=2048, changed=(2, 100))))
        with serving(world.embedded, ByToken()) as client:

            def ask(key: str) -> Answer:
                return tell(client, "ada", "/v1/tasks", {"purpose": "x" * 2000, "agent": "bot"}, **{"Idempotency-Key": key})

            sessions = f"/v1/tasks/{opened(client)['id']}/sessions", {}
            session = fine(tell(client, "gateway", *sessions, **{"Idempotency-Key": "a"}))
            fine(ask("a"))
            fine(ask("b"))
            full = ask("c")
            assert "without a key" in refused(full, 429) and full.headers["retry-after"] == "3600"
            assert "was done" in refused(ask("a"), 409), "there was no room for its answer"
            assert fine(tell(client, "gateway", *sessions, **{"Idempotency-Key": "a"})) == session
            fine(tell(client, "gateway", *sessions, **{"Idempotency-Key": "b"}))
            opened(client)

    def test_what_failed_may_be_asked_again(self, client: Client) -> None:
        move = "/v1/agents/new/status", {"status": "suspended"}
        refused(tell(client, "ada", *move, **{"Idempotency-Key": "k"}), 404)
        made(tell(client, "ada", "/v1/agents", {"id": "new", "owner": "ben", "purpose": "tidies"}))
        assert fine(tell(client, "ada", *move, **{"Idempotency-Key": "k"}))["status"] == AgentStatus.SUSPENDED


class TestTokens:
    def test_are_made_by_administrators_and_recorded(self, client: Client, world: World) -> None:
        key = {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }
        made(tell(client, "ada", "/v1/agents/bot/tokens", {"seconds": 60, "key": key}))
        made(tell(client, "ada", "/v1/operators/cleo/tokens", {"roles": ["auditor"]}))
        task = opened(client)["id"]
        made(tell(client, "ada", f"/v1/tasks/{task}/tokens", {"key": key}))
        told = [(body.subject, body.roles, body.operator, body.verified_by, bool(body.key)) for body in by(world, TokenIssued)]
        assert told == [
            ("agent:bot", (), "ada", "idp", True),
            ("operator:cleo", ("auditor",), "ada", "idp", False),
            ("agent:bot", (), "ada", "idp", True),
        ]

    @pytest.mark.parametrize(
        "key",
        [
            {},
            {"kty": "EC"},
            {"kty": "oct", "k": "AAAA"},
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
            {"kty": "EC", "crv": 1},
        ],
    )
    def test_a_key_that_is_none_is_refused(self, client: Client, world: World, key: dict[str, Any]) -> None:
        task = opened(client)["id"]
        status, what = (403, "shows its private half") if "k" in key else (400, "is no public key")
        for path in ("/v1/agents/bot/tokens", f"/v1/tasks/{task}/tokens"):
            assert what in refused(tell(client, "ada", path, {"key": key}), status)
        assert by(world, TokenIssued) == []

    def test_an_agent_has_one_for_its_own_task_bound_to_what_it_proved(
        self, client: Client, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(PEOPLE, "bot", replace(PEOPLE["bot"], key="its-thumbprint"))
        session = begun(client)
        path = f"/v1/tasks/{session['task']}/tokens"
        made(tell(client, "bot", path, {"session": session["id"], "seconds": 30}))
        [body] = by(world, TokenIssued)
        assert (body.task, body.operator, body.key) == (session["task"], "bot", "its-thumbprint")
        refused(tell(client, "bot", path, {"key": {"kty": "EC"}}), 403)
        refused(tell(client, "other", path), 404)
        refused(tell(client, "gateway", path), 403)
        refused(tell(client, "aud", path), 403)
        refused(tell(client, "bot", path, {"session": begun(client)["id"]}), 403)
        fine(tell(client, "bot", f"/v1/tasks/{session['task']}/close"))
        refused(tell(client, "bot", path), 403)


def test_health_is_asked_of_the_store(client: Client, world: World) -> None:
    told = fine(get(client, "aud", "/v1/health"))
    assert (told["mode"], told["kills"], told["entries"]) == ("enforce", 0, len(world.entries()))
    made(tell(client, "ada", "/v1/kills", {"kind": "all", "why": "fire"}))
    after = fine(get(client, "aud", "/v1/health"))
    assert after["kills"] == 1 and after["revision"] > told["revision"] and after["bundle"] == told["bundle"]
