"""The first administrator, enrolled by the link that the first start printed."""

import asyncio
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from remit.credentials.holder_keys import thumbprint_of
from remit.inventory.agents import checked_name
from remit.local.enrolment import needs_administrator, redeem
from remit.local.issuing import operator_token
from remit.local.trust import own_issuer
from remit.local.wiring import Embedded
from remit.model.caller import Role
from remit.model.errors import refused
from remit.model.identity import Operator
from remit.runtime.runtime import PATIENCE, turn
from remit.server.reading import read_as
from remit.server.responding import answer, embedded_of

SECONDS = 12 * 3600
BY = "enrolment"
"""What vouches for whoever has the link."""


class Enrolling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever has the link, by the name that they shall have; `key` is their public key (JWK), to which their token is then bound."""

    code: Annotated[str, msgspec.Meta(max_length=200)]
    name: Annotated[str, msgspec.Meta(max_length=128)]
    key: dict[str, Any] | None = None


def _first(embedded: Embedded, url: str, said: Enrolling, name: str) -> str:
    """The token of the first administrator, if this is the code of this server's link, which is used by it, and still nobody administers;
    empty otherwise."""
    if not redeem(embedded.home, said.code, embedded.runtime.clock):
        return ""
    # INVARIANT (fail closed): another server on the store has a link of its own, and the first administrator comes once: no other process
    # commits between the question and the token.
    with turn(embedded.runtime, PATIENCE):
        if not needs_administrator(embedded, embedded.settings):
            return ""
        own = own_issuer(embedded.home, url, embedded.runtime.clock)  # who has no link makes no key
        return operator_token(embedded, own, name, [Role.ADMINISTRATOR], SECONDS, said.key, Operator(name, BY))


async def enrolled(request: Request) -> Response:
    """`POST /v1/enrolment`: a token with the role of an administrator, for the one who has the link, once."""
    said, embedded = await read_as(request, Enrolling), embedded_of(request)
    name = checked_name(said.name, "person")
    thumbprint_of(said.key)  # a key that is none must not use up the link
    token = await asyncio.to_thread(_first, embedded, request.app.state.url, said, name)
    if not token:
        raise refused(
            "this is no link that enrols anybody: it was used, has expired, or is none, or somebody administers already; "
            "`remit operator token` makes a token too"
        )
    return answer({"token": token, "name": name, "roles": [Role.ADMINISTRATOR], "seconds": SECONDS})
