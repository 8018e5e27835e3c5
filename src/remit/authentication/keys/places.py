"""Where an issuer's keys are: a file, an address, or what the issuer's own metadata says (OpenID Connect Discovery 1.0, RFC 8414)."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from socket import inet_aton, inet_ntoa
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from remit.authentication.issuers import LOOPBACK, Discovery, TrustedIssuer, fetchable
from remit.authentication.keys.fetching import MAX_BYTES, Admit, Fetch, Unfetched, anywhere
from remit.model.errors import RemitError
from remit.model.values import read_json

_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
"""Whose last 32 bits are an address of IPv4 (RFC 6052, RFC 8215, RFC 4291)."""


def key_document(issuer: TrustedIssuer, fetch: Fetch) -> bytes:
    """The key set that an issuer publishes. Raises `Unfetched`, its message being a whole sentence."""
    if issuer.jwks_file:
        return _read(Path(issuer.jwks_file))
    if issuer.jwks_url:
        return _fetched(issuer.jwks_url, fetch, anywhere)
    place, admit = _discovered(issuer, fetch)
    return _fetched(place, fetch, admit)


def metadata_url(issuer: TrustedIssuer) -> str:
    """Where the issuer's metadata is."""
    if issuer.discovery is Discovery.OPENID:
        return issuer.issuer.removesuffix("/") + "/.well-known/openid-configuration"
    parts = urlsplit(issuer.issuer)
    path = "/.well-known/oauth-authorization-server" + parts.path.removesuffix("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _discovered(issuer: TrustedIssuer, fetch: Fetch) -> tuple[str, Admit]:
    """Where the metadata says that the keys are, and which addresses that may lead to."""
    url, connected = metadata_url(issuer), list[str]()
    document = _fetched(url, fetch, connected.append)
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
    if _not_public(issuer.issuer) or (connected and _inner(connected[-1])):
        return place, anywhere
    # INVARIANT (fail closed): nobody out there has this server ask what is in here.
    if where := _not_public(place):
        raise Unfetched(f"`{url}` says that its keys are at an address that is {where}")
    return place, _public


def _not_public(url: str) -> str:
    """What keeps the world from a host that is written as an address, or as a name of this machine; empty for any other name."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    if host in LOOPBACK or host.endswith(".localhost"):
        return "this machine's"
    try:
        # As the system reads it: `127.1` and `0x7f000001` are addresses, too.
        return _inner(host if ":" in host else inet_ntoa(inet_aton(host)))
    except (ValueError, OSError):
        return ""


def _inner(address: str) -> str:
    """What keeps the world from an address; empty for one that anybody can reach. Raises `ValueError` for what is none."""
    read = ip_address(address.partition("%")[0])
    found = _within(read) if isinstance(read, IPv6Address) else [read]
    return "" if all(one.is_global for one in found) else "of a network that is not public"


def _within(address: IPv6Address) -> list[IPv4Address | IPv6Address]:
    """What one leads to: the IPv4 address that it is a form of; else itself, and the one that NAT64 or 6to4 on the way would make of it."""
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if any(address in network for network in _TRANSLATED):
        return [address, IPv4Address(int(address) & 0xFFFF_FFFF)]
    return [address, address.sixtofour] if address.sixtofour is not None else [address]


def _public(address: str) -> None:
    """Admit what anybody can reach."""
    if where := _inner(address):
        raise Unfetched(f"is at `{address}`, an address that is {where}: if that is right, name it as `jwks_url`")


def _fetched(url: str, fetch: Fetch, admit: Admit) -> bytes:
    try:
        return fetch(url, admit)
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
