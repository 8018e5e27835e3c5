"""An HTTP exchange that ends by a deadline, however slowly the other side sends."""

import http.client
import io
import selectors
import socket
import time
from typing import Any

TOO_LONG = "its answer is longer than"
"""How it is said of an answer that is not read to its end."""


class _Timed(io.RawIOBase):
    """What a connection reads, until a time for all of it: headers, continuations and trailers too."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: float) -> None:
        self._sock, self._raw, self._deadline = sock, raw, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def response_in_time(connection: http.client.HTTPConnection, deadline: float) -> http.client.HTTPResponse:
    """The head of the answer; it, and all that is read of it later, comes in time or not at all."""

    def timed(sock: socket.socket, *args: Any, **named: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, *args, **named)
        response.fp = io.BufferedReader(_Timed(sock, response.fp.detach(), deadline))
        return response

    connection.response_class = timed  # type: ignore[assignment]
    return connection.getresponse()


def speaks(connection: http.client.HTTPConnection) -> bool:
    """Whether a connection that waits for a question has something to read, be it only its end."""
    if connection.sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def hurry(connection: http.client.HTTPConnection, deadline: float) -> None:
    """Let nothing that comes next take longer than what is left of the time."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.timeout = left
    if connection.sock is not None:
        connection.sock.settimeout(left)


def read_in_time(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse, deadline: float, limit: int
) -> bytes:
    """The whole answer of at most `limit` bytes, piece by piece, so that a server that drips is not waited for."""
    pieces: list[bytes] = []
    held = 0
    while True:
        hurry(connection, deadline)
        piece = response.read1(65536)
        if not piece:
            response.close()  # the connection stays, for the next question
            return b"".join(pieces)
        pieces.append(piece)
        held += len(piece)
        if held > limit:
            raise http.client.HTTPException(f"{TOO_LONG} {limit} bytes")
