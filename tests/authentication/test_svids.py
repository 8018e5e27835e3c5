"""SPIFFE JWT-SVIDs: the rules of their standard, and the paths that an id may have."""

import asyncio
import json
from typing import Any

import pytest

from remit.authentication.issuers import TrustedIssuer
from remit.authentication.jose.key import SVID_USE
from remit.authentication.keys.holding import HeldKeys, Terms, keys_of
from remit.authentication.refusal import NotVerified
from remit.authentication.verify import Verifier
from remit.authentication.waiting import awaited
from tests.authentication.minting import AUDIENCE, NOW, Issuer, sealed
from tests.runtime.world import Clock

DOMAIN = "spiffe://td.example"
ID = f"{DOMAIN}/agent/planner"
AUTHORITY = Issuer(DOMAIN)


def svid(header: dict[str, Any] | None = None, **changed: Any) -> str:
    claims = {"sub": ID, "aud": [AUDIENCE], "exp": NOW + 300, "iat": NOW, **changed}
    made = {"alg": "ES256", "kid": "one", "typ": "JWT", **(header or {})}
    return sealed(
        {k: v for k, v in made.items() if v is not ...}, {k: v for k, v in claims.items() if v is not ...}, AUTHORITY.key
    )


def subject(clock: Clock, token: str, **jwk: Any) -> str:
    trusted = TrustedIssuer(DOMAIN, (AUDIENCE,), jwks_url="https://bundle.example")
    key = {name: value for name, value in AUTHORITY.jwk(use=SVID_USE, alg=..., **jwk).items() if value is not ...}
    verifier = Verifier([(trusted, keys_of(trusted, clock, lambda *_: json.dumps({"keys": [key]}).encode()))], clock)
    found = asyncio.run(awaited(lambda: verifier.verify(token)))
    assert found.issuer == DOMAIN
    return found.subject


@pytest.mark.parametrize("typ", ["JWT", "JOSE", ...])
@pytest.mark.parametrize("iat", [NOW, ...])
def test_an_svid_is_taken(clock: Clock, typ: Any, iat: Any) -> None:
    assert subject(clock, svid({"typ": typ}, iat=iat)) == ID


def test_an_issuer_in_an_svid_says_nothing(clock: Clock) -> None:
    assert subject(clock, svid(iss="https://spire.example")) == ID


@pytest.mark.parametrize("path", ["/a", "/a/b-c_d.e", "/...", "/.a", "/a../b", "/A9"])
def test_paths_that_an_id_may_have(clock: Clock, path: str) -> None:
    assert subject(clock, svid(sub=DOMAIN + path)) == DOMAIN + path


@pytest.mark.parametrize(
    "other",
    [
        DOMAIN,
        DOMAIN + "/",
        DOMAIN + "//a",
        DOMAIN + "/a/",
        DOMAIN + "/a//b",
        DOMAIN + "/.",
        DOMAIN + "/..",
        DOMAIN + "/a/../b",
        DOMAIN + "/a/.",
        DOMAIN + "/a%2fb",
        DOMAIN + "/a b",
        DOMAIN + "/a?b",
        DOMAIN + "/a#b",
        DOMAIN + "/\u00e9",
        DOMAIN + "/a\n",
        DOMAIN + ":443/a",
        DOMAIN + ".evil/a",
        "spiffe://user@td.example/a",
        "spiffe://TD.example/a",
        "SPIFFE://td.example/a",
        "spiffe://evil.example/a",
        "spiffe:///a",
        "https://td.example/a",
        "alice",
        DOMAIN + "/" + "a" * 2048,
        ...,
        7,
    ],
)
def test_subjects_that_are_no_workload_of_the_domain_are_refused(clock: Clock, other: Any) -> None:
    with pytest.raises(NotVerified):
        subject(clock, svid(sub=other))


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ...},
        {"aud": ["else"]},
        {"exp": ...},
        {"exp": NOW - 30, "iat": ...},
        {"exp": NOW + 86_401, "iat": ...},
        {"iat": NOW + 31},
        {"nbf": NOW + 31},
    ],
)
def test_svids_that_are_not_for_us_or_not_now_are_refused(clock: Clock, changed: dict[str, Any]) -> None:
    with pytest.raises(NotVerified):
        subject(clock, svid(**changed))


@pytest.mark.parametrize("header", [{"typ": "at+jwt"}, {"typ": "JWS"}, {"kid": "two"}, {"alg": "none"}, {"crit": ["x"], "x": 1}])
def test_svids_of_another_kind_are_refused(clock: Clock, header: dict[str, Any]) -> None:
    with pytest.raises(NotVerified):
        subject(clock, svid(header))


@pytest.mark.parametrize("use", ["sig", "x509-svid", ...])
def test_keys_that_are_not_for_svids_check_none(clock: Clock, use: Any) -> None:
    key = {name: value for name, value in AUTHORITY.jwk(use=use).items() if value is not ...}
    trusted = TrustedIssuer(DOMAIN, (AUDIENCE,), jwks_url="https://bundle.example")
    verifier = Verifier([(trusted, keys_of(trusted, clock, lambda *_: json.dumps({"keys": [key]}).encode()))], clock)
    with pytest.raises(NotVerified, match="use"):
        asyncio.run(awaited(lambda: verifier.verify(svid())))


def test_edwards_keys_are_not_for_svids(clock: Clock) -> None:
    issuer = Issuer(DOMAIN, "EdDSA")
    trusted = TrustedIssuer(DOMAIN, (AUDIENCE,), jwks_url="https://bundle.example")
    document = json.dumps({"keys": [issuer.jwk(use=SVID_USE)]}).encode()
    held = HeldKeys(lambda: document, Terms(DOMAIN, 10**9, 10**9, 10**9, SVID_USE), clock)
    with pytest.raises(NotVerified):
        asyncio.run(awaited(lambda: Verifier([(trusted, held)], clock).verify(issuer.token({"typ": "JWT"}, sub=ID))))


def test_a_trust_domain_and_an_issuer_do_not_mix(clock: Clock) -> None:
    """Its keys sign for its own workloads, never as an issuer that is trusted beside it."""
    web = Issuer("https://web.example")
    trusted = TrustedIssuer(DOMAIN, (AUDIENCE,), jwks_url="https://bundle.example")
    documents = {
        "https://bundle.example": json.dumps({"keys": [AUTHORITY.jwk(use=SVID_USE)]}).encode(),
        "https://web.example/k": web.key_set(),
    }
    other = TrustedIssuer(web.name, (AUDIENCE,), jwks_url="https://web.example/k")
    both = Verifier([(issuer, keys_of(issuer, clock, lambda url, _: documents[url])) for issuer in (trusted, other)], clock)
    assert asyncio.run(awaited(lambda: both.verify(svid()))).issuer == DOMAIN
    assert asyncio.run(awaited(lambda: both.verify(web.token()))).issuer == web.name
    for forged in (svid(iss=web.name), web.token({"typ": "JWT"}, sub=ID, iss=DOMAIN), web.token({"typ": "JWT"}, sub=ID, iss=...)):
        with pytest.raises(NotVerified):
            asyncio.run(awaited(lambda forged=forged: both.verify(forged)))
