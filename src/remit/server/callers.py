"""Who is calling, and whether they may: asked by every endpoint before it does anything."""

from typing import Protocol

from starlette.requests import Request

from remit.model.caller import Caller, Proof, Role

DEVELOPMENT = Caller("development", frozenset(Role) - {Role.AGENT}, "nobody", Proof.NONE)
"""Whoever reaches a server for development."""


class Callers(Protocol):
    """Tells who is calling."""

    async def identify(self, request: Request) -> Caller:
        """The caller of this request. Raises `Problem` (401) for one who does not prove who they are."""
        ...


class Believed:
    """Everybody is believed: for development."""

    async def identify(self, _request: Request) -> Caller:
        """The caller of any request."""
        return DEVELOPMENT


async def caller_of(request: Request) -> Caller:
    """Who calls. Raises `Problem` (401)."""
    callers: Callers = request.app.state.callers
    return await callers.identify(request)
