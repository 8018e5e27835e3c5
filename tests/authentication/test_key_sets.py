"""Key sets: which keys are used, which are passed over and why, and which documents are none."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.authentication.jose.compact import read_compact
from remit.authentication.jose.key_set import MAX_KEYS, Unreadable, read_key_set
from remit.authentication.keys.holding import FixedKeys
from remit.authentication.refusal import NotVerified
from tests.authentication.minting import WEAK_RSA_KEY, Issuer, b64, new_key, public_jwk, sealed, thumbprint, verifier
from tests.runtime.world import Clock

ES = Issuer()
RS = Issuer(alg="RS256", kid="rsa")


def document(*keys: Any) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def without(jwk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


PASSED_OVER: dict[str, dict[str, Any]] = {
    "for encryption": ES.jwk(use="enc"),
    "of an unknown use": ES.jwk(use="tls"),
    "for an SVID": ES.jwk(use="jwt-svid"),
    "for signing only": ES.jwk(key_ops=["sign"]),
    "for no operation": ES.jwk(key_ops=[]),
    "an operation twice": ES.jwk(key_ops=["verify", "verify"]),
    "operations that are text": ES.jwk(key_ops="verify"),
    "for another curve's algorithm": ES.jwk(alg="ES384"),
    "for another type's algorithm": ES.jwk(alg="RS256"),
    "for a secret's algorithm": ES.jwk(alg="HS256"),
    "for an algorithm that is no text": ES.jwk(alg=["ES256"]),
    "of an unknown curve": ES.jwk(crv="secp256k1"),
    "of a curve that is no text": ES.jwk(crv=1),
    "of an unknown type": ES.jwk(kty="AKP"),
    "of no type": without(ES.jwk(), "kty"),
    "without a coordinate": without(ES.jwk(), "y"),
    "not on the curve": ES.jwk(y=ES.jwk()["x"]),
    "a coordinate with zeros before it": ES.jwk(x=b64(b"\0" + urlsafe_b64decode(ES.jwk()["x"] + "="))),
    "a coordinate that is padded": ES.jwk(x=ES.jwk()["x"] + "="),
    "its private half shown": ES.jwk(d=b64(bytes(32))),
    "a factor shown": RS.jwk(p="AQAB"),
    "a secret": {"kty": "oct", "k": b64(b"s" * 32), "kid": "one", "alg": "HS256"},
    "an id that is no text": ES.jwk(kid=1),
    "weak": public_jwk(WEAK_RSA_KEY, kid="one"),
    "a modulus with zeros before it": RS.jwk(n=b64(b"\0" + bytes([255]) * 256)),
    "an exponent of one": RS.jwk(e=b64(b"\1")),
    "an even exponent": RS.jwk(e=b64(b"\4")),
    "a huge exponent": RS.jwk(e=b64(b"\1" * 9)),
    "too long": RS.jwk(n=b64(bytes([255]) * 2048)),
    "a short Edwards key": {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(31)), "kid": "one"},
    "a key for agreeing": {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32)), "kid": "one"},
    "the other Edwards curve": {"kty": "OKP", "crv": "Ed448", "x": b64(bytes(57)), "kid": "one"},
}


@pytest.mark.parametrize("jwk", PASSED_OVER.values(), ids=PASSED_OVER)
def test_keys_that_are_passed_over_keep_no_other_from_being_used(jwk: dict[str, Any]) -> None:
    good = Issuer(kid="good")
    found = read_key_set(document(jwk, good.jwk()))
    assert set(found.keys) == {"good"} and found.unnamed == () and len(found.unusable) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(
    jwk=st.sampled_from([ES.jwk(), RS.jwk(), Issuer(alg="EdDSA").jwk()]),
    name=st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops", "d"]),
    value=JSON,
)
def test_whatever_a_member_of_a_key_is_the_other_keys_are_known(jwk: dict[str, Any], name: str, value: Any) -> None:
    good = Issuer(kid="good")
    found = read_key_set(document({**jwk, name: value}, good.jwk()))
    assert found.keys["good"].signed(read_compact(good.token()))


def test_what_is_said_of_a_key_that_cannot_be_used_reaches_the_caller(clock: Clock) -> None:
    source = FixedKeys(document(ES.jwk(use="enc")))
    with pytest.raises(NotVerified, match="use"):
        verifier(clock, ES, source=source).verify(ES.token())


def test_keys_that_share_an_id_are_all_passed_over() -> None:
    leaked = ES.jwk(d=b64(bytes(32)))
    assert read_key_set(document(ES.jwk(), Issuer().jwk())).keys == {}
    assert read_key_set(document(ES.jwk(), leaked)).keys == {}
    assert set(read_key_set(document(ES.jwk(), RS.jwk(kid="one", use="enc"))).keys) == {"one"}


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[],"keys":[]}', b"\xff", b'{"keys":[', b"[" * 100_000]
)
def test_what_is_no_key_set_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        read_key_set(text)


def test_sets_are_bounded() -> None:
    assert len(read_key_set(document(*[ES.jwk(kid=str(n)) for n in range(MAX_KEYS)])).keys) == MAX_KEYS
    with pytest.raises(Unreadable):
        read_key_set(document(*[{}] * (MAX_KEYS + 1)))
    assert read_key_set(document(None, 1, "x", [], {})).keys == {}


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "RS256", "EdDSA"])
def test_thumbprints_are_those_of_the_standard(alg: str) -> None:
    issuer = Issuer(alg=alg)
    [key] = read_key_set(issuer.key_set()).keys.values()
    assert key.thumbprint == thumbprint(issuer.key)


def test_the_thumbprint_of_the_standards_example() -> None:
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    found = read_key_set(document({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}))
    assert found.keys["2011-04-29"].thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_token_that_names_no_key_is_checked_with_the_only_one_of_its_algorithm(clock: Clock) -> None:
    token = ES.token({"kid": ...})
    for others, taken in (
        ((), True),
        ((RS.jwk(),), True),
        ((Issuer(kid="two").jwk(),), False),
        ((without(Issuer().jwk(), "kid"),), False),
    ):
        verify = verifier(clock, ES, source=FixedKeys(ES.key_set(*others))).verify
        if taken:
            assert verify(token).subject == "bot"
        else:
            with pytest.raises(NotVerified):
                verify(token)
    unnamed = FixedKeys(document(without(ES.jwk(), "kid")))
    assert verifier(clock, ES, source=unnamed).verify(token).subject == "bot"
    with pytest.raises(NotVerified):
        verifier(clock, ES, source=unnamed).verify(ES.token())


def test_the_algorithm_is_the_keys_and_not_the_tokens_choice(clock: Clock) -> None:
    """A key that is stated to be for PS256 checks no RS256, though it is the same RSA key."""
    source = FixedKeys(document(RS.jwk(alg="PS256")))
    with pytest.raises(NotVerified):
        verifier(clock, RS, source=source).verify(RS.token())
    pss = sealed(RS.header(alg="PS256"), RS.claims(), RS.key, "PS256")
    assert verifier(clock, RS, source=source).verify(pss).subject == "bot"


@pytest.mark.parametrize("stated", ["EdDSA", "Ed25519", None])
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_both_names_of_the_edwards_algorithm_are_one(clock: Clock, stated: str | None, alg: str) -> None:
    issuer = Issuer(alg=alg, key=new_key("EdDSA"))
    jwk = issuer.jwk(alg=stated) if stated else without(issuer.jwk(), "alg")
    assert verifier(clock, issuer, source=FixedKeys(document(jwk))).verify(issuer.token()).subject == "bot"


def test_a_signature_is_only_checked_for_an_algorithm_of_the_key() -> None:
    [key] = read_key_set(ES.key_set()).keys.values()
    assert key.signed(read_compact(ES.token()))
    assert not key.signed(read_compact(ES.token({"alg": "none"}))) and not key.signed(read_compact(ES.token({"alg": "HS256"})))
