"""Where an issuer's keys are: a file, an address, or what the issuer's own metadata says (OpenID Connect Discovery 1.0, RFC 8414)."""

from ipaddress import ip_address
from pathlib import Path
from socket import inet_aton
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from remit.authentication.issuers import LOOPBACK, Discovery, TrustedIssuer, fetchable
from remit.authentication.keys.fetching import MAX_BYTES, Fetch, Unfetched
from remit.model.errors import RemitError
from remit.model.values import read_json


def key_document(issuer: TrustedIssuer, fetch: Fetch) -> bytes:
    """The key set that an issuer publishes. Raises `Unfetched`, its message being a whole sentence."""
    if issuer.jwks_file:
        return _read(Path(issuer.jwks_file))
    return _fetched(issuer.jwks_url or _discovered(issuer, fetch), fetch)


def metadata_url(issuer: TrustedIssuer) -> str:
    """Where the issuer's metadata is."""
    if issuer.discovery is Discovery.OPENID:
        return issuer.issuer.removesuffix("/") + "/.well-known/openid-configuration"
    parts = urlsplit(issuer.issuer)
    path = "/.well-known/oauth-authorization-server" + parts.path.removesuffix("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _discovered(issuer: TrustedIssuer, fetch: Fetch) -> str:
    url = metadata_url(issuer)
    document = _fetched(url, fetch)
    try:
        metadata = read_json(document)
    except RemitError as error:
        raise Unfetched(f"`{url}` is no metadata ({error.message})") from None
    stated: Any = metadata if isinstance(metadata, dict) else {}
    if stated.get("issuer") != issuer.issuer:
        # INVARIANT (fail closed): metadata that is another issuer's names another's keys.
        raise Unfetched(f"`{url}` is not the metadata of `{issuer.issuer}` (its `issuer` differs)")
    place = stated.get("jwks_uri")
    if not isinstance(place, str) or not fetchable(place):
        raise Unfetched(f"`{url}` names no https address of keys (`jwks_uri`)")
    if (where := _not_public(place)) and not _not_public(issuer.issuer):
        # INVARIANT (fail closed): nobody out there has this server ask what is in here.
        raise Unfetched(f"`{url}` says that its keys are at an address that is {where}")
    return place


def _not_public(url: str) -> str:
    """What keeps the world from a host that is written as an address, or as a name of this machine; empty for any other name."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    if host in LOOPBACK or host.endswith(".localhost"):
        return "this machine's"
    try:
        # As the system reads it: `127.1` and `0x7f000001` are addresses, too.
        address = ip_address(host.partition("%")[0] if ":" in host else inet_aton(host))
    except (ValueError, OSError):
        return ""
    address = getattr(address, "ipv4_mapped", None) or address
    return "" if address.is_global else "of a network that is not public"


def _fetched(url: str, fetch: Fetch) -> bytes:
    try:
        return fetch(url)
    except Unfetched as failure:
        raise Unfetched(f"`{url}` {failure}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            document = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unfetched(f"`{path}` cannot be read ({error.strerror})") from None
    if len(document) > MAX_BYTES:
        raise Unfetched(f"`{path}` is longer than {MAX_BYTES} bytes")
    return document
