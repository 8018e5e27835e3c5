"""Secrets that are shared with a receiver: read from a file of their owner alone, and only ever used to sign and to verify."""

import hashlib
import hmac
from pathlib import Path

from remit.credentials.private_files import read_private
from remit.model.errors import malformed

SHORTEST, LONGEST = 16, 4096


class SharedSecret:
    """Signs a time and a body as Slack does: `v0=` and HMAC-SHA256, in hex, of `v0:TIME:BODY`."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, timestamp: str, body: bytes) -> str:
        """The signature; `timestamp` is in seconds since the epoch."""
        return "v0=" + hmac.new(self._secret, b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()

    def signed(self, signature: str, timestamp: str, body: bytes) -> bool:
        """Whether a signature is by this secret; takes as long for a wrong one."""
        return hmac.compare_digest(self.sign(timestamp, body).encode(), signature.encode("utf-8", "replace"))

    def same(self, other: "SharedSecret") -> bool:
        """Whether two are the same."""
        return hmac.compare_digest(self._secret, other._secret)


def read(path: Path) -> SharedSecret:
    """The secret in a file. Raises `RemitError`: not-found, refused if others may read it, malformed if it is none, unavailable."""
    secret = read_private(path, "secret", "write it there, readable by its owner alone", LONGEST + 1).strip()
    if not SHORTEST <= len(secret) <= LONGEST:
        raise malformed(
            f"the secret in `{path}` must have from {SHORTEST} to {LONGEST} bytes: make one with `openssl rand -hex 32`"
        )
    return SharedSecret(secret)
