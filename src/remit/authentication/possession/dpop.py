"""Proofs of possession of a key: one signature over one request, counted once (RFC 9449)."""

import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

import msgspec

from remit.authentication.jose.compact import Compact, Malformed, encode, read_compact
from remit.authentication.jose.key import Unusable, material_of, read_key, thumbprint_of
from remit.authentication.possession.addresses import normal
from remit.authentication.possession.replays import BACKWARDS, Nonces, SeenProofs
from remit.authentication.refusal import Code, NotVerified, bad_proof
from remit.model.clock import SECOND

TYPE = "dpop+jwt"
MAX_PROOF = 4096
MAX_ID = 256
ALGORITHMS = ("ES256", "EdDSA", "Ed25519", "ES384", "ES512", "PS256", "RS256")
"""What a proof may be signed with."""


class ProofTerms(msgspec.Struct, frozen=True):
    """How old a proof may be, and how far ahead of our clock. `nonce`: whether each must carry one of ours."""

    old_seconds: int = 60
    ahead_seconds: int = 30
    nonce: bool = False


class Proofs:
    """Checks proofs; safe to share between threads. `seen` remembers them, `nonces` are ours."""

    def __init__(self, seen: SeenProofs, nonces: Nonces, terms: ProofTerms | None = None) -> None:
        self._seen, self._nonces, self._terms = seen, nonces, terms or ProofTerms()

    def share(self, secret: bytes) -> None:
        """Know the nonces of other machines that have this secret, and let them know these."""
        self._nonces.share(secret)

    def check(self, proof: str, token: str, key: str, request: tuple[str, str], now: int) -> None:
        """Whether the proof is of the key with this thumbprint, for this token and this request (method, URL), and new.

        Raises `NotVerified`: invalid-proof, use-nonce (with one), unavailable.
        """
        message = _read(proof)
        _check_key(message, key)
        _check_request(message.claims, token, request)
        issued = _instant(message.claims, "iat")
        self._check_time(message.claims, issued, now)
        proof_id = message.claims.get("jti")
        if not isinstance(proof_id, str) or not 0 < len(proof_id) <= MAX_ID:
            raise bad_proof("the proof has no id (`jti`): give each its own")
        digest = hashlib.sha256(f"{key} {proof_id}".encode()).digest()[:16]
        if not self._seen.first(digest, issued + self._terms.old_seconds * SECOND + BACKWARDS, now):
            raise bad_proof("the proof was used before: make one for each request")

    def _check_time(self, claims: dict[str, Any], issued: int, now: int) -> None:
        if issued + self._terms.old_seconds * SECOND < now:
            raise bad_proof(f"the proof is older than {self._terms.old_seconds} s: make one for each request, and set the clocks")
        ahead = self._terms.ahead_seconds * SECOND
        if issued > now + ahead:
            raise bad_proof(f"the proof is more than {self._terms.ahead_seconds} s from the future: set the clocks")
        # Nothing asks for these two; but a JWT that says that it is over, or has not begun, is not taken (RFC 7519, section 4.1).
        if ("exp" in claims and _instant(claims, "exp") + ahead <= now) or (
            "nbf" in claims and _instant(claims, "nbf") > now + ahead
        ):
            raise bad_proof("the proof says itself that it has expired, or has not begun: make one for each request")
        nonce = claims.get("nonce")
        if isinstance(nonce, str) and self._nonces.accepts(nonce, now):
            return
        # Where several machines serve, a caller comes with what another has given: it is no nonce of nobody, but vouches for nothing here.
        strange = nonce is not None and not (isinstance(nonce, str) and self._nonces.knows(nonce, now, ahead))
        # INVARIANT (fail closed): what was seen before this process began is forgotten, so a proof that can be from then does not count.
        if strange or self._terms.nonce or issued < self._seen.since + ahead:
            raise NotVerified(
                Code.USE_NONCE, "the proof must carry the nonce that comes with this answer", self._nonces.issue(now)
            )


def _read(proof: str) -> Compact:
    try:
        message = read_compact(proof, MAX_PROOF)
    except Malformed as problem:
        raise bad_proof(f"the proof {problem}") from None
    if message.header.get("typ") != TYPE:
        raise bad_proof(f"the proof is not of type `{TYPE}`")
    if message.algorithm not in ALGORITHMS:
        raise bad_proof(f"the proof is signed with an algorithm that is not taken: use one of {', '.join(ALGORITHMS)}")
    return message


def _check_key(message: Compact, thumbprint: str) -> None:
    jwk = message.header.get("jwk")
    try:
        if not hmac.compare_digest(thumbprint_of(material_of(jwk)), thumbprint):
            raise bad_proof("the proof is of another key than the token's")
        key = read_key(jwk)
    except Unusable as problem:
        raise bad_proof(f"the proof's key {problem}") from None
    if not key.signed(message):
        raise bad_proof("the proof's signature is not that of its key")


def _check_request(claims: dict[str, Any], token: str, request: tuple[str, str]) -> None:
    method, url = request
    if claims.get("htm") != method:
        raise bad_proof("the proof is for another method (`htm`)")
    address = claims.get("htu")
    if not isinstance(address, str) or "?" in address or "#" in address or not normal(address) or normal(address) != normal(url):
        ours = urlsplit(url)
        raise bad_proof(
            f"the proof is for another address (`htu`): name the address of the request, without query and fragment, at "
            f"`{ours.scheme}://{ours.netloc}`, which this server goes by"
        )
    if claims.get("ath") != encode(hashlib.sha256(token.encode()).digest()):
        raise bad_proof("the proof is for another token (`ath`)")


def _instant(claims: dict[str, Any], name: str) -> int:
    """A time in seconds (RFC 7519, section 2: it may have a fraction), in µs."""
    value: Any = claims.get(name)
    if type(value) not in (int, float) or not 0 <= value < 1 << 40:
        raise bad_proof(f"the proof has no time as `{name}`: give the seconds since the epoch, as a number")
    return int(value * SECOND)
