"""Secrets that are shared with a receiver: read from a file of their owner alone, and only ever used to sign and to verify."""

import hashlib
import hmac
import os
import stat
from pathlib import Path

from remit.model.errors import malformed, not_found, refused, unavailable

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
    """The secret in a file. Raises `RemitError`: not-found, refused if others may read it, malformed if it is none."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise malformed(f"`{path}` is no file: give the path of a file with the secret")
            if status.st_mode & 0o077:
                raise refused(
                    f"the secret `{path}` is open to others than its owner: run `chmod 600` on it, or replace the secret"
                )
            secret = file.read(LONGEST + 1).strip()
    except FileNotFoundError:
        raise not_found(f"there is no secret at `{path}`: write it there, readable by its owner alone") from None
    except OSError as error:
        raise unavailable(f"the secret `{path}` could not be read ({error.strerror})") from None
    if not SHORTEST <= len(secret) <= LONGEST:
        raise malformed(
            f"the secret in `{path}` must have from {SHORTEST} to {LONGEST} bytes: make one with `openssl rand -hex 32`"
        )
    return SharedSecret(secret)
