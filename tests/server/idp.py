"""Callers with proof of who they are: an issuer of the tests' own, and keys that prove possession."""

import base64
import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from remit.local.wiring import wall_clock

ISSUER = "https://idp.example"


class Idp:
    """Signs tokens for anybody, with one P-256 key that it publishes in a file."""

    def __init__(self, issuer: str = ISSUER) -> None:
        self.issuer = issuer
        self.key = ECKey.generate_key("P-256", private=True)

    def publish(self, file: Path) -> None:
        """Write the key set."""
        public = {**self.key.as_dict(private=False), "kid": self.key.thumbprint(), "use": "sig", "alg": "ES256"}
        file.write_text(json.dumps({"keys": [public]}))

    def token(self, subject: str, audience: str, **claims: Any) -> str:
        """An access token, for five minutes."""
        now = wall_clock() // 1_000_000
        said = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
            **claims,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.key.thumbprint()}
        return jws.serialize_compact(header, json.dumps(said), self.key, algorithms=["ES256"])


class Holder:
    """Holds a key, and proves it (RFC 9449)."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", private=True)
        self.nonce = ""

    @property
    def thumbprint(self) -> str:
        """What tokens are bound to."""
        return self.key.thumbprint()

    @property
    def public(self) -> dict[str, Any]:
        """The public half."""
        return dict(self.key.as_dict(private=False))

    def proof(self, method: str, url: str, token: str, **claims: Any) -> str:
        """A proof for one request."""
        digest = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        said = {"htm": method, "htu": url, "iat": wall_clock() // 1_000_000, "jti": secrets.token_hex(8), "ath": digest, **claims}
        if self.nonce:
            said["nonce"] = self.nonce
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": self.public}
        return jws.serialize_compact(header, json.dumps(said), self.key, algorithms=["ES256"])
