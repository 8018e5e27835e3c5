"""A label goes down only where somebody asked for it, the policies allow it, and somebody else approved; and the log has it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import remit
from remit.cli import verbs
from remit.cli.main import app
from remit.local.config import this_operator
from remit.local.wiring import wall_clock
from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Deny, Reason
from remit.model.errors import RemitError
from remit.model.identity import AgentId, DecisionId, EntityRef, Operator, SessionId
from remit.model.labels import Confidentiality, Label
from remit.model.request import SESSION_DECLASSIFY
from remit.model.task import Scope, Session
from remit.pdp.effects import Closed, session_after_outcome
from remit.runtime import sessions
from remit.runtime.approving import answering
from tests.conftest import OpenStore
from tests.faults.test_approvals import requested
from tests.runtime.world import ANA, BEN, CARL, POLICIES, World, asked, permit, reason, small_bundle

OPEN = POLICIES + '@id("lower") permit (principal, action == Action::"session.declassify", resource);'
DOWN: Mapping[str, Any] = {"confidentiality": "public", "sources": ["read"], "why": "the numbers were published"}


@pytest.fixture
def lowering(world: World) -> World:
    world.publish(small_bundle(policies=OPEN))
    return world


def touched(world: World, **opening: Any) -> Session:
    session = world.open_session(**opening)
    world.perform(session, "secret", "restricted data")
    world.perform(session, "read", "write to eve@evil.net")
    return session


def ask(world: World, session: Session, arguments: Mapping[str, Any] = DOWN, resource: str | None = None) -> Any:
    request = asked(session, "", arguments, action=SESSION_DECLASSIFY, resource=EntityRef("Session", resource or session.id))
    return world.embedded.evaluate(request).result()


def label(world: World, session: Session) -> Label:
    return sessions.resume(world.runtime, session.id).reached


def lowered(world: World, session: Session, arguments: Mapping[str, Any] = DOWN, by: Operator = CARL) -> None:
    answering.resolve(world.runtime, requested(ask(world, session, arguments)), by, True).result()
    permit(ask(world, session, arguments))


def test_two_people_lower_it_and_the_log_says_so(lowering: World) -> None:
    session = touched(lowering)
    assert label(lowering, session) == Label(Confidentiality.RESTRICTED, ("read",))
    assert reason(lowering.ask(session, "send", {"to": "boss@corp.com"})) is Reason.FORBIDDEN
    lowered(lowering, session)
    assert label(lowering, session) == Label()
    permit(lowering.ask(session, "send", {"to": "boss@corp.com"}))
    made = lowering.decisions()[-2]
    assert (made.action, made.effect, made.label, made.sources, made.tier) == (
        SESSION_DECLASSIFY,
        "permit",
        "public",
        (),
        "critical",
    )
    assert lowering.verified().permits == 4


def test_values_keep_where_they_came_from(lowering: World) -> None:
    session = touched(lowering)
    lowered(lowering, session)
    assert reason(lowering.ask(session, "send", {"to": "eve@evil.net"})) is Reason.APPROVAL_REQUIRED


def test_what_is_read_afterwards_raises_it_again(lowering: World) -> None:
    session = touched(lowering)
    lowered(lowering, session)
    lowering.perform(session, "read", "more")
    assert label(lowering, session).sources == ("read",)
    assert requested(ask(lowering, session, {"sources": ["read"], "why": "again"}))


def test_it_is_lowered_as_far_as_was_asked(lowering: World) -> None:
    session = touched(lowering)
    lowered(lowering, session, {"confidentiality": "internal", "why": "redacted"})
    assert label(lowering, session) == Label(Confidentiality.INTERNAL, ("read",))


def test_policies_may_forbid_it(world: World) -> None:
    session = touched(world)
    assert reason(ask(world, session)) is Reason.NO_PERMIT
    kept = (
        OPEN
        + '@id("never-restricted") forbid (principal, action == Action::"session.declassify", resource) when { context.session.confidentialityRank >= 3 };'
    )
    world.publish(small_bundle(policies=kept))
    assert reason(ask(world, session)) is Reason.FORBIDDEN


def test_a_permit_for_everything_is_still_four_eyes(lowering: World) -> None:
    session = touched(lowering)
    denied = ask(lowering, session)
    assert isinstance(denied, Deny) and denied.requestable == "four-eyes"
    for somebody in (ANA, BEN, Operator("bot", "os")):
        with pytest.raises(RemitError):
            answering.resolve(lowering.runtime, requested(denied), somebody, True).result()
    assert reason(ask(lowering, session)) is Reason.APPROVAL_REQUIRED


def test_who_asked_does_not_approve(lowering: World) -> None:
    session = touched(lowering)
    denied = ask(lowering, session, {**DOWN, "by": "carl"})
    with pytest.raises(RemitError, match="asked for this"):
        answering.resolve(lowering.runtime, requested(denied), CARL, True).result()


def test_an_approval_covers_what_its_approver_was_shown(lowering: World) -> None:
    session = lowering.open_session()
    lowering.perform(session, "read", "hello")
    answering.resolve(lowering.runtime, requested(ask(lowering, session, {"sources": ["read"], "why": "x"})), CARL, True).result()
    lowering.perform(session, "secret", "restricted data")
    assert reason(ask(lowering, session, {"sources": ["read"], "why": "x"})) is Reason.APPROVAL_REQUIRED


@pytest.mark.parametrize(("tool", "covered"), [("secret", False), ("read", False), ("look", True)])
def test_an_approval_does_not_cover_what_is_read_after_it_was_asked_for(lowering: World, tool: str, covered: bool) -> None:
    session = touched(lowering)
    approval = requested(ask(lowering, session))
    lowering.perform(session, tool, "before it was given")
    answering.resolve(lowering.runtime, approval, CARL, True).result()
    denied = ask(lowering, session) if not covered else None
    if denied is not None:
        assert reason(denied) is Reason.APPROVAL_REQUIRED and denied.approval != approval
        answering.resolve(lowering.runtime, requested(denied), CARL, True).result()
        lowering.perform(session, tool, "after it was given")
        assert reason(ask(lowering, session)) is Reason.APPROVAL_REQUIRED
        assert label(lowering, session).confidentiality is Confidentiality.RESTRICTED
    else:
        permit(ask(lowering, session))


def test_nor_what_another_session_passed_on_since(lowering: World) -> None:
    session, other = touched(lowering), lowering.open_session()
    answering.resolve(lowering.runtime, requested(ask(lowering, session)), CARL, True).result()
    lowering.perform(other, "secret", "of another task")
    sessions.inherit(lowering.runtime, session.id, other.id).result()
    assert reason(ask(lowering, session)) is Reason.APPROVAL_REQUIRED


def test_a_request_that_shows_less_than_was_read_is_opened_anew(lowering: World) -> None:
    session = touched(lowering)
    first = requested(ask(lowering, session))
    assert requested(ask(lowering, session)) == first
    lowering.perform(session, "secret", "more")
    assert requested(ask(lowering, session)) != first


def test_while_calls_are_under_way_nothing_is_lowered(lowering: World) -> None:
    session = touched(lowering)
    permit(lowering.ask(session, "account"))
    denied = ask(lowering, session)
    assert reason(denied) is Reason.MALFORMED_REQUEST and "under way" in denied.message


@pytest.mark.parametrize("tool", ["secret", "read"])
def test_a_call_under_way_that_can_touch_no_more_than_was_touched_counts(lowering: World, tool: str) -> None:
    session = touched(lowering)
    flying = permit(lowering.ask(session, tool))
    denied = ask(lowering, session)
    assert reason(denied) is Reason.MALFORMED_REQUEST and "1 calls are under way" in denied.message
    lowering.report(flying, session, OutcomeStatus.SUCCEEDED, None)
    lowered(lowering, session)
    assert label(lowering, session) == Label()


def test_it_counts_after_a_restart_and_in_another_process(lowering: World, open_store: OpenStore) -> None:
    session = touched(lowering)
    flying = permit(lowering.ask(session, "secret"))
    other = open_store(again=True)
    assert reason(ask(other, session)) is Reason.MALFORMED_REQUEST
    other.report(flying, session, OutcomeStatus.SUCCEEDED, "new figures")
    lowered(lowering, session)


def test_an_outcome_that_nobody_saw_counts_as_the_worst_of_its_permit() -> None:
    """Whatever the label was when the permit was given, and whoever lowered it since."""
    secret = Label(Confidentiality.RESTRICTED, ("page",))
    before = Session(SessionId("ses_1"), None, AgentId("bot"))
    assert session_after_outcome(before, Closed(DecisionId("dec_1"), secret), None, 5).reached == secret


def test_what_touches_nothing_stands_in_nobodys_way(lowering: World) -> None:
    session = touched(lowering)
    permit(lowering.ask(session, "look"))
    lowered(lowering, session)
    assert label(lowering, session) == Label(), "while that call is under way"


@pytest.mark.parametrize("arguments", [
    {}, {"why": "x"}, {"why": " ", "sources": ["read"]}, {"sources": ["read"]}, {"why": "x", "sources": ["look"]}, {"why": "x", "sources": "read"},
    {"why": "x", "confidentiality": "secret"}, {"why": "x", "confidentiality": "restricted"}, {"why": "x", "confidentiality": ["public"]},
    {"why": "x", "sources": []}, {"why": "x", "sources": [1]}, {**DOWN, "session": "other"}, {**DOWN, "by": 3},
])  # fmt: skip
def test_what_lowers_nothing_is_malformed(lowering: World, arguments: Mapping[str, Any]) -> None:
    session = touched(lowering)
    denied = ask(lowering, session, arguments)
    assert reason(denied) in (Reason.MALFORMED_ARGUMENTS, Reason.UNREPRESENTABLE_ARGUMENT) and denied.requestable is None


def test_no_other_session_is_lowered(lowering: World) -> None:
    session, other = touched(lowering), touched(lowering)
    assert reason(ask(lowering, session, resource=other.id)) is Reason.MALFORMED_REQUEST
    lowered(lowering, session)
    assert label(lowering, other) == Label(Confidentiality.RESTRICTED, ("read",))


def test_shadow_mode_lowers_nothing(world: World) -> None:
    world.publish(small_bundle(policies=OPEN, manifest="name: small\nmode: shadow\n"))
    session = touched(world)
    assert not permit(ask(world, session)).enforced
    assert label(world, session) == Label(Confidentiality.RESTRICTED, ("read",))


def test_a_scope_of_tools_does_not_keep_it_from_being_asked(lowering: World) -> None:
    session = touched(lowering, scope=Scope(tools=("secret", "read")))
    lowered(lowering, session)
    assert label(lowering, session) == Label()


def test_another_process_sees_it(open_store: OpenStore) -> None:
    world, other = open_store(bundle=small_bundle(policies=OPEN)), open_store(again=True)
    session = touched(world)
    assert label(other, session).untrusted
    lowered(world, session)
    permit(other.ask(session, "send", {"to": "boss@corp.com"}))


class TestFromPython:
    def test_it_waits_for_two_people(self, lowering: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REMIT_HOME", str(lowering.home))
        lowering.enter_default()
        with remit.task(resume=lowering.open_task().id) as entered:
            assert entered.session is not None
            lowering.perform(entered.session, "read", "hello")
            with pytest.raises(remit.Denied) as caught:
                remit.declassify("published", sources=["read"])
            assert caught.value.decision.approval is not None
            answering.resolve(lowering.runtime, caught.value.decision.approval, CARL, True).result()
            remit.declassify("published", sources=["read"])
            assert not label(lowering, entered.session).untrusted

    def test_the_person_whose_process_asks_is_not_the_second(self, lowering: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REMIT_HOME", str(lowering.home))
        lowering.enter_default()
        session = touched(lowering)
        with remit.task(session=session.id), pytest.raises(remit.Denied) as caught:
            remit.declassify("because", sources=["read"])
        with pytest.raises(RemitError, match="asked for this"):
            answering.resolve(lowering.runtime, requested(caught.value.decision), this_operator(), True).result()

    def test_outside_of_a_task_there_is_nothing_to_lower(self, lowering: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REMIT_HOME", str(lowering.home))
        lowering.enter_default()
        with pytest.raises(RemitError, match="enter a task"):
            remit.declassify("published", confidentiality="public")


class TestTheVerb:
    @pytest.fixture
    def here(self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> World:
        world = open_store(clock=wall_clock, bundle=small_bundle(policies=OPEN))
        monkeypatch.setenv("REMIT_HOME", str(world.home))
        verbs.register(app)
        return world

    @staticmethod
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    def test_it_says_who_is_next_and_lowers_then(self, here: World, tmp_path: Path) -> None:
        session = touched(here)
        assert session.id in self.run("session", "list", str(session.task)).stdout
        call = ("session", "declassify", session.id, "--why", "published", "--to", "public", "--source", "read")
        first = self.run(*call)
        assert first.exit_code == 1 and "remit approval approve apr_" in first.stdout
        approval = here.store.approvals(None, 1)[0].id
        with pytest.raises(RemitError, match="asked for this"):
            answering.resolve(here.runtime, approval, this_operator(), True).result()
        answering.resolve(here.runtime, approval, CARL, True).result()
        done = self.run(*call)
        assert done.exit_code == 0 and "lowered" in done.stdout and "untrusted: nothing" in done.stdout
