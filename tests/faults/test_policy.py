"""Faults of policy: whatever a bundle gets wrong denies, says why, and is on record."""

from typing import Any

import pytest

from remit.decision_log.encoding import encode_body
from remit.decision_log.entry import BundlePublished
from remit.decision_log.store import Record
from remit.inventory.agents import registered, with_status
from remit.model.decision import Decision, Deny, Permit, Reason
from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import AgentStatus, EntityRef
from remit.pap.bundle import to_document
from remit.runtime import administration
from remit.runtime.pending import Driven
from remit.runtime.runtime import administer
from remit.runtime.writes import ActivateBundle
from tests.conftest import OpenStore
from tests.runtime.world import ANA, MANIFEST, TOOLS, World, permit, reason, small_bundle

PERMIT_ALL = '@id("all") permit (principal, action, resource);\n'


def test_a_forbid_that_errs_denies_although_cedar_skips_it(world: World) -> None:
    session = world.open_session()
    assert reason(world.ask(session, "careless", {"limit": "many"})) is Reason.POLICY_ERROR
    assert reason(world.ask(session, "careless", {"limit": 11})) is Reason.FORBIDDEN
    permit(world.ask(session, "careless", {"limit": 9}))
    assert [made.reason for made in world.decisions()] == ["policy-error", "forbidden", "permitted"]


def test_a_missing_attribute_denies_and_names_the_policy(world: World) -> None:
    denied = world.ask(world.open_session(), "careless")
    assert reason(denied) is Reason.POLICY_ERROR
    assert "careless" in denied.message
    assert not isinstance(denied, Permit) and denied.requestable is None


@pytest.mark.parametrize(
    "policy",
    [
        'permit (principal, action, resource) when { context.args.n > 1 };',
        'permit (principal, action, resource) when { context.nothing };',
        'permit (principal, action, resource) when { principal.nothing == 1 };',
        'permit (principal, action, resource) when { context.args.n * 9223372036854775807 > 1 };',
        'forbid (principal, action, resource) when { ip(context.args.n).isIpv4() };',
    ],
)  # fmt: skip
@pytest.mark.parametrize("arguments", [{}, {"n": "text"}, {"n": 2}])
def test_one_erring_policy_denies_whatever_another_permits(open_store: OpenStore, policy: str, arguments: dict[str, Any]) -> None:
    alone = open_store("alone", bundle=small_bundle(policies=PERMIT_ALL))
    permit(alone.ask(alone.open_session(), "look", arguments))
    erring = open_store("erring", bundle=small_bundle(policies=PERMIT_ALL + '@id("x") ' + policy))
    decision = erring.ask(erring.open_session(), "look", arguments)
    if isinstance(decision, Permit):
        assert arguments == {"n": 2} and "context.args.n > 1" in policy
    else:
        assert decision.reason is Reason.POLICY_ERROR


def test_a_requestable_forbid_that_errs_cannot_be_requested(open_store: OpenStore) -> None:
    errs = '@id("f") @requestable("one") forbid (principal, action, resource) when { context.args.n > 1 };'
    world = open_store(bundle=small_bundle(policies=PERMIT_ALL + errs))
    denied = world.ask(world.open_session(), "look")
    assert reason(denied) is Reason.POLICY_ERROR
    assert isinstance(denied, Deny) and denied.approval is None


@pytest.mark.parametrize("action", ["tool.run", "", "TOOL.CALL", "tool.call ", "any", "file", 'x"', "\x00"])
def test_an_unknown_action_denies_even_where_anything_is_permitted(open_store: OpenStore, action: str) -> None:
    world = open_store(bundle=small_bundle(policies=PERMIT_ALL))
    assert reason(world.ask(world.open_session(), "look", action=action)) is Reason.UNKNOWN_ACTION


@pytest.mark.parametrize("obligation", ["erase-all-traces", "Deadline:1", "deadline:1; sing:loud", ":", "deadline :1"])
def test_an_obligation_that_nothing_understands_denies(open_store: OpenStore, obligation: str) -> None:
    asks = f'@id("asks") @obligation("{obligation}") permit (principal, action, resource);'
    world = open_store(bundle=small_bundle(policies=PERMIT_ALL + asks))
    assert reason(world.ask(world.open_session(), "look")) is Reason.UNKNOWN_OBLIGATION


def test_an_approval_never_leads_to_an_obligation_that_nothing_understands(open_store: OpenStore) -> None:
    policies = (
        '@id("f") @requestable("one") forbid (principal, action, resource) unless { context.approval.granted };'
        '@id("p") @obligation("sing") permit (principal, action, resource);'
    )
    world = open_store(bundle=small_bundle(policies=policies))
    denied = world.ask(world.open_session(), "look")
    assert isinstance(denied, Deny) and denied.approval is None


@pytest.mark.parametrize(
    "tools", ["- {name: look, annotations: {tier: extreme}}", "- {name: look, annotations: {effect: teleport}}"]
)
def test_an_unknown_tier_or_effect_is_no_bundle(tools: str) -> None:
    with pytest.raises(RemitError) as caught:
        small_bundle(tools=tools)
    assert caught.value.kind is ErrorKind.MALFORMED
    assert "tools.yaml:1" in caught.value.message


def test_without_a_bundle_nothing_is_permitted(open_store: OpenStore) -> None:
    world = open_store(again=True)
    world.register()
    session = world.open_session()
    for tool in ("look", "free"):
        assert reason(world.ask(session, tool)) is Reason.NO_BUNDLE
    assert reason(world.ask(None, "free")) is Reason.NO_BUNDLE


def half_written() -> list[tuple[str, bytes]]:
    whole = to_document(small_bundle())
    swapped = whole.replace(b"forbid", b"permit", 1)
    tier = to_document(small_bundle()).replace(b'"effect":"read"', b'"effect":"zzzz"', 1)
    return [("empty", b""), ("half", whole[: len(whole) // 2]), ("swapped", swapped), ("tier", tier), ("null", b"null"), ("list", b"[]"),
            ("cut", whole[:-1]), ("garbage", bytes(range(256))), ("object", b"{}")]  # fmt: skip


@pytest.mark.parametrize(("name", "document"), half_written(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_bundle_that_is_not_what_was_published_denies_everything(world: World, name: str, document: bytes) -> None:
    session = world.open_session()
    damage(world, document)
    for _ in range(2):
        assert isinstance(world.ask(session, "look"), Deny)
        assert isinstance(world.ask(None, "free"), Deny)


@pytest.mark.sqlite
@pytest.mark.parametrize(("name", "document"), half_written(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_damaged_bundle_in_the_store_denies_after_a_restart_and_can_be_published_over(
    open_store: OpenStore, name: str, document: bytes
) -> None:
    world = open_store()
    session = world.open_session()
    world.store._database.writer.execute("UPDATE bundles SET document = ?", (document,))
    world.close()
    world = open_store(again=True)
    assert isinstance(world.ask(session, "look"), Deny)
    world.publish(small_bundle(manifest=MANIFEST.replace("small", "mended")))
    permit(world.ask(session, "look"))


@pytest.mark.sqlite
def test_another_bundle_under_the_published_digest_denies(open_store: OpenStore) -> None:
    """A row that was exchanged for another bundle, whole in itself, is not what the log says was published."""
    world = open_store()
    session = world.open_session()
    other = to_document(small_bundle(policies=PERMIT_ALL))
    world.store._database.writer.execute("UPDATE bundles SET document = ?", (other,))
    world.close()
    assert isinstance(open_store(again=True).ask(session, "never"), Deny)


def damage(world: World, document: bytes) -> None:
    """Activate a document that is no bundle, as a publisher that crashed or a disk that lost pages might have; ours refuses to."""
    active = world.store.active_bundle()
    published = BundlePublished("e" * 64, "damaged", "enforce", active[0] if active else "", "ana", False)
    with pytest.raises(RemitError):
        administration.activate_bundle(world.runtime, published, document).result()
    write = ActivateBundle(published.digest, published.previous, document, world.runtime.clock(), "ana")
    record = Record(encode_body(published), "bundle.published")
    Driven(lambda: administer(world.runtime, lambda: ([record], [write]))).result()


def test_what_a_policy_reads_must_be_representable_and_what_it_does_not_read_need_not(open_store: OpenStore) -> None:
    reads = (
        PERMIT_ALL
        + '@id("n") forbid (principal, action, resource == Tool::"read") when { context.args has n && context.args.n == 1 };'
    )
    world = open_store(bundle=small_bundle(policies=reads))
    session = world.open_session()
    for value in (2**63, -(2**63) - 1, 0.00001, 1e300, [None], [2**63], {"deep": [1.5, 2**64]}):
        assert reason(world.ask(session, "read", {"n": value})) is Reason.UNREPRESENTABLE_ARGUMENT
        permit(world.ask(session, "read", {"other": value}))
        permit(world.ask(session, "look", {"n": value}))


def test_a_policy_that_reads_all_arguments_needs_them_all(open_store: OpenStore) -> None:
    reads = PERMIT_ALL + '@id("n") forbid (principal, action, resource) when { context.args == {"a": 1} };'
    world = open_store(bundle=small_bundle(policies=reads))
    session = world.open_session()
    assert reason(world.ask(session, "look", {"b": 2**63})) is Reason.UNREPRESENTABLE_ARGUMENT
    assert reason(world.ask(session, "look", {"a": 1})) is Reason.FORBIDDEN
    permit(world.ask(session, "look", {"a": True}))
    permit(world.ask(session, "look", {"a": "1"}))


@pytest.mark.parametrize(("scope", "action", "resource"), [
    ('action in Action::"any", resource', "tool.call", EntityRef("Tool", "look")),
    ('action in Action::"any", resource', "file.read", EntityRef("File", "/public/a")),
    ('action in Action::"file", resource', "file.delete", EntityRef("File", "/public/a")),
    ('action, resource in Folder::"/public"', "file.read", EntityRef("File", "/public/a/b/c")),
    ('action, resource in Domain::"evil.com"', "net.request", EntityRef("Host", "a.b.evil.com")),
    ('action, resource is File', "file.read", EntityRef("File", "/public/a")),
])  # fmt: skip
def test_a_forbid_over_a_group_holds_for_what_is_in_it(
    open_store: OpenStore, scope: str, action: str, resource: EntityRef
) -> None:
    world = open_store(bundle=small_bundle(policies=PERMIT_ALL + f'@id("f") forbid (principal, {scope});'))
    denied = world.ask(world.open_session(), "", action=action, resource=resource)
    assert reason(denied) is Reason.FORBIDDEN


@pytest.mark.parametrize(("action", "resource"), [
    ("tool.call", EntityRef("Thing", "never")), ("tool.call", EntityRef("File", "never")), ("tool.call", EntityRef("Agent", "bot")),
    ("file.read", EntityRef("Tool", "/public/../secret/a")), ("file.read", EntityRef("Thing", "/secret/a")),
    ("file.read", EntityRef("Host", "secret")), ("net.request", EntityRef("Thing", "EVIL.com")), ("model.invoke", EntityRef("Tool", "look")),
])  # fmt: skip
def test_an_action_is_asked_for_on_what_it_applies_to(open_store: OpenStore, action: str, resource: EntityRef) -> None:
    """The schema ties every action of ours to one type of resource; another type would slip past policies that name that one."""
    policies = PERMIT_ALL + '@id("never") forbid (principal, action, resource == Tool::"never");'
    world = open_store(bundle=small_bundle(policies=policies))
    assert isinstance(world.ask(world.open_session(), "", action=action, resource=resource), Deny)


@pytest.mark.parametrize("arguments", [{"m": 1}, {"n": 1, "N": 1}, {"": 1}])
def test_a_closed_tool_takes_no_other_arguments(world: World, arguments: dict[str, Any]) -> None:
    session = world.open_session()
    permit(world.ask(session, "closed", {"n": 1}))
    assert reason(world.ask(session, "closed", arguments)) is Reason.MALFORMED_ARGUMENTS


def test_a_definition_other_than_the_reviewed_one_denies(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(tools=TOOLS.replace("{name: look,", f"{{name: look, definition: '{'a' * 64}',")))
    session = world.open_session()
    permit(world.ask(session, "look", definition="a" * 64))
    assert reason(world.ask(session, "look", definition="b" * 64)) is Reason.DEFINITION_CHANGED


def test_shadow_mode_passes_denials_by_policy_loudly_and_nothing_else(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(manifest=MANIFEST + "mode: shadow\n"))
    session = world.open_session()
    for tool, why in (("never", Reason.FORBIDDEN), ("careless", Reason.POLICY_ERROR), ("pay", Reason.APPROVAL_REQUIRED)):
        passed = permit(world.ask(session, tool))
        assert (passed.enforced, passed.reason) == (False, why)
        assert "not enforced" in passed.message
    assert [made.enforced for made in world.decisions()] == [False] * 3
    world.register("other")
    assert reason(world.ask(session, "look", subject=EntityRef("Agent", "nobody"))) is Reason.AGENT_UNKNOWN
    assert reason(world.ask(session, "look", subject=EntityRef("Agent", "other"))) is Reason.TASK_OF_ANOTHER
    assert reason(world.ask(session, "look", malformed="cannot be read")) is Reason.MALFORMED_ARGUMENTS
    assert reason(world.ask(None, "look")) is Reason.TASK_REQUIRED


def test_policies_see_numbers_as_their_schema_types_them(open_store: OpenStore) -> None:
    policies = PERMIT_ALL + (
        '@id("price") forbid (principal, action, resource == Tool::"closed")'
        ' when { context.args has price && context.args.price.greaterThan(decimal("10.5")) };'
        '@id("n") forbid (principal, action, resource == Tool::"closed") when { context.args has n && context.args.n > 9007199254740992 };'
    )
    world = open_store(bundle=small_bundle(policies=policies))
    session = world.open_session()
    for price in (10, 10.5, 10.4999, None):
        permit(world.ask(session, "closed", {"price": price}))
    for price in (11, 10.5001, 922337203685477):
        assert reason(world.ask(session, "closed", {"price": price})) is Reason.FORBIDDEN
    permit(world.ask(session, "closed", {"n": 2**53}))
    assert reason(world.ask(session, "closed", {"n": 2**53 + 1})) is Reason.FORBIDDEN
    permit(world.ask(session, "closed", {"n": 2.0**53}))


DELEGATING = """
@id("to-own") permit (principal, action == Action::"agent.delegate", resource) when { resource.owner == principal.owner };
@id("not-idle") forbid (principal, action == Action::"agent.delegate", resource) when { resource.status != "active" };
@id("group") permit (principal, action == Action::"agent.delegate", resource in Group::"shared");
"""


def test_a_policy_reads_the_agent_that_is_delegated_to(open_store: OpenStore) -> None:
    world = open_store(bundle=small_bundle(policies=DELEGATING))
    session = world.open_session()
    for name, owner, groups in (("mine", "ben", ()), ("other", "carl", ()), ("common", "carl", ("shared",))):
        change = administration.change_agent
        change(world.runtime, name, lambda a, n=name, o=owner, g=groups: registered(a, n, o, "helps", g), ANA).result()

    def delegate(name: str) -> Decision:
        return world.ask(session, "x", {"purpose": "help"}, action="agent.delegate", resource=EntityRef("Agent", name))

    permit(delegate("mine"))
    permit(delegate("bot"))
    assert reason(delegate("other")) is Reason.NO_PERMIT
    permit(delegate("common"))
    assert reason(delegate("nobody")) is Reason.POLICY_ERROR
    suspend = lambda known: with_status(known, "mine", AgentStatus.SUSPENDED)  # noqa: E731
    administration.change_agent(world.runtime, "mine", suspend, ANA).result()
    assert reason(delegate("mine")) is Reason.FORBIDDEN
