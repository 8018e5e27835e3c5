"""One public key in JSON, and the signatures it checks: the library does the arithmetic, the rules about keys are here."""

from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, thumbprint
from joserfc.jws import JWSRegistry

from remit.authentication.jose.compact import Compact, Malformed, decode

RSA_ALGORITHMS = ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
ASYMMETRIC = ("EdDSA", "Ed25519", "ES256", "ES384", "ES512", *RSA_ALGORITHMS)
"""All signature algorithms that are ever taken: HMAC and `none` are not among them, whatever is configured."""
SVID_USE = "jwt-svid"
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_EDWARDS = frozenset({"EdDSA", "Ed25519"})
"""Two names of one algorithm, for this curve (RFC 9864)."""
_CURVES = {
    ("EC", "P-256"): (frozenset({"ES256"}), 32),
    ("EC", "P-384"): (frozenset({"ES384"}), 48),
    ("EC", "P-521"): (frozenset({"ES512"}), 66),
    ("OKP", "Ed25519"): (_EDWARDS, 32),
}
"""Key type and curve → algorithms and length of a coordinate in bytes."""
RSA_BITS = range(2048, 8193)
MAX_EXPONENT = 1 << 32


class Unusable(Exception):
    """A key that no signature is checked with. The message ends a sentence that begins with the key."""


class Key(msgspec.Struct, frozen=True):
    """A public key and the algorithms it is for; `thumbprint` is that of RFC 7638."""

    id: str
    thumbprint: str
    algorithms: frozenset[str]
    public: ECKey | OKPKey | RSAKey

    def signed(self, message: Compact) -> bool:
        """Whether the signature of the message is this key's."""
        # INVARIANT (fail closed): an algorithm is taken only if it is this key's, so that no key can be used as another kind of key.
        if message.algorithm not in self.algorithms:
            return False
        try:
            return JWSRegistry.algorithms[message.algorithm].verify(message.signed, message.signature, self.public)
        except (JoseError, ValueError, TypeError):
            return False


def material_of(jwk: Any) -> dict[str, str]:
    """The members that make the key: what its thumbprint is taken of. Raises `Unusable`."""
    if not isinstance(jwk, dict):
        raise Unusable("is no JSON object")
    if not _PRIVATE.isdisjoint(jwk):
        raise Unusable("shows its private half, so that anybody can sign with it")
    names = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}.get(str(jwk.get("kty")), ())
    if not names:
        raise Unusable("is of a type that signs nothing here (`kty`)")
    material = {name: jwk[name] for name in names if isinstance(jwk.get(name), str)}
    if len(material) != len(names):
        raise Unusable("lacks members of its type")
    return material


def thumbprint_of(material: dict[str, str]) -> str:
    """The thumbprint of a key (RFC 7638, SHA-256)."""
    return thumbprint(material)


def read_key(jwk: Any, use: str = "sig") -> Key:
    """A public key for checking signatures; its `use` is `use`, or not stated (an SVID's must be). Raises `Unusable`."""
    material = material_of(jwk)
    _is_for(jwk, use)
    algorithms = _algorithms(jwk, material)
    key_id = jwk.get("kid", "")
    if not isinstance(key_id, str):
        raise Unusable("has an id (`kid`) that is no text")
    kinds: dict[str, Any] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
    try:
        public = kinds[material["kty"]].import_key(material)
        public.get_op_key("verify")
    except (JoseError, ValueError, TypeError, KeyError):
        raise Unusable("is no valid key of its type") from None
    return Key(key_id, thumbprint_of(material), algorithms, public)


def _is_for(jwk: dict[str, Any], use: str) -> None:
    stated = jwk.get("use")
    if (stated is not None or use == SVID_USE) and stated != use:
        raise Unusable(f"is not for checking these signatures (`use` is not `{use}`)")
    operations = jwk.get("key_ops")
    if operations is None:
        return
    if not isinstance(operations, list) or "verify" not in operations or len(set(map(str, operations))) != len(operations):
        raise Unusable("is not for checking signatures (`key_ops` lacks `verify`, or repeats itself)")


def _algorithms(jwk: dict[str, Any], material: dict[str, str]) -> frozenset[str]:
    if material["kty"] == "RSA":
        _check_rsa(material)
        suited = frozenset(RSA_ALGORITHMS)
    else:
        suited, length = _CURVES.get((material["kty"], material["crv"]), (frozenset(), 0))
        if not suited:
            raise Unusable("is on a curve that is not taken (`crv`)")
        if any(len(_bytes(material[name])) != length for name in ("x", "y") if name in material):
            raise Unusable("has a coordinate of the wrong length")
    if "alg" not in jwk:
        return suited
    stated = _EDWARDS if jwk["alg"] in ("EdDSA", "Ed25519") else frozenset({str(jwk["alg"])})
    if not stated <= suited:
        raise Unusable("is for an algorithm that is not its type's, or not taken (`alg`)")
    return stated


def _check_rsa(material: dict[str, str]) -> None:
    modulus, exponent = _bytes(material["n"]), _bytes(material["e"])
    if modulus[:1] == b"\0" or exponent[:1] == b"\0":
        raise Unusable("has a number that begins with zeros")
    if int.from_bytes(modulus).bit_length() not in RSA_BITS:
        raise Unusable(f"has less than {RSA_BITS.start} bits, or more than {RSA_BITS.stop - 1}")
    number = int.from_bytes(exponent)
    if number < 3 or number % 2 == 0 or number > MAX_EXPONENT:
        raise Unusable("has an exponent that is not taken (`e`)")


def _bytes(text: str) -> bytes:
    try:
        return decode(text)
    except Malformed as problem:
        raise Unusable(str(problem)) from None
