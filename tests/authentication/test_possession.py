"""Bound tokens: proofs over one request (RFC 9449) and certificates (RFC 8705), and every way around them."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.authentication.possession.addresses import normal
from remit.authentication.possession.dpop import ALGORITHMS, Proofs, ProofTerms
from remit.authentication.possession.replays import NONCE_LIFETIME, Nonces, ProofsInMemory
from remit.authentication.refusal import Code, NotVerified
from remit.authentication.verify import Scheme, Shown
from remit.model.caller import Proof
from remit.model.clock import SECOND
from tests.authentication.minting import NOW, WEAK_RSA_KEY, Issuer, ath, b64, new_key, public_jwk, sealed, thumbprint, verifier
from tests.runtime.world import Clock

ISSUER = Issuer()
KEY = new_key("ES256")
URL = "https://pdp.example/access/v1/evaluation"
TOKEN = ISSUER.token(cnf={"jkt": thumbprint(KEY)})


def proof(header: dict[str, Any] | None = None, *, key: Any = KEY, alg: str = "ES256", signer: Any = None, **claims: Any) -> str:
    made = {"typ": "dpop+jwt", "alg": alg, "jwk": public_jwk(key), **(header or {})}
    said = {"jti": "p-1", "htm": "POST", "htu": URL, "iat": NOW, "ath": ath(TOKEN), **claims}
    return sealed(
        {k: v for k, v in made.items() if v is not ...}, {k: v for k, v in said.items() if v is not ...}, signer or key, alg
    )


def shown(proof: str, method: str = "POST", url: str = URL) -> Shown:
    return Shown(Scheme.DPOP, proof, method, url)


def code(verify: Any, token: str, presented: Shown) -> Code:
    with pytest.raises(NotVerified) as refusal:
        verify(token, presented)
    assert presented.proof == "" or presented.proof not in refusal.value.message
    return refusal.value.code


def test_a_bound_token_with_its_proof_is_taken(clock: Clock) -> None:
    found = verifier(clock, ISSUER).verify(TOKEN, shown(proof()))
    assert (found.proof, found.key, found.subject) == (Proof.DPOP, thumbprint(KEY), "bot")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_proofs_of_every_algorithm_are_taken(clock: Clock, alg: str) -> None:
    key = new_key(alg)
    token = ISSUER.token(cnf={"jkt": thumbprint(key)})
    presented = shown(proof(key=key, alg=alg, ath=ath(token)))
    assert verifier(clock, ISSUER).verify(token, presented).key == thumbprint(key)


@pytest.mark.parametrize(
    "presented",
    [
        Shown(),
        Shown(Scheme.BEARER, proof()),
        Shown(Scheme.DPOP),
        Shown(certificate=b"c"),
        Shown(Scheme.DPOP, method="POST", url=URL),
    ],
)
def test_a_bound_token_is_never_a_bearer(clock: Clock, presented: Shown) -> None:
    verify = verifier(clock, ISSUER).verify
    assert code(verify, TOKEN, presented) is Code.INVALID_TOKEN
    verify(TOKEN, shown(proof()))
    assert code(verify, TOKEN, presented) is Code.INVALID_TOKEN  # nor once it is remembered
    with pytest.raises(NotVerified):
        verify(TOKEN)


FAULTS: dict[str, str] = {
    "another method": proof(htm="GET"),
    "the method in small letters": proof(htm="post"),
    "no method": proof(htm=...),
    "another path": proof(htu=URL + "s"),
    "another host": proof(htu=URL.replace("pdp.", "evil.")),
    "another scheme": proof(htu=URL.replace("https:", "http:")),
    "another port": proof(htu=URL.replace(".example", ".example:8443")),
    "a query": proof(htu=URL + "?a=b"),
    "an empty query": proof(htu=URL + "?"),
    "a fragment": proof(htu=URL + "#a"),
    "a path that is resolved": proof(htu=URL.replace("/v1/", "/v1/x/../")),
    "a user": proof(htu=URL.replace("https://", "https://me@")),
    "no address": proof(htu=...),
    "an address that is no text": proof(htu=[URL]),
    "a relative address": proof(htu="/access/v1/evaluation"),
    "stale": proof(iat=NOW - 61),
    "from the future": proof(iat=NOW + 31),
    "no time": proof(iat=...),
    "stale by a fraction": proof(iat=NOW - 60.5),
    "from the future by a fraction": proof(iat=NOW + 30.5),
    "over, as it says": proof(exp=NOW - 30),
    "not begun, as it says": proof(nbf=NOW + 31),
    "over at no time": proof(exp="soon"),
    "time as text": proof(iat=str(NOW)),
    "time as true": proof(iat=True),
    "a huge time": proof(iat=1 << 63),
    "no token": proof(ath=...),
    "another token": proof(ath=ath(TOKEN + "x")),
    "the token padded": proof(ath=ath(TOKEN) + "="),
    "no id": proof(jti=...),
    "an empty id": proof(jti=""),
    "a long id": proof(jti="j" * 257),
    "an id that is no text": proof(jti=1),
    "another key": proof(key=new_key("ES256")),
    "another key's signature": proof(signer=new_key("ES256")),
    "the private half": proof({"jwk": {**public_jwk(KEY), "d": b64(KEY.private_numbers().private_value.to_bytes(32, "big"))}}),
    "no key": proof({"jwk": ...}),
    "a key that is text": proof({"jwk": json.dumps(public_jwk(KEY))}),
    "a key of an unknown type": proof({"jwk": {**public_jwk(KEY), "kty": "oct"}}),
    "a key for encryption": proof({"jwk": {**public_jwk(KEY), "use": "enc"}}),
    "only a key id": proof({"jwk": ..., "kid": "one"}),
    "a type of tokens": proof({"typ": "JWT"}),
    "a longer type": proof({"typ": "application/dpop+jwt"}),
    "no type": proof({"typ": ...}),
    "no signature": proof({"alg": "none"}),
    "a secret": proof({"alg": "HS256"}),
    "another algorithm": proof({"alg": "ES384"}),
    "a critical member": proof({"crit": ["x"], "x": 1}),
    "nested": proof({"cty": "JWT"}),
    "cut": proof()[:-1],
    "padded": proof() + "=",
    "two": proof() + "," + proof(),
    "the token itself": TOKEN,
    "no JSON": "a.b.c",
    "long": proof(x="y" * 4096),
    "a nonce that is not ours": proof(nonce="n"),
    "a member twice": sealed(
        json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(KEY)}), '{"jti":"a","jti":"b"}', KEY
    ),
}


@pytest.mark.parametrize("made", FAULTS.values(), ids=FAULTS)
def test_proofs_that_are_refused(clock: Clock, made: str) -> None:
    verify = verifier(clock, ISSUER).verify
    assert code(verify, TOKEN, shown(made)) in (Code.INVALID_PROOF, Code.USE_NONCE)
    assert verify(TOKEN, shown(proof())).proof is Proof.DPOP  # and cost the good one nothing


def test_a_proof_for_another_address_is_told_which_one_the_server_goes_by(clock: Clock) -> None:
    """The `url` setting, as `localhost` is not `127.0.0.1`; nothing of what was asked for."""
    with pytest.raises(NotVerified, match="at `https://pdp.example`, which this server goes by"):
        verifier(clock, ISSUER).verify(TOKEN, shown(proof(htu=URL.replace("pdp.", "localhost."))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(["typ", "alg", "jwk", "kid", "crit", "jti", "htm", "htu", "iat", "ath", "nonce"]), value=JSON)
def test_whatever_a_member_of_a_proof_is_the_answer_is_a_refusal_or_sound(name: str, value: Any) -> None:
    made = proof({name: value}) if name in ("typ", "alg", "jwk", "kid", "crit") else proof(**{name: value})
    try:
        verifier(Clock(), ISSUER).verify(TOKEN, shown(made))
    except NotVerified as refusal:
        assert refusal.code in (Code.INVALID_PROOF, Code.USE_NONCE)
    else:
        assert name in ("kid", "jti") or (name == "nonce" and value is None) or (name == "iat" and NOW - 60 <= value <= NOW + 30)


MADE = proof()


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, len(MADE) - 1), byte=st.integers(1, 127))
def test_any_change_of_any_byte_of_a_proof_is_refused(place: int, byte: int) -> None:
    changed = MADE[:place] + chr(ord(MADE[place]) ^ byte) + MADE[place + 1 :]
    assert code(verifier(Clock(), ISSUER).verify, TOKEN, shown(changed)) in (Code.INVALID_PROOF, Code.USE_NONCE)


def test_a_weak_key_proves_nothing(clock: Clock) -> None:
    token = ISSUER.token(cnf={"jkt": thumbprint(WEAK_RSA_KEY)})
    presented = shown(proof(key=WEAK_RSA_KEY, alg="RS256", ath=ath(token)))
    assert code(verifier(clock, ISSUER).verify, token, presented) is Code.INVALID_PROOF


def test_a_proofs_times_may_have_fractions(clock: Clock) -> None:
    assert verifier(clock, ISSUER).verify(TOKEN, shown(proof(iat=NOW + 0.5, nbf=NOW - 1, exp=NOW + 1))).proof is Proof.DPOP


def test_a_proof_counts_once(clock: Clock) -> None:
    verify = verifier(clock, ISSUER).verify
    verify(TOKEN, shown(proof()))
    assert code(verify, TOKEN, shown(proof())) is Code.INVALID_PROOF
    assert code(verify, TOKEN, shown(proof(iat=NOW + 1))) is Code.INVALID_PROOF  # the id stands for the proof
    clock.forward(60)
    assert code(verify, TOKEN, shown(proof())) is Code.INVALID_PROOF
    clock.forward(1)
    assert code(verify, TOKEN, shown(proof())) is Code.INVALID_PROOF  # now it is stale
    assert verify(TOKEN, shown(proof(jti="p-2", iat=NOW + 61)))


def test_a_clock_that_goes_back_a_little_makes_no_used_proof_good_again(clock: Clock) -> None:
    verify = verifier(clock, ISSUER).verify
    verify(TOKEN, shown(proof()))
    for _ in range(20):  # whatever was forgotten meanwhile
        clock.forward(4)
        verify(TOKEN, shown(proof(jti=f"now-{clock.now}", iat=clock.now // SECOND)))
        clock.forward(-9)
        assert code(verify, TOKEN, shown(proof())) is Code.INVALID_PROOF
        clock.forward(9)


def test_another_keys_proof_may_have_the_same_id(clock: Clock) -> None:
    verify, other = verifier(clock, ISSUER).verify, new_key("ES256")
    verify(TOKEN, shown(proof()))
    token = ISSUER.token(cnf={"jkt": thumbprint(other)})
    assert verify(token, shown(proof(key=other, ath=ath(token))))


def test_a_proof_counts_once_however_many_present_it_at_once(clock: Clock) -> None:
    verify, made, outcomes = verifier(clock, ISSUER).verify, proof(), []
    begin = threading.Barrier(16)

    def present() -> None:
        begin.wait()
        try:
            outcomes.append(verify(TOKEN, shown(made)).proof)
        except NotVerified as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=present) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Proof.DPOP) == 1 and outcomes.count(Code.INVALID_PROOF) == 15


@pytest.mark.parametrize(
    "same",
    [
        "https://pdp.example:443/access/v1/evaluation",
        "HTTPS://PDP.example/access/v1/evaluation",
        "https://pdp.example/access/v1/%65valuation",
    ],
)
def test_one_address_may_be_written_in_several_ways(clock: Clock, same: str) -> None:
    assert verifier(clock, ISSUER).verify(TOKEN, shown(proof(htu=same)))
    assert verifier(clock, ISSUER).verify(TOKEN, shown(proof(), url=same + "?page=2"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a", "http://a:80/", True),
        ("http://a/%7ex", "http://a/~x", True),
        ("http://a/%2f", "http://a/%2F", True),
        ("http://a/%2F", "http://a//", False),
        ("http://a/x", "http://a/X", False),
        ("http://a/x", "http://a/x/", False),
        ("http://[::1]:8080/", "http://[::1]:8080", True),
    ],
)
def test_what_is_one_address(one: str, other: str, same: bool) -> None:
    assert normal(one) and normal(other) and (normal(one) == normal(other)) is same


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a",
        "//a/b",
        "ftp://a/",
        "http://",
        "http://a b/",
        "http://a/%",
        "http://a/%zz",
        "http://a/./b",
        "http://a/%2e%2e/b",
        "http://a:x/",
        "http://a\\b/",
        "http://\u00e4/",
        "http://a/\n",
    ],
)
def test_what_is_no_address(url: str) -> None:
    assert normal(url) == ""
    with pytest.raises(NotVerified):
        verifier(Clock(), ISSUER).verify(TOKEN, shown(proof(htu=url), url=url))


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    assert normal(normal(text)) == normal(text)


def test_nothing_that_was_seen_before_a_restart_counts_after_it(clock: Clock) -> None:
    used = [proof(jti=f"p{ahead}", iat=NOW + ahead) for ahead in (-60, 0, 30)]

    def started() -> Proofs:
        return Proofs(ProofsInMemory(clock), Nonces())

    key, request = thumbprint(KEY), ("POST", URL)
    clock.forward(1)
    after = started()
    for made in used:
        with pytest.raises(NotVerified) as refusal:
            after.check(made, TOKEN, key, request, clock())
        assert refusal.value.code in (Code.USE_NONCE, Code.INVALID_PROOF)
    with pytest.raises(NotVerified) as refusal:
        after.check(proof(iat=NOW + 1), TOKEN, key, request, clock())
    assert refusal.value.code is Code.USE_NONCE
    with_nonce = proof(iat=NOW + 1, nonce=refusal.value.nonce)
    after.check(with_nonce, TOKEN, key, request, clock())  # the answer says how to go on, at once
    clock.forward(1)
    with pytest.raises(NotVerified):
        started().check(with_nonce, TOKEN, key, request, clock())  # another process's nonce
    clock.forward(40)
    after.check(proof(jti="later", iat=NOW + 42), TOKEN, key, request, clock())


def test_a_caller_may_come_to_another_machine_with_each_request(clock: Clock) -> None:
    """Each machine remembers the proofs that it has seen itself; what one gave as a nonce is no reason for another to refuse."""
    key, request, began = thumbprint(KEY), ("POST", URL), clock()

    def machine(secret: bytes = b"shared") -> Proofs:
        made = Proofs(ProofsInMemory(clock), Nonces())
        made.share(secret)
        return made

    def asked(of: Proofs, made: str) -> Code | None:
        try:
            of.check(made, TOKEN, key, request, clock())
        except NotVerified as refusal:
            return refusal.code
        return None

    one, two, stranger = machine(), machine(), machine(b"else")
    given = Nonces()
    given.share(b"shared")
    clock.forward(30)
    theirs = {"nonce": given.issue(clock() + 20 * SECOND), "iat": NOW + 30}  # its clock is ahead
    for number in range(4):
        assert asked(one, proof(jti=f"a{number}", **theirs)) is asked(two, proof(jti=f"b{number}", **theirs)) is None
    assert asked(one, proof(jti="a0", **theirs)) is Code.INVALID_PROOF, "a proof counts once all the same"
    assert asked(stranger, proof(jti="c", **theirs)) is Code.USE_NONCE
    assert asked(Proofs(ProofsInMemory(lambda: began), Nonces()), proof(jti="d", **theirs)) is Code.USE_NONCE
    restarted = machine()
    assert asked(restarted, proof(jti="a0", **theirs)) is Code.USE_NONCE, "it vouches for nothing that was seen before the start"
    clock.forward(NONCE_LIFETIME // SECOND + 21)
    assert asked(one, proof(jti="e", nonce=theirs["nonce"], iat=clock() // SECOND)) is Code.USE_NONCE


def test_a_nonce_can_be_asked_of_each_proof(clock: Clock) -> None:
    verify = verifier(clock, ISSUER, nonce=True).verify
    with pytest.raises(NotVerified) as refusal:
        verify(TOKEN, shown(proof()))
    assert refusal.value.code is Code.USE_NONCE and refusal.value.nonce
    assert verify(TOKEN, shown(proof(nonce=refusal.value.nonce)))
    assert code(verify, TOKEN, shown(proof(nonce=refusal.value.nonce))) is Code.INVALID_PROOF
    for wrong in ("", "x", refusal.value.nonce[:-1], "B" + refusal.value.nonce[1:], refusal.value.nonce + "A", 1, None, []):
        assert code(verify, TOKEN, shown(proof(jti="q", nonce=wrong))) is Code.USE_NONCE
    clock.forward(300)
    later = ISSUER.token(cnf={"jkt": thumbprint(KEY)}, exp=NOW + 900)
    old = proof(jti="r", nonce=refusal.value.nonce, iat=NOW + 300, ath=ath(later))
    assert code(verify, later, shown(old)) is Code.USE_NONCE


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_only_our_nonces_are_ours(text: str) -> None:
    assert not Nonces().accepts(text, NOW * SECOND) and not Nonces().knows(text, NOW * SECOND, 30 * SECOND)


def test_a_store_of_proofs_that_is_full_lets_nothing_through_and_forgets_nothing(clock: Clock) -> None:
    seen = ProofsInMemory(lambda: clock.now - 3600 * SECOND, limit=2)
    proofs = Proofs(seen, Nonces())
    key, request = thumbprint(KEY), ("POST", URL)
    first = [proof(jti="a"), proof(jti="b", iat=NOW + 10)]
    for made in first:
        proofs.check(made, TOKEN, key, request, clock())
    with pytest.raises(NotVerified) as refusal:
        proofs.check(proof(jti="c"), TOKEN, key, request, clock())
    assert refusal.value.code is Code.UNAVAILABLE
    for made in first:
        with pytest.raises(NotVerified) as refusal:
            proofs.check(made, TOKEN, key, request, clock())
        assert refusal.value.code is Code.INVALID_PROOF
    clock.forward(72)
    proofs.check(proof(jti="c", iat=NOW + 72), TOKEN, key, request, clock())  # one has run out
    assert len(seen._seen) == 2
    with pytest.raises(NotVerified):
        proofs.check(proof(jti="b", iat=NOW + 10), TOKEN, key, request, clock())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 3)), max_size=40))
def test_what_was_seen_is_known_until_its_end_and_not_for_long_after(steps: list[tuple[int, int, int]]) -> None:
    """Against a plain list of everything that was ever seen."""
    now = NOW * SECOND
    seen, all_of_them = ProofsInMemory(lambda: now), {}
    for name, lasts, later in steps:
        digest, until = bytes([name]), now + lasts * SECOND
        fresh = seen.first(digest, until, now)
        if digest in all_of_them and all_of_them[digest] >= now:
            assert not fresh
        if fresh:
            all_of_them[digest] = until
        now += later * SECOND
        assert len(seen._seen) == sum(map(len, seen._ends.values()))
    seen.first(b"last", now, now + 200 * SECOND)
    assert seen._seen == {b"last"}


def test_the_standards_own_example_holds() -> None:
    """RFC 9449, section 7.1: the token is opaque there, but the proof is whole."""
    made = (
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj"
        "oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF"
        "c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
    )
    token, key = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    now, url = 1562262618 * SECOND, "https://resource.example.org/protectedresource"
    proofs = Proofs(ProofsInMemory(lambda: 0), Nonces())
    with pytest.raises(NotVerified):
        proofs.check(made, token, key, ("GET", url + "s"), now)
    proofs.check(made, token, key, ("GET", url), now)


def test_a_task_token_belongs_to_whoever_proved_the_same_key(clock: Clock) -> None:
    verify = verifier(clock, ISSUER, types=("at+jwt", "remit-task+jwt")).verify
    caller = verify(TOKEN, shown(proof()))
    task = ISSUER.token({"typ": "remit-task+jwt"}, cnf={"jkt": thumbprint(KEY)}, task="task_1")
    assert verify(task, Shown(key=caller.key)).proof is Proof.DPOP
    assert code(verify, task, Shown(key=thumbprint(new_key("ES256")))) is Code.INVALID_TOKEN
    assert code(verify, task, Shown(key="\u00e9")) is Code.INVALID_TOKEN
    assert code(verify, task, Shown()) is Code.INVALID_TOKEN


def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bot")])
    begins = datetime(2027, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, KEY.public_key(), 1, begins, begins + timedelta(days=1))
    return made.sign(KEY, hashes.SHA256())


OWN = certificate()
CERTIFICATE = OWN.public_bytes(Encoding.DER)
BY_CERTIFICATE = ISSUER.token(cnf={"x5t#S256": b64(OWN.fingerprint(hashes.SHA256()))})


def test_a_token_that_is_bound_to_a_certificate_is_taken_over_its_connection_only(clock: Clock) -> None:
    verify = verifier(clock, ISSUER).verify
    found = verify(BY_CERTIFICATE, Shown(certificate=CERTIFICATE))
    assert (found.proof, found.key) == (Proof.MTLS, b64(OWN.fingerprint(hashes.SHA256())))
    another = certificate().public_bytes(Encoding.DER)  # of the same key
    for presented in (
        Shown(),
        Shown(certificate=b""),
        Shown(certificate=another),
        Shown(certificate=CERTIFICATE + b"x"),
        shown(proof()),
    ):
        assert code(verify, BY_CERTIFICATE, presented) in (Code.INVALID_TOKEN, Code.INVALID_PROOF)
    with pytest.raises(NotVerified):
        verify(BY_CERTIFICATE)


def test_without_a_way_to_check_proofs_no_bound_token_is_taken(clock: Clock) -> None:
    from remit.authentication.issuers import TrustedIssuer
    from remit.authentication.keys.holding import FixedKeys
    from remit.authentication.verify import Verifier
    from tests.authentication.minting import AUDIENCE

    bare = Verifier([(TrustedIssuer(ISSUER.name, (AUDIENCE,)), FixedKeys(ISSUER.key_set()))], clock)
    assert code(bare.verify, TOKEN, shown(proof())) is Code.INVALID_TOKEN


def test_a_store_that_forgets_nothing_needs_no_nonce_after_a_restart(clock: Clock) -> None:
    class Shared:
        since = 0

        def __init__(self) -> None:
            self.seen: set[bytes] = set()

        def first(self, proof: bytes, until: int, now: int) -> bool:
            fresh = proof not in self.seen
            self.seen.add(proof)
            return fresh

    shared = Shared()
    key, request = thumbprint(KEY), ("POST", URL)
    Proofs(shared, Nonces(), ProofTerms()).check(proof(), TOKEN, key, request, clock())
    with pytest.raises(NotVerified) as refusal:
        Proofs(shared, Nonces()).check(proof(), TOKEN, key, request, clock())
    assert refusal.value.code is Code.INVALID_PROOF
