"""How authority came over a network: on record, replayed, and as a mere bearer token of use at the low tier alone."""

import pytest

from remit.model.caller import Proof
from remit.model.decision import Permit, Reason
from remit.model.request import Tier
from tests.conftest import OpenStore
from tests.runtime.world import permit, reason, small_bundle

TIERS = small_bundle(
    policies='@id("all") permit (principal, action, resource);\n',
    tools="""- {name: read_public, annotations: {effect: read, reach: internal, sensitivity: public, output_trusted: true}}
- {name: read_inside, annotations: {effect: read, reach: internal, sensitivity: internal, output_trusted: true}}
- {name: mail_out, annotations: {effect: write, reach: external, destinations: [to], sensitivity: internal, output_trusted: true}}
- {name: wipe_all, annotations: {effect: delete, reach: internal, sensitivity: internal, output_trusted: true}}
""",
)
TOOLS = {"read_public": Tier.LOW, "read_inside": Tier.MODERATE, "mail_out": Tier.HIGH, "wipe_all": Tier.CRITICAL}


@pytest.mark.parametrize("proof", [None, *Proof])
def test_a_bearer_token_reaches_the_low_tier_only(open_store: OpenStore, proof: Proof | None) -> None:
    world = open_store(bundle=TIERS)
    session = world.open_session()
    for tool, tier in TOOLS.items():
        decision = world.ask(session, tool, proof=proof, caller="https://idp.example#bot")
        if proof is Proof.BEARER and tier is not Tier.LOW:
            assert reason(decision) is Reason.PROOF_REQUIRED and "DPoP" in decision.message
        else:
            assert isinstance(decision, Permit) and decision.tier is tier
    made = world.decisions()
    assert {one.caller for one in made} == {"https://idp.example#bot"} and {one.proof for one in made} == {proof or ""}
    world.verified()  # and `open_store` replays the log


def test_a_label_that_rose_takes_the_bearer_out_of_the_low_tier(open_store: OpenStore) -> None:
    world = open_store(bundle=TIERS)
    session = world.open_session()
    permit(world.ask(session, "read_public", proof=Proof.BEARER))
    assert reason(world.ask(session, "read_inside", proof=Proof.BEARER)) is Reason.PROOF_REQUIRED
    permit(world.ask(session, "read_inside", proof=Proof.DPOP))
