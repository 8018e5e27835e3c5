"""Keys and checkpoints as text, read strictly: C2SP signed-note, tlog-checkpoint and tlog-cosignature."""

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .report import shown

LOG_KEY, WITNESS_KEY, WITNESS_MLDSA_KEY = 0x01, 0x04, 0x06
"""Signature types: plain Ed25519, and the timestamped cosignatures of a witness, by Ed25519 and by ML-DSA-44."""
WITNESS_KEYS = (WITNESS_KEY, WITNESS_MLDSA_KEY)
_BYTES = {LOG_KEY: 32, WITNESS_KEY: 32, WITNESS_MLDSA_KEY: 1312}
MAX_SECOND = 253_402_300_800
"""The year 10000."""
MAX_SIZE = 2**63 - 1
_SIZE = re.compile("0|[1-9][0-9]{0,18}")
_SIGNATURE = re.compile("— ([^ ]+) ([A-Za-z0-9+/=]+)")


class Wrong(Exception):
    """What is wrong with a text."""


class Key(NamedTuple):
    """A named public key (32 bytes of Ed25519, 1312 of ML-DSA-44) and the type of the signatures it checks."""

    name: str
    type: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that stand for the key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The key as `name+hash+base64`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.type]) + self.public).decode()}"

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the message."""
        try:
            if self.type == WITNESS_MLDSA_KEY:
                from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

                MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True

    def cosigned(self, note: "Note", signature: bytes) -> int | None:
        """The second at which this witness says it saw the checkpoint, if it signed that (C2SP tlog-cosignature)."""
        second = int.from_bytes(signature[:8], "big")
        if not 0 < second < MAX_SECOND:
            return None
        message = f"cosignature/v1\ntime {second}\n{note.text}".encode()
        if self.type == WITNESS_MLDSA_KEY:
            name, origin = self.name.encode(), note.origin.encode()
            if max(len(name), len(origin)) > 255:
                return None
            message = b"subtree/v1\n\0" + bytes([len(name)]) + name + signature[:8] + bytes([len(origin)]) + origin
            message += bytes(8) + note.size.to_bytes(8, "big") + note.root
        return second if self.signed(message, signature[8:]) else None


class Note(NamedTuple):
    """A checkpoint: the signed text, what it says, and the name, key id and signature of each signature line."""

    text: str
    origin: str
    size: int
    root: bytes
    signatures: list[tuple[str, bytes, bytes]]


def read_key(text: str, *types: int) -> Key:
    """Read `name+hash+base64` of a key of one of these types. Raises `Wrong`."""
    name, _, rest = text.partition("+")
    raw = unbase64(rest[9:])
    if not is_name(name) or not raw or raw[0] not in types or len(raw) != 1 + _BYTES[raw[0]]:
        kinds = " or ".join(map(str, types))
        raise Wrong(f"`{shown(text)}` is no key of type {kinds} in the form name+hash+base64")
    key = Key(name, raw[0], raw[1:])
    if key.text != text:
        raise Wrong(f"the hash in `{shown(text)}` is not that of the key")
    return key


def read_note(raw: bytes) -> Note:
    """Read a signed checkpoint without checking its signatures. Raises `Wrong`."""
    try:
        text, _, block = raw.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise Wrong("the checkpoint is not UTF-8 text") from None
    lines = text.split("\n")
    if len(lines) != 3 or not block.endswith("\n"):
        raise Wrong("a checkpoint has three lines, a blank line, and signature lines to its end")
    origin, size, root = lines[0], lines[1], unbase64(lines[2])
    counted = _SIZE.fullmatch(size) is not None and int(size) <= MAX_SIZE
    if not is_name(origin) or not counted or root is None or len(root) != 32:
        raise Wrong("a checkpoint says an origin, a size in decimal, and a root in Base64")
    return Note(text + "\n", origin, int(size), root, [read_signature(line) for line in block[:-1].split("\n")])


def read_signature(line: str) -> tuple[str, bytes, bytes]:
    """The name, key id and signature of a signature line. Raises `Wrong`."""
    found = _SIGNATURE.fullmatch(line)
    raw = unbase64(found[2]) if found else None
    if found is None or raw is None or len(raw) < 5 or not is_name(found[1]):
        raise Wrong(f"`{shown(line)}` is no signature line")
    return found[1], raw[:4], raw[4:]


def unbase64(text: str) -> bytes | None:
    """Decode Base64 (RFC 4648 section 4) that is in its one canonical spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def is_name(text: str) -> bool:
    """Whether a key or a log can be called that."""
    return bool(text) and text.isprintable() and "+" not in text and not any(char.isspace() for char in text)
