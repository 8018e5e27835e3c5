"""The key that the holder of a token proves it with: made for an agent that has none, its public half read from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from remit.model.errors import conflict, malformed, not_found, refused, unavailable

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KINDS: Mapping[str, type[ECKey] | type[OKPKey]] = {"EC": ECKey, "OKP": OKPKey}


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
    """The public half of the key in a file (JWK). Raises `RemitError`: not-found, malformed."""
    try:
        stated = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        return dict(_KINDS[stated["kty"]].import_key(stated).as_dict(private=False))
    except FileNotFoundError:
        raise not_found(f"there is no key at `{file}`: `remit agent key {file}` makes one") from None
    except OSError as error:
        raise unavailable(f"the key `{file}` could not be read ({error.strerror})") from None
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
        return str(kinds[str(key.get("kty"))].import_key(key).thumbprint())
    except (JoseError, KeyError, ValueError, TypeError):
        raise malformed("the key is no public key in JSON (RFC 7517): give one of type EC, OKP or RSA") from None
