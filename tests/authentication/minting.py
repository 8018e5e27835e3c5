"""An issuer of tests: signs with `cryptography` itself, so that it can make what no library would."""

import base64
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from remit.authentication.issuers import TrustedIssuer
from remit.authentication.keys.holding import FixedKeys, KeySource
from remit.authentication.possession.dpop import Proofs, ProofTerms
from remit.authentication.possession.replays import Nonces, ProofsInMemory
from remit.authentication.verify import Verifier
from remit.model.clock import SECOND
from tests.runtime.world import NOON, Clock

ISSUER = "https://issuer.example"
AUDIENCE = "https://pdp.example"
NOW = NOON // SECOND
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA_KEY = rsa.generate_private_key(65537, 2048)
WEAK_RSA_KEY = rsa.generate_private_key(65537, 1024)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_key(alg: str) -> Any:
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg])
    return ed25519.Ed25519PrivateKey.generate() if alg in ("EdDSA", "Ed25519") else RSA_KEY


def public_jwk(key: Any, **members: Any) -> dict[str, Any]:
    """The public half, written by PyJWT."""
    public = key.public_key()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**{name: value for name, value in jwk.items() if name != "key_ops"}, **members}


def signature(alg: str, key: Any, message: bytes) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(HASHES[alg[2:]])))
        size = (key.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if isinstance(key, rsa.RSAPrivateKey):
        digest = HASHES[alg[2:]]
        pad = padding.PSS(padding.MGF1(digest), digest.digest_size) if alg.startswith("PS") else padding.PKCS1v15()
        return key.sign(message, pad, digest)
    return key.sign(message)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def sealed(header: Any, claims: Any, key: Any, alg: str = "ES256") -> str:
    """A token of this header and these claims (as text if they are text), signed properly, whatever they say."""
    signed = f"{b64(text_of(header).encode())}.{b64(text_of(claims).encode())}"
    return f"{signed}.{b64(signature(alg, key, signed.encode()))}"


class Issuer:
    """An issuer with one key, and what it puts into a token if nothing else is said."""

    def __init__(self, name: str = ISSUER, alg: str = "ES256", kid: str = "one", key: Any = None) -> None:
        self.name, self.alg, self.kid = name, alg, kid
        self.key = key or new_key(alg)

    def jwk(self, **members: Any) -> dict[str, Any]:
        return public_jwk(self.key, **{"kid": self.kid, "use": "sig", "alg": self.alg, **members})

    def key_set(self, *others: dict[str, Any]) -> bytes:
        return json.dumps({"keys": [self.jwk(), *others]}).encode()

    def claims(self, **changed: Any) -> dict[str, Any]:
        usual = {"iss": self.name, "sub": "bot", "aud": AUDIENCE, "iat": NOW, "exp": NOW + 300, "jti": "t-1"}
        return {name: value for name, value in {**usual, **changed}.items() if value is not ...}

    def header(self, **changed: Any) -> dict[str, Any]:
        usual = {"alg": self.alg, "typ": "at+jwt", "kid": self.kid}
        return {name: value for name, value in {**usual, **changed}.items() if value is not ...}

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        return sealed(self.header(**(header or {})), self.claims(**claims), self.key, self.alg)

    def by_pyjwt(self, **claims: Any) -> str:
        return jwt.encode(self.claims(**claims), self.key, self.alg, headers={"kid": self.kid, "typ": "at+jwt"})


def verifier(clock: Clock, *issuers: Issuer, source: KeySource | None = None, nonce: bool = False, **terms: Any) -> Verifier:
    proofs = Proofs(ProofsInMemory(lambda: clock.now - 3600 * SECOND), Nonces(b"n" * 32), ProofTerms(nonce=nonce))
    trusted = [
        (
            TrustedIssuer(
                issuer.name, terms.get("audiences", (AUDIENCE,)), **{k: v for k, v in terms.items() if k != "audiences"}
            ),
            source or FixedKeys(issuer.key_set()),
        )
        for issuer in issuers
    ]
    return Verifier(trusted, clock, proofs)


def thumbprint(key: Any) -> str:
    """RFC 7638, written out."""
    import hashlib

    jwk = public_jwk(key)
    names = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}[jwk["kty"]]
    return b64(hashlib.sha256(json.dumps({name: jwk[name] for name in sorted(names)}, separators=(",", ":")).encode()).digest())


def ath(token: str) -> str:
    import hashlib

    return b64(hashlib.sha256(token.encode()).digest())
