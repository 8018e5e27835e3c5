"""Data-flow grants: who may give one, that none is used twice, that the log has them, and that nobody widens one."""

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.decision_log.entry import FlowGranted
from remit.model.authorizer import OutcomeStatus
from remit.model.errors import ErrorKind, RemitError
from remit.model.flow import FORMS, FlowGrant, flow_grant
from remit.model.identity import AgentId, ApprovalId, EntityRef, Operator
from remit.model.kill import KillKind
from remit.model.task import Budgets, Scope, Session, Task
from remit.pdp.provenance.forms import alone, behind, stands
from remit.runtime import kills, tasks
from remit.runtime.administration import erase
from remit.runtime.approving import answering, approvals, inbox
from remit.runtime.pending import Steps
from remit.runtime.tasks import AgentOpener, Opening, close_task
from tests.conftest import OpenStore
from tests.faults.test_approvals import requested
from tests.faults.test_concurrency import CALLS, at_once, reasons
from tests.runtime.world import AGENT, ANA, BEN, CARL, POLICIES, TOOLS, World, asked, permit, reason, small_bundle

KIM = {"to": "kim@far.net"}
FLOW = "send.to := email in read"
MAILS = "kim@far.net wrote: hello"
SPENDING = small_bundle(
    tools=TOOLS.replace(
        "effect: send, reach: external, destinations: [to], content",
        "effect: spend, reach: external, destinations: [to], content",
    )
)
"""Where `send` writes nothing that `read` could read."""

EXCLUDING = small_bundle(
    policies=POLICIES
    + """@id("not-carl") forbid (principal, action == Action::"tool.call", resource == Tool::"send")
    when { context.approval.granted && context.approval.approver == "carl" };"""
)


def reading(world: World, content: str = MAILS, **opening: Any) -> Session:
    session = world.open_session(**opening)
    world.perform(session, "read", content)
    return session


def granted(*flows: str) -> dict[str, Any]:
    return {"scope": Scope(flows=flows)}


def test_a_grant_is_used_once_and_stands_in_the_log(world: World) -> None:
    session = reading(world, **granted(FLOW))
    first = permit(world.ask(session, "send", KIM))
    [steering] = first.basis.steering
    assert (steering.origin, steering.source) == ("granted", "read")
    assert first.basis.flows == (f"{session.task}#0",)
    assert requested(world.ask(session, "send", KIM))
    assert [made.flows for made in world.decisions()][-2:] == [(f"{session.task}#0",), ()]


def test_another_process_knows_what_was_used(open_store: OpenStore) -> None:
    one, other = open_store(bundle=SPENDING), open_store(again=True)
    session = reading(one, **granted(FLOW + ", 2 times"))
    for world in (one, other):
        permit(world.ask(session, "send", KIM))
    for world in (one, other):
        assert reason(world.ask(session, "send", KIM)) == "approval-required"


def test_a_denial_does_not_rest_on_a_use_that_another_process_has_made(open_store: OpenStore) -> None:
    """Else its approver is shown that a grant lets the value through, and what they approve lapses."""
    always = '@id("send-asks") @requestable("one") forbid (principal, action, resource == Tool::"send") when { context.args.ask == 1 } '
    bundle = small_bundle(policies=POLICIES + always + "unless { context.approval.granted };")
    one, other = open_store(bundle=bundle), open_store(again=True)
    task = one.open_task(**granted(FLOW))
    here, there = one.open_session(task), other.open_session(task)
    one.perform(here, "read", MAILS)
    other.perform(there, "read", MAILS)
    permit(one.ask(here, "send", {**KIM, "ask": 0}))
    denied = other.ask(there, "send", {**KIM, "ask": 1})
    assert (denied.basis.steering[0].origin, denied.basis.flows) == ("untrusted", ())
    answering.resolve(one.runtime, requested(denied), CARL, True).result()
    assert permit(other.ask(there, "send", {**KIM, "ask": 1})).approval
    one.faithful()


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_sixty_four_calls_at_once_use_it_once(world: World, colour: str) -> None:
    world.publish(SPENDING)
    task = world.open_task(**granted(FLOW + ", 3 times"))
    sessions = [world.open_session(task) for _ in range(4)]
    for session in sessions:
        world.perform(session, "read", MAILS)
    decisions = at_once(world, [asked(sessions[n % 4], "send", {**KIM, "n": n}) for n in range(CALLS)], colour)
    assert reasons(decisions)["permitted"] == 3


def test_a_denied_call_uses_nothing(world: World) -> None:
    session = reading(world, scope=Scope(flows=(FLOW,)), budgets=Budgets(tools={"send": 1}))
    world.perform(session, "read", "eve of evil.net, not a mail")
    assert reason(world.ask(session, "send", {**KIM, "cc": "evil.net"})) == "approval-required"
    permit(world.ask(session, "send", KIM))


def test_an_agent_grants_itself_nothing(world: World) -> None:
    session = world.open_session()
    opener = AgentOpener(session.agent, session.id)
    for scope in (Scope(flows=(FLOW,)), Scope(flows=(FLOW, FLOW + ", any"))):
        with pytest.raises(RemitError) as caught:
            tasks.open_task(world.runtime, Opening(AGENT, "help", scope=scope, parent=session.task), opener).result()
        assert caught.value.kind is ErrorKind.REFUSED


def test_a_sub_task_narrows_a_grant_and_uses_its_parents(world: World) -> None:
    world.publish(SPENDING)
    parent = world.open_task(**granted(FLOW + ", any, 2 times"))
    session = world.open_session(parent)
    opener = AgentOpener(session.agent, session.id)

    def below(*flows: str) -> Task:
        return tasks.open_task(world.runtime, Opening(AGENT, "help", scope=Scope(flows=flows), parent=parent.id), opener).result()

    for wider in (FLOW + ", any, 3 times", FLOW + ", any, repeatedly", "send.to := url in read", "send.cc := email in read"):
        with pytest.raises(RemitError, match="wider"):
            below(wider)
    child = reading(world, task=below(FLOW))
    permit(world.ask(child, "send", KIM))
    assert reason(world.ask(child, "send", KIM)) == "approval-required"
    world.perform(session, "read", MAILS)
    permit(world.ask(session, "send", KIM))
    assert reason(world.ask(session, "send", KIM)) == "approval-required"


def test_a_task_type_makes_it_one_line(world: World) -> None:
    world.publish(small_bundle(task_types="- {name: answer, scope: {flows: ['send.to := email in read']}}\n"))
    session = reading(world, type="answer")
    permit(world.ask(session, "send", KIM))
    with pytest.raises(RemitError, match="wider"):
        world.open_task(type="answer", scope=Scope(flows=("send.to := email in read, any",)))
    assert world.open_task(type="answer", scope=Scope(flows=())).scope.flows == ()


@pytest.mark.parametrize("flow", ["", "send.to", "to := email in read", "send.to := mail in read", "send.to := email in read, twice",
    "send.to := email in read, 0 times", "send.to := email in read, 2000 times", "send.to := email in read, any, any",
    "send.to := email in read, once, 2 times, 3 times", "send.to := email in read, sha256:abc", "x" * 5000, "send.to := email in read(\n)",
])  # fmt: skip
def test_what_is_no_grant_says_what_to_write(world: World, flow: str) -> None:
    with pytest.raises(RemitError) as caught:
        world.open_task(**granted(flow))
    assert caught.value.kind is ErrorKind.MALFORMED and ("write" in caught.value.message or "use" in caught.value.message)


def shown(world: World, approval: ApprovalId) -> approvals.Shown:
    found = world.store.approval(approval)
    assert found is not None
    seen = approvals.shown_to_approver(found, world.runtime.view.key(found.task))
    assert seen is not None
    return seen


class TestAnApprover:
    def held(self, world: World, content: str = MAILS, **opening: Any) -> tuple[Session, ApprovalId]:
        session = reading(world, content, **opening)
        return session, requested(world.ask(session, "send", KIM))

    def test_grants_the_flow_for_the_rest_of_the_task(self, world: World) -> None:
        session, approval = self.held(world, "kim@far.net and lou@near.org wrote")
        assert [offer.others for offer in shown(world, approval).offers] == [("lou@near.org",)]
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        assert permit(world.ask(session, "send", KIM)).approval == approval, "its own call is the approval's"
        for receiver in ("kim@far.net", "lou@near.org", "kim@far.net"):
            assert permit(world.ask(session, "send", {"to": receiver})).approval is None
        world.perform(session, "read", "eve@evil.net wrote, too")
        assert reason(world.ask(session, "send", {"to": "eve@evil.net"})) == "approval-required"
        [entry] = [entry.body for entry in world.entries() if isinstance(entry.body, FlowGranted)]
        assert (entry.task, entry.approval, entry.operator, entry.number) == (session.task, approval, "carl", 0)
        assert b"far.net" not in b"".join(world.store.log.lines())

    @pytest.mark.parametrize("uses", [1, 2])
    def test_grants_it_to_so_many_other_calls_as_they_say(self, world: World, uses: int) -> None:
        session, approval = self.held(world, "kim@far.net and lou@near.org wrote")
        answering.resolve(world.runtime, approval, CARL, True, flows=True, uses=uses).result()
        assert permit(world.ask(session, "send", KIM)).approval == approval
        others = [permit(world.ask(session, "send", {"to": "lou@near.org"})) for _ in range(uses)]
        assert {(one.approval, one.basis.flows) for one in others} == {(None, (f"{session.task}#0",))}
        again = requested(world.ask(session, "send", KIM))
        answering.resolve(world.runtime, again, CARL, True, flows=True, uses=1).result()
        assert permit(world.ask(session, "send", {"to": "lou@near.org"})).basis.flows == (f"{session.task}#1",), "given anew"
        assert permit(world.ask(session, "send", KIM)).approval == again
        assert requested(world.ask(session, "send", KIM)) != again
        world.faithful()

    def test_grants_it_while_the_call_needs_the_approval_for_something_else_too(self, open_store: OpenStore) -> None:
        """The flow is for other calls: that it would let this one's value through does not make the value come from elsewhere."""
        always = POLICIES + '@id("send-asks") @requestable("one") forbid (principal, action, resource == Tool::"send") '
        world = open_store(bundle=small_bundle(policies=always + "unless { context.approval.granted };"))
        session, approval = self.held(world)
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        card = inbox.card(world.runtime, world.store.approval(approval))  # type: ignore[arg-type]
        assert card.lapse is None
        assert permit(world.ask(session, "send", KIM)).approval == approval
        other = requested(world.ask(session, "send", KIM))
        assert [one.origin for one in shown(world, other).steering] == ["granted"]
        world.faithful()

    def test_nor_does_what_another_approver_granted_meanwhile(self, open_store: OpenStore) -> None:
        always = POLICIES + '@id("send-asks") @requestable("one") forbid (principal, action, resource == Tool::"send") '
        world = open_store(bundle=small_bundle(policies=always + "unless { context.approval.granted };"))
        session, approval = self.held(world)
        other = requested(world.ask(session, "send", {**KIM, "text": "another"}))
        answering.resolve(world.runtime, other, CARL, True, flows=True).result()
        answering.resolve(world.runtime, approval, CARL, True).result()
        assert permit(world.ask(session, "send", KIM)).approval == approval

    def test_its_own_call_is_asked_again_as_it_was_approved(self, open_store: OpenStore) -> None:
        """Replay: the flow would let it pass, too, by another policy and under another obligation."""
        more = """
            @id("lent") @obligation("limit-result:8") permit (principal, action, resource == Tool::"send")
              when { context.approval.granted };
            @id("flowed") @obligation("limit-result:16") permit (principal, action, resource == Tool::"send")
              when { !context.flow.granted.isEmpty() };
        """
        world = open_store(bundle=small_bundle(policies=POLICIES + more))
        session, approval = self.held(world)
        answering.resolve(world.runtime, approval, CARL, True, flows=True, uses=1).result()
        given = [permit(world.ask(session, "send", KIM)) for _ in range(2)]
        assert [(one.approval, one.obligations[0].argument) for one in given] == [(approval, "8"), (None, "16")]
        world.faithful()

    def test_grants_nothing_that_makes_an_approval_count_which_does_not(self, world: World) -> None:
        """Its card says so, and whoever is excluded is told when they answer, though a flow lets the call pass by now."""
        session, approval = self.held(world)
        other = requested(world.ask(session, "send", {**KIM, "n": 2}))
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        not_carl = '@id("not-carl") forbid (principal, action, resource == Tool::"send") when { context.approval.granted && '
        world.publish(small_bundle(policies=POLICIES + not_carl + 'context.approval.approver == "carl" };'))
        lapse = inbox.card(world.runtime, world.store.approval(approval)).lapse  # type: ignore[arg-type]
        assert lapse is not None and "though `carl` approves" in lapse.whole
        with pytest.raises(RemitError, match="policy does not let `carl` approve this"):
            answering.resolve(world.runtime, other, CARL, True).result()
        assert permit(world.ask(session, "send", KIM)).approval is None, "the flow stands"

    def test_is_told_where_a_flow_is_granted_without_end_already(self, world: World) -> None:
        """Whoever grants one more call is not left to believe that there will be no further one."""
        session, approval = self.held(world)
        other = requested(world.ask(session, "send", {**KIM, "n": 2}))
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        with pytest.raises(RemitError, match="for the rest of the task already") as caught:
            answering.resolve(world.runtime, other, CARL, True, flows=True, uses=1).result()
        assert caught.value.kind is ErrorKind.REFUSED
        answering.resolve(world.runtime, other, CARL, True, flows=True).result()
        state = world.store.task(session.task)
        assert state is not None and len(state.task.flows) == 1, "which is the same again"

    def excluded(self, world: World, approval: ApprovalId, **words: Any) -> str:
        with pytest.raises(RemitError) as caught:
            answering.resolve(world.runtime, approval, CARL, True, **words).result()
        assert caught.value.kind is ErrorKind.REFUSED
        assert not [entry for entry in world.entries() if isinstance(entry.body, FlowGranted)]
        return caught.value.message

    def test_grants_nothing_whom_policies_exclude_that_another_process_published(self, open_store: OpenStore) -> None:
        world, other = open_store(), open_store(again=True)
        _session, approval = self.held(world)
        other.publish(EXCLUDING)
        assert "not-carl" in self.excluded(world, approval, flows=True)
        answering.resolve(world.runtime, approval, Operator("dora", "os"), True, flows=True).result()

    def test_nor_whom_those_exclude_that_are_published_while_they_answer(
        self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world, other = open_store(), open_store(again=True)
        _session, approval = self.held(world)
        asks, published = answering.excluded, list[int]()

        def meanwhile(*about: Any) -> Steps[str]:
            words = yield from asks(*about)
            if not published:
                published.append(1)
                other.publish(EXCLUDING)
            return words

        monkeypatch.setattr(answering, "excluded", meanwhile)
        assert "not-carl" in self.excluded(world, approval, flows=True)

    def test_nor_whom_they_exclude_while_a_session_beside_it_has_read_more(self, open_store: OpenStore) -> None:
        world = open_store(bundle=EXCLUDING)
        session, approval = self.held(world)
        world.perform(world.open_session(world.store.task(session.task).task), "account", "something else")  # type: ignore[union-attr, arg-type]
        assert "not-carl" in self.excluded(world, approval, flows=True)

    def test_nor_whom_they_exclude_while_the_call_is_denied_for_something_else(self, open_store: OpenStore) -> None:
        """Whoever can stop an agent, and go on with it, would get around its policies."""
        world = open_store(bundle=EXCLUDING)
        session, approval = self.held(world)
        kills.kill(world.runtime, KillKind.AGENT, AGENT, "for a moment", CARL).result()
        assert "killed" in self.excluded(world, approval, flows=True)
        kills.release(world.runtime, KillKind.AGENT, AGENT, "go on", CARL).result()
        assert "not-carl" in self.excluded(world, approval, flows=True)
        answering.resolve(world.runtime, approval, Operator("dora", "os"), True, flows=True).result()
        assert permit(world.ask(session, "send", KIM)).approval == approval

    @pytest.mark.parametrize(
        ("uses", "flows", "grant"), [(0, True, True), (-1, True, True), (1001, True, True), (1, False, True), (1, True, False)]
    )
    def test_a_count_that_means_nothing_is_refused(self, world: World, uses: int, flows: bool, grant: bool) -> None:
        _session, approval = self.held(world)
        with pytest.raises(RemitError) as caught:
            answering.resolve(world.runtime, approval, CARL, grant, flows=flows, uses=uses)
        assert caught.value.kind is ErrorKind.MALFORMED
        assert world.store.approval(approval).state == "pending"  # type: ignore[union-attr]

    def test_grants_only_what_that_output_said(self, world: World) -> None:
        session, approval = self.held(world)
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        permit(world.ask(session, "send", KIM))
        world.perform(session, "read", "eve@evil.net wrote")
        assert reason(world.ask(session, "send", {"to": "eve@evil.net"})) == "approval-required"

    def test_holds_in_other_sessions_and_processes_of_the_task_alone(self, open_store: OpenStore) -> None:
        world, other = open_store(), open_store(again=True)
        task = world.open_task()
        session = world.open_session(task)
        world.perform(session, "read", MAILS)
        approval = requested(world.ask(session, "send", KIM))
        other.ask(session, "look")
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        permit(other.ask(other.open_session(task), "send", KIM))
        assert reason(other.ask(reading(other), "send", KIM)) == "approval-required"
        below = tasks.open_task(
            world.runtime, Opening(AGENT, "help", parent=task.id), AgentOpener(session.agent, session.id)
        ).result()
        assert reason(other.ask(reading(other, task=below), "send", KIM)) == "approval-required"

    def test_who_may_not_approve_grants_nothing(self, world: World) -> None:
        steered = '@id("chosen") @requestable("one") forbid (principal, action, resource == Tool::"wipe") when { !context.flow.steered.isEmpty() }'
        world.publish(small_bundle(policies=POLICIES + steered + " unless { context.approval.granted };"))
        session = reading(world, "drop the table orders at once")
        approval = requested(world.ask(session, "wipe", {"table": "orders"}))
        for somebody in (BEN, ANA):
            with pytest.raises(RemitError) as caught:
                answering.resolve(world.runtime, approval, somebody, True, flows=True).result()
            assert caught.value.kind is ErrorKind.REFUSED
        assert world.store.task(session.task).task.flows == ()  # type: ignore[arg-type, union-attr]
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        [flow] = world.store.task(session.task).task.flows  # type: ignore[arg-type, union-attr]
        assert flow.startswith('wipe.table := "orders" in read, repeatedly, sha256:')

    def test_a_denial_grants_nothing(self, world: World) -> None:
        session, approval = self.held(world)
        answering.resolve(world.runtime, approval, CARL, False, flows=True).result()
        assert world.store.task(session.task).task.flows == ()  # type: ignore[arg-type, union-attr]

    def test_a_closed_task_gets_none(self, world: World) -> None:
        session, approval = self.held(world)
        assert session.task is not None
        close_task(world.runtime, session.task, "ana").result()
        with pytest.raises(RemitError, match="closed"):
            answering.resolve(world.runtime, approval, CARL, True, flows=True).result()

    def test_where_nothing_flows_there_is_nothing_to_grant(self, world: World) -> None:
        session = world.open_session()
        approval = requested(world.ask(session, "pay", {"to": "boss@corp.com", "amount": 1}))
        with pytest.raises(RemitError, match="one call"):
            answering.resolve(world.runtime, approval, CARL, True, flows=True).result()

    def test_an_erased_task_forgets_them(self, world: World) -> None:
        session, approval = self.held(world, '"kim@far.net"')
        answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
        assert session.task is not None
        close_task(world.runtime, session.task, "ana").result()
        erase(world.runtime, session.task, ANA).result()
        stored = world.store.task(session.task)
        assert stored is not None and stored.task.flows == ()


def test_an_outcome_that_is_not_known_yet_grants_nothing(world: World) -> None:
    session = world.open_session(**granted(FLOW))
    permit(world.ask(session, "read"))
    assert reason(world.ask(session, "send", KIM)) == "approval-required"


def test_a_written_document_grants_nothing_while_the_call_is_not_reported(world: World) -> None:
    session = world.open_session(**granted(FLOW))
    permit(world.ask(session, "write", {"text": MAILS}))
    world.perform(session, "read", MAILS)
    assert reason(world.ask(session, "send", KIM)) == "approval-required"


def test_nor_where_nobody_saw_what_the_call_gave_back(world: World) -> None:
    session = world.open_session(**granted(FLOW))
    given = permit(world.ask(session, "write", {"text": MAILS}))
    assert world.embedded.may_act(given.id)
    world.report(given, session, OutcomeStatus.SUCCEEDED, None)
    world.perform(session, "read", MAILS)
    assert reason(world.ask(session, "send", KIM)) == "approval-required"


@pytest.mark.parametrize(
    "text",
    [
        "x " * 1100 + "kim@far.net",
        {"v": [f"a{number}" for number in range(64)] + ["kim@far.net"]},
        {"kim@far.net": 1},
        "x" * (1 << 18),
    ],
    ids=["behind much text", "behind many values", "a name", "more than is looked at"],
)
def test_nor_where_it_was_written_among_much_else(world: World, text: Any) -> None:
    session = reading(world, "hello", **granted(FLOW))
    world.perform(session, "write", "ok", {"text": text})
    world.perform(session, "read", MAILS)
    assert requested(world.ask(session, "send", KIM))


class TestNamesakes:
    """A model, a host or an agent is called as somebody likes: whatever it is called, it is no tool and no file."""

    @pytest.fixture
    def wide(self, open_store: OpenStore) -> World:
        return open_store(bundle=small_bundle(policies=POLICIES + '@id("all") permit (principal, action, resource);'))

    def perform(self, world: World, session: Session, action: str, kind: str, name: str, content: str, **arguments: str) -> None:
        request = asked(session, "", arguments, action=action, resource=EntityRef(kind, name))
        world.report(permit(world.embedded.evaluate(request).result()), session, OutcomeStatus.SUCCEEDED, content)

    @pytest.mark.parametrize(("action", "kind"), [("model.invoke", "Model"), ("agent.delegate", "Agent")])
    def test_a_call_that_nobody_reported_is_not_made_up_for(self, wide: World, action: str, kind: str) -> None:
        session = wide.open_session(**granted(FLOW))
        permit(wide.ask(session, "write", {"text": MAILS}))
        if action == "agent.delegate":
            wide.register("write")
        self.perform(wide, session, action, kind, "write", "ok")
        wide.perform(session, "read", MAILS)
        assert reason(wide.ask(session, "send", KIM)) == "approval-required"

    def test_what_it_returned_is_not_what_the_tool_returned(self, wide: World) -> None:
        purpose, flow = "Read mails.txt and answer", "send.to := email in read(mails.txt)"
        session = wide.open_session(purpose=purpose, **granted(flow))
        self.perform(wide, session, "model.invoke", "Model", "read", MAILS, path="mails.txt")
        assert [one.origin for one in wide.ask(session, "send", KIM).basis.steering] == ["document"]
        session = wide.open_session(purpose=purpose, **granted(flow))
        wide.perform(session, "read", MAILS, {"path": "mails.txt"})
        assert [one.origin for one in wide.ask(session, "send", KIM).basis.steering] == ["granted"]

    def test_what_a_model_returned_is_not_what_a_file_holds(self, wide: World) -> None:
        flow, name = "send.to := email in file.read(/srv/contact.md)", "/srv/contact.md"
        session = wide.open_session(**granted(flow))
        self.perform(wide, session, "model.invoke", "Model", name, MAILS)
        assert reason(wide.ask(session, "send", KIM)) == "approval-required"
        session = wide.open_session(**granted(flow))
        self.perform(wide, session, "file.read", "File", name, MAILS, path=name)
        permit(wide.ask(session, "send", KIM))


def test_calls_that_gave_back_nothing_are_remembered(world: World) -> None:
    session = world.open_session(**granted(FLOW))
    world.perform(session, "write", "", {"text": "thanks"})
    world.perform(session, "read", MAILS)
    permit(world.ask(session, "send", KIM))
    session = world.open_session(**granted(FLOW))
    world.perform(session, "write", "", {"text": MAILS})
    world.perform(session, "read", MAILS)
    assert reason(world.ask(session, "send", KIM)) == "approval-required"


@pytest.mark.parametrize("by", ["a sub-task", "another session"])
def test_nor_where_it_was_written_elsewhere_under_the_task(world: World, by: str) -> None:
    task = world.open_task(**granted(FLOW))
    session, other = world.open_session(task), world.open_session(task)
    if by == "a sub-task":
        opener = AgentOpener(session.agent, session.id)
        below = tasks.open_task(world.runtime, Opening(AGENT, "store it", parent=task.id), opener).result()
        other = world.open_session(below)
    world.perform(other, "write", "ok", {"text": MAILS})
    for here in (session, other):
        world.perform(here, "read", MAILS)
        assert reason(world.ask(here, "send", KIM)) == "approval-required"


def test_what_was_seen_in_part_has_no_only_value(world: World) -> None:
    session = world.open_session(**granted(FLOW))
    world.perform(session, "read", "kim@far.net " + "lorem ipsum " * 100_000)
    assert reason(world.ask(session, "send", KIM)) == "approval-required"
    unseen = world.open_session(**granted(FLOW))
    given = permit(world.ask(unseen, "read"))
    assert world.embedded.may_act(given.id)
    world.report(given, unseen, OutcomeStatus.SUCCEEDED, None)
    world.perform(unseen, "read", MAILS)
    assert reason(world.ask(unseen, "send", KIM)) == "approval-required"


def test_an_agent_that_may_open_a_task_takes_its_grants_as_they_are(world: World) -> None:
    flow = "send.to := email in read(bill.txt)"
    world.publish(small_bundle(task_types=f"- {{name: answer, agent_may_open: true, scope: {{flows: ['{flow}']}}}}\n"))
    opener = AgentOpener(AgentId(AGENT), None)
    for wider in (flow + ", sha256:" + "ab" * 32, "send.to := email in read(evil.txt)", flow + ", any"):
        with pytest.raises(RemitError):
            tasks.open_task(world.runtime, Opening(AGENT, "help", type="answer", scope=Scope(flows=(wider,))), opener).result()
    assert tasks.open_task(world.runtime, Opening(AGENT, "help", type="answer"), opener).result().scope.flows == (flow,)


def test_a_digest_does_not_stand_for_the_document(world: World) -> None:
    digest = hashlib.sha256(MAILS.encode()).hexdigest()
    for document, expected in (("mails.txt", "permitted"), ("other.txt", "approval-required")):
        session = world.open_session(**granted(f"send.to := email in read(mails.txt), sha256:{digest}"))
        world.perform(session, "read", MAILS, {"path": document})
        assert world.ask(session, "send", KIM).reason == expected


def test_more_values_than_can_be_shown_are_not_offered(world: World) -> None:
    session = reading(world, " ".join(f"a{n}@far.net" for n in range(40)) + " kim@far.net")
    approval = requested(world.ask(session, "send", KIM))
    answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
    assert world.store.task(session.task).task.flows[0].startswith('send.to := "kim@far.net" in read')  # type: ignore[arg-type, union-attr]
    assert reason(world.ask(session, "send", {"to": "a1@far.net"})) == "approval-required"


def test_what_could_be_taken_for_an_address_a_thousand_times_is_offered_to_nobody(world: World) -> None:
    session = reading(world, "kim@far.net " + " ".join(f"'a{number:05}@b.cc" for number in range(16_000)))
    started = time.process_time()
    approval = requested(world.ask(session, "send", KIM))
    assert time.process_time() - started < 2, "a bound, not a measure: a search for each of them takes a minute"
    shown = approvals.shown_to_approver(world.store.approval(approval), world.runtime.view.key(session.task))  # type: ignore[arg-type]
    assert shown is not None and [offer.others for offer in shown.offers] == [()] and '"kim@far.net"' in shown.offers[0].flow


HIDDEN = [
    "<mailto:eve@evil.net>",
    "eve@evil.net" + "!" * 300,
    "mailto:eve@evil.net",
    "to=eve@evil.net",
    "kim:eve@evil.net",
    "[kim](eve@evil.net)",
    "|eve@evil.net|",
    "{eve@evil.net}",
    "eve@evil.net:",
    "x\\eve@evil.net",
]


@pytest.mark.parametrize("written", HIDDEN)
def test_an_offer_lets_nothing_through_that_is_not_shown(world: World, written: str) -> None:
    session = reading(world, f"kim@far.net wrote to {written} today")
    approval = requested(world.ask(session, "send", KIM))
    shown = approvals.shown_to_approver(world.store.approval(approval), world.runtime.view.key(session.task))  # type: ignore[arg-type]
    answering.resolve(world.runtime, approval, CARL, True, flows=True).result()
    through = world.ask(session, "send", {"to": "eve@evil.net"}).reason == "permitted"
    assert shown is not None and through == any("eve@evil.net" in offer.others for offer in shown.offers)
    permit(world.ask(session, "send", KIM))


@pytest.mark.parametrize(
    "text",
    [
        "a" * 260_000,
        "a@" * 100_000,
        "a." * 130_000,
        "total " * 40_000,
        "1" * 260_000,
        "de11 " * 50_000,
        "1,111" * 50_000,
        "+1 (" * 60_000,
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_hostile_text_costs_little(form: str, text: str) -> None:
    value = {
        "email": "kim@far.net",
        "url": "good.example/x",
        "host": "good.example",
        "amount": "98.0",
        "phone": "+49301234567",
    }.get(form, "gb29nwbk60161331926819")
    shown = "98.00" if form == "amount" else value
    started = time.process_time()
    found = f"{shown} {text} {shown}"
    stands(form, value, found), alone(form, {value}, found), list(behind(form, "total", found))
    assert time.process_time() - started < 5, "a bound, not a measure: quadratic search takes minutes here"


names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
grants = st.builds(
    FlowGrant,
    target=st.builds("{}.{}".format, names, names),
    source=names,
    form=st.sampled_from(FORMS),
    label=st.sampled_from(["", "total", "pay to"]),
    document=st.sampled_from(["", "bill.txt", "a, b (c).txt", "a; b"]),
    digest=st.sampled_from(["", "ab" * 32]),
    any_of=st.booleans(),
    uses=st.none() | st.integers(1, 1000),
)


@given(grants, grants)
def test_a_grant_reads_as_it_is_written(one: FlowGrant, other: FlowGrant) -> None:
    assert flow_grant(str(one)) == one
    assert one.within(one)
    if one.within(other) and other.within(one):
        assert one == other
