"""What a token must say to be taken: whose it is, for whom, from when until when (RFC 7519, RFC 9068, SPIFFE JWT-SVID)."""

import math
import re
from typing import Any

import msgspec

from remit.authentication.issuers import SPIFFE, TrustedIssuer
from remit.authentication.jose.compact import Compact
from remit.authentication.refusal import invalid, quoted
from remit.model.caller import Proof, VerifiedToken
from remit.model.clock import SECOND

MAX_TEXT = 1024
MAX_AUDIENCES = 64
_LATEST = 253_402_300_799
"""The last second of the year 9999."""
_FOR_LOGGING_IN = ("nonce", "at_hash", "c_hash", "s_hash")
_SVID_TYPES = ("jwt", "jose", "")
_SVID_PATH = re.compile(r"(/(?!\.\.?(/|\Z))[A-Za-z0-9._-]+)+", re.ASCII)
_NOT_FOR_SVIDS = frozenset({"EdDSA", "Ed25519"})
MAX_SPIFFE_ID = 2048
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Checked(msgspec.Struct, frozen=True):
    """A token that says what it must; `token` stands once its signature and the possession of its key hold. `since` and `until` are
    the µs between which it is taken, leeway included."""

    token: VerifiedToken
    since: int
    until: int

    def check_time(self, now: int) -> None:
        """Raises `NotVerified` before and after the token's time."""
        if now >= self.until:
            raise invalid("the token has expired: get a new one")
        if now < self.since:
            raise invalid("the token is from the future: set the clocks, or wait until it begins")


def check_header(message: Compact, issuer: TrustedIssuer) -> None:
    """Whether this kind of token is taken from the issuer. Raises `NotVerified`."""
    barred = issuer.trust_domain and message.algorithm in _NOT_FOR_SVIDS
    if message.algorithm not in issuer.algorithms or barred:
        raise invalid(f"the token is signed with {quoted(message.algorithm)}, which is not taken from this issuer")
    key_id = message.header.get("kid", "-")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_TEXT:
        raise invalid("the token names its key by what is no id (`kid`)")
    types = _SVID_TYPES if issuer.trust_domain else issuer.types
    if message.type not in types:
        raise invalid(f"the token is of type {quoted(message.type)}, which is not taken from this issuer: send an access token")


def check_claims(message: Compact, issuer: TrustedIssuer) -> Checked:
    """What a token of this issuer says, if it says what it must; but for the time, which `Checked.check_time` looks at.

    Raises `NotVerified`.
    """
    claims = message.claims
    _check_purpose(claims, issuer)
    subject = _text(claims, "sub")
    if issuer.trust_domain:
        check_spiffe_id(subject, issuer.trust_domain)
    audience = _audience(claims, issuer)
    expires = _second(claims, "exp")
    issued = _second(claims, "iat", up=True) if "iat" in claims or not issuer.trust_domain else None
    begins = max(issued or 0, _second(claims, "nbf", up=True) if "nbf" in claims else 0)
    if issued is not None and not 0 < expires - issued <= issuer.lifetime_seconds:
        raise invalid(
            f"the token lasts longer than {issuer.lifetime_seconds} s, or ends before it begins: get one that is shorter"
        )
    leeway = issuer.leeway_seconds
    since = begins - leeway
    if issued is None:  # it can have been made at any time, but not too long before its end
        since = max(since, expires - issuer.lifetime_seconds)
    proof, key = _bound_to(claims, issuer)
    token = VerifiedToken(
        issuer=issuer.issuer,
        subject=subject,
        audience=audience,
        issued=(issued or 0) * SECOND,
        expires=expires * SECOND,
        proof=proof,
        id=_text(claims, "jti") if "jti" in claims else "",
        key=key,
        claims=claims,
    )
    return Checked(token, since * SECOND, (expires + leeway) * SECOND)


def check_spiffe_id(text: str, trust_domain: str) -> None:
    """Whether it is the id of a workload in the trust domain (SPIFFE-ID, section 2). Raises `NotVerified`."""
    prefix = SPIFFE + trust_domain
    if len(text) > MAX_SPIFFE_ID or not text.startswith(prefix) or not _SVID_PATH.fullmatch(text[len(prefix) :]):
        raise invalid(f"the token's subject {quoted(text)} is no SPIFFE ID of a workload in `{trust_domain}`")


def _check_purpose(claims: dict[str, Any], issuer: TrustedIssuer) -> None:
    if "events" in claims:
        raise invalid("the token reports an event (`events`): send an access token")
    found = [name for name in _FOR_LOGGING_IN if name in claims]
    if found and not issuer.id_tokens:
        raise invalid(f"the token is made for logging in (`{found[0]}`): send an access token")


def _audience(claims: dict[str, Any], issuer: TrustedIssuer) -> str:
    stated = claims.get("aud")
    listed = [stated] if isinstance(stated, str) else stated
    if not isinstance(listed, list) or len(listed) > MAX_AUDIENCES or not all(isinstance(name, str) for name in listed):
        raise invalid("the token does not say whom it is for (`aud`)")
    for name in issuer.audiences:
        if name in listed:
            return name
    raise invalid(f"the token is for somebody else (`aud`): get one for `{issuer.audiences[0]}`")


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > max(MAX_TEXT, MAX_SPIFFE_ID) or not value.isprintable():
        raise invalid(f"the token's `{name}` is missing, or no printable text of bounded length")
    return value


def _second(claims: dict[str, Any], name: str, *, up: bool = False) -> int:
    """A time (RFC 7519, section 2: it may have a fraction), as the whole second before it; with `up`, as the one after."""
    value: Any = claims.get(name)
    if type(value) not in (int, float) or not 0 <= value <= _LATEST:
        raise invalid(f"the token's `{name}` is missing, or no number of seconds")
    return int(math.ceil(value) if up else math.floor(value))


def _bound_to(claims: dict[str, Any], issuer: TrustedIssuer) -> tuple[Proof, str]:
    """What the token is bound to. Whatever is no known way of binding is refused: it would turn a bound token into a bearer."""
    if "cnf" not in claims:
        if not issuer.bearer:
            raise invalid("the token is bound to no key (`cnf`): get one by DPoP or with a client certificate")
        return Proof.BEARER, ""
    bound = claims["cnf"]
    if isinstance(bound, dict) and len(bound) == 1:
        [(way, value)] = bound.items()
        if isinstance(value, str) and _THUMBPRINT.fullmatch(value) and way in ("jkt", "x5t#S256"):
            return (Proof.DPOP if way == "jkt" else Proof.MTLS), value
    raise invalid("the token is bound in a way that cannot be checked (`cnf`): get one that is bound by `jkt` or `x5t#S256`")
