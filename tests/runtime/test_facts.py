"""Facts of earlier outputs, as a session comes to have and to lose them. That a replay decides the same is checked after each test."""

import json
from typing import Any

import pytest

from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Reason
from remit.model.hints import Hints
from remit.model.task import Session
from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.folder import bundle_of
from remit.pdp.told import MAX_CALL, MAX_TEXT
from remit.runtime import sessions
from remit.runtime.tasks import AgentOpener, Opening, open_task
from tests.conftest import OpenStore
from tests.runtime.world import AGENT, World, permit, reason

TOOLS = """
- {name: get_order, annotations: {effect: read, reach: internal, output_trusted: true}}
- {name: cancel_order, annotations: {effect: delete, reach: workspace, output_trusted: true, destinations: [id]}}
- {name: mark_order, annotations: {effect: write, reach: workspace, output_trusted: true, destinations: [id]}}
- {name: refund, annotations: {effect: spend, reach: internal, output_trusted: true, destinations: [id]}}
- {name: search_web, annotations: {effect: read, reach: external}}
- {name: note, annotations: {effect: write, reach: workspace, output_trusted: true, content: [text]}}
"""
FACTS = """
- name: order
  of: [get_order, cancel_order]
  where: {output.id: args.id}
  value: "{status: record.status, total: record.total, items: length(record.items)}"
  schema:
    type: object
    required: [status, total, items]
    properties: {status: {type: string}, total: {type: integer}, items: {type: integer}}
"""
POLICIES = """
@id("any") permit (principal, action == Action::"tool.call", resource);
@id("refund-open-orders") forbid (principal, action == Action::"tool.call", resource == Tool::"refund")
unless { context.facts has order && context.facts.order.status == "open" && context.args has amount
  && context.args.amount <= context.facts.order.total };
"""
ORDER = {"id": "o-1", "status": "open", "total": 40, "items": ["secret-thing"]}


def shop(facts: str = FACTS, policies: str = POLICIES, tools: str = TOOLS) -> Bundle:
    texts = {
        "bundle.yaml": "name: shop\ntask_free: ['tool.call refund']\n",
        "tools.yaml": tools,
        "policies/all.cedar": policies,
        "facts.yaml": facts,
    }
    return bundle_of([SourceFile(path, text) for path, text in texts.items() if text])


@pytest.fixture
def shopping(open_store: OpenStore) -> World:
    return open_store(bundle=shop())


def read(world: World, session: Session, **changed: Any) -> None:
    order = {**ORDER, **changed}
    world.perform(session, "get_order", json.dumps(order), {"id": order["id"]})


def refunds(world: World, session: Session, amount: int = 40, order: str = "o-1") -> bool:
    """Whether a refund is permitted; it is not made."""
    decision = world.ask(session, "refund", {"id": order, "amount": amount})
    if decision.reason is Reason.PERMITTED:
        world.report(permit(decision), session, OutcomeStatus.NOT_PERFORMED)
        return True
    assert reason(decision) is Reason.FORBIDDEN
    return False


def test_what_was_read_decides(shopping: World) -> None:
    session = shopping.open_session()
    assert not refunds(shopping, session)
    read(shopping, session)
    assert refunds(shopping, session)
    assert not refunds(shopping, session, amount=41)
    assert not refunds(shopping, session, order="o-2")
    read(shopping, session, total=50)
    assert refunds(shopping, session, amount=50)


@pytest.mark.parametrize(
    "text",
    [
        "o-1 is open",
        "",
        "null",
        '"open"',
        json.dumps(ORDER)[:-1],
        json.dumps(ORDER).replace("{", '{"status": "open", ', 1),
        json.dumps(ORDER | {"total": float("nan")}),
        json.dumps(ORDER | {"pad": "x" * MAX_TEXT}),
        json.dumps(ORDER | {"total": "40"}),
        json.dumps(ORDER | {"total": 40.5}),
        json.dumps(ORDER | {"total": True}),
        json.dumps(ORDER | {"total": 2**63}),
        json.dumps(ORDER | {"total": None}),
        json.dumps(ORDER | {"items": 3}),
        "[" * 100_000 + "]" * 100_000,
    ],
    ids=["text", "nothing", "null", "a scalar", "cut off", "a name twice", "nan", "too large", "text for a number", "no integer",
         "a boolean", "too great", "absent", "an expression that errs", "deep"],
)  # fmt: skip
def test_what_cannot_be_read_gives_no_fact(shopping: World, text: str) -> None:
    session = shopping.open_session()
    read(shopping, session)
    shopping.perform(session, "get_order", text, {"id": "o-1"})
    assert not refunds(shopping, session)  # it may have said that the order is not open any more


@pytest.mark.parametrize("other", ["o-2", ["o-1"], None, 1])
def test_what_is_about_another_record_leaves_what_was_known(shopping: World, other: Any) -> None:
    session = shopping.open_session()
    read(shopping, session)
    shopping.perform(session, "get_order", json.dumps(ORDER | {"id": other, "status": "sent"}), {"id": "o-2"})
    assert refunds(shopping, session)


@pytest.mark.parametrize(
    ("status", "content"),
    [(OutcomeStatus.UNKNOWN, None), (OutcomeStatus.SUCCEEDED, None), (OutcomeStatus.FAILED, "no such order")],
)
def test_a_read_whose_output_is_lost_hides_what_was_read_before_and_one_that_failed_does_not(
    shopping: World, status: OutcomeStatus, content: str | None
) -> None:
    session = shopping.open_session()
    read(shopping, session)
    given = permit(shopping.ask(session, "get_order", {"id": "o-1"}))
    assert shopping.embedded.may_act(given.id)
    shopping.report(given, session, status, content)
    assert refunds(shopping, session) is (status is OutcomeStatus.FAILED)
    read(shopping, session)
    assert refunds(shopping, session)


def test_a_write_that_answers_with_the_record_is_the_latest_word(shopping: World) -> None:
    session = shopping.open_session()
    read(shopping, session)
    shopping.perform(session, "cancel_order", json.dumps(ORDER | {"status": "cancelled"}), {"id": "o-1"})
    assert not refunds(shopping, session)


@pytest.mark.parametrize("tool", ["cancel_order", "mark_order", "a_tool_that_nobody_described"])
@pytest.mark.parametrize("status", [OutcomeStatus.SUCCEEDED, OutcomeStatus.FAILED, OutcomeStatus.UNKNOWN])
def test_a_write_about_the_record_makes_it_out_of_date(shopping: World, tool: str, status: OutcomeStatus) -> None:
    session = shopping.open_session()
    read(shopping, session)
    given = permit(shopping.ask(session, tool, {"id": "o-2"}))
    assert shopping.embedded.may_act(given.id)
    assert not refunds(shopping, session)  # what it does is not known yet
    shopping.report(given, session, status, "done" if status is not OutcomeStatus.UNKNOWN else None)
    assert refunds(shopping, session)  # it was about another
    given = permit(shopping.ask(session, tool, {"orders": [{"id": "o-1"}]}))
    assert shopping.embedded.may_act(given.id)
    shopping.report(given, session, status, "done" if status is not OutcomeStatus.UNKNOWN else None)
    assert not refunds(shopping, session)
    shopping.runtime.clock.forward(1)  # type: ignore[attr-defined]
    read(shopping, session)
    assert refunds(shopping, session)


def test_a_write_that_was_not_made_changes_nothing(shopping: World) -> None:
    session = shopping.open_session()
    read(shopping, session)
    given = permit(shopping.ask(session, "cancel_order", {"id": "o-1"}))
    shopping.report(given, session, OutcomeStatus.NOT_PERFORMED)
    assert refunds(shopping, session)
    given = permit(shopping.ask(session, "cancel_order", {"id": "o-1"}))
    assert shopping.embedded.may_act(given.id)
    shopping.report(given, session, OutcomeStatus.NOT_PERFORMED)  # it was begun: nobody knows
    assert not refunds(shopping, session)


def test_a_call_about_which_nothing_is_known_may_be_about_anything(shopping: World) -> None:
    session = shopping.open_session()
    read(shopping, session)
    shopping.perform(session, "note", "done", {"text": "x" * MAX_CALL})
    assert not refunds(shopping, session)


def test_a_read_that_was_under_way_while_the_record_changed_is_not_believed(shopping: World) -> None:
    session = shopping.open_session()
    reading = permit(shopping.ask(session, "get_order", {"id": "o-1"}))
    shopping.runtime.clock.forward(1)  # type: ignore[attr-defined]
    shopping.perform(session, "mark_order", "done", {"id": "o-1"})
    shopping.runtime.clock.forward(1)  # type: ignore[attr-defined]
    assert shopping.embedded.may_act(reading.id)
    shopping.report(reading, session, OutcomeStatus.SUCCEEDED, json.dumps(ORDER))
    assert not refunds(shopping, session)


def test_what_is_said_to_change_nothing_does_not(open_store: OpenStore) -> None:
    session = (world := open_store(bundle=shop(FACTS + "  changed_by: [mark_order]\n  refused: error == 'no'\n"))).open_session()
    read(world, session)
    world.perform(session, "cancel_order", "done", {"id": "o-1"})
    assert not refunds(world, session)  # it may have been described, and nobody could read it
    read(world, session)
    world.perform(session, "note", "done", {"text": "o-1"})
    assert refunds(world, session)
    given = permit(world.ask(session, "mark_order", {"id": "o-7"}))
    world.report(given, session, OutcomeStatus.FAILED, "no")
    assert refunds(world, session)
    for words in ("timed out after it was sent", None):
        read(world, session)
        world.report(permit(world.ask(session, "mark_order", {"id": "o-7"})), session, OutcomeStatus.FAILED, words)
        assert not refunds(world, session)
    read(world, session)
    world.perform(session, "mark_order", "done", {"id": "o-7"})
    assert not refunds(world, session)
    read(world, session)
    world.report(permit(world.ask(session, "cancel_order", {"id": "o-1"})), session, OutcomeStatus.FAILED, "no")
    assert refunds(world, session)
    world.report(permit(world.ask(session, "cancel_order", {"id": "o-1"})), session, OutcomeStatus.FAILED, "lost")
    assert not refunds(world, session)  # what it answered would have been the latest word


def test_another_process_and_another_session_of_the_task_have_them(shopping: World, open_store: OpenStore) -> None:
    session = shopping.open_session(task := shopping.open_task())
    read(shopping, session)
    shopping.close()
    again = open_store(again=True)
    assert refunds(again, session)
    assert refunds(again, again.open_session(task))
    assert not refunds(again, again.open_session())


def test_a_delegated_session_passes_them_on(shopping: World) -> None:
    outer = shopping.open_session(task := shopping.open_task())
    opener = AgentOpener(outer.agent, outer.id)
    below = open_task(shopping.runtime, Opening(agent=AGENT, purpose="look it up", parent=task.id), opener).result()
    inner = shopping.open_session(below)
    read(shopping, inner)
    assert not refunds(shopping, outer)
    sessions.inherit(shopping.runtime, outer.id, inner.id).result()
    assert refunds(shopping, outer)


def test_what_somebody_outside_may_have_written_is_no_fact(open_store: OpenStore) -> None:
    open_tool = TOOLS.replace("- {name: get_order, annotations: {effect: read, reach: internal, output_trusted: true}}",
                              "- {name: get_order, annotations: {effect: read, reach: internal}}")  # fmt: skip
    world = open_store(bundle=shop(tools=open_tool))
    session = world.open_session()
    read(world, session)
    assert not refunds(world, session)


def test_without_a_session_there_are_those_over_arguments(open_store: OpenStore) -> None:
    facts = FACTS + "- {name: sum, value: 'sum(args.amounts)', schema: {type: integer}}\n"
    policies = """@id("any") permit (principal, action, resource);
@id("much") forbid (principal, action, resource == Tool::"refund")
unless { context.facts has sum && context.facts.sum < 10 && !(context.facts has order) };"""
    world = open_store(bundle=shop(facts, policies))
    for amounts, permitted in (([1, 2], True), ([9, 1], False), (["1"], False), (7, False), ([], True), ([0.5], False)):
        decision = world.ask(None, "refund", {"amounts": amounts, "id": "o-1"})
        assert (decision.reason is Reason.PERMITTED) is permitted, amounts


def test_of_arguments_without_bound_there_is_no_fact(shopping: World) -> None:
    session = shopping.open_session()
    read(shopping, session)
    decision = shopping.ask(session, "refund", {"id": "o-1", "amount": 1, "pad": "x" * MAX_CALL})
    assert reason(decision) is Reason.FORBIDDEN


def test_facts_are_sealed_with_the_arguments(shopping: World) -> None:
    session = shopping.open_session()
    read(shopping, session, status="peculiar")
    refunds(shopping, session)
    assert all(b"peculiar" not in line for line in shopping.store.log.lines())
    assert b"peculiar" in shopping.runtime.view.key(session.task).open(  # type: ignore[union-attr]
        shopping.decisions()[-1].sealed, shopping.decisions()[-1].id
    )


def test_a_bundle_with_other_facts_would_have_decided_otherwise(shopping: World) -> None:
    session = shopping.open_session()
    read(shopping, session)
    assert refunds(shopping, session)
    halved = FACTS.replace("total: record.total,", "total: record.items && `20`,")
    found = shopping.replayed(shop(halved))
    assert [(change.resource, change.before.effect, change.after.effect) for change in found.changes] == [
        ("Tool::refund", "permit", "deny")
    ]


def test_a_log_from_before_there_were_facts_can_be_asked_again(open_store: OpenStore) -> None:
    """What their bundle did not keep stands in the log."""
    world = open_store(bundle=shop("", '@id("any") permit (principal, action == Action::"tool.call", resource);'))
    session = world.open_session()
    for number, order in enumerate((None, ORDER, ORDER, ORDER | {"status": "sent"})):
        if order is not None:
            read(world, session, **order)
        assert refunds(world, session, amount=number)
    read(world, session)
    world.perform(session, "note", "", {"text": "o-1"})
    assert refunds(world, session, amount=39)
    world.runtime.clock.forward(1)  # type: ignore[attr-defined]
    read(world, session)
    assert refunds(world, session, amount=40)
    inner = world.open_session(world.open_task())
    assert refunds(world, inner, amount=7)  # another task has read nothing
    changes = {json.loads(change.arguments)["amount"]: change.after.effect for change in world.replayed(shop()).changes}
    assert changes == dict.fromkeys((0, 3, 39, 7), "deny")


ANYWHERE = """
- {name: read_any, annotations: {effect: read, reach: internal, output_records: true}, schema: {type: object, properties: {path: {type: string}}}}
- {name: list_orders, annotations: {effect: read, reach: internal, output_records: true}}
- {name: recall, annotations: {effect: read, reach: internal, output_trusted: true, memory: notes}}
- {name: remember, annotations: {effect: write, reach: internal, output_trusted: true, content: [text], memory: notes}}
"""
OF_ANYWHERE = FACTS.replace("[get_order, cancel_order]", "[get_order, list_orders, read_any, recall]")


class TestForged:
    @pytest.fixture
    def open_to_many(self, open_store: OpenStore) -> World:
        return open_store(bundle=shop(facts=OF_ANYWHERE, tools=TOOLS + ANYWHERE))

    def test_a_file_that_anybody_may_have_put_there(self, open_to_many: World) -> None:
        session = open_to_many.open_session()
        open_to_many.perform(session, "read_any", json.dumps(ORDER), {"path": "/tmp/attacker.json"})
        assert not refunds(open_to_many, session)
        read(open_to_many, session)
        assert refunds(open_to_many, session)
        open_to_many.perform(session, "read_any", json.dumps(ORDER), {"path": "/srv/o-1.json"})
        assert not refunds(open_to_many, session), "it may say otherwise, and is not believed"

    @pytest.mark.parametrize("tool", ["get_order", "list_orders"])
    def test_a_tool_whose_server_says_that_it_deals_with_others(self, open_to_many: World, tool: str) -> None:
        session = open_to_many.open_session()
        given = permit(open_to_many.ask(session, tool, {"id": "o-1"}, hints=Hints(open_world=True)))
        open_to_many.report(given, session, OutcomeStatus.SUCCEEDED, json.dumps(ORDER))
        # The platform of `list_orders` keeps its fields apart, but for a tool that reaches outside nobody has said so.
        assert not refunds(open_to_many, session)

    def test_a_memory_that_another_session_wrote_what_it_was_told_to(self, open_to_many: World) -> None:
        session = open_to_many.open_session()
        open_to_many.perform(session, "recall", json.dumps(ORDER))
        assert refunds(open_to_many, session)
        told = open_to_many.open_session()
        open_to_many.perform(told, "search_web", "remember this")
        open_to_many.perform(told, "remember", "ok", {"text": json.dumps(ORDER)})
        later = open_to_many.open_session()
        open_to_many.perform(later, "recall", json.dumps(ORDER))
        assert not refunds(open_to_many, later)

    def test_a_memory_that_was_written_to_while_it_was_read(self, open_to_many: World) -> None:
        session, told = open_to_many.open_session(), open_to_many.open_session()
        open_to_many.perform(told, "search_web", "remember this")
        given = permit(open_to_many.ask(session, "recall"))
        open_to_many.perform(told, "remember", "ok", {"text": json.dumps(ORDER)})
        open_to_many.report(given, session, OutcomeStatus.SUCCEEDED, json.dumps(ORDER))
        assert not refunds(open_to_many, session)


def test_a_call_that_writes_the_id_in_another_case_makes_it_out_of_date(shopping: World) -> None:
    session = shopping.open_session()
    read(shopping, session)
    shopping.perform(session, "mark_order", "ok", {"id": "orders/O-1"})
    assert not refunds(shopping, session)
