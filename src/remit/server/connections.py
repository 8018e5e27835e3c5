"""Connections that ask too slowly or too much, or do not take their answers, are ended: none is held for longer than it is used."""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from remit.server.problems import Problem

MAX_HEAD = 65_536
"""A connection whose request line and headers have more bytes is ended; also one that sends more than that which is no body (trailers,
extensions of chunks, empty lines)."""
HEAD_SECONDS = 15.0
"""So long a connection may take until it has sent the headers of a request that it has begun, or of its first; and, of a request that is
answered already, the rest."""
LAST_SECONDS = 1.0
"""So long a connection that was just made when the server is to end may take to send the head of its only request."""
UNREAD_SECONDS = 60.0
"""So long more than a little of an answer may wait for a connection to take it, or anything of one that is to end."""
_NO_REQUEST = Problem(
    HTTPStatus.BAD_REQUEST,
    "this cannot be read as a request of HTTP/1.1: its first line, a header or the frame of its body is malformed",
    [("Connection", "close")],
)
_TOO_MANY = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "this server has as many connections or requests as it takes: come again in a while",
    [("Connection", "close"), ("Retry-After", "5")],
)
_log = logging.getLogger("remit.server")


class _Transport:
    """A transport that is closed as its connection says."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Bounded(HttpToolsProtocol):
    """HTTP over a connection that is ended if it sends a head too slowly, or one without end, or does not end what was answered."""

    _raw: asyncio.Transport
    _head: int | None = 0
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _is_last = False
    _is_whole = True
    """Whether the message that was begun last has come to its end."""
    _is_answered = False
    """Whether nothing more is answered here; it is closed when what was asked last has come."""
    _came = _behind = 0
    """So many bytes came last; and so many since the last that began, or went on with, a message."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        self._raw, self.limit_concurrency = transport, None  # looked at here, for the answer to be a problem
        super().connection_made(_Transport(transport, self._close))  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came, and look whether a head is under way, or anything else that needs an end."""
        self._came = len(data)
        self._behind += self._came
        super().data_received(data)
        if self._head is not None:
            self._head += self._came
        # INVARIANT (fail closed): whatever is sent, a connection for which nothing is being done has a time when it is ended.
        if self._head is not None or self.cycle is None or self.cycle.response_complete:
            self._wait()
        if max(self._head or 0, self._behind) > MAX_HEAD:
            self._raw.abort()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head, self._behind, self._is_whole = -self._came, 0, False  # what came with its first byte may be of the one before

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What comes behind the body (a trailer) is none: nobody has looked at it who looks at headers."""
        if self._head is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._head, self._behind = None, 0
        self._stop()
        if self._is_answered:
            return
        most = self.config.limit_concurrency
        crowded = most is not None and max(len(self.connections), len(self.tasks)) >= most
        if crowded:
            _log.warning("a request is refused: there are %d connections or requests", most)
        self.app = _too_many if crowded else self.config.loaded_app
        super().on_headers_complete()
        if self._is_last:
            super().shutdown()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._behind = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It has come whole."""
        self._is_whole = True
        self._stop()
        super().on_message_complete()
        if self._is_answered:
            self._close()

    def on_response_complete(self) -> None:
        """Go on to the next; what is answered before it has come must come soon."""
        if self._is_answered:
            self.pipeline.clear()
        super().on_response_complete()
        if not self._is_whole:
            self._wait()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it says the same of everything
        """Say that it is no request, if anything may still be said, and read no more."""
        self._is_whole = True
        if not self._is_answered:
            response = _NO_REQUEST.response()
            headers = [*self.server_state.default_headers, *response.raw_headers]
            lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers), b"", bytes(response.body)]
            self.transport.write(b"\r\n".join(lines))
        self._close()

    def pause_writing(self) -> None:
        """Wait for what was answered to be taken."""
        super().pause_writing()
        self._must_be_read()

    def resume_writing(self) -> None:
        """It was taken."""
        super().resume_writing()
        if self._unread is not None and not self._raw.is_closing():
            self._unread.cancel()
            self._unread = None

    def shutdown(self) -> None:
        """End once what was asked is answered; of a connection that asked nothing yet, its first request, which may be on its way."""
        if self.cycle is not None:
            super().shutdown()
            return
        self._is_last = True
        self._stop()
        self._timer = asyncio.get_running_loop().call_later(LAST_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        super().connection_lost(exc)
        if self._unread is not None:
            self._unread.cancel()

    def _close(self) -> None:
        """End it, but not before what was asked has come: whoever still sends would lose the answer."""
        if self._is_whole or self._is_answered or self.cycle is None or self.cycle.keep_alive:
            self._raw.close()
            self._must_be_read()
            return
        self._is_answered = True
        self._wait()
        if self._raw.can_write_eof() and not self._raw.is_closing():
            self._raw.write_eof()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._raw.abort)

    def _must_be_read(self) -> None:
        if self._unread is None:
            self._unread = asyncio.get_running_loop().call_later(UNREAD_SECONDS, self._raw.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _too_many(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request for which there is no room."""
    await _TOO_MANY.response()(scope, receive, send)
