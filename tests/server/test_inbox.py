"""The approver's inbox over HTTP: what waits, what exactly it is, and answers that count once."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from remit.model.decision import Deny
from remit.model.errors import RemitError
from remit.model.identity import ApprovalId
from remit.runtime.approving import approvals, inbox
from remit.runtime.approving.approvals import Shown
from remit.runtime.runtime import Runtime
from remit.runtime.store import Approval
from tests.runtime.world import POLICIES, TOOLS, World, small_bundle
from tests.server.serving import Answer, serving
from tests.server.test_access_requests import Served, served_agent

__all__ = ["served_agent"]
pytestmark = pytest.mark.sqlite
JSON = {"Content-Type": "application/json"}


def answered(served: Served, name: str, body: bytes) -> Answer:
    return served.client.send("POST", f"/v1/approvals/{name}/answer", body, JSON)


def test_what_waits_is_shown_and_answered_once(served_agent: Served) -> None:
    name = served_agent.denied()["approval"]["id"]
    [waits] = served_agent.get("/v1/approvals").body["items"]
    assert (waits["id"], waits["state"], waits["shown"]["arguments"]) == (name, "pending", {"sum": 10, "to": "boss@corp.com"})
    assert served_agent.get(f"/v1/approvals/{name}").body == waits
    given = answered(served_agent, name, b'{"approve": true, "why": "rent"}')
    assert (given.status, given.body["state"], given.body["resolver"]) == (200, "approved", "development")
    again = answered(served_agent, name, b'{"approve": false}')
    assert (again.status, again.headers["content-type"]) == (409, "application/problem+json")
    assert served_agent.get("/v1/approvals").body == {"items": [], "next_cursor": ""}
    assert [one["state"] for one in served_agent.get("/v1/approvals?all=true").body["items"]] == ["approved"]
    assert served_agent.client.post("evaluation", served_agent.asked).body["decision"] is True
    assert served_agent.client.post("evaluation", served_agent.asked).body["decision"] is False


def test_what_was_said_for_it_is_shown_as_said(served_agent: Served) -> None:
    told = served_agent.denied()
    name = served_agent.submit(told, requested_access={"role": "payer"}).body["task"]["id"]
    shown = served_agent.get(f"/v1/approvals/{name}").body
    assert shown["submitted"] == {"by": "development", "verified_by": "nobody", "says": {"requested_access": {"role": "payer"}}}


def test_what_may_be_misread_is_said(served_agent: Served) -> None:
    served_agent.world.publish(
        small_bundle(tools=TOOLS.replace("{name: pay, annotations: {", "{name: pay, annotations: {content: [note], "))
    )
    served_agent.asked["action"]["properties"] = {"to": "\u0430na@corp.com", "note": "pay\u202e now"}
    served_agent.denied()
    [waits] = served_agent.get("/v1/approvals").body["items"]
    assert [words.partition(" has ")[2] or words for words in waits["look_closely"]] == [
        "U+0430 CYRILLIC SMALL LETTER A, which looks like `a`", "hidden in note: U+202E RIGHT-TO-LEFT OVERRIDE (1)",
    ]  # fmt: skip


def test_what_may_be_misread_is_looked_for_while_others_are_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of long arguments it takes a twentieth of a second for each request that an agent lets wait."""
    denied, looked, look = world.ask(world.open_session(), "pay", {"to": "x"}), list[bool](), inbox.marks
    assert isinstance(denied, Deny) and denied.approval is not None

    def marks(shown: Shown) -> Iterator[str]:
        looked.append(asyncio._get_running_loop() is None)
        return look(shown)

    def over(runtime: Runtime, asked: Sequence[Approval]) -> set[ApprovalId]:
        looked.append(asyncio._get_running_loop() is None)
        return read(runtime, asked)

    read = approvals.of_tasks_over
    monkeypatch.setattr(inbox, "marks", marks)
    monkeypatch.setattr(approvals, "of_tasks_over", over)
    with serving(world.embedded) as client:
        for path in ("/v1/approvals", f"/v1/approvals/{denied.approval}"):
            assert client.send("GET", path, None, {}).status == 200
    assert len(looked) > 2 and all(looked)


def test_who_answers_sees_where_values_come_from_and_what_else_a_flow_would_allow_and_grants_it(served_agent: Served) -> None:
    world, where = served_agent.world, served_agent.asked["context"]["remit"]
    session = world.store.session(where["session"])
    assert session is not None
    world.perform(session, "read", "kim@far.net and lou@near.org wrote")
    served_agent.asked["resource"]["id"], served_agent.asked["action"]["properties"] = "send", {"to": "kim@far.net"}
    name = served_agent.denied()["approval"]["id"]
    shown = served_agent.get(f"/v1/approvals/{name}").body["shown"]
    assert (shown["purpose"], shown["on_behalf_of"], shown["before"]) == ("send the report to boss@corp.com", "ana", {"read": 1})
    [value], [offer] = shown["steering"], shown["offers"]
    assert (value["argument"], value["value"], value["origin"], value["source"]) == ("to", "kim@far.net", "untrusted", "read")
    assert offer["others"] == ["lou@near.org"] and offer["flow"].startswith("send.to := email in read, any, repeatedly, sha256:")
    once = b'{"approve": true, "flows": true, "uses": 1}'
    no, rest = b'{"approve": true}', b'{"approve": true, "flows": true}'
    for body, more, by in ((no, 0, {}), (once, 1, {"development": 1}), (rest, 3, {"development": None})):
        said = answered(served_agent, name, body).body
        assert (said["state"], said["flows_by"]) == ("approved", by)
        assert served_agent.client.post("evaluation", served_agent.asked).body["decision"] is True
        again = [served_agent.client.post("evaluation", served_agent.asked).body for _ in range(3)]
        assert [one["decision"] for one in again].count(True) == more, "the one call is used once, the flow as often as was said"
        name = again[-1]["context"].get("approval", {}).get("id", "")
    assert answered(served_agent, "apr_x", b'{"approve": true, "flows": true, "uses": 0}').status == 400


def test_what_one_task_asks_of_one_tool_is_one_group(served_agent: Served) -> None:
    for to in ("x", "y", "x"):
        served_agent.asked["action"]["properties"] = {"to": to}
        served_agent.denied()
    found = served_agent.get("/v1/approvals").body["items"]
    assert len(found) == 2 and {(one["group"], one["alike"]) for one in found} == {(f"{found[0]['task']} pay", 2)}


def test_it_is_read_in_pages(served_agent: Served) -> None:
    for to in "abcde":
        served_agent.asked["action"]["properties"] = {"to": to}
        served_agent.denied()
    whole = [one["id"] for one in served_agent.get("/v1/approvals").body["items"]]
    answered(served_agent, whole[1], b'{"approve": false}')
    for more, expected in (("", [whole[0], *whole[2:]]), ("&all=true", whole)):
        found, cursor = [], ""
        for _ in range(4):
            page = served_agent.get(f"/v1/approvals?limit=2{more}&cursor={cursor}").body
            found += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert found == expected and not cursor
    first = served_agent.get("/v1/approvals?limit=2").body["next_cursor"]
    assert served_agent.get(f"/v1/approvals?limit=2&all=true&cursor={first}").status == 400, "a cursor is of one list"


def test_who_policy_excludes_is_told_and_nothing_is_answered(served_agent: Served) -> None:
    barring = '@id("not-dev") @description("development pays nobody") forbid (principal, action, resource) '
    barring += 'when { context.approval.granted && context.approval.approver == "development" };'
    served_agent.world.publish(small_bundle(policies=POLICIES + barring))
    name = served_agent.denied()["approval"]["id"]
    told = answered(served_agent, name, b'{"approve": true}')
    assert told.status == 403 and "policy does not let `development` approve this, ask somebody else" in told.body["detail"]
    assert served_agent.get(f"/v1/approvals/{name}").body["state"] == "pending"
    served_agent.answer(name, True)
    assert served_agent.client.post("evaluation", served_agent.asked).body["decision"] is True


def test_the_first_of_two_is_shown_and_waited_on(served_agent: Served) -> None:
    served_agent.world.publish(
        small_bundle(policies=POLICIES.replace('"pay-asks") @requestable("one")', '"pay-asks") @requestable("two")'))
    )
    name = served_agent.denied()["approval"]["id"]
    first = answered(served_agent, name, b'{"approve": true}').body
    assert (first["state"], first["people"], first["approved_by"]) == ("pending", 2, ["development"])
    assert answered(served_agent, name, b'{"approve": true}').status == 409
    assert served_agent.client.post("evaluation", served_agent.asked).body["decision"] is False
    served_agent.answer(name, True)
    assert served_agent.client.post("evaluation", served_agent.asked).body["decision"] is True


def test_an_answer_that_is_none_answers_nothing(served_agent: Served) -> None:
    name = served_agent.denied()["approval"]["id"]
    for body in (b"{}", b'{"approve": "yes"}', b'{"approve": true, "approve": false}', b'{"approve": true, "by": "me"}', b"[]"):
        assert answered(served_agent, name, body).status == 400, body
        assert served_agent.get(f"/v1/approvals/{name}").body["state"] == "pending"


def test_two_answers_at_once_are_one(served_agent: Served) -> None:
    name = served_agent.denied()["approval"]["id"]
    found: list[int] = []
    told: list[Any] = []

    def by_http() -> None:
        found.append(answered(served_agent, name, b'{"approve": true}').status)

    def by_hand() -> None:
        try:
            served_agent.answer(name, False)
        except RemitError as error:
            told.append(error)

    workers = [threading.Thread(target=work) for work in (*[by_http] * 4, by_hand)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert found.count(200) + (not told) == 1 and found.count(200) + found.count(409) == 4
    served_agent.world.verified()


def test_what_cannot_be_listed_is_said_and_what_is_not_there(served_agent: Served) -> None:
    for query in ("limit=0", "limit=501", "limit=x", "all=yes", "limit=99999999999999999999"):
        assert served_agent.get(f"/v1/approvals?{query}").status == 400, query
    assert served_agent.get("/v1/approvals/apr_0").status == 404
    assert answered(served_agent, "apr_0", b'{"approve": true}').status == 404
