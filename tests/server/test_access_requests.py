"""What was denied and can be requested (AuthZEN ARAP, draft 1): submitted, answered, evaluated again; asked of a real server."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from remit.decision_log.entry import ApprovalResolved, ApprovalSubmitted
from remit.local.wiring import wall_clock
from remit.model.authorizer import ApprovalState
from remit.model.identity import ApprovalId
from remit.model.request import TOOL_CALL
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.approvals import shown_to_approver
from remit.runtime.approving.requesting import submission_of
from remit.runtime.tasks import close_task
from tests.conftest import OpenStore
from tests.runtime.world import AGENT, CARL, World
from tests.server.serving import Answer, Client, served

pytestmark = pytest.mark.sqlite
ERROR = "urn:openid:authzen:access-request:error:"


class Served(NamedTuple):
    """A server on a store, and the call to `pay` of an agent in its task."""

    client: Client
    world: World
    asked: dict[str, Any]

    def denied(self, **context: Any) -> dict[str, Any]:
        answer = self.client.post("evaluation", {**self.asked, "context": {**self.asked["context"], **context}}).body
        assert answer["decision"] is False
        told: dict[str, Any] = answer["context"]
        return told

    def submit(self, told: dict[str, Any], headers: dict[str, str] | None = None, **more: Any) -> Answer:
        denial = {"evaluation_id": told["evaluation_id"], "expires_at": told["access_request"]["expires_at"]}
        body = {**self.asked, "denial": denial, **more}
        return self.client.post("requests", body, **(headers or {}))

    def get(self, path: str, **headers: str) -> Answer:
        return self.client.send("GET", path, None, headers)

    def answer(self, name: str, grant: bool) -> None:
        resolve(self.world.runtime, ApprovalId(name), CARL, grant, "looked at it").result()


@pytest.fixture
def served_agent(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    world = open_store("home", clock=wall_clock)
    session = world.open_session(world.open_task())
    monkeypatch.setenv("REMIT_HOME", str(tmp_path / "home"))
    asked = {
        "subject": {"type": "Agent", "id": AGENT},
        "action": {"name": TOOL_CALL, "properties": {"to": "boss@corp.com", "sum": 10}},
        "resource": {"type": "Tool", "id": "pay"},
        "context": {"remit": {"task": session.task, "session": session.id}},
    }
    with served(tmp_path) as client:
        yield Served(client, world, asked)


def path(answer: Answer) -> str:
    place: str = answer.body["task"]["status_endpoint"]
    return place.partition("//")[2].partition("/")[2].join(["/", ""])


def test_from_the_denial_to_the_act(served_agent: Served) -> None:
    told = served_agent.denied(time="2026-01-01T00:00:00Z")
    assert told["access_request"]["endpoint"].endswith("/access/v1/requests") and told["access_request"]["template"] == "one"
    submitted = served_agent.submit(
        told, context={**served_agent.asked["context"], "time": "2026-01-01T00:00:09Z", "business_justification": "rent is due"}
    )
    assert (submitted.status, submitted.body["task"]["status"]) == (202, "pending") and submitted.headers["retry-after"] == "5"
    place = path(submitted)
    assert submitted.headers["location"] == submitted.body["task"]["status_endpoint"]
    assert served_agent.get(place).body["task"]["status"] == "pending"
    name = submitted.body["task"]["id"]
    approval = served_agent.world.store.approval(name)
    assert approval is not None
    said = submission_of(approval, served_agent.world.runtime.view.key(approval.task))
    assert said is not None and json.loads(said.words) == {"context": {"business_justification": "rent is due"}}
    served_agent.answer(name, True)
    done = served_agent.get(place).body
    assert done["task"]["status"] == "approved" and done["result"]["mode"] == "reevaluate"
    reference = done["result"]["approval"]
    again = {
        **served_agent.asked,
        "context": {**served_agent.asked["context"], "time": "2030-01-01T00:00:00Z", "approval": reference},
    }
    permitted = served_agent.client.post("evaluation", again).body
    assert permitted["decision"] is True and permitted["context"]["approval"] == reference
    spent = served_agent.client.post("evaluation", again).body
    assert spent["decision"] is False and spent["context"]["next_action"] == "request"
    assert spent["context"]["access_request"] and spent["context"]["evaluation_id"] != told["evaluation_id"]
    assert served_agent.get(place).body["task"]["status"] == "approved", "a terminal state stays"
    served_agent.world.verified()


def test_a_submission_is_for_what_was_denied_or_it_is_none(served_agent: Served) -> None:
    told, here = served_agent.denied(place="office"), {**served_agent.asked["context"], "place": "office"}
    for change in (
        {"subject": {"type": "Agent", "id": "another"}},
        {"subject": {"type": "Agent", "id": AGENT, "properties": {"role": "admin"}}},
        {"resource": {"type": "Tool", "id": "send"}},
        {"resource": {"type": "Tool", "id": "pay", "properties": {"safe": True}}},
        {"action": {"name": TOOL_CALL, "properties": {"to": "boss@corp.com", "sum": 11}}},
        {"action": {"name": TOOL_CALL, "properties": {"to": "boss@corp.com", "sum": 10.0}}},
        {"action": {"name": TOOL_CALL}},
        {"context": {}},
        {"context": {"remit": {"task": "tsk_0", "session": "ses_0"}}},
        {"denial": {"evaluation_id": "dec_0", "expires_at": "2030-01-01T00:00:00Z"}},
        {"denial": {"binding_token": "e30.e30.", "expires_at": "2030-01-01T00:00:00Z"}},
        {"denial": None},
    ):
        refused = served_agent.submit(told, **{"context": here, **change})
        assert (refused.status, refused.body["type"]) == (400, f"{ERROR}invalid_denial_binding"), change
        assert refused.headers["content-type"] == "application/problem+json"
    assert not [entry for entry in served_agent.world.entries() if isinstance(entry.body, ApprovalSubmitted)]
    assert served_agent.submit(told, context=here).status == 202, "and none of them has spoilt it"


def test_circumstances_may_be_added_and_none_left_out(served_agent: Served) -> None:
    ours = served_agent.asked["context"]
    told = served_agent.denied(place="office")
    assert served_agent.submit(told, context=ours).body["type"] == f"{ERROR}invalid_denial_binding"
    assert served_agent.submit(told, context={**ours, "place": "home"}).body["type"] == f"{ERROR}invalid_denial_binding"
    assert served_agent.submit(told, context={**ours, "place": "office", "ticket": 7}).status == 202


def test_what_is_of_the_profile_itself_binds_nothing(served_agent: Served) -> None:
    """Its own members of the context are no circumstances, and who acts for the subject may be said as `client.actor`."""
    ours, subject = served_agent.asked["context"], served_agent.asked["subject"]
    served_agent.asked["subject"] = {**subject, "properties": {"act": {"sub": "door"}, "team": "x"}}
    told = served_agent.denied(reason="first", evaluation_id="mine")
    lost = served_agent.submit(told, subject=subject, context=ours)
    assert lost.body["type"] == f"{ERROR}invalid_denial_binding", "the rest of the subject counts"
    moved = {"subject": {**subject, "properties": {"team": "x"}}, "client": {"actor": {"id": "door"}}}
    submitted = served_agent.submit(told, context={**ours, "reason": "second"}, **moved)
    assert submitted.status == 202
    served_agent.answer(submitted.body["task"]["id"], True)
    again = {**served_agent.asked, "context": {**ours, "reason": "third", "evaluated_at": "2026-01-01T00:00:00Z"}}
    assert served_agent.client.post("evaluation", again).body["decision"] is True


def test_a_denial_for_good_cannot_be_requested(served_agent: Served) -> None:
    never = served_agent._replace(asked={**served_agent.asked, "resource": {"type": "Tool", "id": "never"}})
    told = never.denied()
    assert "access_request" not in told and "evaluation_id" not in told
    denial = {"evaluation_id": told["id"], "expires_at": "2030-01-01T00:00:00Z"}
    refused = never.client.post("requests", {**never.asked, "denial": denial})
    assert (refused.status, refused.body["type"]) == (400, f"{ERROR}not_requestable")


def test_submitted_again_it_is_the_same(served_agent: Served) -> None:
    told = served_agent.denied()
    first = served_agent.submit(told, {"Idempotency-Key": "k1"})
    assert served_agent.submit(told, {"Idempotency-Key": "k1"}).body["task"]["id"] == first.body["task"]["id"]
    other = served_agent.submit(told, {"Idempotency-Key": "k1"}, requested_access={"emergency": True})
    assert (other.status, other.body["type"]) == (409, f"{ERROR}duplicate_request")
    assert served_agent.submit(served_agent.denied(), {"Idempotency-Key": "k2"}).body["task"]["id"] == first.body["task"]["id"]
    assert len([entry for entry in served_agent.world.entries() if isinstance(entry.body, ApprovalSubmitted)]) == 1


def test_it_is_wanted_for_less_long(served_agent: Served) -> None:
    told = served_agent.denied()
    longer = served_agent.submit(told, requested_access={"requested_until": "2100-01-01T00:00:00+02:00"})
    assert longer.body["task"]["expires_at"] == told["access_request"]["expires_at"], "never longer than there is"
    wrong = served_agent.submit(told, requested_access={"requested_until": "tomorrow"})
    assert wrong.status == 400 and "requested_until" in wrong.body["detail"]


def test_taken_back(served_agent: Served) -> None:
    submitted = served_agent.submit(served_agent.denied())
    place = path(submitted)
    taken = served_agent.client.send(
        "POST", f"{place}/cancel", b'{"comment": "not needed"}', {"Content-Type": "application/json"}
    )
    assert (taken.status, taken.body["task"]["status"]) == (200, "cancelled")
    again = served_agent.client.send("POST", f"{place}/cancel", None, {})
    assert (again.status, again.body["type"]) == (409, f"{ERROR}invalid_task_state")
    [entry] = [entry.body for entry in served_agent.world.entries() if isinstance(entry.body, ApprovalResolved)]
    assert (entry.state, entry.operator) == ("cancelled", "development")
    with pytest.raises(Exception, match="already cancelled"):
        served_agent.answer(submitted.body["task"]["id"], True)
    assert served_agent.denied()["access_request"], "it can be asked for anew"
    served_agent.world.verified()


def test_waiting_for_the_answer(served_agent: Served) -> None:
    submitted = served_agent.submit(served_agent.denied())
    name, found = submitted.body["task"]["id"], list[Answer]()
    waiting = threading.Thread(target=lambda: found.append(served_agent.get(path(submitted), Prefer="wait=20")))
    waiting.start()
    served_agent.answer(name, False)
    waiting.join(10)
    task = found[0].body["task"]
    assert (task["status"], task["display"]["description"]) == ("denied", "looked at it") and "result" not in found[0].body


def test_nobody_waits_for_an_answer_that_cannot_come(served_agent: Served) -> None:
    """Once its task is closed, by whatever process, nobody can approve it: whoever waits is told so, and not when their time is up."""
    world, place = served_agent.world, path(served_agent.submit(served_agent.denied()))
    name = place.rpartition("/")[2]
    with ThreadPoolExecutor(2) as threads:
        waiting = [
            threads.submit(served_agent.get, place, Prefer="wait=20"),
            threads.submit(served_agent.get, f"/v1/approvals/{name}?wait=20"),
        ]
        time.sleep(0.5)
        assert not any(one.done() for one in waiting)
        begun = time.monotonic()
        close_task(world.runtime, served_agent.asked["context"]["remit"]["task"], "ana", "test").result()
        told, shown = (one.result().body for one in waiting)
    assert time.monotonic() - begun < 10
    assert told["task"]["status"] == "cancelled" and "links" not in told["task"]
    assert shown["state"] == "task-closed"


def test_an_approval_that_does_not_exist_is_no_approval(served_agent: Served) -> None:
    for reference in ({"id": "apr_0"}, {"id": 7}, {}, "apr_0"):
        assert served_agent.denied(approval=reference)["next_action"] == "request"
    pending = served_agent.denied()["approval"]["id"]
    told = served_agent.denied(approval={"id": pending})
    assert (told["next_action"], told["retry_after"]) == ("retry", 5)


def test_what_nobody_submitted_is_not_there_to_look_at(served_agent: Served) -> None:
    unknown = served_agent.get("/access/v1/requests/apr_0")
    assert (unknown.status, unknown.body["type"]) == (404, f"{ERROR}unknown_task")


def test_many_in_one_are_refused(served_agent: Served) -> None:
    told = served_agent.denied()
    assert "items" in served_agent.submit(told, items=[]).body["detail"]


def test_it_is_announced(served_agent: Served) -> None:
    found = served_agent.get("/.well-known/authzen-configuration").body
    assert found["access_request_endpoint"].endswith("/access/v1/requests")
    assert found["capabilities"] == ["urn:openid:authzen:capability:access-request"]


def test_the_approver_sees_what_was_asked_and_the_state_is_on_record(served_agent: Served) -> None:
    submitted = served_agent.submit(served_agent.denied())
    approval = served_agent.world.store.approval(submitted.body["task"]["id"])
    assert approval is not None and approval.state is ApprovalState.PENDING
    shown = shown_to_approver(approval, served_agent.world.runtime.view.key(approval.task))
    assert shown is not None and shown.resource == "pay"
