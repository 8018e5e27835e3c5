"""Tokens that are taken, whoever made them, and those that are not: every way that tokens have been forged or misread."""

import json
import warnings
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remit.authentication.issuers import Discovery, TrustedIssuer
from remit.authentication.jose.key import ASYMMETRIC
from remit.authentication.refusal import Code, NotVerified, challenges
from remit.authentication.verify import Scheme, Shown
from remit.model.caller import Proof
from remit.model.clock import SECOND
from remit.model.errors import ErrorKind, RemitError
from tests.authentication.minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    RSA_KEY,
    Issuer,
    b64,
    new_key,
    public_jwk,
    sealed,
    signature,
    verifier,
)
from tests.runtime.world import Clock

with warnings.catch_warnings(record=True):  # it points to joserfc, which must not judge itself
    from authlib.jose import jwt as authlib_jwt

ES = Issuer()
OTHER = new_key("ES256")


def refused(verify: Any, token: str) -> str:
    with pytest.raises(NotVerified) as refusal:
        verify(token)
    assert refusal.value.code is Code.INVALID_TOKEN
    for part in token.split("."):
        assert len(part) < 8 or part not in refusal.value.message
    assert refusal.value.message.isprintable()
    return refusal.value.message


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_token_of_every_algorithm_is_taken(clock: Clock, alg: str) -> None:
    issuer = Issuer(alg=alg)
    found = verifier(clock, issuer).verify(issuer.token())
    assert (found.issuer, found.subject, found.audience, found.id) == (ISSUER, "bot", AUDIENCE, "t-1")
    assert (found.issued, found.expires, found.proof, found.key) == (NOW * SECOND, (NOW + 300) * SECOND, Proof.BEARER, "")
    assert found.claims == issuer.claims()


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "RS256", "PS384", "EdDSA"])
def test_tokens_of_other_libraries_are_taken(clock: Clock, alg: str) -> None:
    issuer = Issuer(alg=alg)
    pem = issuer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    verify = verifier(clock, issuer).verify
    assert verify(issuer.by_pyjwt()).subject == "bot"
    assert verify(authlib_jwt.encode(issuer.header(), issuer.claims(), pem).decode()).subject == "bot"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", ...])
def test_the_type_is_read_as_a_media_type(clock: Clock, typ: Any) -> None:
    verifier(clock, ES).verify(ES.token({"typ": typ}))


@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["else", AUDIENCE], "second"])
def test_one_of_our_names_among_the_audiences_is_enough(clock: Clock, aud: Any) -> None:
    found = verifier(clock, ES, audiences=(AUDIENCE, "second")).verify(ES.token(aud=aud))
    assert found.audience == ("second" if aud == "second" else AUDIENCE)


HEADERS: dict[str, dict[str, Any]] = {
    "an unknown critical member": {"crit": ["exp"], "exp": 1},
    "an empty list of critical members": {"crit": []},
    "a critical member that is known elsewhere": {"crit": ["b64"], "b64": False},
    "not encoded": {"b64": False},
    "nested": {"cty": "JWT"},
    "compressed": {"zip": "DEF"},
    "encrypted": {"enc": "A128GCM"},
    "another key": {"kid": "two"},
    "a path as key": {"kid": "../../dev/null"},
    "an injection as key": {"kid": "one' UNION SELECT 'k"},
    "an empty key id": {"kid": ""},
    "a null key id": {"kid": None},
    "a list of keys": {"kid": ["one"]},
    "a long key id": {"kid": "k" * 2000},
    "a logout token": {"typ": "logout+jwt"},
    "a proof as token": {"typ": "dpop+jwt"},
    "a task token": {"typ": "remit-task+jwt"},
    "a type that is no text": {"typ": 1},
    "an algorithm that is no text": {"alg": ["ES256"]},
    "no algorithm": {"alg": ...},
    "a null algorithm": {"alg": None},
    "another algorithm": {"alg": "ES384"},
    "another spelling": {"alg": "es256"},
    "an unknown algorithm": {"alg": "ES256K"},
}


@pytest.mark.parametrize("changed", HEADERS.values(), ids=HEADERS)
def test_headers_that_are_refused_though_the_signature_holds(clock: Clock, changed: dict[str, Any]) -> None:
    refused(verifier(clock, ES).verify, ES.token(changed))


CLAIMS: dict[str, dict[str, Any]] = {
    "no issuer": {"iss": ...},
    "another issuer": {"iss": "https://issuer.example.evil"},
    "the issuer with a slash": {"iss": ISSUER + "/"},
    "the issuer in capitals": {"iss": "https://ISSUER.example"},
    "a list of issuers": {"iss": [ISSUER]},
    "no audience": {"aud": ...},
    "another audience": {"aud": "https://else.example"},
    "a part of the audience": {"aud": AUDIENCE[:-1]},
    "more than the audience": {"aud": AUDIENCE + "/"},
    "no audience in a list": {"aud": []},
    "an audience that is no text": {"aud": [AUDIENCE, 1]},
    "an object as audience": {"aud": {AUDIENCE: True}},
    "a null audience": {"aud": None},
    "too many audiences": {"aud": [AUDIENCE] * 65},
    "no subject": {"sub": ...},
    "an empty subject": {"sub": ""},
    "a subject that is no text": {"sub": 7},
    "a subject of two lines": {"sub": "bot\nadmin"},
    "a long subject": {"sub": "b" * 3000},
    "no expiry": {"exp": ...},
    "a null expiry": {"exp": None},
    "expiry as text": {"exp": str(NOW + 300)},
    "an expiry that is no time": {"exp": 1e300},
    "a negative fraction as expiry": {"exp": -0.5},
    "over by a fraction": {"iat": NOW - 400, "exp": NOW - 29.5},
    "expiry as true": {"exp": True},
    "expiry in a list": {"exp": [NOW + 300]},
    "a huge expiry": {"exp": 10**15},
    "a huger expiry": {"exp": 10**40},
    "a negative expiry": {"exp": -1},
    "an expiry that is over": {"iat": NOW - 400, "exp": NOW - 30},
    "an expiry before the beginning": {"iat": NOW + 10, "exp": NOW + 5},
    "too long a life": {"exp": NOW + 86_401},
    "no beginning": {"iat": ...},
    "a beginning in the future": {"iat": NOW + 31},
    "a beginning as text": {"iat": str(NOW)},
    "not before later": {"nbf": NOW + 31},
    "not before by a fraction": {"nbf": NOW + 30.5},
    "not before as null": {"nbf": None},
    "not before as true": {"nbf": True},
    "an id that is no text": {"jti": 1},
    "an ID token by its nonce": {"nonce": "n"},
    "an ID token by its hash": {"at_hash": "h"},
    "a security event": {"events": {}},
    "bound to what is unknown": {"cnf": {"kid": "k"}},
    "bound to nothing": {"cnf": {}},
    "bound to two keys": {"cnf": {"jkt": "a" * 43, "x5t#S256": "b" * 43}},
    "bound to a number": {"cnf": {"jkt": 1}},
    "bound to half a thumbprint": {"cnf": {"jkt": "a" * 42}},
    "bound to text": {"cnf": "jkt"},
    "bound to null": {"cnf": None},
}


@pytest.mark.parametrize("changed", CLAIMS.values(), ids=CLAIMS)
def test_claims_that_are_refused_though_the_signature_holds(clock: Clock, changed: dict[str, Any]) -> None:
    refused(verifier(clock, ES).verify, ES.token(**changed))


USUAL = json.dumps(ES.claims())
RAW: dict[str, tuple[Any, Any]] = {
    "an algorithm twice": ('{"alg":"none","alg":"ES256","kid":"one"}', ES.claims()),
    "a key twice": ('{"alg":"ES256","kid":"two","kid":"one"}', ES.claims()),
    "a subject twice": (ES.header(), USUAL[:-1] + ',"sub":"admin"}'),
    "a member twice inside": (ES.header(), USUAL[:-1] + ',"act":{"sub":"a","sub":"b"}}'),
    "an expiry that is no number": (ES.header(), USUAL[:-1].replace(str(NOW + 300), "NaN") + "}"),
    "an expiry that is infinite": (ES.header(), USUAL[:-1].replace(str(NOW + 300), "1e999") + "}"),
    "an expiry of thousands of digits": (ES.header(), USUAL[:-1].replace(str(NOW + 300), "9" * 5000) + "}"),
    "a header that is a list": ("[]", ES.claims()),
    "claims that are a list": (ES.header(), "[]"),
    "claims that are a token": (ES.header(), json.dumps(ES.token())),
    "claims that are no JSON": (ES.header(), "sub=bot"),
    "claims with a mark of order": (ES.header(), "\ufeff" + USUAL),
    "a lone surrogate": (ES.header(), USUAL[:-1] + ',"x":"\\ud800"}'),
    "deep claims": (ES.header(), USUAL[:-1] + ',"x":' + "[" * 2000 + "]" * 2000 + "}"),
    "something after the claims": (ES.header(), USUAL + "{}"),
}


@pytest.mark.parametrize(("header", "claims"), RAW.values(), ids=RAW)
def test_json_that_two_readers_could_read_differently_is_refused(clock: Clock, header: Any, claims: Any) -> None:
    refused(verifier(clock, ES).verify, sealed(header, claims, ES.key))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", " none", "none ", "", "null", "HS256"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_token_without_a_signature_is_refused(clock: Clock, alg: str, kept: bool) -> None:
    body = f"{b64(json.dumps(ES.header(alg=alg)).encode())}.{b64(json.dumps(ES.claims()).encode())}."
    refused(verifier(clock, ES).verify, body + (ES.token().split(".")[2] if kept else ""))


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret(clock: Clock, alg: str) -> None:
    import hashlib
    import hmac

    issuer = Issuer(alg="RS256")
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), issuer.key_set(), json.dumps(issuer.jwk()).encode()):
        body = f"{b64(json.dumps(issuer.header(alg=alg)).encode())}.{b64(json.dumps(issuer.claims()).encode())}"
        tag = hmac.digest(secret, body.encode(), getattr(hashlib, f"sha{alg[2:]}"))
        refused(verifier(clock, issuer).verify, f"{body}.{b64(tag)}")


@pytest.mark.parametrize("kid", ["one", "two", ...])
def test_a_key_that_the_token_brings_is_never_used(clock: Clock, kid: Any) -> None:
    brought = {
        "jwk": public_jwk(OTHER),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": [b64(b"certificate")],
    }
    for name, value in brought.items():
        refused(verifier(clock, ES).verify, sealed(ES.header(kid=kid, **{name: value}), ES.claims(), OTHER))


def test_signatures_that_are_none(clock: Clock) -> None:
    verify = verifier(clock, ES).verify
    signed, good = ES.token().rsplit(".", 1)
    raw = signature("ES256", ES.key, signed.encode())
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    shapes = {
        "DER": ES.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())),
        "zeros": bytes(64),
        "only r": raw[:32] + bytes(32),
        "only s": bytes(32) + raw[32:],
        "r of the order": order.to_bytes(32, "big") + raw[32:],
        "s of the order": raw[:32] + order.to_bytes(32, "big"),
        "both of the order": order.to_bytes(32, "big") * 2,
        "short": raw[:-1],
        "long": raw + b"\0",
        "long before": b"\0" + raw,
        "twice": raw + raw,
        "swapped": raw[32:] + raw[:32],
        "another curve's length": bytes(32) + raw[:32] + bytes(32) + raw[32:],
        "another hash": signature("ES512", ES.key, signed.encode()),
    }
    for shape, forged in shapes.items():
        assert refused(verify, f"{signed}.{b64(forged)}"), shape
    assert verify(f"{signed}.{good}").subject == "bot"


def test_rsa_signatures_of_another_kind_or_length_are_refused(clock: Clock) -> None:
    issuer = Issuer(alg="RS256")
    verify = verifier(clock, issuer).verify
    signed = issuer.token().rsplit(".", 1)[0].encode()
    raw = signature("RS256", RSA_KEY, signed)
    for forged in (raw[:-1], raw + b"\0", b"\0" + raw, bytes(256), b"\1" * 256, signature("PS256", RSA_KEY, signed)):
        refused(verify, f"{signed.decode()}.{b64(forged)}")
    any_rsa = verifier(clock, issuer, source=None, algorithms=("PS256",)).verify
    refused(any_rsa, issuer.token())


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token.replace(".", ". ", 1),
        lambda token: token.replace(".", "=.", 1),
        lambda token: token.replace(".", "\n.", 1),
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token + ".e30.e30",
        lambda token: token.rsplit(".", 1)[0],
        lambda token: token.rsplit(".", 1)[0] + ".",
        lambda token: token.split(".")[0] + ".." + token.split(".")[2],
        lambda token: "." + token.split(".", 1)[1],
        lambda token: token.replace("e", "\uff45", 1),
        lambda token: token[:-1] + "\u00e9",
        lambda token: token + "\0",
        lambda token: token + "\ud800",
        lambda token: token.replace("-", "+").replace("_", "/") + "+",
        lambda token: json.dumps({"payload": token.split(".")[1], "signatures": []}),
        lambda token: "",
        lambda token: "..",
        lambda token: "Bearer " + token,
    ],
)
def test_other_spellings_of_a_token_are_refused(clock: Clock, change: Any) -> None:
    refused(verifier(clock, ES).verify, change(ES.token()))


def test_another_spelling_of_the_same_bytes_is_refused(clock: Clock) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    verify, spelled = verifier(clock, ES).verify, 0
    token = ES.token()
    parts = token.split(".")
    for place, part in enumerate(parts):
        unused = {2: 4, 3: 2}.get(len(part) % 4, 0)
        last = alphabet.index(part[-1])
        for spare in range(1, 1 << unused):
            other = [*parts]
            other[place] = part[:-1] + alphabet[last ^ spare]
            refused(verify, ".".join(other))
            spelled += 1
    assert spelled > 0 and verify(token)


def test_a_token_that_is_too_long_is_refused_before_it_is_read(clock: Clock) -> None:
    assert "8192" in refused(verifier(clock, ES).verify, ES.token(x="y" * 8192))
    assert verifier(clock, ES).verify(ES.token(x="y" * 4000)).subject == "bot"


FORGED = ES.token()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(FORGED) - 1), byte=st.integers(1, 127))
def test_any_change_of_any_byte_is_refused(place: int, byte: int) -> None:
    changed = FORGED[:place] + chr(ord(FORGED[place]) ^ byte) + FORGED[place + 1 :]
    refused(verifier(Clock(), ES).verify, changed)


PARTS = st.lists(
    st.sampled_from([*FORGED.split("."), *ES.token(sub="admin").split(".")[1:2], "", "e30", "."]), min_size=0, max_size=6
)


@settings(max_examples=200, deadline=None)
@given(parts=PARTS, joint=st.sampled_from([".", "..", ",", " ", ""]))
def test_any_other_composition_of_parts_is_refused(parts: list[str], joint: str) -> None:
    token = joint.join(parts)
    if token != FORGED:
        refused(verifier(Clock(), ES).verify, token)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "cnf", "alg", "kid", "typ", "crit", "cty"]), value=JSON)
def test_whatever_a_member_is_the_answer_is_a_refusal_or_sound(name: str, value: Any) -> None:
    in_header = name in ("alg", "kid", "typ", "crit", "cty")
    token = ES.token({name: value}) if in_header else ES.token(**{name: value})
    try:
        found = verifier(Clock(), ES).verify(token)
    except NotVerified as refusal:
        assert refusal.code is Code.INVALID_TOKEN
        return
    assert (found.issuer, found.audience) == (ISSUER, AUDIENCE)
    assert found.issued <= Clock().now + 30 * SECOND and found.expires > Clock().now - 30 * SECOND
    assert found.subject.isprintable() and found.proof is Proof.BEARER and "cnf" not in found.claims


def test_a_time_may_have_a_fraction_and_counts_for_nobody(clock: Clock) -> None:
    """RFC 7519, section 2. What begins within a second begins after it, what ends within one before."""
    verify = verifier(clock, ES, leeway_seconds=0).verify
    token = ES.token(iat=NOW - 0.25, nbf=NOW - 1.5, exp=NOW + 9.75)
    assert (verify(token).issued, verify(token).expires) == (NOW * SECOND, (NOW + 9) * SECOND)
    refused(verify, ES.token(nbf=NOW + 0.5))
    clock.forward(9)
    refused(verify, token)


def test_clocks_may_differ_by_the_leeway_and_no_more(clock: Clock) -> None:
    verify = verifier(clock, ES, leeway_seconds=10).verify
    early, late = ES.token(iat=NOW + 10, exp=NOW + 100), ES.token(iat=NOW - 100, exp=NOW - 9)
    assert verify(early) and verify(late)
    refused(verify, ES.token(iat=NOW + 11, exp=NOW + 100))
    refused(verify, ES.token(iat=NOW - 100, exp=NOW - 10))
    clock.forward(1)
    assert "expired" in refused(verify, late)  # though it was remembered


def test_a_remembered_token_expires(clock: Clock) -> None:
    verify = verifier(clock, ES, leeway_seconds=0).verify
    token = ES.token()
    assert verify(token) is verify(token)
    clock.forward(299)
    verify(token)
    clock.forward(1)
    refused(verify, token)


def test_a_clock_that_goes_back_verifies_nothing(clock: Clock) -> None:
    verify = verifier(clock, ES).verify
    token = ES.token()
    clock.forward(400)
    refused(verify, token)
    clock.forward(-390)
    with pytest.raises(NotVerified) as refusal:
        verify(token)
    assert refusal.value.code is Code.UNAVAILABLE
    clock.forward(390)
    refused(verify, token)


def test_remembered_tokens_are_bounded(clock: Clock) -> None:
    from remit.authentication.keys.holding import FixedKeys
    from remit.authentication.verify import Verifier

    small = Verifier([(TrustedIssuer(ISSUER, (AUDIENCE,)), FixedKeys(ES.key_set()))], clock, remembered=3)
    tokens = [ES.token(jti=str(number)) for number in range(5)]
    found = [small.verify(token) for token in tokens]
    assert small.verify(tokens[4]) is found[4] and small.verify(tokens[0]) is not found[0]
    assert len(small._known) == 3


def test_issuers_are_kept_apart(clock: Clock) -> None:
    one, two = Issuer(), Issuer("https://two.example")
    both = verifier(clock, one, two).verify
    assert both(one.token()).issuer == ISSUER and both(two.token()).issuer == "https://two.example"
    refused(both, sealed(one.header(), one.claims(iss="https://two.example"), one.key))
    with pytest.raises(RemitError):
        verifier(clock, one, one)


def test_a_bearer_can_be_too_little(clock: Clock) -> None:
    assert "cnf" in refused(verifier(clock, ES, bearer=False).verify, ES.token())


def test_tokens_for_logging_in_are_taken_where_that_is_said(clock: Clock) -> None:
    assert verifier(clock, ES, id_tokens=True).verify(ES.token({"typ": "JWT"}, nonce="n")).subject == "bot"


def test_a_proof_with_a_token_that_is_bound_to_nothing_is_refused(clock: Clock) -> None:
    with pytest.raises(NotVerified) as refusal:
        verifier(clock, ES).verify(ES.token(), Shown(Scheme.DPOP, "proof", "GET", AUDIENCE))
    assert refusal.value.code is Code.INVALID_PROOF


@pytest.mark.parametrize(
    "terms",
    [
        {"audiences": ()},
        {"audiences": ("",)},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"algorithms": ()},
        {"issuer": "http://issuer.example"},
        {"issuer": "https://user@issuer.example"},
        {"issuer": "issuer"},
        {"issuer": "spiffe://td"},
        {"issuer": "spiffe://TD", "jwks_file": "f"},
        {"issuer": "spiffe://td/path", "jwks_file": "f"},
        {"jwks_url": "http://issuer.example/jwks"},
        {"jwks_url": "file:///etc/passwd"},
        {"jwks_url": "https://a.example", "jwks_file": "f"},
        {"leeway_seconds": 301},
        {"leeway_seconds": -1},
        {"grace_seconds": 10},
        {"retry_seconds": 0},
        {"types": ()},
        {"types": ("JWT",)},
    ],
)
def test_terms_that_cannot_be_kept_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(RemitError) as refusal:
        TrustedIssuer(**{"issuer": ISSUER, "audiences": (AUDIENCE,), **terms})
    assert refusal.value.kind is ErrorKind.MALFORMED


def test_terms_are_read_from_a_configuration() -> None:
    written = {"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["ES256"], "discovery": "oauth", "bearer": False}
    assert msgspec.convert(written, TrustedIssuer) == TrustedIssuer(
        ISSUER, (AUDIENCE,), ("ES256",), discovery=Discovery.OAUTH, bearer=False
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**written, "audience": AUDIENCE}, TrustedIssuer)
    with pytest.raises(RemitError):
        msgspec.convert({**written, "algorithms": ["none"]}, TrustedIssuer)


def test_a_challenge_says_what_is_wrong_and_nothing_that_could_be_misread(clock: Clock) -> None:
    with pytest.raises(NotVerified) as refusal:
        verifier(clock, ES).verify(ES.token(iss='https://x"\r\nSet-Cookie: a=b'))
    bearer, dpop = challenges(refusal.value, ("ES256", "EdDSA"))
    assert bearer.startswith('Bearer realm="remit", error="invalid_token", error_description="') and dpop.endswith(
        'algs="ES256 EdDSA"'
    )
    assert bearer.count('"') == 6 and "\r" not in bearer and "\n" not in bearer
    assert challenges(NotVerified(Code.MISSING, "send one"), ("ES256",)) == ['Bearer realm="remit"', 'DPoP algs="ES256"']
    [only] = challenges(NotVerified(Code.USE_NONCE, "again", "n"), ("ES256",))
    assert only == 'DPoP error="use_dpop_nonce", error_description="again", algs="ES256"'


def test_what_we_refuse_is_not_refused_by_all(clock: Clock) -> None:
    """The strictness is ours: PyJWT takes a subject that stands there twice."""
    token = sealed(ES.header(), USUAL[:-1] + ',"sub":"admin"}', ES.key)
    taken = jwt.decode(
        token, ES.key.public_key(), ["ES256"], audience=AUDIENCE, options={"verify_exp": False, "verify_iat": False}
    )
    assert taken["sub"] == "admin"
