"""What a bundle may say of an OPA server: where it is, and that nobody between can forge its answers."""

import ipaddress
from urllib.parse import urlsplit

from remit.pdp.outside import Opa

MAX_SECONDS = 30.0


def opa_fault(opa: Opa) -> tuple[str, str] | None:
    """What is wrong with it, and what to do; None if nothing is."""
    parts = urlsplit(opa.url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    if parts.scheme not in ("http", "https") or not host or port == 0 or not plain:
        return f"`{opa.url}` is no address of an OPA server", "write `https://host:port`, without path, name or password"
    # INVARIANT (fail closed): an answer that anybody on the network can forge is none.
    if parts.scheme == "http" and not _here(host):
        return f"`{opa.url}` is asked in the clear over a network", "use `https://`, or an OPA on this machine"
    if not opa.package or not all(part.isidentifier() for part in opa.package.split(".")):
        return f"`{opa.package}` is no Rego package", "name it as its modules do, such as `remit` or `org.agents`"
    if not 0 < opa.seconds <= MAX_SECONDS:
        return f"an answer may take more than 0 and up to {MAX_SECONDS:g} s, not {opa.seconds:g}", "write `seconds: 1`"
    return None


def _here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
