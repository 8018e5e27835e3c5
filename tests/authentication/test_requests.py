"""Whole requests: one token, one proof, in the headers where the standards put them."""

import asyncio

import pytest

from remit.authentication.refusal import Code, NotVerified
from remit.authentication.requests import Sent, authenticate
from remit.model.caller import Proof
from tests.authentication.minting import Issuer, verifier
from tests.authentication.test_possession import ISSUER, TOKEN, URL, proof
from tests.runtime.world import Clock

PLAIN = ISSUER.token().encode()
BOUND = TOKEN.encode()


def sent(*headers: tuple[bytes, bytes], certificate: bytes | None = None) -> Sent:
    return Sent(((b"host", b"pdp.example"), *headers), "POST", URL, certificate)


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER   "])
def test_a_bearer_is_taken(clock: Clock, scheme: bytes) -> None:
    request = sent((b"Authorization", scheme + PLAIN))
    found = asyncio.run(authenticate(verifier(clock, ISSUER), request))
    assert (found.subject, found.proof) == ("bot", Proof.BEARER)


def test_a_bound_token_is_taken_with_its_proof(clock: Clock) -> None:
    request = sent((b"authorization", b"DPoP " + BOUND), (b"dpop", proof().encode()))
    assert asyncio.run(authenticate(verifier(clock, ISSUER), request)).proof is Proof.DPOP


PROOF = (b"dpop", proof().encode())


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], Code.MISSING),
        ([PROOF], Code.MISSING),
        ([(b"x-authorization", b"Bearer " + PLAIN)], Code.MISSING),
        ([(b"authorization", b"Bearer " + PLAIN)] * 2, Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer " + PLAIN), (b"Authorization", b"Basic eDp5")], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer " + PLAIN + b", Bearer " + PLAIN)], Code.INVALID_REQUEST),
        ([(b"authorization", b"")], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer")], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer ")], Code.INVALID_REQUEST),
        ([(b"authorization", b"Basic eDp5")], Code.MISSING),  # an error is none of a scheme that is not known (RFC 6750, 3.1)
        ([(b"authorization", PLAIN)], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer\t" + PLAIN)], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer " + PLAIN + b" x")], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer " + PLAIN + b"\xe9")], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer " + BOUND)], Code.INVALID_TOKEN),
        ([(b"authorization", b"Bearer " + BOUND), PROOF], Code.INVALID_REQUEST),
        ([(b"authorization", b"Bearer " + PLAIN), PROOF], Code.INVALID_REQUEST),
        ([(b"authorization", b"DPoP " + BOUND)], Code.INVALID_PROOF),
        ([(b"authorization", b"DPoP " + BOUND), PROOF, PROOF], Code.INVALID_PROOF),
        ([(b"authorization", b"DPoP " + BOUND), (b"dpop", b"")], Code.INVALID_TOKEN),
        ([(b"authorization", b"DPoP " + BOUND), (b"dpop", b"\xff\xfe")], Code.INVALID_PROOF),
        ([(b"authorization", b"DPoP " + PLAIN), PROOF], Code.INVALID_PROOF),
    ],
)
def test_requests_that_are_not_plain_are_refused(clock: Clock, headers: list[tuple[bytes, bytes]], code: Code) -> None:
    with pytest.raises(NotVerified) as refusal:
        asyncio.run(authenticate(verifier(clock, ISSUER, Issuer("https://two.example")), sent(*headers)))
    assert refusal.value.code is code
    assert PLAIN.decode() not in refusal.value.message and BOUND.decode() not in refusal.value.message
