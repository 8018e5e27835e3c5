"""Answers by a webhook's callback: only with its secret, fresh, once, by people it knows; whatever else comes leaves nothing."""

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from remit.authentication.possession.shared import SharedTable
from remit.credentials.shared_secrets import SharedSecret
from remit.decision_log.entry import ApprovalResolved
from remit.model.authorizer import ApprovalState
from remit.model.clock import SECOND
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId
from remit.model.person import Person, PersonId, PersonStatus
from remit.runtime import people
from remit.server.api.callback import FRESH, SharedCallbacks
from tests.conftest import OpenStore
from tests.faults.test_approvals import requested, state
from tests.faults.test_webhooks import SECRET, write_secret
from tests.runtime.world import ANA, POLICIES, Clock, World, permit, small_bundle
from tests.server.serving import Answer, Client, serving

pytestmark = pytest.mark.sqlite
PATH, FORM, JSON = "/v1/approvals/callback", "application/x-www-form-urlencoded", "application/json"
OTHER = "the secret of the other webhook"
PAY = {"to": "boss@corp.com"}


class Called(NamedTuple):
    """A server with webhooks: `ops` shows all and knows carl, dora and ana; `blind` shows nothing; `mute` lets nobody answer."""

    world: World
    client: Client
    clock: Clock

    def call(
        self, body: bytes, secret: str = SECRET, kind: str = JSON, age: int = 0, prefix: str = "X-Remit", **more: str
    ) -> Answer:
        stamp = str(self.clock.now // SECOND - age)
        headers = {
            "Content-Type": kind,
            f"{prefix}-Request-Timestamp": stamp,
            f"{prefix}-Signature": SharedSecret(secret.encode()).sign(stamp, body),
            **more,
        }
        return self.client.send("POST", PATH, body, headers)

    def ask(self, tool: str = "pay", arguments: dict[str, Any] = PAY) -> ApprovalId:
        return requested(self.world.ask(self.world.open_session(), tool, arguments))


@pytest.fixture
def called(open_store: OpenStore, clock: Clock) -> Iterator[Called]:
    world = open_store(
        bundle=small_bundle(policies=POLICIES.replace('"pay-asks") @requestable("one")', '"pay-asks") @requestable("four-eyes")'))
    )
    for name, text in (("ops", SECRET), ("blind", OTHER), ("mute", "the third, of nobody at all")):
        write_secret(world.home, f"{name}.secret", text)
    people = {"U1": "carl", "U2": "dora", "U3": "ana"}
    tables = [
        {"name": "ops", "url": "https://hooks.example/a", "secret_file": "ops.secret", "arguments": True, "people": people},
        {"name": "blind", "url": "https://hooks.example/b", "secret_file": "blind.secret", "people": {"U9": "carl"}},
        {"name": "mute", "url": "https://hooks.example/c", "secret_file": "mute.secret"},
    ]
    world.embedded.settings = replace(world.embedded.settings, webhooks=tuple(tables))
    with serving(world.embedded) as client:
        yield Called(world, client, clock)


def said(approval: str, user: str = "U1", approve: bool = True, **more: Any) -> bytes:
    return json.dumps({"request": approval, "approve": approve, "user": user, **more}).encode()


def pressed(approval: str, user: str = "U1", action: str = "remit.approve", **more: Any) -> bytes:
    """What Slack sends when a button is pressed."""
    payload = {
        "type": "block_actions",
        "user": {"id": user, "name": "carl", "team_id": "T1"},
        "actions": [{"type": "button", "action_id": action, "block_id": "x", "value": approval, "action_ts": "1.2"}],
        "response_url": "https://hooks.example/r",
        **more,
    }
    return urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()


def test_an_answer_is_by_the_person_and_says_by_which_webhook(called: Called) -> None:
    session = called.world.open_session()
    approval = requested(called.world.ask(session, "pay", PAY))
    answer = called.call(said(approval, why="fine"))
    assert (answer.status, answer.body) == (200, {"id": approval, "state": "approved"})
    [body] = [entry.body for entry in called.world.entries() if isinstance(entry.body, ApprovalResolved)]
    assert (body.operator, body.verified_by, body.state) == ("carl", "webhook:ops", "approved")
    assert permit(called.world.ask(session, "pay", PAY)).approval == approval
    called.world.verified()


@pytest.mark.parametrize(("action", "ends"), [("remit.approve", "approved"), ("remit.deny", "denied")])
def test_what_is_pressed_in_slack_is_an_answer(called: Called, action: str, ends: str) -> None:
    approval = called.ask()
    assert called.call(pressed(approval, action=action), kind=FORM, prefix="X-Slack").status == 200
    assert state(called.world, approval).value == ends


def test_forged_stale_and_foreign_callbacks_leave_nothing_but_a_line(called: Called, caplog: pytest.LogCaptureFixture) -> None:
    approval = called.ask()
    body, size = said(approval), called.world.store.log.size()
    stamp = str(called.clock.now // SECOND)
    signature = SharedSecret(SECRET.encode()).sign(stamp, body)
    plain = {"Content-Type": JSON}
    signed = {**plain, "X-Remit-Request-Timestamp": stamp, "X-Remit-Signature": signature}
    tries = [
        called.client.send("POST", PATH, body, plain),
        called.client.send("POST", PATH, body, {**plain, "X-Remit-Signature": signature}),
        called.client.send(
            "POST", PATH, body, {**signed, "X-Remit-Signature": signature[:-1] + ("0" if signature[-1] != "0" else "1")}
        ),
        called.client.send("POST", PATH, body, {**signed, "X-Remit-Signature": signature[3:]}),
        called.client.send("POST", PATH, body.replace(b"true", b"true "), signed),
        called.client.send("POST", PATH, body, {**signed, "X-Remit-Request-Timestamp": str(int(stamp) + 1)}),
        called.client.send("POST", PATH, body, {**signed, "X-Remit-Request-Timestamp": stamp + ".0"}),
        called.client.send("POST", PATH, body, {**signed, "X-Slack-Signature": signature, "X-Slack-Request-Timestamp": stamp}),
        called.call(body, age=301),
        called.call(body, age=-301),
        called.call(body, secret="some secret of nobody here"),
        called.call(body, secret="the third, of nobody at all"),
        called.call(body, secret=""),
    ]
    assert [one.status for one in tries] == [401] * len(tries)
    assert {one.body["detail"] for one in tries} == {tries[0].body["detail"]}, "nobody learns what was wrong"
    assert called.world.store.log.size() == size and state(called.world, approval) is ApprovalState.PENDING
    lines = [record.getMessage() for record in caplog.records if record.name == "remit"]
    assert len(lines) == len(tries) and all(
        line.startswith("a callback was refused: ") and approval not in line for line in lines
    )
    assert called.call(body, age=299).status == 200


def test_a_callback_counts_once(called: Called) -> None:
    approval = called.ask()
    bad = called.call(said(approval, "U3"))
    assert bad.status == 403
    assert called.call(said(approval, "U3")).status == 409, "not even to be refused again"
    assert called.call(said(approval)).status == 200
    size = called.world.store.log.size()
    assert called.call(said(approval)).status == 409
    assert called.call(said(approval), age=1).status == 409, "nor by another signature, once it is answered"
    assert called.world.store.log.size() == size


def test_the_rules_hold_for_who_answers_from_there(called: Called) -> None:
    approval = called.ask()
    size = called.world.store.log.size()
    opened_it = called.call(said(approval, "U3"))
    assert opened_it.status == 403 and "four eyes" in opened_it.body["detail"]
    for user in ("U4", "carl", ""):
        stranger = called.call(said(approval, user))
        assert stranger.status == 403 and "does not know who answers" in stranger.body["detail"]
    assert called.call(said(approval, "U9")).status == 403, "whom another webhook knows"
    assert called.world.store.log.size() == size and state(called.world, approval) is ApprovalState.PENDING


def test_two_people_by_callback(called: Called) -> None:
    called.world.publish(
        small_bundle(policies=POLICIES.replace('"pay-asks") @requestable("one")', '"pay-asks") @requestable("two")'))
    )
    approval = called.ask()
    assert called.call(said(approval)).body["state"] == "pending"
    assert called.call(said(approval), age=1).status == 409
    assert called.call(said(approval, "U2")).body["state"] == "approved"
    called.world.verified()


def test_who_was_not_shown_the_whole_of_it_may_only_deny(called: Called) -> None:
    approval, long = called.ask(), called.ask(arguments={"to": "x" * 4000})
    for refused in (called.call(said(approval, "U9"), secret=OTHER), called.call(said(long))):
        assert refused.status == 403 and "does not show the whole of it" in refused.body["detail"]
    assert called.call(said(approval, "U9", approve=False), secret=OTHER).status == 200
    assert called.call(said(long, approve=False)).status == 200


@pytest.mark.parametrize(("body", "kind", "status"), [
    (b"", JSON, 400), (b"[]", JSON, 400), (b'{"request": "a", "approve": "yes", "user": "U1"}', JSON, 400), (said("apr_0"), "text/plain", 415),
    (b'{"request": "a", "approve": false, "approve": true, "user": "U1"}', JSON, 400), (said("apr_0", flows=True), JSON, 400),
    (said("apr_0"), JSON, 404), (b"payload=", FORM, 400), (b"payload={}&payload={}", FORM, 400), (b"x=1", FORM, 400), (b"\xff=1", FORM, 400),
    (pressed("apr_0", action="other"), FORM, 400), (pressed("apr_0", type="view_submission"), FORM, 400), (pressed("apr_0", actions=[]), FORM, 400),
    (pressed("apr_0", user=["U1"]), FORM, 400), (pressed("apr_0"), FORM, 404), (pressed("apr_0", actions=[{"action_id": [], "value": "x"}]), FORM, 400),
])  # fmt: skip
def test_what_is_no_answer_answers_nothing(called: Called, body: bytes, kind: str, status: int) -> None:
    size = called.world.store.log.size()
    assert called.call(body, kind=kind).status == status
    assert called.world.store.log.size() == size


def test_what_a_receiver_was_sent_is_no_answer_when_it_comes_back(called: Called) -> None:
    approval = called.ask()
    from remit.decision_log.entry import ApprovalRequested
    from remit.local.webhooks.messages import message
    from remit.local.webhooks.settings import read_webhooks
    from remit.runtime.approving.inbox import card

    stored = called.world.store.approval(approval)
    assert stored is not None
    entry = next(entry for entry in called.world.entries() if isinstance(entry.body, ApprovalRequested))
    hook = read_webhooks(called.world.embedded.settings, called.world.home)[0]
    body = message(hook, "opened", entry, card(called.world.runtime, stored), "log")
    assert called.call(body).status == 400 and state(called.world, approval) is ApprovalState.PENDING


def test_a_callback_counts_once_among_workers(tmp_path: Path) -> None:
    file, now = tmp_path / "seen", 1_800_000_000
    SharedTable.make(file, now * SECOND, slots=64)
    one, other = SharedCallbacks(SharedTable(file)), SharedCallbacks(SharedTable(file))
    assert one.take("v1=a", now) and other.take("v1=b", now)
    assert not other.take("v1=a", now) and not one.take("v1=a", now + 2 * FRESH), "as long as it is fresh"
    assert other.take("v1=a", now + 2 * FRESH + 2)
    with pytest.raises(RemitError) as refusal:
        for number in range(70):
            one.take(f"v1={number}", now + 2 * FRESH + 2)
    assert refusal.value.kind is ErrorKind.UNAVAILABLE, "what cannot be kept does not count"


def test_who_has_left_answers_nothing(called: Called) -> None:
    now = called.world.runtime.clock()
    gone = Person(PersonId("per_1"), "file:csv", "carl", status=PersonStatus.REMOVED, since=now, seen=now)
    people.change_people(called.world.runtime, lambda: people.PeopleUpdate((gone,)), ANA).result()
    approval = called.ask()
    for approve in (True, False):
        refused = called.call(said(approval, "U1", approve))
        assert refused.status == 403 and "is gone" in refused.body["detail"]
    assert state(called.world, approval) == "pending"
