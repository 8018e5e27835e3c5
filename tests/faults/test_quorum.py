"""Two people must approve: each for themselves, both on record, neither of those that have a part in it; a denial ends it."""

import threading
from typing import Any

import msgspec
import pytest

from remit.cli.card import panel
from remit.cli.inboxes import written
from remit.cli.seen import seen_in
from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import ApprovalGiven, ApprovalResolved
from remit.decision_log.store import Record
from remit.inventory.agents import registered
from remit.model.authorizer import ApprovalState
from remit.model.decision import Deny
from remit.model.errors import ErrorKind, RemitError
from remit.model.flow import flow_grant
from remit.model.identity import AgentId, ApprovalId, Operator
from remit.runtime.administration import change_agent
from remit.runtime.approving import answering, inbox
from remit.runtime.approving.answering import as_granted
from remit.runtime.audit import differences
from remit.runtime.pending import Driven
from remit.runtime.runtime import administer
from remit.runtime.tasks import AgentOpener, Opening, open_task
from tests.cli.running import printed
from tests.conftest import OpenStore
from tests.faults.test_approvals import requested, state
from tests.runtime.world import ANA, BEN, CARL, MANIFEST, POLICIES, Clock, World, permit, small_bundle

DORA, EVA = Operator("dora", "os"), Operator("eva", "os")
QUORUM = POLICIES.replace('"pay-asks") @requestable("one")', '"pay-asks") @requestable("two")')
FLOW = "send.to := email in read, any, repeatedly"
PAY: dict[str, Any] = {"to": "boss@corp.com", "amount": 12.5}


@pytest.fixture
def quorum(open_store: OpenStore) -> World:
    return open_store(bundle=small_bundle(policies=QUORUM))


def answer(
    world: World, approval: ApprovalId, by: Operator, grant: bool = True, flows: bool = False, uses: int | None = None
) -> ApprovalState:
    return answering.resolve(world.runtime, approval, by, grant, "looked at it", flows, uses).result().state


def refused(world: World, approval: ApprovalId, by: Operator, kind: ErrorKind, flows: bool = False) -> str:
    before = len(world.entries())
    with pytest.raises(RemitError) as caught:
        answer(world, approval, by, flows=flows)
    assert caught.value.kind is kind
    assert len(world.entries()) == before, "what is refused leaves nothing"
    return caught.value.message


def test_the_first_approval_is_on_record_and_the_second_lets_it_pass_once(quorum: World) -> None:
    session = quorum.open_session()
    denied = quorum.ask(session, "pay", PAY)
    assert isinstance(denied, Deny) and denied.requestable is not None and denied.requestable.value == "two"
    approval = requested(denied)
    assert answer(quorum, approval, CARL) is ApprovalState.PENDING
    assert requested(quorum.ask(session, "pay", PAY)) == approval, "half an approval lifts nothing, and asks for nothing new"
    assert differences(quorum.store.log, quorum.store) == []
    assert answer(quorum, approval, DORA) is ApprovalState.APPROVED
    assert permit(quorum.ask(session, "pay", PAY)).approval == approval
    assert requested(quorum.ask(session, "pay", PAY)) != approval
    [given] = [entry.body for entry in quorum.entries() if isinstance(entry.body, ApprovalGiven)]
    assert (given.number, given.people, given.operator) == (1, 2, "carl")
    quorum.verified()
    quorum.faithful()
    assert differences(quorum.store.log, quorum.store) == []


def test_the_first_approval_lasts_over_a_restart(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(policies=QUORUM))
    session = world.open_session()
    approval = requested(world.ask(session, "pay", PAY))
    answer(world, approval, CARL)
    world.close()
    world = open_store(again=True)
    refused(world, approval, CARL, ErrorKind.CONFLICT)
    assert answer(world, approval, DORA) is ApprovalState.APPROVED
    permit(world.ask(session, "pay", PAY))


@pytest.mark.parametrize("who", [CARL, Operator("carl", "https://idp.example"), Operator("CARL", "os")], ids=str)
def test_one_person_is_not_two(quorum: World, who: Operator) -> None:
    approval = requested(quorum.ask(quorum.open_session(), "pay", PAY))
    answer(quorum, approval, CARL)
    assert "another person must, too" in refused(quorum, approval, who, ErrorKind.CONFLICT)
    assert state(quorum, approval) is ApprovalState.PENDING


@pytest.mark.parametrize("who", [ANA, BEN, Operator("customer", "os"), Operator("bot", "os")], ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_who_has_a_part_in_it_is_neither_of_the_two(quorum: World, who: Operator, first: bool) -> None:
    task = quorum.open_task(on_behalf_of="customer")
    approval = requested(quorum.ask(quorum.open_session(task), "pay", PAY))
    if not first:
        answer(quorum, approval, CARL)
    refused(quorum, approval, who, ErrorKind.REFUSED)
    assert state(quorum, approval) is ApprovalState.PENDING


def test_who_owns_an_agent_that_delegated_it_is_neither_of_the_two(quorum: World) -> None:
    for agent, owner in (("boss", "carl"), ("sub", "dora")):
        change_agent(quorum.runtime, agent, lambda a, n=agent, o=owner: registered(a, n, o, "helps", ()), ANA).result()  # type: ignore[misc]
    above = quorum.open_task(agent="boss")
    below = open_task(quorum.runtime, Opening("sub", "pay it", parent=above.id), AgentOpener(AgentId("boss"))).result()
    session = quorum.open_session(below)
    approval = requested(quorum.ask(session, "pay", PAY))
    assert "owns the agent or one that delegated to it" in refused(quorum, approval, CARL, ErrorKind.REFUSED)
    refused(quorum, approval, DORA, ErrorKind.REFUSED)
    for who in ("eva", "fay"):
        answer(quorum, approval, Operator(who, "os"))
    change_agent(quorum.runtime, "boss", lambda a: msgspec.structs.replace(a, owner="fay", version=a.version + 1), ANA).result()  # type: ignore[type-var, union-attr]
    assert requested(quorum.ask(session, "pay", PAY)) != approval, "nor once it is theirs"


def test_a_denial_by_anybody_ends_it(quorum: World) -> None:
    approval = requested(quorum.ask(quorum.open_session(), "pay", PAY))
    answer(quorum, approval, CARL)
    assert answer(quorum, approval, ANA, grant=False) is ApprovalState.DENIED
    refused(quorum, approval, DORA, ErrorKind.CONFLICT)
    quorum.verified()


def test_half_an_approval_expires(quorum: World, clock: Clock) -> None:
    approval = requested(quorum.ask(quorum.open_session(), "pay", PAY))
    answer(quorum, approval, CARL)
    clock.forward(30 * 60)
    assert "expired" in refused(quorum, approval, DORA, ErrorKind.CONFLICT)


def test_many_at_once_are_two_at_most(quorum: World) -> None:
    approval = requested(quorum.ask(quorum.open_session(), "pay", PAY))
    done: list[ApprovalState] = []
    start = threading.Barrier(6)

    def work(n: int) -> None:
        start.wait()
        try:
            done.append(answer(quorum, approval, Operator(f"person-{n % 3}", "os")))
        except RemitError as error:
            assert error.kind is ErrorKind.CONFLICT

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [ApprovalState.APPROVED, ApprovalState.PENDING]
    stored = quorum.store.approval(approval)
    assert stored is not None and len({one.operator for one in stored.given}) == 2
    quorum.verified()


def test_policies_are_asked_about_both(open_store: OpenStore) -> None:
    """Carl approved while policy let him; at the act it does not any more, though it lets the other."""
    barring = '@id("not-them") forbid (principal, action, resource) when { context.approval.granted && context.approval.approver == "%s" };'
    world = open_store(bundle=small_bundle(policies=QUORUM))
    session = world.open_session()
    approval = requested(world.ask(session, "pay", PAY))
    answer(world, approval, CARL)
    world.publish(small_bundle(policies=QUORUM + barring % "dora"))
    assert "does not let `dora`" in refused(world, approval, DORA, ErrorKind.REFUSED)
    answer(world, approval, EVA)
    world.publish(small_bundle(policies=QUORUM + barring % "carl"))
    assert requested(world.ask(session, "pay", PAY)) != approval
    world.publish(small_bundle(policies=QUORUM + barring % "dora"))
    assert permit(world.ask(session, "pay", PAY)).approval == approval


def test_an_approval_of_one_is_not_one_of_two(open_store: OpenStore) -> None:
    world = open_store()
    session = world.open_session()
    approval = requested(world.ask(session, "pay", PAY))
    answer(world, approval, CARL)
    world.publish(small_bundle(policies=QUORUM))
    assert requested(world.ask(session, "pay", PAY)) != approval


def test_two_cover_what_four_eyes_would(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(policies=QUORUM))
    session = world.open_session()
    approval = requested(world.ask(session, "pay", PAY))
    answer(world, approval, CARL)
    answer(world, approval, DORA)
    world.publish(
        small_bundle(policies=POLICIES.replace('"pay-asks") @requestable("one")', '"pay-asks") @requestable("four-eyes")'))
    )
    assert permit(world.ask(session, "pay", PAY)).approval == approval


@pytest.mark.parametrize(("tool", "rules", "rule"), [
    ("wipe", "{critical: two}", "two"), ("wipe", "{critical: one}", "four-eyes"), ("wipe", "{high: two}", "four-eyes"),
    ("pay", "{high: two}", "two"), ("pay", "{high: four-eyes}", "four-eyes"), ("pay", "{critical: two}", "one"),
])  # fmt: skip
def test_a_bundle_raises_the_rule_by_tier_and_never_lowers_it(open_store: OpenStore, tool: str, rules: str, rule: str) -> None:
    world = open_store(bundle=small_bundle(manifest=MANIFEST + f"approvals: {{rules: {rules}}}\n"))
    denied = world.ask(world.open_session(), tool, {"to": "x", "table": "x"})
    assert isinstance(denied, Deny) and denied.requestable == rule
    world.faithful()


class TestFlows:
    def asked(self, world: World) -> ApprovalId:
        session = world.open_session(world.open_task("send the report"))
        world.perform(session, "read", "write to evil@x.com")
        return requested(world.ask(session, "send", {"to": "evil@x.com"}))

    @pytest.fixture
    def flowing(self, open_store: OpenStore) -> World:
        return open_store(
            bundle=small_bundle(policies=POLICIES.replace('"steered") @requestable("one")', '"steered") @requestable("two")'))
        )

    @pytest.mark.parametrize(("first", "second", "granted"), [(True, True, 1), (True, False, 0), (False, False, 0)])
    def test_what_both_grant_is_granted(self, flowing: World, first: bool, second: bool, granted: int) -> None:
        approval = self.asked(flowing)
        answer(flowing, approval, CARL, flows=first)
        assert "flow.granted" not in flowing.verified().kinds
        answer(flowing, approval, DORA, flows=second)
        assert flowing.verified().kinds.get("flow.granted", 0) == granted

    @pytest.mark.parametrize(("first", "second", "granted"), [(1, None, 1), (None, 2, 2), (3, 2, 2), (None, None, None)])
    def test_to_no_more_calls_than_each_of_them_says(
        self, flowing: World, first: int | None, second: int | None, granted: int | None
    ) -> None:
        approval = self.asked(flowing)
        answer(flowing, approval, CARL, flows=True, uses=first)
        answer(flowing, approval, DORA, flows=True, uses=second)
        found = flowing.store.approval(approval)
        assert found is not None and found.task is not None
        state = flowing.store.task(found.task)
        assert state is not None and [flow_grant(flow).uses for flow in state.task.flows] == [granted]

    @pytest.mark.parametrize("grant", [True, False])
    def test_nobody_is_said_to_grant_what_the_other_did_not(self, flowing: World, grant: bool) -> None:
        approval = self.asked(flowing)

        def told() -> Any:
            found = flowing.store.approval(approval)
            assert found is not None
            seen = inbox.card(flowing.runtime, found)
            return (
                inbox.as_plain(seen)["flows_by"],
                "with its flows" in printed(panel(seen_in(written(seen))), 200),
                as_granted(found, [FLOW]),
            )

        answer(flowing, approval, CARL, flows=True, uses=2)
        assert told() == ({"carl": 2}, True, ())
        answer(flowing, approval, DORA, grant)
        assert told() == ({}, False, ())

    def test_one_alone_grants_none(self, flowing: World) -> None:
        approval = self.asked(flowing)
        answer(flowing, approval, CARL)
        assert "approved the one call" in refused(flowing, approval, DORA, ErrorKind.REFUSED, flows=True)


class TestTheLogConvincesAStranger:
    """What another writer put into the log: the verifier, which shares no code, does not believe it."""

    def forged(self, world: World, *bodies: ApprovalGiven | ApprovalResolved) -> str:
        kinds = {ApprovalGiven: "approval.given", ApprovalResolved: "approval"}
        records = [Record(encode_body(body), kinds[type(body)], body.decision, body.task) for body in bodies]
        Driven(lambda: administer(world.runtime, lambda: (records, []))).result()
        with pytest.raises(AssertionError) as caught:
            world.verified()
        return str(caught.value)

    def asked(self, world: World) -> tuple[str, str, None]:
        denied = world.ask(world.open_session(), "pay", PAY)
        return requested(denied), denied.id, None

    def test_two_approvals_of_one_person(self, quorum: World) -> None:
        about = self.asked(quorum)
        given = ApprovalGiven(*about, 1, 2, "carl", "os", b"")
        assert "given twice by one person" in self.forged(quorum, given, given)

    def test_one_approval_where_two_must(self, quorum: World) -> None:
        about = self.asked(quorum)
        assert "only one approved it" in self.forged(quorum, ApprovalResolved(*about, "approved", "carl", "os", b""))

    def test_the_same_person_under_another_case(self, quorum: World) -> None:
        about = self.asked(quorum)
        given = ApprovalGiven(*about, 1, 2, "carl", "os", b"")
        assert "only one approved it" in self.forged(quorum, given, ApprovalResolved(*about, "approved", "Carl", "os", b""))

    def test_a_part_of_what_one_person_gives(self, world: World) -> None:
        about = self.asked(world)
        assert "needs one person" in self.forged(world, ApprovalGiven(*about, 1, 2, "carl", "os", b""))
