"""The AuthZEN Authorization API 1.0, by its text and its certification scenario, asked of a real server."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from remit.server.api.access import MAX_EVALUATIONS
from remit.server.reading import MAX_BODY
from tests.server.serving import CERTIFICATION, Answer, Client, served

ALICE, BOB = {"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}
ONE, TWO = {"type": "record", "id": "record-1"}, {"type": "record", "id": "record-2"}
ADMIN, ARCHIVED = {"role": "admin"}, {"status": "archived"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with the fixture of the certification scenario."""
    with served(tmp_path_factory.mktemp("server"), "--bundle", str(CERTIFICATION)) as client:
        yield client


def asks(subject: object, name: str, resource: object, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "action": {"name": name}, "resource": resource, **more}


READ = asks(ALICE, "read", ONE)
RULES = [
    (READ, True),
    (asks(ALICE, "write", ONE), True),
    (asks(BOB, "read", ONE), True),
    (asks(BOB, "write", ONE), False),
    (asks(ALICE, "write", {**TWO, "properties": ARCHIVED}), False),
    (asks({**BOB, "properties": ADMIN}, "write", {**TWO, "properties": ARCHIVED}), True),
    (asks(ALICE, "delete", ONE, action={"name": "delete", "properties": {"soft": True}}), True),
    (asks(ALICE, "delete", ONE, action={"name": "delete", "properties": {"soft": False}}), False),
    (
        asks({"type": "user", "id": "x", "properties": ADMIN}, "write", {"type": "record", "id": "y", "properties": ARCHIVED}),
        True,
    ),
    (asks({"type": "spaceship", "id": "x"}, "read", ONE), False),
    (asks(ALICE, "fly", ONE), False),
    (asks(ALICE, "read", ONE, context={"time": "2026-01-01T00:00Z", "ip": "::1"}, future={"nested": [1]}), True),
]


class TestEvaluation:
    @pytest.mark.parametrize(("message", "decision"), RULES)
    def test_the_rules_of_the_scenario(self, client: Client, message: object, decision: bool) -> None:
        answer = client.post("evaluation", message)
        assert (answer.status, answer.headers["content-type"], answer.body["decision"]) == (200, "application/json", decision)
        assert answer.body["context"]["id"].startswith("dec_") and answer.body["context"]["reason"]

    def test_a_request_id_comes_back(self, client: Client) -> None:
        assert client.post("evaluation", READ, **{"X-Request-ID": "bfe9eb29-ab87"}).headers["x-request-id"] == "bfe9eb29-ab87"
        assert client.post("evaluation", [], **{"X-Request-ID": "again"}).headers["x-request-id"] == "again"
        assert client.post("evaluation", READ, **{"X-Request-ID": "x" * 2000}).headers["x-request-id"] == "x" * 2000
        given = [client.post("evaluation", READ).headers["x-request-id"] for _ in range(2)]
        assert all(given) and given[0] != given[1]

    @pytest.mark.parametrize(
        ("message", "what"),
        [
            ([READ], "one JSON object"), ({}, "`subject`"), (5, "one JSON object"), (None, "one JSON object"), ("x", "one JSON object"),
            ({**READ, "subject": "alice"}, "`subject`"), ({**READ, "subject": {"type": "user"}}, "`subject.id`"),
            ({**READ, "action": "read"}, "`action`"), ({**READ, "action": {}}, "`action`"), ({**READ, "action": {"name": 5}}, "`action`"),
            ({**READ, "resource": {"type": "", "id": "x"}}, "`resource.type`"), ({**READ, "context": []}, "`context`"),
            ({**READ, "resource": {**ONE, "properties": "x"}}, "`resource.properties`"),
            ({**READ, "action": {"name": "read", "properties": {"__entity": {}}}}, "property name `__entity` is"),
            ({**READ, "action": {"name": "tool.call", "properties": {"__entity": {}}}}, "argument name `__entity` is reserved"),
            ({**READ, "context": {"remit": {"task": 5}}}, "`context.remit.task`"),
            ({**READ, "subject": {**ALICE, "properties": {"__extn": 1}}}, "property name `__extn` is reserved"),
        ],
    )  # fmt: skip
    def test_what_is_no_request_is_told_so(self, client: Client, message: object, what: str) -> None:
        assert what in problem(client.post("evaluation", message), 400)

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            (b"", "cannot be read"), (b"{", "cannot be read"), (b"\xff\xfe", "cannot be read"), (b'{"subject": 1, "subject": 2}', "twice"),
            (b'{"a": NaN}', "not a number"), (b"[" * 100_000, "nested deeper"), (b'{"a": "\\ud800"}', "surrogates"), (b'{"a": 1e999}', "beyond"),
        ],
    )  # fmt: skip
    def test_what_is_no_json_is_told_so(self, client: Client, body: bytes, what: str) -> None:
        told = problem(client.send("POST", "/access/v1/evaluation", body, {"Content-Type": "application/json"}), 400)
        assert told.startswith("JSON ") and what in told

    @pytest.mark.parametrize("kind", ["text/plain", "", "application/xml", "application/json5"])
    def test_only_json(self, client: Client, kind: str) -> None:
        answer = client.send("POST", "/access/v1/evaluation", json.dumps(READ).encode(), {"Content-Type": kind})
        assert "`Content-Type: application/json`" in problem(answer, 400)  # so the certification scenario has it (c-2-4-3)
        for path in ("/access/v1/evaluations", "/access/v1/search/action"):
            problem(client.send("POST", path, json.dumps(READ).encode(), {"Content-Type": kind}), 400)
        problem(client.send("POST", "/v1/tasks", b"{}", {"Content-Type": kind}), 415)

    def test_a_path_is_what_it_says(self, client: Client) -> None:
        """A redirect would lead from a proxy's TLS to where the server itself listens, without TLS, and take the token along."""
        for path in ("/access/v1/evaluation/", "/v1/caller/", "/scim/v2/Users/", "/scim/v2"):
            answer = client.send("GET", path, None, {})
            assert answer.status == 404 and "location" not in answer.headers

    def test_with_a_charset(self, client: Client) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        assert client.send("POST", "/access/v1/evaluation", json.dumps(READ).encode(), headers).body["decision"] is True

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_only_by_post(self, client: Client, method: str) -> None:
        answer = client.send(method, "/access/v1/evaluation", json.dumps(READ).encode(), {"Content-Type": "application/json"})
        assert problem(answer, 405) == "this path answers other methods: POST" and answer.headers["allow"] == "POST"

    def test_only_where_it_is(self, client: Client) -> None:
        assert "`GET /v1/openapi.json`" in problem(client.post("evaluate", READ), 404)

    def test_not_without_end(self, client: Client) -> None:
        assert f"at most {MAX_BODY} bytes" in problem(client.post("evaluation", {**READ, "context": {"x": "y" * MAX_BODY}}), 413)

    def test_not_under_another_name(self, client: Client) -> None:
        for host in ("evil.example", f"localhost:{client.port}@evil.example", "[::1]evil.example", "", "localhost.evil.example"):
            problem(client.post("evaluation", READ, Host=host), 421)
        assert client.post("evaluation", READ, Host=f"localhost:{client.port}").status == 200


class TestEvaluations:
    def test_in_the_order_asked_for(self, client: Client) -> None:
        several = [message for message, _ in RULES]
        answers = client.post("evaluations", {"evaluations": several}).body["evaluations"]
        assert [one["decision"] for one in answers] == [decision for _, decision in RULES]
        assert len({one["context"]["id"] for one in answers}) == len(RULES)

    @pytest.mark.parametrize("several", [{}, {"evaluations": []}])
    def test_without_any_it_is_one(self, client: Client, several: dict[str, Any]) -> None:
        body = client.post("evaluations", {**READ, **several}).body
        assert body["decision"] is True and "evaluations" not in body

    def test_a_short_message_is_no_long_log(self, client: Client) -> None:
        long = {**READ, "context": {"note": "x" * 100_000}}
        refused = client.post("evaluations", {**long, "evaluations": [{}] * 100})
        assert refused.status == 400 and "in parts" in refused.body["detail"]
        assert len(client.post("evaluations", {**long, "evaluations": [{}] * 10}).body["evaluations"]) == 10

    def test_defaults_are_replaced_whole(self, client: Client) -> None:
        message = {
            **asks(BOB, "write", {**TWO, "properties": ARCHIVED}),
            "evaluations": [{}, {"subject": ALICE}, {"action": {"name": "read"}}, {"resource": {"id": "record-2"}}],
        }
        answers = client.post("evaluations", message).body["evaluations"]
        assert [one["decision"] for one in answers] == [True, False, True, False]
        assert answers[3]["context"]["error"] == {"status": 400, "message": "`resource.type` must be text that is not empty"}

    @pytest.mark.parametrize(
        ("semantic", "decisions"),
        [
            ("execute_all", [True, False, True, False]),
            ("deny_on_first_deny", [True, False]),
            ("permit_on_first_permit", [True]),
        ],
    )
    def test_semantics(self, client: Client, semantic: str, decisions: list[bool]) -> None:
        several = [{"action": {"name": name}} for name in ("read", "write", "read", "write")]
        message = {
            "subject": BOB,
            "resource": ONE,
            "evaluations": several,
            "options": {"evaluations_semantic": semantic, "other": 1},
        }
        assert [one["decision"] for one in client.post("evaluations", message).body["evaluations"]] == decisions

    @pytest.mark.parametrize(
        ("more", "what"),
        [
            ({"options": {"evaluations_semantic": "bogus"}}, "`execute_all`"), ({"options": 5}, "`options`"),
            ({"evaluations": {}}, "a list of objects"), ({"evaluations": [5]}, "a list of objects"),
            ({"evaluations": [{}] * (MAX_EVALUATIONS + 1)}, f"more than {MAX_EVALUATIONS}"),
            ({"options": {"evaluations_semantic": ["execute_all"]}}, "`execute_all`"),
        ],
    )  # fmt: skip
    def test_what_is_no_such_request_is_told_so(self, client: Client, more: dict[str, Any], what: str) -> None:
        assert what in problem(client.post("evaluations", {**READ, "evaluations": [{}], **more}), 400)


SEARCHES = [
    ("subject", asks({"type": "user"}, "read", ONE), ["alice", "bob"]),
    ("subject", asks({"type": "user", "id": "nobody"}, "read", ONE), ["alice", "bob"]),
    ("subject", asks({"type": "user"}, "write", {**TWO, "properties": ARCHIVED}), ["bob"]),
    ("subject", asks({"type": "spaceship"}, "read", ONE), []),
    ("resource", asks(ALICE, "read", {"type": "record"}), ["record-1", "record-2"]),
    ("resource", asks({**BOB, "properties": ADMIN}, "write", {"type": "record"}), ["record-2"]),
    ("resource", asks(BOB, "write", {"type": "spaceship"}), []),
    ("action", {"subject": ALICE, "resource": ONE}, ["read", "write"]),
    ("action", {"subject": {**BOB, "properties": ADMIN}, "resource": {**TWO, "properties": ARCHIVED}}, ["read", "write"]),
    ("action", {"subject": {"type": "user", "id": "nobody"}, "resource": ONE}, []),
]


class TestSearch:
    @pytest.mark.parametrize(("kind", "message", "found"), SEARCHES)
    def test_finds_what_evaluation_permits(self, client: Client, kind: str, message: dict[str, Any], found: list[str]) -> None:
        body = client.post(f"search/{kind}", message).body
        assert list(body) == ["page", "results"] and body["page"] == {"next_token": "", "count": len(found)}
        assert [one.get("id", one.get("name")) for one in body["results"]] == found
        for one in body["results"]:
            part = {**message.get(kind, {}), **one}
            assert client.post("evaluation", {**message, kind: part}).body["decision"] is True

    def test_page_by_page(self, client: Client) -> None:
        message = {**asks({"type": "user"}, "read", ONE), "page": {"limit": 1, "customAttr": "ignored"}}
        first = client.post("search/subject", message).body
        assert [one["id"] for one in first["results"]] == ["alice"] and first["page"]["next_token"]
        message["page"]["token"] = first["page"]["next_token"]
        second = client.post("search/subject", message).body
        assert [one["id"] for one in second["results"]] == ["bob"] and second["page"] == {"next_token": "", "count": 1}
        message["page"]["limit"] = 2
        problem(client.post("search/subject", message), 400)
        # Whoever goes on need not say again how many: neither the standard's example nor the certification scenario does (c-4-5-2).
        message["page"] = {"token": first["page"]["next_token"]}
        assert client.post("search/subject", message).body == second
        other = {**message, "action": {"name": "write"}, "page": {"limit": 1, "token": first["page"]["next_token"]}}
        problem(client.post("search/subject", other), 400)

    def test_a_page_of_nothing_does_not_say_that_there_is_nothing(self, client: Client) -> None:
        message = {**asks({"type": "user"}, "read", ONE), "page": {"limit": 0}}
        none = client.post("search/subject", message).body
        assert none["results"] == [] and none["page"]["next_token"]
        for limit in (10**30, 2.0):
            assert client.post("search/subject", {**message, "page": {"limit": limit}}).body["page"] == {
                "next_token": "",
                "count": 2,
            }

    @pytest.mark.parametrize(
        ("page", "what"),
        [
            (5, "`page` must"),
            ([], "`page` must"),
            ({"limit": -1}, "`page.limit`"),
            ({"limit": "1"}, "`page.limit`"),
            ({"limit": 1.5}, "`page.limit`"),
            ({"limit": True}, "`page.limit`"),
            ({"token": 5}, "`page.token`"),
            ({"token": "%"}, "no `next_token` of ours"),
            ({"token": base64.b64encode(b"{}").decode()}, "no `next_token` of ours"),
            ({"token": base64.b64encode(b'{"after": "", "query": "", "limit": -2}').decode()}, "no `next_token` of ours"),
        ],
    )
    def test_what_is_no_page_is_told_so(self, client: Client, page: object, what: str) -> None:
        assert what in problem(client.post("search/subject", {**asks({"type": "user"}, "read", ONE), "page": page}), 400)

    @pytest.mark.parametrize(
        ("kind", "message", "what"),
        [
            ("subject", asks({}, "read", ONE), "`subject.type`"), ("subject", {"subject": {"type": "user"}, "resource": ONE}, "`action`"),
            ("subject", asks({"type": "user"}, "read", {"type": "record"}), "`resource.id`"),
            ("resource", asks({"type": "user"}, "read", {"type": "record"}), "`subject.id`"),
            ("resource", asks(ALICE, "read", {}), "`resource.type`"), ("action", {"subject": ALICE}, "`resource`"),
            ("action", {"resource": ONE}, "`subject`"),
        ],
    )  # fmt: skip
    def test_what_is_no_search_is_told_so(self, client: Client, kind: str, message: object, what: str) -> None:
        assert what in problem(client.post(f"search/{kind}", message), 400)


def test_metadata_names_what_there_is(client: Client) -> None:
    found = client.send("GET", "/.well-known/authzen-configuration", None, {}).body
    base = f"http://127.0.0.1:{client.port}"
    assert found["policy_decision_point"] == base
    for name, address in found.items():
        if name.endswith("_endpoint"):
            assert client.send("POST", address.removeprefix(base), b"", {"Content-Type": "application/json"}).status == 400


def problem(answer: Answer, status: int) -> str:
    """What somebody is told whose request is a problem."""
    assert (answer.status, answer.headers["content-type"], answer.body["status"]) == (status, "application/problem+json", status)
    assert answer.body["title"] and answer.body["detail"]
    return str(answer.body["detail"])
