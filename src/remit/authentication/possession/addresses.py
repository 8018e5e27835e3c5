"""Whether two addresses are one, as a proof must name the one it is for (RFC 9449, section 4.3; RFC 3986, section 6.2)."""

import re
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_URL = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.ASCII)


def normal(url: str) -> str:
    """The address in its one form, without query and fragment; empty for what is no http address that has one."""
    if not _URL.fullmatch(url.replace("%", "")):
        return ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not host or parts.username is not None or parts.password is not None:
        return ""
    path = _path(parts.path)
    if path is None:
        return ""
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}:{_PORTS[parts.scheme] if port is None else port}{path}"


def _path(path: str) -> str | None:
    if "%" in _ESCAPE.sub("", path):
        return None
    plain = _ESCAPE.sub(_plain, path) or "/"
    # Segments that are resolved by one reader and not by another are taken by none.
    return None if {".", ".."} & set(plain.split("/")) else plain


def _plain(escape: re.Match[str]) -> str:
    char = chr(int(escape[1], 16))
    return char if char in _UNRESERVED else escape[0].upper()
