"""Proofs that were seen, so that each counts once; and nonces, so that none can be from before this process."""

import hashlib
import hmac
import threading
from typing import Protocol

from remit.authentication.jose.compact import Malformed, decode, encode
from remit.authentication.refusal import unavailable
from remit.model.clock import MINUTE, SECOND, Clock
from remit.model.identity import random_bytes

MAX_PROOFS = 500_000
_TAG = 16
NONCE_LIFETIME = 5 * MINUTE
BACKWARDS = 10 * SECOND
"""A clock that goes back further makes what has expired good again: nothing is verified then. So much longer is remembered what was
seen."""


class SeenProofs(Protocol):
    """Remembers proofs. One that is shared by several processes replaces that in memory."""

    @property
    def since(self) -> int:
        """From when on it remembers all (µs): 0 if it forgets nothing when a process ends."""
        ...

    def first(self, proof: bytes, until: int, now: int) -> bool:
        """Whether this digest of a proof is seen for the first time; it is remembered until then (µs).

        Raises `NotVerified` (unavailable) if it cannot be remembered.
        """
        ...


class ProofsInMemory:
    """The proofs that this process has seen, at most `limit` at a time."""

    def __init__(self, clock: Clock, limit: int = MAX_PROOFS) -> None:
        self.since = clock()
        self._limit = limit
        self._lock = threading.Lock()
        self._seen: set[bytes] = set()
        self._ends: dict[int, list[bytes]] = {}
        self._forgotten_to = self.since // SECOND

    def first(self, proof: bytes, until: int, now: int) -> bool:
        """Whether it is seen for the first time. Raises `NotVerified` (unavailable) if there is no room: nothing is forgotten early."""
        with self._lock:
            self._forget(now // SECOND)
            if proof in self._seen:
                return False
            if len(self._seen) >= self._limit:
                # INVARIANT (fail closed): a proof that cannot be remembered does not count.
                raise unavailable("too many proofs of possession at once: come again in a minute")
            self._seen.add(proof)
            self._ends.setdefault(until // SECOND + 1, []).append(proof)
            return True

    def _forget(self, second: int) -> None:
        if second - self._forgotten_to > len(self._ends):
            over = [end for end in self._ends if end <= second]
        else:
            over = [end for end in range(self._forgotten_to + 1, second + 1) if end in self._ends]
        for end in over:
            self._seen.difference_update(self._ends.pop(end))
        self._forgotten_to = max(self._forgotten_to, second)


class Nonces:
    """Nonces of this process, or of all that share `secret` (RFC 9449, section 9): each says when it was made. Other machines of the same
    server know them by another secret (`share`)."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or random_bytes(32)
        self._shared = self._secret

    def share(self, secret: bytes) -> None:
        """Let those know these nonces who have this secret, too, and know theirs."""
        self._shared = secret

    def issue(self, now: int) -> str:
        """A nonce for the next proof."""
        made = now.to_bytes(8)
        return encode(made + _tag(self._secret, made) + _tag(self._shared, made))

    def accepts(self, nonce: str, now: int) -> bool:
        """Whether it was made here, and not too long ago."""
        made, ours, _ = _read(nonce)
        return hmac.compare_digest(ours, _tag(self._secret, made)) and 0 <= now - int.from_bytes(made) < NONCE_LIFETIME

    def knows(self, nonce: str, now: int, skew: int) -> bool:
        """Whether it was made here or by another machine of this server, whose clock is at most `skew` (µs) away, and not too long ago."""
        made, _, shared = _read(nonce)
        return hmac.compare_digest(shared, _tag(self._shared, made)) and -skew <= now - int.from_bytes(made) < NONCE_LIFETIME


def _read(nonce: str) -> tuple[bytes, bytes, bytes]:
    """When a nonce was made, and its two tags; what is none has none."""
    try:
        raw = decode(nonce)
    except Malformed:
        raw = b""
    return (raw[:8], raw[8:24], raw[24:]) if len(raw) == 8 + 2 * _TAG else (b"", b"", b"")


def _tag(secret: bytes, made: bytes) -> bytes:
    return hmac.digest(secret, made, hashlib.sha256)[:_TAG]
