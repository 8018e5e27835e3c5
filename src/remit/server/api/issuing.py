"""Remit's own issuer, described (RFC 8414), and its public keys (RFC 7517): what others need to verify the tokens that it makes."""

import asyncio
import hashlib
import logging
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from remit.local.trust import own_issuer
from remit.model.errors import RemitError
from remit.server.problems import Problem
from remit.server.responding import answer, embedded_of

_log = logging.getLogger("remit")
KEYS = "/.well-known/jwks.json"
FRESH = "public, max-age=60"
"""So long others may keep keys without asking: a key that is taken away is gone everywhere a minute later."""


async def keys(request: Request) -> Response:
    """`GET /.well-known/jwks.json`: the public keys of this server's own issuer: the one that signs, and those whose tokens still stand."""
    held = await asyncio.to_thread(_held, request)
    tag = f'"{hashlib.sha256(held).hexdigest()[:32]}"'
    told = {"Cache-Control": FRESH, "ETag": tag}
    if tag in [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=told)
    return Response(held, media_type="application/json", headers=told)


def _held(request: Request) -> bytes:
    embedded = embedded_of(request)
    try:
        # INVARIANT (fail closed): what a stranger asks never makes a key; whoever starts the server, or makes a token, does.
        return own_issuer(embedded.home, request.app.state.url, embedded.runtime.clock, make=False).key_set()
    except RemitError as error:  # strangers are not told where the keys are
        _log.error("the keys of the own issuer cannot be told: %s", error.message)
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "the keys cannot be read now: whoever runs this server is told why"
        ) from None


async def issuer(request: Request) -> Response:
    """`GET /.well-known/oauth-authorization-server`: this server as an issuer: nobody gets a token by OAuth here, but can verify one."""
    base: str = request.app.state.url
    described = {"issuer": base, "jwks_uri": f"{base}{KEYS}", "response_types_supported": [], "grant_types_supported": []}
    response = answer(described)
    response.headers["Cache-Control"] = FRESH
    return response
