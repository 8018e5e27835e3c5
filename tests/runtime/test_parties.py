"""Subjects that are no agents: decided by the bundle's entities, and by what a request says only where the bundle lets it."""

from typing import Any

import pytest

from remit.model.decision import Decision, Permit, Reason
from remit.model.identity import EntityRef
from remit.model.request import EvaluationRequest
from remit.model.values import freeze
from remit.pap.contents import Bundle
from remit.pap.reading.folder import read_bundle
from tests.conftest import OpenStore
from tests.pap.bundles import ROOT
from tests.runtime.world import AGENT, World, reason

FOLDER = ROOT / "examples/bundles/authzen-certification"


@pytest.fixture(scope="module")
def fixture() -> Bundle:
    """The bundle of the certification scenario."""
    return read_bundle(str(FOLDER))


@pytest.fixture
def records(open_store: OpenStore, fixture: Bundle) -> World:
    """A store that decides about records."""
    return open_store(bundle=fixture)


def ask(
    world: World, user: str, action: str, record: str, arguments: dict[str, Any] | None = None, **properties: Any
) -> Decision:
    subject, resource = EntityRef("user", user), EntityRef("record", record)
    request = EvaluationRequest(subject, action, resource, freeze(arguments or {}), properties=freeze(properties))
    return world.embedded.evaluate(request).result()


@pytest.mark.parametrize(
    ("user", "action", "record", "arguments", "permitted"),
    [
        ("alice", "read", "record-1", {}, True),
        ("alice", "write", "record-1", {}, True),
        ("bob", "read", "record-1", {}, True),
        ("bob", "write", "record-1", {}, False),
        ("alice", "write", "record-2", {}, False),
        ("bob", "write", "record-2", {}, True),
        ("alice", "delete", "record-1", {"soft": True}, True),
        ("alice", "delete", "record-1", {"soft": False}, False),
        ("alice", "delete", "record-1", {}, False),
    ],
)
def test_the_inventory_decides(
    records: World, user: str, action: str, record: str, arguments: dict[str, Any], permitted: bool
) -> None:
    assert isinstance(ask(records, user, action, record, arguments), Permit) is permitted
    [made] = records.decisions()
    assert (made.subject, made.subject_version, made.task) == (f"user::{user}", 0, None)


def test_a_request_says_what_the_inventory_does_not_know(records: World) -> None:
    archived, admin = {"status": "archived"}, {"role": "admin"}
    assert isinstance(ask(records, "carol", "write", "record-9", subject=admin, resource=archived), Permit)
    assert reason(ask(records, "carol", "write", "record-9", subject={"role": "guest"}, resource=archived)) is Reason.NO_PERMIT
    assert reason(ask(records, "carol", "write", "record-9", resource=archived)) is Reason.NO_PERMIT
    assert isinstance(ask(records, "carol", "write", "record-9", subject=admin, resource=archived, context={"ip": "::1"}), Permit)


def test_and_nothing_that_the_inventory_knows_better(records: World) -> None:
    assert reason(ask(records, "alice", "write", "record-2", resource={"status": "active"})) is Reason.NO_PERMIT
    assert isinstance(ask(records, "bob", "write", "record-2", subject={"role": "guest"}), Permit)


def test_of_a_type_that_is_not_marked_nothing_counts(open_store: OpenStore, fixture: Bundle) -> None:
    from remit.pap.contents import SourceFile
    from remit.pap.reading.folder import bundle_of

    files = [SourceFile(f.path, f.text.replace("[user, record]", "[record]")) for f in fixture.files]
    world = open_store("strict", bundle=bundle_of(files))
    archived, admin = {"status": "archived"}, {"role": "admin"}
    assert reason(ask(world, "carol", "write", "record-9", subject=admin, resource=archived)) is Reason.SUBJECT_UNKNOWN
    assert reason(ask(world, "alice", "write", "record-2", subject=admin)) is Reason.NO_PERMIT
    assert isinstance(ask(world, "bob", "write", "record-9", resource=archived), Permit)


@pytest.mark.parametrize("value", [1 << 70, 1e300, [None]])
def test_what_cannot_be_said_to_policies_denies(records: World, value: object) -> None:
    assert reason(ask(records, "carol", "read", "record-1", subject={"role": value})) is Reason.UNREPRESENTABLE_ARGUMENT


def test_a_name_is_no_key_to_what_an_agent_may(records: World) -> None:
    task = records.open_task()
    session = records.open_session(task)
    record = EntityRef("record", "record-1")
    as_user = EvaluationRequest(EntityRef("user", AGENT), "read", record, freeze({}), task.id, session.id)
    assert reason(records.embedded.evaluate(as_user).result()) is Reason.SESSION_UNKNOWN
    as_agent = EvaluationRequest(EntityRef("Agent", AGENT), "read", record, freeze({}), task.id, session.id)
    assert reason(records.embedded.evaluate(as_agent).result()) is Reason.MALFORMED_REQUEST
    unknown = EvaluationRequest(EntityRef("spaceship", "x"), "read", record, freeze({}))
    assert reason(records.embedded.evaluate(unknown).result()) is Reason.SUBJECT_UNKNOWN


def test_an_action_for_agents_is_for_nobody_else(world: World) -> None:
    free = EvaluationRequest(EntityRef("User", "ben"), "tool.call", EntityRef("Tool", "free"), freeze({}))
    assert reason(world.embedded.evaluate(free).result()) in (Reason.SUBJECT_UNKNOWN, Reason.MALFORMED_REQUEST)
