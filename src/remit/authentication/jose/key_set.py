"""The keys that an issuer publishes (RFC 7517, section 5), and which of them a token is checked with."""

from collections import Counter
from typing import Any

import msgspec

from remit.authentication.jose.compact import Compact
from remit.authentication.jose.key import Key, Unusable, read_key
from remit.model.errors import RemitError
from remit.model.values import read_json

MAX_KEYS = 100


class Unreadable(Exception):
    """A document that is no key set. The message ends a sentence that begins with the document."""


class KeySet(msgspec.Struct, frozen=True):
    """The keys of one document. `unusable` says of the others, by id, why they are passed over: a set may hold keys that are for other
    things, and one bad key must not keep the rest from being known."""

    keys: dict[str, Key]
    unnamed: tuple[Key, ...]
    unusable: dict[str, str]

    def find(self, message: Compact) -> Key | None:
        """The one key that a message can be signed with: the one it names (`kid`), or the only one of its algorithm. Never what the
        message itself brings (`jwk`, `jku`, `x5c`, `x5u`)."""
        named = message.header.get("kid")
        if named is not None:
            return self.keys.get(named) if isinstance(named, str) else None
        suited = [key for key in (*self.keys.values(), *self.unnamed) if message.algorithm in key.algorithms]
        return suited[0] if len(suited) == 1 else None


def read_key_set(document: bytes, use: str = "sig") -> KeySet:
    """Read a key set.

    Raises `Unreadable` for what is no set. Passed over are keys that are weak, malformed, for encryption, for another algorithm than
    their type's or of an unknown type, those that show their private half, and all that share an id.
    """
    listed = _listed(document)
    ids = Counter(str(jwk["kid"]) for jwk in listed if isinstance(jwk, dict) and "kid" in jwk and jwk.get("use") != "enc")
    keys: dict[str, Key] = {}
    unnamed: list[Key] = []
    unusable: dict[str, str] = {}
    for jwk in listed:
        name = str(jwk.get("kid", "")) if isinstance(jwk, dict) else ""
        try:
            key = read_key(jwk, use)
        except Unusable as problem:
            unusable[name] = str(problem)
            continue
        if not key.id:
            unnamed.append(key)
        elif ids[key.id] > 1:
            unusable[name] = "shares its id (`kid`) with another"
        else:
            keys[key.id] = key
    return KeySet(keys, tuple(unnamed), unusable)


def _listed(document: bytes) -> list[Any]:
    try:
        value = read_json(document)
    except RemitError as error:
        raise Unreadable(f"cannot be read ({error.message})") from None
    listed = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise Unreadable("has no list of `keys`")
    if len(listed) > MAX_KEYS:
        raise Unreadable(f"has more than {MAX_KEYS} keys")
    return listed
