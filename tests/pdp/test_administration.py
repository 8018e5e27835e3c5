"""Who may administer: roles by the policies that come with Remit, and a deployment's own in their place."""

import re
from itertools import combinations
from pathlib import Path

import pytest
from msgspec.structs import replace

from remit.model.caller import Caller, Proof, Role
from remit.model.errors import RemitError
from remit.model.identity import AgentId
from remit.pap.administration import SHIPPED, administration_of, read_administration
from remit.pdp.administration import SCHEMA, Act, Thing

OWN = {Act.ASK, Act.WORK, Act.OPEN_AS_AGENT, Act.CLOSE, Act.SEE}
LOOK = {Act.SEE, Act.SEE_APPROVALS, Act.SEE_LOG, Act.SEE_BREAK_GLASS, Act.SEE_METRICS}
GLASS = {Act.ASK_BREAK_GLASS, Act.CONFIRM_BREAK_GLASS, Act.END_BREAK_GLASS}
MAY = {
    Role.ADMINISTRATOR: LOOK
    | GLASS
    | {Act.CLOSE, Act.OPEN, Act.CHANGE_AGENT, Act.PUBLISH, Act.KILL, Act.RELEASE, Act.ISSUE, Act.REVIEW_BREAK_GLASS},
    Role.APPROVER: GLASS | {Act.ANSWER, Act.SEE_APPROVALS, Act.SEE, Act.SEE_BREAK_GLASS},
    Role.REVIEWER: LOOK | {Act.REVIEW_BREAK_GLASS},
    Role.AUDITOR: LOOK,
    Role.ENFORCEMENT_POINT: OWN,
    Role.PROVISIONER: {Act.PROVISION},
    Role.MONITOR: {Act.SEE_METRICS},
    Role.AGENT: set[Act](),
}
OTHERS = Thing("bot", "ana")
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "identity.md").read_text("utf-8")


def caller(*roles: Role, agent: str | None = None) -> Caller:
    return Caller("x", frozenset(roles), "https://idp.example", Proof.BEARER, AgentId(agent) if agent else None)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("act", Act)
def test_what_a_role_may(role: Role, act: Act) -> None:
    ruling = read_administration().rule(caller(role), act, OTHERS)
    assert ruling.allowed is (act in MAY[role]), ruling.why


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize(
    "also",
    [roles for count in (0, 1, 2) for roles in combinations([role for role in Role if role != Role.AGENT], count)],
    ids=str,
)
def test_an_agent_works_on_its_own_alone_whatever_else_it_is(act: Act, also: tuple[Role, ...]) -> None:
    shipped, agent = read_administration(), caller(Role.AGENT, *also, agent="bot")
    assert shipped.rule(agent, act, Thing("bot")).allowed is (act in OWN)
    for other in ("other", "", "BOT"):
        assert not shipped.rule(agent, act, Thing(other)).allowed
    assert not shipped.rule(caller(Role.AGENT), act, Thing("")).allowed, "an agent without a name has nothing of its own"


def test_a_role_that_nobody_gave_may_nothing() -> None:
    assert not any(read_administration().rule(caller(), act, OTHERS).allowed for act in Act)


def test_policies_of_ones_own() -> None:
    bound = (
        SHIPPED.read_text("utf-8")
        + '@id("bound") forbid (principal, action == Action::"answer", resource) unless { principal.keyBound };'
    )
    assert not administration_of(bound).rule(caller(Role.APPROVER), Act.ANSWER, OTHERS).allowed
    assert administration_of(bound).rule(caller(Role.APPROVER), Act.ANSWER, OTHERS).why == ("bound",)


def test_what_the_documentation_says_of_policies_of_ones_own() -> None:
    schema, example = re.findall(
        r"^```cedar\w*\n(.*?)^```", DOCUMENT.partition("### Policies of your own")[2], re.DOTALL | re.MULTILINE
    )
    assert schema == SCHEMA.lstrip()
    policies = administration_of(SHIPPED.read_text("utf-8") + example)
    for role in Role:
        bearer, bound = caller(role), replace(caller(role), proof=Proof.DPOP)
        for act in Act:
            assert policies.rule(bound, act, OTHERS).allowed is (act in MAY[role])
            looks = act in LOOK or role in (Role.ENFORCEMENT_POINT, Role.PROVISIONER)
            assert policies.rule(bearer, act, OTHERS).allowed is (act in MAY[role] and looks)


def test_a_policy_that_errs_refuses() -> None:
    erring = '@id("all") permit (principal, action, resource); @id("errs") forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };'
    ruling = administration_of(erring).rule(caller(Role.ADMINISTRATOR), Act.SEE, OTHERS)
    assert not ruling.allowed and "errs" in str(ruling.why)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "permit (principal",
        '@id("a") forbid (principal, action, resource);',
        '@id("a") permit (principal, action, resource) when { principal.age > 7 };',
        '@id("a") permit (principal, action == Action::"fly", resource);',
        '@id("a") permit (principal == ?principal, action, resource);',
        '@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);',
    ],
)
def test_what_would_lock_out_or_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(RemitError):
        administration_of(text)
