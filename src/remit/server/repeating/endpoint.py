"""Endpoints that do once what they do, whoever sends it again."""

from starlette.requests import Request
from starlette.responses import Response

from remit.server.callers import caller_of
from remit.server.direct import Endpoint
from remit.server.reading import read_object
from remit.server.repeating.answers import HEADER, Answer, Once, answered, key_of, sent


def repeatable(endpoint: Endpoint) -> Endpoint:
    """An endpoint that does what it does once for each `Idempotency-Key` of a caller. What failed is not kept: it may be asked again."""

    async def asked(request: Request) -> Response:
        given = request.headers.get(HEADER, "")
        if not given:
            return await endpoint(request)
        caller, body = await caller_of(request), await read_object(request)
        key = key_of(caller.caller.id, caller.caller.whole, given)
        message = {"method": request.method, "path": request.scope["path"], "query": str(request.url.query), "body": body}
        repeats: Once = request.app.state.repeats

        async def done() -> Answer:
            return answered(await endpoint(request))

        return (await repeats.once(key, sent(message), done, changes=True)).response()

    return asked
