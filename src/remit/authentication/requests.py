"""Who sends a request: its one token and the one proof beside it, taken from the headers (RFC 6750, RFC 9449, section 7)."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from remit.authentication.refusal import Code, NotVerified, bad_proof
from remit.authentication.verify import Scheme, Shown, Verifier
from remit.authentication.waiting import awaited
from remit.model.caller import VerifiedToken

_AUTHORIZATION = re.compile(r"([A-Za-z]+) +([A-Za-z0-9._~+/-]+=*)", re.ASCII)
_SCHEMES: Mapping[str, Scheme] = {scheme.value: scheme for scheme in Scheme}


class Sent(msgspec.Struct, frozen=True):
    """A request as it came. `url` is its address as callers know it: from the configuration, never from what the request says of its
    host. `certificate` is the client's of this connection (DER), once TLS has checked it."""

    headers: Sequence[tuple[bytes, bytes]]
    method: str
    url: str
    certificate: bytes | None = None


async def authenticate(verifier: Verifier, request: Sent) -> VerifiedToken:
    """The verified token of a request. Raises `NotVerified`."""
    token, shown = presented(request)
    return await awaited(lambda: verifier.verify(token, shown))


def presented(request: Sent) -> tuple[str, Shown]:
    """The token of a request, and what came with it. Raises `NotVerified` if there is none, or if it is not plain which."""
    found, proofs = list[str](), list[str]()
    for name, value in request.headers:
        match name.lower():
            case b"authorization":
                found.append(value.decode("latin-1"))
            case b"dpop":
                proofs.append(value.decode("latin-1"))
    if not found:
        raise NotVerified(Code.MISSING, "a token is needed: send it as `Authorization: Bearer` or `Authorization: DPoP`")
    if len(found) > 1:
        raise NotVerified(Code.INVALID_REQUEST, "there is more than one `Authorization` header: send one")
    matched = _AUTHORIZATION.fullmatch(found[0])
    scheme = _SCHEMES.get(matched[1].lower()) if matched is not None else None
    if matched is not None and scheme is None:
        raise NotVerified(Code.MISSING, "this scheme is not taken: send a token as `Authorization: Bearer` or `DPoP`")
    if matched is None or scheme is None:
        raise NotVerified(Code.INVALID_REQUEST, "`Authorization` cannot be read: send `Bearer` or `DPoP` and one token")
    if len(proofs) > 1:
        raise bad_proof("there is more than one `DPoP` header: send one")
    if scheme is Scheme.BEARER and proofs:
        raise NotVerified(Code.INVALID_REQUEST, "a proof came with a token that is sent as `Bearer`: send the token as `DPoP`")
    if scheme is Scheme.DPOP and not proofs:
        raise bad_proof("no proof came with the token: send one in `DPoP`")
    return matched[2], Shown(scheme, proofs[0] if proofs else "", request.method, request.url, request.certificate)
