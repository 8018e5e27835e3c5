"""The log's Ed25519 key: made once, kept in a file nobody else may read, never leaving the signer."""

import os
import stat
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from remit.decision_log.whole_files import new_file
from remit.model.errors import conflict, malformed, not_found, refused, unavailable
from remit.model.signing import VerificationKey

MAX_KEY_FILE = 16_384
SEED_BYTES = 32
_BEGIN, _END = b"-----BEGIN PRIVATE KEY-----\n", b"\n-----END PRIVATE KEY-----\n"
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")
"""What precedes the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7). Read here, so that starting need not import more."""


class Ed25519Signer:
    """Signs for the log called `name` with one Ed25519 private key (RFC 8032)."""

    __slots__ = ("_private", "key")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = VerificationKey(name, private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> "Ed25519Signer":
        """A new random key, in memory only."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, name: str, path: Path) -> "Ed25519Signer":
        """Read the key from a PEM (PKCS #8) or raw 32-byte file.

        Raises `RemitError`: not-found, refused if anybody but its owner may read or write it, malformed if it holds no such key.
        """
        return cls(name, _private_key(path, _read_private_file(path)))

    def save(self, path: Path) -> None:
        """Write the key as PEM, mode 0600: whole and durable, or not at all. Raises `RemitError`: conflict if the file exists, for a key is
        never overwritten, unavailable where the disk fails."""
        pem = _BEGIN + b64encode(_PKCS8 + self._private.private_bytes_raw()) + _END
        try:
            with new_file(path, overwrite=False) as file:
                file.write(pem)
        except FileExistsError:
            raise conflict(f"`{path}` exists: a key is never overwritten, give another path") from None
        except OSError as error:
            raise unavailable(f"the key could not be written to `{path}` ({error.strerror})") from None

    @property
    def name(self) -> str:
        """The key name: the origin of the log it signs for."""
        return self.key.name

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        return self.key.public

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._private.sign(message)


class Ed25519Verifier:
    """Checks Ed25519 signatures of one key."""

    __slots__ = ("_public", "key")

    def __init__(self, key: VerificationKey) -> None:
        self.key = key
        self._public = Ed25519PublicKey.from_public_bytes(key.public)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the message."""
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def _read_private_file(path: Path) -> bytes:
    try:
        # As `credentials.private_files` does, which the log does not know: nobody is waited for, as a pipe would be for who writes into it,
        # and the mode is asked of the open file, so that nobody can exchange it between check and read.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise malformed(f"`{path}` is no file: give the path of the key")
            if status.st_mode & 0o077:
                raise refused(f"the key `{path}` is open to others than its owner: run `chmod 600` on it, or replace the key")
            return file.read(MAX_KEY_FILE)
    except FileNotFoundError:
        raise not_found(f"there is no key at `{path}`: make one with `remit init`") from None
    except IsADirectoryError:
        raise malformed(f"`{path}` is no file: give the path of the key") from None
    except OSError as error:
        raise unavailable(f"the key `{path}` could not be read ({error.strerror})") from None


def _private_key(path: Path, content: bytes) -> Ed25519PrivateKey:
    if len(content) == SEED_BYTES:
        return Ed25519PrivateKey.from_private_bytes(content)
    if content.startswith(_BEGIN) and content.endswith(_END):
        document = _decoded(content[len(_BEGIN) : -len(_END)])
        if document.startswith(_PKCS8) and len(document) == len(_PKCS8) + SEED_BYTES:
            return Ed25519PrivateKey.from_private_bytes(document[len(_PKCS8) :])
    return _other_form(path, content)


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _other_form(path: Path, content: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise malformed(f"`{path}` holds no unencrypted private key in PEM, nor 32 raw bytes: give the log's key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise malformed(f"the key in `{path}` is not Ed25519: give the log's key")
    return key
