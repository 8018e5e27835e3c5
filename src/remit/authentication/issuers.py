"""Whose tokens are taken, and on what terms."""

import re
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from remit.authentication.jose.key import ASYMMETRIC
from remit.model.errors import malformed

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SPIFFE = "spiffe://"
TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)


class Discovery(StrEnum):
    """How an issuer says where its keys are."""

    OPENID = "openid"
    """OpenID Connect Discovery 1.0: `/.well-known/openid-configuration` after the issuer."""
    OAUTH = "oauth"
    """RFC 8414: `/.well-known/oauth-authorization-server` between host and path."""


class TrustedIssuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An issuer whose tokens are taken: a URL, or a SPIFFE trust domain as `spiffe://domain`.

    `audiences` are the names of this deployment: a token must be for one of them. Keys come from `jwks_url`, from `jwks_file`, or from
    where `discovery` says. `types` are the `typ` that are taken (RFC 9068: `at+jwt`), the empty one being for tokens that state none;
    a trust domain's are JWT-SVIDs and need none. `id_tokens`: whether tokens made for logging in are taken too. `bearer`: whether a
    token that is bound to no key is. Raises `RemitError` (malformed) for terms that cannot be kept.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...] = ASYMMETRIC
    jwks_url: str = ""
    jwks_file: str = ""
    discovery: Discovery = Discovery.OPENID
    types: tuple[str, ...] = ("at+jwt", "jwt", "")
    id_tokens: bool = False
    bearer: bool = True
    leeway_seconds: int = 30
    lifetime_seconds: int = 86_400
    """A token that was made to last longer is refused."""
    refresh_seconds: int = 300
    """So old keys are fetched again."""
    retry_seconds: int = 30
    """So much lies between two attempts at least, whoever asks for a key that is not known."""
    grace_seconds: int = 14_400
    """So old keys are the last that are used while the issuer cannot be reached; then its tokens are refused."""

    def __post_init__(self) -> None:
        self._check_issuer()
        if not self.audiences or not all(self.audiences):
            raise malformed(f"the issuer `{self.issuer}` has no audience: name what its tokens must be for (`audiences`)")
        unknown = [name for name in self.algorithms if name not in ASYMMETRIC]
        if unknown or not self.algorithms:
            raise malformed(
                f"the issuer `{self.issuer}` cannot use {unknown or 'no algorithm'}: take some of {', '.join(ASYMMETRIC)}"
            )
        if self.jwks_url and self.jwks_file:
            raise malformed(f"the issuer `{self.issuer}` has two places for keys: keep `jwks_url` or `jwks_file`")
        if self.jwks_url and not fetchable(self.jwks_url):
            raise malformed(f"`{without_user(self.jwks_url)}` cannot be fetched safely: give an https address")
        if not all(isinstance(kind, str) and kind == kind.lower() for kind in self.types) or not self.types:
            raise malformed(f"the issuer `{self.issuer}` has types that are not in lower case, or none: mend `types`")
        self._check_times()

    def _check_issuer(self) -> None:
        if self.trust_domain:
            if not TRUST_DOMAIN.fullmatch(self.trust_domain):
                raise malformed(f"`{self.issuer}` is no SPIFFE trust domain: give it as `spiffe://example.org`")
            if not (self.jwks_url or self.jwks_file):
                raise malformed(f"the trust domain `{self.issuer}` has no place for its keys: give `jwks_url` or `jwks_file`")
        elif not (self.jwks_url or self.jwks_file) and (not fetchable(self.issuer) or "?" in self.issuer or "#" in self.issuer):
            raise malformed(f"the keys of `{self.issuer}` cannot be discovered: give an https issuer, `jwks_url` or `jwks_file`")

    def _check_times(self) -> None:
        if not 0 <= self.leeway_seconds <= 300:
            raise malformed(f"`leeway_seconds` of `{self.issuer}` must be between 0 and 300")
        if (
            self.lifetime_seconds <= 0
            or self.retry_seconds <= 0
            or not self.retry_seconds <= self.refresh_seconds <= self.grace_seconds
        ):
            raise malformed(f"the times of `{self.issuer}` must grow: 0 < retry ≤ refresh ≤ grace, and a lifetime above 0")

    @property
    def trust_domain(self) -> str:
        """The SPIFFE trust domain; empty for an issuer of JWTs."""
        return self.issuer.removeprefix(SPIFFE) if self.issuer.startswith(SPIFFE) else ""


def without_user(url: str) -> str:
    """An address to be said again: without the name and the password in it."""
    return re.sub(r"//[^/?#]*@", "//", url)


def fetchable(url: str) -> bool:
    """Whether a URL may be fetched: over https, or over http from this very machine."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
