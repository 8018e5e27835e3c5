"""The description, where clients look for it."""

from starlette.requests import Request
from starlette.responses import Response

from remit.server.responding import answer


async def served(request: Request) -> Response:
    """`GET /v1/openapi.json`: this document."""
    return answer(request.app.state.document)
