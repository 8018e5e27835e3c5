"""One document fetched over https: no redirect, bounded in size and in time."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from remit.authentication.issuers import fetchable

MAX_BYTES = 1 << 18
SECONDS = 5.0
"""So long a document may take, from the first byte of the question to the last of the answer."""

Admit = Callable[[str], None]
"""Told of an address (IPv4 or IPv6) before it is connected to. Raises `Unfetched` where that must not be."""
Fetch = Callable[[str, Admit], bytes]
"""Gives the document at a URL. Raises `Unfetched`."""


class Unfetched(Exception):
    """A document that was not to be had. The message ends a sentence that begins with its address."""


def anywhere(_address: str) -> None:
    """Any address may be connected to: whoever runs this server has said which."""


def fetch(url: str, admit: Admit = anywhere, seconds: float = SECONDS) -> bytes:
    """The document at a URL. Raises `Unfetched`. Blocks; variables that name proxies are not looked at."""
    if not fetchable(url):
        raise Unfetched("is no https address")
    deadline = time.monotonic() + seconds
    connection = _connection(url, admit, seconds)
    parts = urlsplit(url)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Accept": "application/json", "Accept-Encoding": "identity"})
        response = _response(connection, deadline)
        return _document(response)
    except TimeoutError:
        raise Unfetched(f"did not answer within {seconds:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = time.monotonic() >= deadline
        words = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise Unfetched(f"did not answer within {seconds:g} s" if late else f"cannot be asked ({words})") from None
    finally:
        connection.close()


class _Admitted(http.client.HTTPConnection):
    """Connects to what it is allowed to."""

    admit: Admit

    def connect(self) -> None:
        """Connect to the first address that answers."""
        failure = OSError("the name has no address")
        for *_, place in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            address = str(place[0])
            # INVARIANT (fail closed): what is connected to is the address that was admitted; the name is not looked up again.
            self.admit(address)
            try:
                self.sock = socket.create_connection((address, self.port), self.timeout)
                return
            except OSError as error:
                failure = error
        raise failure


class _AdmittedTls(http.client.HTTPSConnection, _Admitted):
    """The same, by its name over TLS."""


def _connection(url: str, admit: Admit, seconds: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: _Admitted
    if parts.scheme == "https":
        connection = _AdmittedTls(host, parts.port, timeout=seconds, context=ssl.create_default_context())
    else:
        connection = _Admitted(host, parts.port, timeout=seconds)
    connection.admit = admit
    return connection


def _document(response: http.client.HTTPResponse) -> bytes:
    if response.status != http.client.OK:
        # INVARIANT (fail closed): a redirect is not followed: keys come from where the configuration says, or not at all.
        raise Unfetched(f"answered {response.status}")
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise Unfetched("answered in a compressed form")
    document = response.read(MAX_BYTES + 1)
    if len(document) > MAX_BYTES:
        raise Unfetched(f"is longer than {MAX_BYTES} bytes")
    if response.length:
        raise Unfetched("ended early")
    return document


class _Timed(io.RawIOBase):
    """What a connection reads, until a time for all of it, headers included."""

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


def _response(connection: http.client.HTTPConnection, deadline: float) -> http.client.HTTPResponse:
    def timed(sock: socket.socket, *args: Any, **named: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, *args, **named)
        response.fp = io.BufferedReader(_Timed(sock, response.fp.detach(), deadline))
        return response

    connection.response_class = timed  # type: ignore[assignment]
    return connection.getresponse()
