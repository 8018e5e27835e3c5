"""Slices and projections decide exactly as the whole policy set over the whole context does."""

import re
from collections.abc import Mapping, Sequence
from timeit import repeat
from typing import Any

import cedarpy
import pytest
from cedar_strategies import (
    ODD,
    Link,
    Request,
    World,
    action_entities,
    ancestors,
    as_json,
    literal,
    uid,
    worlds,
)
from hypothesis import HealthCheck, given, settings

from remit.model.errors import RemitError
from remit.model.identity import EntityRef
from remit.pdp.cedar.engine import EngineAnswer, entities_handle, evaluate, request_uids
from remit.pdp.cedar.policies import Policy, link, parse_policies
from remit.pdp.cedar.reads import ReadSet, project, stand_in
from remit.pdp.cedar.slices import PolicyIndex

_POSITION = re.compile(r"policy(\d+)")


def whole_answer(policies: cedarpy.PolicySet, ids: Sequence[str], entities: str, request: Request) -> EngineAnswer:
    """The answer of the public engine over everything, under our ids."""
    result = cedarpy.is_authorized(
        {
            "principal": uid(request.principal),
            "action": uid(EntityRef("Action", request.action)),
            "resource": uid(request.resource),
            "context": as_json(request.context),
        },
        policies,
        entities,
    )

    def ours(name: str) -> str:
        position = _POSITION.fullmatch(name)
        return ids[int(position[1])] if position else name

    errors, erring = [], []
    for error in result.diagnostics.errors:
        found = re.fullmatch(r"error while evaluating policy `([^`]*)`: (.*)", error, re.DOTALL)
        assert found, error
        erring.append(ours(found[1]))
        errors.append(f"error while evaluating policy `{erring[-1]}`: {found[2]}")
    reasons = sorted(map(ours, result.diagnostics.reasons))
    return EngineAnswer(result.allowed, tuple(reasons), tuple(sorted(errors)), tuple(sorted(erring)))


def readable(reads: ReadSet, documents: Sequence[Mapping[str, Any]], request: Request) -> list[dict[str, Any]]:
    """Only the attributes, tags and entities that the read set says can matter."""
    by_ref = {EntityRef(**document["uid"]): document for document in documents}
    waiting = [request.principal, request.resource, EntityRef("Action", request.action), *reads.entities]
    waiting += named(request.context)
    sent: dict[EntityRef, dict[str, Any]] = {}
    while waiting:
        ref = waiting.pop()
        if ref in sent or ref not in by_ref:
            continue
        document = by_ref[ref]
        kept = {k: v for k, v in document["attrs"].items() if reads.any_attribute or k in reads.attributes}
        sent[ref] = {"uid": document["uid"], "attrs": kept, "parents": document["parents"]}
        if reads.tags and "tags" in document:
            sent[ref]["tags"] = document["tags"]
        waiting += [EntityRef(**parent) for parent in document["parents"]] + named(kept)
    return list(sent.values())


def named(value: Any) -> list[EntityRef]:
    """Entities that a value refers to."""
    if isinstance(value, list):
        return [ref for item in value for ref in named(item)]
    if isinstance(value, dict):
        own = [EntityRef(**value["__entity"])] if "__entity" in value else []
        return own + [ref for item in value.values() for ref in named(item)]
    return []


def load(world: World) -> tuple[tuple[Policy, ...], cedarpy.PolicySet]:
    """The policies of a world, ours and the engine's, templates linked on both sides."""
    text = "\n".join(world.statements)
    policies = parse_policies(text, "world.cedar")
    linked = [(f"link{number}", wanted) for number, wanted in enumerate(world.links)]
    ours = [link(policies[wanted.template], name, wanted.principal, wanted.resource) for name, wanted in linked]
    theirs = cedarpy.PolicySet.from_str(text).with_linked_batch([link_document(name, wanted) for name, wanted in linked])
    return (*policies, *ours), theirs


def link_document(name: str, wanted: Link) -> dict[str, Any]:
    """A link as cedarpy takes it."""
    values = {"?principal": wanted.principal, "?resource": wanted.resource}
    filled = {slot: uid(ref) for slot, ref in values.items() if ref is not None}
    return {"template_id": f"policy{wanted.template}", "new_id": name, "values": filled}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_slices_answer_as_the_whole_policy_set(world: World) -> None:
    policies, whole = load(world)
    ids = [policy.id for policy in policies]
    documents = [*world.entities, *action_entities(world.action_parents)]
    entities = as_json(documents)
    everything = entities_handle(documents)
    index = PolicyIndex(policies, world.action_parents)
    for request in world.requests:
        expected = whole_answer(whole, ids, entities, request)
        above = ancestors(world.entities, request.principal), ancestors(world.entities, request.resource)
        key = (request.principal, above[0], request.action, request.resource, above[1])
        part = index.slice_for(*key)
        uids = request_uids(request.principal, request.action, request.resource)
        assert evaluate(part.handle, uids, as_json(request.context), everything) == expected
        context = as_json(project(part.reads.context, request.context))
        assert evaluate(part.handle, uids, context, everything) == expected
        alike = as_json(stand_in(part.reads.context, project(part.reads.context, request.context)))
        assert evaluate(part.handle, uids, alike, everything) == expected
        needed = entities_handle(readable(part.reads, documents, request))
        assert evaluate(part.handle, uids, context, needed) == expected
        assert part.ids == index.candidates(*key)
        assert set(expected.reasons) | set(expected.error_policies) <= set(part.ids)


def answer(text: str, request: Request, documents: Sequence[dict[str, Any]] = (), **index: Any) -> EngineAnswer:
    """The sliced answer to one request, checked against the whole policy set."""
    policies = parse_policies(text, "case.cedar")
    part = PolicyIndex(policies, index.get("action_parents")).slice_for(
        request.principal,
        ancestors(tuple(documents), request.principal),
        request.action,
        request.resource,
        ancestors(tuple(documents), request.resource),
    )
    given_context = as_json(project(part.reads.context, request.context))
    uids = request_uids(request.principal, request.action, request.resource)
    sliced = evaluate(part.handle, uids, given_context, entities_handle(readable(part.reads, documents, request)))
    ids = [policy.id for policy in policies]
    assert sliced == whole_answer(cedarpy.PolicySet.from_str(text), ids, as_json(documents), request)
    return sliced


ALICE = EntityRef("Agent", "alice")
MAIL = EntityRef("Tool", "mail")
STAFF = EntityRef("Group", "staff")
ALL_STAFF = EntityRef("Group", "all")
WORLD: list[dict[str, Any]] = [
    {"uid": uid(ALICE), "attrs": {"level": 3}, "parents": [uid(STAFF)]},
    {"uid": uid(STAFF), "attrs": {}, "parents": [uid(ALL_STAFF)]},
    {"uid": uid(ALL_STAFF), "attrs": {}, "parents": []},
    {"uid": uid(MAIL), "attrs": {"owner": {"__entity": uid(ALICE)}}, "parents": []},
    {
        "uid": uid(EntityRef("Action", "send")),
        "attrs": {},
        "parents": [uid(EntityRef("Action", "effectful"))],
    },
]
SEND = {"action_parents": {"send": frozenset({"effectful"})}}


@pytest.mark.parametrize(
    ("head", "matches"),
    [
        ("principal, action, resource", True),
        ('principal == Agent::"alice", action, resource', True),
        ('principal == Agent::"bob", action, resource', False),
        ('principal == User::"alice", action, resource', False),
        ('principal in Agent::"alice", action, resource', True),
        ('principal in Group::"all", action, resource', True),
        ('principal in Group::"other", action, resource', False),
        ("principal is Agent, action, resource", True),
        ("principal is Org::Agent, action, resource", False),
        ('principal is Agent in Group::"all", action, resource', True),
        ('principal is User in Group::"all", action, resource', False),
        ('principal is Agent in Group::"other", action, resource', False),
        ('principal, action == Action::"send", resource', True),
        ('principal, action == Action::"effectful", resource', False),
        ('principal, action in Action::"effectful", resource', True),
        ('principal, action in [Action::"read", Action::"effectful", Action::"send"], resource', True),
        ('principal, action in [Action::"read"], resource', False),
        ('principal, action == Org::Action::"send", resource', False),
        ("principal, action in [], resource", False),
        ('principal, action, resource == Tool::"mail"', True),
        ('principal, action, resource in Tool::"mail"', True),
        ('principal, action, resource in ToolGroup::"mail"', False),
        ("principal, action, resource is Tool", True),
    ],
)
def test_a_scope_is_matched_exactly(head: str, matches: bool) -> None:
    request = Request(ALICE, "send", MAIL, {})
    found = answer(
        f'@id("only") permit({head}); @id("other") forbid(principal is Nobody, action, resource);',
        request,
        WORLD,
        **SEND,
    )
    assert found == EngineAnswer(matches, ("only",) if matches else (), ())
    index = PolicyIndex(parse_policies(f'@id("only") permit({head});', "case"), SEND["action_parents"])
    above = ancestors(tuple(WORLD), ALICE)
    assert index.candidates(ALICE, above, "send", MAIL, frozenset()) == (("only",) if matches else ())


@pytest.mark.parametrize("odd", [ODD, "", "'", "\u202e", "\x00", "a" * 5000, "*", "?principal"])
def test_odd_ids_are_only_names(odd: str) -> None:
    ref, other = EntityRef("Agent", odd), EntityRef("Agent", odd + "x")
    text = f"permit(principal == {literal(ref)}, action, resource) when {{ context.who == {literal(ref)} }};"
    for agent, allowed in ((ref, True), (other, False)):
        found = answer(text, Request(agent, "send", MAIL, {"who": {"__entity": uid(ref)}}))
        assert found.allowed is allowed


def test_an_erring_forbid_is_reported_by_its_id() -> None:
    text = """
      @id("yes") permit(principal, action, resource);
      @id("no") forbid(principal, action, resource) when { context.gone };
    """
    found = answer(text, Request(ALICE, "send", MAIL, {}), WORLD)
    assert found.allowed
    assert found.error_policies == ("no",)
    assert found.errors == ("error while evaluating policy `no`: record does not have the attribute `gone`",)


def test_extension_values_and_entities_of_the_context_are_sent_whole() -> None:
    text = """
      @id("net") permit(principal, action, resource) when { context.net.address.isInRange(ip("10.0.0.0/8")) };
      @id("lead") permit(principal, action, resource) when { context.asker.level == 3 };
      @id("record") permit(principal, action, resource) when { context.trap.x };
    """
    trap = {"__entity": uid(ALICE), "x": True}
    said = {
        "net": {"address": {"__extn": {"fn": "ip", "arg": "10.1.2.3"}}},
        "asker": {"__entity": uid(ALICE)},
        "trap": trap,
    }
    found = answer(text, Request(ALICE, "send", MAIL, {**said, "unread": [1]}), WORLD)
    assert found.reasons == ("lead", "net", "record")


def test_what_is_missing_stays_missing() -> None:
    text = """
      @id("deep") permit(principal, action, resource) when { context has a.b.c };
      @id("shallow") permit(principal, action, resource) when { context has a };
      @id("errs") permit(principal, action, resource) when { context.a.b.c };
    """
    for said, reasons, errors in (
        ({}, (), ("errs",)),
        ({"a": {}}, ("shallow",), ("errs",)),
        ({"a": {"b": {"c": False, "d": 1}}}, ("deep", "shallow"), ()),
        ({"a": 3}, ("shallow",), ("deep", "errs")),
        ({"a": {"b": [1]}}, ("shallow",), ("deep", "errs")),
    ):
        found = answer(text, Request(ALICE, "send", MAIL, said), WORLD)
        assert (found.reasons, found.error_policies) == (reasons, errors)


def test_a_template_decides_only_what_it_is_linked_to() -> None:
    text = '@id("t") permit(principal in ?principal, action, resource == ?resource);'
    [template] = parse_policies(text, "case.cedar")
    index = PolicyIndex(
        (
            template,
            link(template, "mine", STAFF, MAIL),
            link(template, "theirs", EntityRef("Group", "x"), MAIL),
        )
    )
    assert len(index) == 2
    assert index.candidates(ALICE, frozenset({STAFF}), "send", MAIL, frozenset()) == ("mine",)


def test_equal_candidates_share_a_slice_and_a_repeated_request_is_remembered() -> None:
    index = PolicyIndex(parse_policies('permit(principal in Group::"staff", action, resource);', "case.cedar"))
    first = index.slice_for(ALICE, frozenset({STAFF}), "send", MAIL, frozenset())
    assert index.slice_for(ALICE, frozenset({STAFF}), "send", MAIL, frozenset()) is first
    assert index.slice_for(EntityRef("Agent", "bob"), frozenset({STAFF}), "read", MAIL, frozenset()) is first
    assert index.slice_for(ALICE, frozenset(), "send", MAIL, frozenset()) is not first
    assert first.ids == ("case.1",)


def test_candidates_come_in_the_order_of_the_bundle() -> None:
    heads = ["principal is Nobody, action, resource"] * 130
    for position, head in (
        (1, "principal, action, resource is Tool"),
        (33, "principal, action, resource"),
        (129, "principal is Agent, action, resource"),
    ):
        heads[position] = head
    index = PolicyIndex(parse_policies("".join(f"permit({head});" for head in heads), "case.cedar"))
    assert index.candidates(ALICE, frozenset(), "send", MAIL, frozenset()) == (
        "case.2",
        "case.34",
        "case.130",
    )


def test_an_empty_index_denies() -> None:
    part = PolicyIndex(()).slice_for(ALICE, frozenset(), "send", MAIL, frozenset())
    assert evaluate(part.handle, request_uids(ALICE, "send", MAIL), "{}", entities_handle([])) == EngineAnswer(False, (), ())


def test_an_id_used_in_two_files_is_refused_with_both_places() -> None:
    one = parse_policies('@id("same") permit(principal, action, resource);', "one.cedar")
    two = parse_policies('\n\n@id("same") forbid(principal, action, resource);', "two.cedar")
    with pytest.raises(RemitError) as refused:
        PolicyIndex((*one, *two))
    assert str(refused.value).startswith("`two.cedar` line 3: policy id `same` is used by `one.cedar` line 1 too")


def test_the_cost_of_finding_candidates_does_not_follow_the_number_of_policies() -> None:
    def quickest(count: int) -> float:
        text = "\n".join(
            f'permit(principal == Agent::"a{number}", action, resource in ToolGroup::"all");' for number in range(count)
        )
        index = PolicyIndex(parse_policies(text, "many.cedar"))
        request = (
            EntityRef("Agent", "a7"),
            frozenset[EntityRef](),
            "send",
            MAIL,
            frozenset({EntityRef("ToolGroup", "all")}),
        )
        assert index.candidates(*request) == ("many.8",)
        return min(repeat(lambda: index.candidates(*request), number=50, repeat=9))

    assert quickest(2_000) < 5 * quickest(10)  # a scan would cost some hundred times as much
