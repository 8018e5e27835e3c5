"""A denial by a person: its agent is told why and not by whom, as long as it counts, and the next approver that there was one."""

import pytest

from remit.model.authorizer import ApprovalState
from remit.model.decision import Deny
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import ApprovalId
from remit.model.task import Session
from remit.runtime import administration
from remit.runtime.approving.answering import resolve
from remit.runtime.approving.approvals import REQUEST_LIFE
from remit.runtime.approving.denying import MAX_WHY
from remit.runtime.approving.inbox import as_plain, card
from remit.runtime.tasks import close_task
from tests.runtime.world import ANA, CARL, Clock, World

WHY = "pay it from account 7"


def asked(world: World, session: Session, to: str = "x") -> Deny:
    said = world.ask(session, "pay", {"to": to})
    assert isinstance(said, Deny) and said.approval is not None
    return said


def denied(world: World, session: Session, why: str = WHY) -> ApprovalId:
    name = asked(world, session).approval
    assert name is not None
    assert resolve(world.runtime, name, CARL, False, why).result().state is ApprovalState.DENIED
    return name


def test_who_asks_for_the_same_again_is_told_why_and_so_is_the_next_approver(world: World, clock: Clock) -> None:
    session = world.open_session()
    name = denied(world, session)
    assert world.embedded.why_denied(name).result() == WHY
    again = asked(world, session)
    assert f"a person has denied exactly this (`{name}`): {WHY}" in again.message and "carl" not in again.message
    assert again.approval != name
    found = world.store.approval(ApprovalId(str(again.approval)))
    assert found is not None
    seen = card(world.runtime, found)
    assert seen.shown is not None and WHY in seen.shown.why and seen.why == ""
    assert WHY not in asked(world, session, "y").message, "that was another action"
    clock.forward(REQUEST_LIFE / 1_000_000)
    assert WHY not in asked(world, session).message, "it would have been over by now"
    world.verified()


def test_what_is_said_is_shown_to_people_and_erased_with_the_task(world: World) -> None:
    session = world.open_session()
    name = denied(world, session)
    found = world.store.approval(name)
    assert found is not None and as_plain(card(world.runtime, found))["why"] == WHY
    assert session.task is not None
    close_task(world.runtime, session.task, "ana").result()
    administration.erase(world.runtime, session.task, ANA).result()
    assert as_plain(card(world.runtime, found))["why"] == "" == world.embedded.why_denied(name).result()


def test_nothing_need_be_said(world: World) -> None:
    session = world.open_session()
    name = denied(world, session, "")
    assert world.embedded.why_denied(name).result() == ""
    assert asked(world, session).message.endswith(f"a person has denied exactly this (`{name}`)")


@pytest.mark.parametrize("why", ["x" * (MAX_WHY + 1), "\x1b[2J", "\u202egnp", "\ud800"])
def test_what_no_agent_should_read_is_refused(world: World, why: str) -> None:
    name = asked(world, world.open_session()).approval
    assert name is not None
    for grant in (True, False):
        with pytest.raises(RemitError) as caught:
            resolve(world.runtime, name, CARL, grant, why).result()
        assert caught.value.kind is ErrorKind.MALFORMED
    found = world.store.approval(name)
    assert found is not None and found.state is ApprovalState.PENDING
