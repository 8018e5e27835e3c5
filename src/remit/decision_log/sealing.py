"""Personal data in entries: sealed and digested under a key per task, whose destruction erases it and keeps the chain whole."""

import hashlib
import hmac
import os
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from remit.model.errors import corrupt
from remit.model.identity import random_bytes

NONCE_BYTES = 12
SECRET_BYTES = 32


class SealKey:
    """The data key of one task: AES-256-GCM for what may be read again, HMAC-SHA256 for what is only compared."""

    def __init__(self, secret: bytes) -> None:
        """Raises `RemitError` (corrupt) for a secret that is not 32 bytes."""
        if len(secret) != SECRET_BYTES:
            raise corrupt("a stored data key is not what was written: restore a backup")
        self.secret = secret
        self.commitment = hashlib.sha256(b"remit-seal-key\x00" + secret).hexdigest()
        self._encrypt = AESGCM(hmac.digest(secret, b"seal", "sha256")).encrypt
        self._decrypt = AESGCM(hmac.digest(secret, b"seal", "sha256")).decrypt
        self._prefix, self._count = random_bytes(NONCE_BYTES - 6), count()
        padded = hmac.digest(secret, b"digest", "sha256").ljust(hashlib.sha256().block_size, b"\x00")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    @classmethod
    def generate(cls) -> "SealKey":
        """A new random key."""
        return cls(os.urandom(SECRET_BYTES))

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypt, bound to the id of what it is about; nonce and ciphertext."""
        # Never twice under one key: a prefix of its own for each use of the key in a process, and a count.
        nonce = self._prefix + next(self._count).to_bytes(6)
        return nonce + self._encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Decrypt. Raises `RemitError` (corrupt) if it was changed or belongs to something else."""
        try:
            return self._decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
        except InvalidTag:
            raise corrupt(f"sealed data of `{about}` does not open: it was changed or moved") from None

    def digest(self, plain: bytes) -> str:
        """HMAC-SHA256, in hex: equal only for equal data under the same key."""
        # RFC 2104 by hand, from states that are kept: the standard library's own wrapper costs as much again as the hashing.
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(plain)
        outer.update(inner.digest())
        return outer.hexdigest()
