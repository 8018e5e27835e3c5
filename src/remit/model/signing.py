"""Signing as the log needs it: who signs, who checks, and the text form of a public key (C2SP signed-note)."""

import base64
import binascii
import hashlib
from typing import Protocol

import msgspec

from remit.model.errors import malformed

ED25519 = 0x01
"""The signature type byte of plain Ed25519 (C2SP signed-note)."""
PUBLIC_KEY_BYTES = 32


class Signer(Protocol):
    """Holds a private key and signs with it; the key stays inside."""

    @property
    def name(self) -> str:
        """The key name, which is the origin of the log it signs for."""
        ...

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes (RFC 8032)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of the message, 64 bytes."""
        ...


class Verifier(Protocol):
    """Checks what the holder of one private key signed."""

    @property
    def key(self) -> "VerificationKey":
        """The key it checks with."""
        ...

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is that key's over the message."""
        ...


class VerificationKey(msgspec.Struct, frozen=True):
    """A named Ed25519 public key, `public` being its 32 bytes. Raises `RemitError` (malformed) if either part is not usable."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public) != PUBLIC_KEY_BYTES:
            raise malformed(f"an Ed25519 public key has 32 bytes, this one {len(self.public)}: give the whole key")

    @classmethod
    def parse(cls, text: str) -> "VerificationKey":
        """Read the C2SP form `name+hash+base64(0x01 || key)`. Raises `RemitError` (malformed), also if the hash is not the key's."""
        name, _, rest = text.partition("+")
        raw = decode_base64(rest[9:])
        if raw is None or raw[:1] != bytes([ED25519]):
            raise malformed(f"`{text}` is no Ed25519 verification key: give it as `name+hash+base64`")
        key = cls(name, raw[1:])
        if key.text != text:
            raise malformed(f"the hash in verification key `{text}` is not that of the key: copy the key again")
        return key

    @property
    def id(self) -> bytes:
        """The four bytes that name this key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([ED25519]) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The C2SP form, `name+hash+base64(0x01 || key)`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([ED25519]) + self.public).decode()}"


def check_key_name(name: str) -> None:
    """Refuse a name that cannot stand in a signature line. Raises `RemitError` (malformed)."""
    if not name or "+" in name or not name.isprintable() or any(char.isspace() for char in name):
        raise malformed(f"`{name}` cannot name a key or a log: use printable text without spaces and `+`")


def decode_base64(text: str) -> bytes | None:
    """Standard Base64 (RFC 4648 section 4) in its one canonical spelling, else nothing."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
