"""The key that the holder of a token proves it with: made for an agent that has none, its public half read from a file."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from remit.credentials.private_files import read_file, read_private
from remit.model.clock import SECOND, Clock
from remit.model.errors import conflict, malformed, refused, unavailable
from remit.model.identity import random_bytes

MAX_KEY_FILE = 16_384
SHORTEST_RSA = 2048
_CURVES = ("P-256", "P-384", "P-521", "Ed25519")
"""What a proof is taken with (`remit.authentication`): a token that is bound to another key would never be."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KINDS: Mapping[str, type[ECKey] | type[OKPKey]] = {"EC": ECKey, "OKP": OKPKey}


class Holder:
    """Holds a key, and proves to a server that it does (RFC 9449); safe to share between threads."""

    def __init__(self, key: ECKey | OKPKey, clock: Clock) -> None:
        self._key, self._clock = key, clock
        self._algorithm = "ES256" if isinstance(key, ECKey) else "EdDSA"
        self._header = {"alg": self._algorithm, "typ": "dpop+jwt", "jwk": dict(key.as_dict(private=False))}

    @classmethod
    def load(cls, file: Path, clock: Clock) -> "Holder":
        """The key in a file of `make_key`. Raises `RemitError`: not-found, refused if others may read it, malformed,
        unavailable."""
        key = _read(file, others_may_read=False)
        if not key.is_private:
            raise malformed(f"`{file}` has the public half of a key alone: give the file that `remit agent key` made")
        return cls(key, clock)

    def proof(self, method: str, url: str, token: str, nonce: str) -> str:
        """A proof for one request to a URL without query, with the server's nonce once it gave one."""
        digest = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        claims = {"htm": method, "htu": url, "iat": self._clock() // SECOND, "jti": random_bytes(16).hex(), "ath": digest}
        said = msgspec.json.encode({**claims, "nonce": nonce} if nonce else claims)
        return jws.serialize_compact(self._header, said, self._key, algorithms=[self._algorithm])


def make_key(file: Path) -> str:
    """A new key (P-256, JWK) in a file that nobody else may read; its thumbprint. Raises `RemitError` (conflict, unavailable)."""
    key = ECKey.generate_key("P-256", private=True)
    content = msgspec.json.encode({**key.as_dict(private=True), "kid": key.thumbprint()})
    try:
        file.touch(0o600, exist_ok=False)
        file.write_bytes(content)
    except FileExistsError:
        raise conflict(f"`{file}` exists: a key is never overwritten, give another path") from None
    except OSError as error:
        raise unavailable(f"the key could not be written to `{file}` ({error.strerror})") from None
    return key.thumbprint()


def public_key(file: Path) -> dict[str, Any]:
    """The public half of the key in a file (JWK). Raises `RemitError`: not-found, malformed, unavailable."""
    return dict(_read(file, others_may_read=True).as_dict(private=False))


def _read(file: Path, others_may_read: bool) -> ECKey | OKPKey:
    read = read_file if others_may_read else read_private
    content = read(file, "key", f"`remit agent key {file}` makes one", MAX_KEY_FILE)
    try:
        stated = msgspec.json.decode(content, type=dict[str, Any])
        return _KINDS[stated["kty"]].import_key(stated)
    except (msgspec.MsgspecError, JoseError, KeyError, ValueError, TypeError):
        raise malformed(f"`{file}` holds no key in JSON (RFC 7517) of type EC or OKP") from None


def thumbprint_of(key: dict[str, Any] | None) -> str:
    """The thumbprint of a public key (RFC 7638); empty for none. Raises `RemitError`: malformed, refused for one with its private half."""
    if key is None:
        return ""
    if not _PRIVATE.isdisjoint(key):
        raise refused("the key shows its private half: keep that, and give the public one")
    kinds: dict[str, Any] = {**_KINDS, "RSA": RSAKey}
    try:
        known = kinds[str(key.get("kty"))].import_key(key)
        thumbprint = str(known.thumbprint())
    except (JoseError, KeyError, ValueError, TypeError):
        raise malformed("the key is no public key in JSON (RFC 7517): give one of type EC, OKP or RSA") from None
    if not (known.raw_value.key_size >= SHORTEST_RSA if isinstance(known, RSAKey) else key.get("crv") in _CURVES):
        raise malformed(
            f"nothing can be proven with this key: give one of {', '.join(_CURVES)}, or RSA of at least {SHORTEST_RSA} bits"
        )
    return thumbprint
