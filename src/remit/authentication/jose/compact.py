"""A signed object in its compact form, taken apart strictly: one spelling, no second reading (RFC 7515, RFC 8725)."""

import base64
import re
from typing import Any

import msgspec

from remit.model.errors import RemitError
from remit.model.values import read_json

MAX_BYTES = 8192
"""A longer one is refused."""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Malformed(Exception):
    """What is no such object. The message ends a sentence that begins with what it should be."""


class Compact(msgspec.Struct, frozen=True, gc=False):
    """What it says, before anything of it is believed: `signed` are the bytes that `signature` is over."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes
    algorithm: str
    type: str
    """`typ` in lower case without `application/`; empty if absent."""


def read_compact(text: str, limit: int = MAX_BYTES) -> Compact:
    """Take a compact JWS whose payload is a JSON object apart.

    Raises `Malformed` also for what a lenient reader would take: padding, white space, another spelling of the same bytes, a member
    twice, nested and encrypted tokens, `crit`, and `alg` that is no text.
    """
    if len(text) > limit:
        raise Malformed(f"is longer than {limit} bytes")
    parts = text.split(".")
    if len(parts) != 3:
        raise Malformed(f"has {len(parts)} parts and not 3 (encrypted and detached ones are not taken)")
    header = _object(parts[0], "header")
    kind = _header_is_plain(header)
    claims = _object(parts[1], "claims set")
    return Compact(header, claims, f"{parts[0]}.{parts[1]}".encode(), decode(parts[2], "signature"), header["alg"], kind)


def _header_is_plain(header: dict[str, Any]) -> str:
    if "crit" in header:
        raise Malformed("marks header members as critical: none is understood here")
    if "cty" in header or "enc" in header or "zip" in header:
        raise Malformed("is nested, encrypted or compressed: send it as it is")
    if header.get("b64", True) is not True:
        raise Malformed("is not encoded (`b64`): send it in the common form")
    if not isinstance(header.get("alg"), str):
        raise Malformed("names no algorithm (`alg`)")
    kind = header.get("typ", "")
    if not isinstance(kind, str):
        raise Malformed("has a type (`typ`) that is no text")
    return kind.lower().removeprefix("application/")


def _object(part: str, what: str) -> dict[str, Any]:
    try:
        value = read_json(decode(part, what))
    except RemitError as error:
        raise Malformed(f"has a {what} that cannot be read ({error.message})") from None
    if not isinstance(value, dict):
        raise Malformed(f"has a {what} that is no JSON object")
    return value


def decode(part: str, what: str = "member") -> bytes:
    """Base64url without padding, in its one canonical spelling (RFC 4648, section 5). Raises `Malformed`."""
    if len(part) % 4 != 1 and _BASE64URL.fullmatch(part):
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if encode(raw) == part:
            return raw
    raise Malformed(f"has a {what} that is not canonical base64url")


def encode(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
