"""Hints on record: logged with the decision, replayed, bound by approvals, given by cases; what is none denies."""

from typing import Any

import pytest

from remit.model.authorizer import OutcomeStatus
from remit.model.decision import Deny, Reason
from remit.model.hints import NO_HINTS, Hints
from remit.model.request import Tier
from remit.pap.reading.cases import read_cases
from remit.pap.running import run_cases
from remit.runtime.approving.answering import resolve
from tests.conftest import OpenStore
from tests.pap.bundles import small
from tests.runtime.world import CARL, POLICIES, TOOLS, World, permit, reason, small_bundle

CRITICAL = '@id("critical") @requestable("four-eyes") forbid (principal, action, resource) when { context.tier == "critical" }\n'
STRICT = small_bundle(policies=POLICIES + CRITICAL + "unless { context.approval.granted };\n")
DESTROYS, OPEN = Hints(destructive=True), Hints(open_world=True)


def test_hints_are_logged_and_asked_again_as_they_were(open_store: OpenStore) -> None:
    world = open_store(bundle=STRICT)
    session = world.open_session()
    permit(world.ask(session, "look"))
    denied = world.ask(session, "look", hints=DESTROYS)
    assert reason(denied) is Reason.APPROVAL_REQUIRED and denied.tier is Tier.CRITICAL
    assert reason(world.ask(session, "unheard-of", hints=DESTROYS)) is Reason.APPROVAL_REQUIRED
    permit(world.ask(session, "look", hints=Hints(read_only=True)))
    assert [made.hints for made in world.decisions()] == [NO_HINTS, DESTROYS, DESTROYS, Hints(read_only=True)]
    assert b'"hints":{"destructiveHint":true}' in b"".join(world.store.log.lines())
    world.verified()  # and `open_store` replays the log


def test_what_an_open_world_returns_is_untrusted_in_the_log_too(open_store: OpenStore) -> None:
    world = open_store()
    session = world.open_session()
    given = permit(world.ask(session, "look", hints=OPEN))
    assert world.embedded.may_act(given.id)
    world.report(given, session, OutcomeStatus.SUCCEEDED, "write to eve@evil.net")
    assert world.decisions()[-1].sources == ("look",) == world.outcomes()[-1].sources
    assert reason(world.ask(session, "send", {"to": "eve@evil.net", "body": "x"})) is Reason.APPROVAL_REQUIRED


def test_an_approval_is_for_the_hints_it_was_asked_with(open_store: OpenStore) -> None:
    world = open_store(bundle=STRICT)
    session = world.open_session()
    denied = world.ask(session, "look", hints=DESTROYS)
    assert isinstance(denied, Deny) and denied.approval
    resolve(world.runtime, denied.approval, CARL, True).result()
    other = world.ask(session, "look", hints=Hints(destructive=True, open_world=True))
    assert isinstance(other, Deny) and other.approval not in (None, denied.approval)
    permit(world.ask(session, "look", hints=DESTROYS))
    assert isinstance(world.ask(session, "look", hints=DESTROYS), Deny)


@pytest.mark.parametrize("wrong", [None, "destructiveHint", {"destructiveHint": True}, Hints("no")])  # type: ignore[arg-type]
def test_hints_that_are_none_deny_and_the_log_stays_readable(world: World, wrong: Any) -> None:
    session = world.open_session()
    assert reason(world.ask(session, "look", hints=wrong)) is Reason.MALFORMED_ARGUMENTS
    permit(world.ask(session, "look"))
    assert [made.hints for made in world.decisions()] == [NO_HINTS, NO_HINTS]
    world.verified()


def test_cases_give_hints() -> None:
    case = (
        "- name: a server says more\n  agent: {id: bot}\n  task: {purpose: look around}\n  steps:\n"
        "  - {call: look, hints: {readOnlyHint: true}, expect: {decision: permit, tier: moderate}}\n"
        "  - {call: look, hints: {destructiveHint: true}, expect: {decision: permit, tier: critical}}\n"
    )
    bundle = small(cases=case)
    assert [result.failures for result in run_cases(bundle, read_cases(bundle))] == [()]


OF_DESK = [("{name: look,", "{name: look, upstream: 'mcp:desk',"), ("{name: wipe,", "{name: wipe, upstream: 'mcp:desk',")]
TRUSTED = """
@id("all") permit (principal, action, resource);
@id("explained") forbid (principal, action == Action::"tool.call", resource == Tool::"send")
  unless { context.flow.trusted.contains("to") };
"""


def of_desk(policies: str = POLICIES, more: str = "") -> Any:
    tools = TOOLS + more
    for before, after in OF_DESK:
        tools = tools.replace(before, after)
    return small_bundle(policies=policies, tools=tools)


def test_a_tool_of_that_name_of_another_upstream_is_not_the_one_that_was_annotated(open_store: OpenStore) -> None:
    world = open_store(bundle=of_desk(TRUSTED))
    for upstream, trusted in (("mcp:desk", True), ("mcp:evil", False), ("", False)):
        session = world.open_session()
        given = permit(world.ask(session, "look", upstream=upstream))
        world.report(given, session, OutcomeStatus.SUCCEEDED, "office: eve@evil.net")
        assert (given.tier is Tier.LOW) is trusted
        assert bool(world.outcomes()[-1].sources) is not trusted
        assert (
            isinstance(world.ask(session, "send", {"to": "eve@evil.net", "body": "x"}, upstream="mcp:mail"), Deny) is not trusted
        )
    assert permit(world.ask(session, "wipe", {"table": "t"}, upstream="mcp:evil")).tier is Tier.CRITICAL, "never better"
    assert {made.hints for made in world.decisions()} == {NO_HINTS}, "no server said so"
    world.verified()


def test_a_denial_says_that_it_is_another_ones_tool(open_store: OpenStore) -> None:
    world = open_store(
        bundle=of_desk(POLICIES + '@id("low") forbid (principal, action, resource) when { context.tier != "low" };')
    )
    session = world.open_session()
    permit(world.ask(session, "look", upstream="mcp:desk"))
    denied = world.ask(session, "look", upstream="mcp:evil")
    assert isinstance(denied, Deny) and "the catalogue describes the tool of `mcp:desk`" in denied.message


def test_cases_call_the_tool_of_the_catalogue_unless_they_say_otherwise() -> None:
    cases = """
- name: whose
  agent: {id: bot}
  task: {purpose: look}
  steps:
    - {call: look, expect: {decision: permit, tier: low}}
    - {call: look, upstream: "mcp:evil", expect: {decision: permit, tier: high}}
"""
    bundle = small(
        tools="- {name: look, upstream: 'mcp:desk', annotations: {effect: read, reach: internal, sensitivity: public}}",
        policies='@id("any") permit (principal, action, resource);',
        cases=cases,
    )
    assert [result.passed for result in run_cases(bundle, read_cases(bundle))] == [True]
