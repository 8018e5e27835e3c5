"""The private key that tokens are signed with: made once, in a file nobody else may read; what it was before, by its public half."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from joserfc.jwk import ECKey

from remit.credentials.private_files import read_private
from remit.model.errors import RemitError, conflict, corrupt, malformed, unavailable
from remit.model.identity import random_bytes

ALGORITHM = "ES256"
"""What tokens are signed with: every verifier knows it (RFC 7518, section 3.4)."""
SIGNING = "signing.pem"
RETIRED = "retired"
SHARED = "shared.secret"
SECRET_BYTES = 32
MAX_KEY_FILE = 16_384


class SigningKey:
    """Signs with one P-256 key; `id` is its thumbprint (RFC 7638)."""

    __slots__ = ("id", "key")

    def __init__(self, private: EllipticCurvePrivateKey) -> None:
        self.key = ECKey.import_key(private)
        self.id = self.key.thumbprint()

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new random key, in memory only."""
        return cls(generate_private_key(SECP256R1()))

    def public(self) -> dict[str, Any]:
        """The public half, as it stands in a key set."""
        return {**self.key.as_dict(private=False), "kid": self.id, "use": "sig", "alg": ALGORITHM}

    def pem(self) -> bytes:
        """The private half (PKCS #8)."""
        private = cast(EllipticCurvePrivateKey, self.key.private_key)
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Retired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that signs no longer: its public half, and until when (µs) tokens that it has signed can still be valid."""

    jwk: dict[str, str]
    until: int


def load(folder: Path) -> SigningKey:
    """The key in a folder. Raises `RemitError`: not-found, refused if others may read it, malformed if it is no P-256 key."""
    path = folder / SIGNING
    try:
        private = load_pem_private_key(
            read_private(path, "key", "one is made when the first token is", MAX_KEY_FILE), password=None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise malformed(f"`{path}` holds no unencrypted private key in PEM: give the key that tokens are signed with") from None
    if not isinstance(private, EllipticCurvePrivateKey) or not isinstance(private.curve, SECP256R1):
        raise malformed(f"the key in `{path}` is not on P-256: give the key that tokens are signed with")
    return SigningKey(private)


def load_or_make(folder: Path) -> SigningKey:
    """The key in a folder; a new one where there is none yet. Two that make it at once end up with one."""
    try:
        return load(folder)
    except RemitError as error:
        if error.kind != "not-found":
            raise
    fresh = SigningKey.generate()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder / SIGNING, fresh.pem(), replace=False)
    except FileExistsError:
        return load(folder)
    except OSError as error:
        raise unavailable(f"the key could not be written to `{folder}` ({error.strerror})") from None
    return fresh


def secret_of(folder: Path) -> bytes:
    """The secret in a folder that all who have it share: a new one where there is none yet, and where none can be written, one that nobody
    shares. Raises `RemitError` for a file that is open to others, or holds no such secret."""
    path = folder / SHARED
    try:
        if not path.exists():
            with suppress(FileExistsError):  # another was first
                _write(path, random_bytes(SECRET_BYTES), replace=False)
    except OSError:
        return random_bytes(SECRET_BYTES)
    secret = read_private(path, "secret", "start anew, and it is made", MAX_KEY_FILE)
    if len(secret) != SECRET_BYTES:
        raise malformed(f"`{path}` holds no {SECRET_BYTES} bytes: remove it, and it is made anew")
    return secret


@contextmanager
def rotating(folder: Path) -> Iterator[None]:
    """While nobody else replaces the key in a folder, or forgets one: whoever comes meanwhile waits. Raises `RemitError` (unavailable)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unavailable(f"the key in `{folder}` could not be replaced ({error.strerror})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def rotate(folder: Path, until: int | None) -> SigningKey:
    """A new key in the place of the old one, of which the public half is kept until then (µs), or not at all; only while `rotating`.

    The old half is on disk before the new key is: whenever this is cut off, every token that was signed can be verified. Raises
    `RemitError`.
    """
    old, fresh = load(folder), SigningKey.generate()
    try:
        if until is not None:
            (folder / RETIRED).mkdir(mode=0o700, exist_ok=True)
            kept = msgspec.json.encode(Retired(cast(dict[str, str], old.public()), until))
            _write(folder / RETIRED / f"{old.id}.json", kept, replace=True)
        _write(folder / SIGNING, fresh.pem(), replace=True)
    except OSError as error:
        raise unavailable(f"the key in `{folder}` could not be replaced ({error.strerror})") from None
    return fresh


def retired(folder: Path) -> list[Retired]:
    """The keys that signed before. Raises `RemitError` (corrupt) for a file that is not one of them."""
    found = []
    for path in sorted((folder / RETIRED).glob("*.json")):
        try:
            key = msgspec.json.decode(path.read_bytes(), type=Retired)
        except FileNotFoundError:
            continue  # forgotten meanwhile
        except (msgspec.MsgspecError, OSError) as error:
            raise corrupt(f"`{path}` is no retired key ({error}): restore it, or remove it to refuse its tokens") from None
        if key.jwk.get("kid") != path.stem or "d" in key.jwk:
            raise corrupt(f"`{path}` is not the public half of the key it is named after: remove it to refuse its tokens")
        found.append(key)
    return found


def forget(folder: Path, key_id: str) -> None:
    """Remove a retired key. Raises `RemitError` (conflict) if it is none."""
    try:
        (folder / RETIRED / f"{key_id}.json").unlink()
    except FileNotFoundError:
        raise conflict(f"the key `{key_id}` is not retired: nothing to forget") from None


def _write(path: Path, content: bytes, *, replace: bool) -> None:
    """Whole or not at all, durably, mode 0600. Raises `OSError`; `FileExistsError` if the path is taken and not to be replaced."""
    draft = path.with_name(f".{path.name}.{random_bytes(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
