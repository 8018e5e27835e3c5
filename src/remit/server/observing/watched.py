"""Every request, from its first byte to the last of its answer: its id, how long it took, and what came of it."""

from time import perf_counter
from typing import Any

from remit.model.identity import random_bytes
from remit.server.direct import ROUTE, App, Message
from remit.server.observing.figures import Figures
from remit.server.problems import fault

REQUEST_ID = b"x-request-id"
MAX_REQUEST_ID = 200


class _Answering:
    """One request being answered: its status once that is known, and the id that goes with the answer."""

    __slots__ = ("_id", "_send", "status")

    def __init__(self, id: bytes, send: Any) -> None:
        self._id, self._send, self.status = id, send, 0

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (REQUEST_ID, self._id)]}
        await self._send(message)


def watched(app: App, figures: Figures) -> App:
    """The application, watched. A request id comes back as it came; a request without one is given one. What it raises ends here."""

    async def watching(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began = perf_counter()
        given = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
        answering = _Answering(given if 0 < len(given) <= MAX_REQUEST_ID else random_bytes(16).hex().encode(), send)
        try:
            await app(scope, receive, answering)
        except Exception as error:  # the edge: the server goes on, and says what it was
            figures.faulted()
            if not answering.status:
                await fault(error, scope).response()(scope, receive, answering)
            raise
        finally:
            figures.answered(scope["method"], scope.get(ROUTE, ""), answering.status, perf_counter() - began)

    return watching
