"""The one way from a token to what is verified of it: read, matched with its issuer, signature checked, possession proven."""

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from remit.authentication.claims import Checked, check_claims, check_header
from remit.authentication.issuers import SPIFFE, TrustedIssuer
from remit.authentication.jose.compact import MAX_BYTES, Compact, Malformed, encode, read_compact
from remit.authentication.jose.key_set import KeySet
from remit.authentication.keys.holding import KeySource
from remit.authentication.possession.dpop import Proofs
from remit.authentication.possession.replays import BACKWARDS
from remit.authentication.refusal import bad_proof, invalid, quoted, unavailable
from remit.model.caller import Proof, VerifiedToken
from remit.model.clock import Clock
from remit.model.errors import malformed

REMEMBERED = 10_000
"""So many verified tokens are remembered."""


class Scheme(StrEnum):
    """How a token was sent (`Authorization`)."""

    BEARER = "bearer"
    DPOP = "dpop"


class Shown(msgspec.Struct, frozen=True):
    """What came with a token to show that it is the sender's.

    `proof` is the `DPoP` header of a request with this method and URL; `certificate` the client's of this connection (DER), as TLS has
    checked it; `key` the thumbprint of a key whose possession this very request has shown already: that of the `VerifiedToken` beside
    which another is sent.
    """

    scheme: Scheme = Scheme.BEARER
    proof: str = ""
    method: str = ""
    url: str = ""
    certificate: bytes | None = None
    key: str = ""


NOTHING = Shown()


class _Known(msgspec.Struct, frozen=True):
    checked: Checked
    source: KeySource
    keys: KeySet


class Verifier:
    """Verifies the tokens of some issuers; safe to share between threads. Never waits: where keys have to be fetched first it raises
    `KeysNeeded`, and `waiting` asks again when they have come."""

    def __init__(
        self,
        issuers: Iterable[tuple[TrustedIssuer, KeySource]],
        clock: Clock,
        proofs: Proofs | None = None,
        max_bytes: int = MAX_BYTES,
        remembered: int = REMEMBERED,
    ) -> None:
        self._issuers: dict[str, tuple[TrustedIssuer, KeySource]] = {}
        for issuer, source in issuers:
            if issuer.issuer in self._issuers:
                raise malformed(f"the issuer `{issuer.issuer}` is trusted twice: keep one")
            self._issuers[issuer.issuer] = (issuer, source)
        self._clock, self._proofs = clock, proofs
        self._max_bytes, self._remembered = max_bytes, remembered
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._latest = 0

    def verify(self, token: str, shown: Shown = NOTHING) -> VerifiedToken:
        """What a token says, if all of it holds. Raises `NotVerified`, `KeysNeeded`."""
        now = self._now()
        checked = self._checked(token, now)
        if shown is not NOTHING or checked.token.proof is not Proof.BEARER:
            self._check_possession(token, checked.token, shown, now)
        return checked.token

    def _now(self) -> int:
        now = self._clock()
        if now < self._latest - BACKWARDS:
            # INVARIANT (fail closed): a clock gone backwards would make expired tokens and used proofs good again.
            raise unavailable("the clock of this machine went back: nothing is verified before it is right again")
        self._latest = max(self._latest, now)
        return now

    def _checked(self, token: str, now: int) -> Checked:
        if len(token) > self._max_bytes or not token.isascii():
            raise invalid(f"the token is longer than {self._max_bytes} bytes, or is not ASCII")
        digest = hashlib.sha256(token.encode()).digest()  # what is remembered must not be a token that works
        with self._lock:
            known = self._known.get(digest)
            if known is not None:
                self._known.move_to_end(digest)
        # INVARIANT (fail closed): what is remembered stands only as long as its issuer's keys are the very ones it was checked with.
        if known is None or known.source.current() is not known.keys:
            known = self._verified(token, now)
            with self._lock:
                self._known[digest] = known
                self._known.move_to_end(digest)
                if len(self._known) > self._remembered:
                    self._known.popitem(last=False)
        known.checked.check_time(now)
        return known.checked

    def _verified(self, token: str, now: int) -> _Known:
        try:
            message = read_compact(token, self._max_bytes)
        except Malformed as problem:
            raise invalid(f"the token {problem}") from None
        issuer, source = self._issuer_of(message)
        check_header(message, issuer)
        checked = check_claims(message, issuer)
        checked.check_time(now)
        return _Known(checked, source, _signed(message, source))

    def _issuer_of(self, message: Compact) -> tuple[TrustedIssuer, KeySource]:
        # INVARIANT (fail closed): the keys that count are those of the one issuer that is named letter by letter.
        stated, subject = message.claims.get("iss"), message.claims.get("sub")
        known = self._issuers.get(stated) if isinstance(stated, str) else None
        if known is None and isinstance(subject, str) and subject.startswith(SPIFFE):
            known = self._issuers.get(SPIFFE + subject[len(SPIFFE) :].partition("/")[0])
        if known is None:
            raise invalid(
                f"the token's issuer {quoted(str(stated))} is not trusted here: a token that Remit makes must be made for this server "
                "(`--url`), another issuer must stand under `[[issuers]]`"
            )
        return known

    def _check_possession(self, token: str, verified: VerifiedToken, shown: Shown, now: int) -> None:
        if verified.proof is Proof.BEARER:
            if shown.scheme is not Scheme.BEARER or shown.proof:
                raise bad_proof(
                    "the token is bound to no key, so a proof shows nothing: get one that is bound, or send it as `Bearer`"
                )
        elif shown.key:
            if not hmac.compare_digest(shown.key.encode(), verified.key.encode()):
                raise invalid(
                    "the token is bound to a key that whoever sends it has not proven: it is sent with a proof by that key, or by an "
                    "enforcement point that names in `Remit-Task-Key` the key that its caller has proven"
                )
        elif verified.proof is Proof.MTLS:
            _check_certificate(verified, shown)
        # INVARIANT (fail closed): a bound token is never taken as a bearer.
        elif shown.scheme is not Scheme.DPOP or not shown.proof or self._proofs is None:
            raise invalid("the token is bound to a key: send it as `Authorization: DPoP` with a proof in `DPoP`")
        else:
            self._proofs.check(shown.proof, token, verified.key, (shown.method, shown.url), now)


def _signed(message: Compact, source: KeySource) -> KeySet:
    """The keys among which is the one that has signed. Raises `NotVerified`, `KeysNeeded`."""
    keys = source.current()
    # A key may be exchanged under its id, or have none: what it has not signed is looked for among those that come next, too.
    while (key := keys.find(message)) is None or not key.signed(message):
        if key is None and (why := keys.unusable.get(message.header.get("kid", ""))) is not None:
            raise invalid(f"the token's key cannot be used: the one that its issuer publishes {why}")
        keys = source.without(keys)
    return keys


def _check_certificate(verified: VerifiedToken, shown: Shown) -> None:
    if shown.scheme is not Scheme.BEARER or shown.proof:
        raise bad_proof("the token is bound to a certificate: send it as `Bearer`, over a connection with that certificate")
    if shown.certificate is None:
        raise invalid("the token is bound to a certificate: connect with it")
    if not hmac.compare_digest(encode(hashlib.sha256(shown.certificate).digest()), verified.key):
        raise invalid("the token is bound to another certificate than this connection's")
