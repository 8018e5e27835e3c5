"""TLS of the server's own: its certificate, and those of clients, which bind tokens (RFC 8705)."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from remit.model.errors import malformed
from remit.server.callers import CERTIFICATE


class Tls(msgspec.Struct, frozen=True):
    """Files (PEM): the server's certificate chain and key, and the authorities whose client certificates are taken."""

    certificate: Path
    key: Path
    clients: Path | None = None

    def context(self) -> ssl.SSLContext:
        """What connections are made with: TLS 1.2 or newer. Raises `RemitError` (malformed) for files that do not fit."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.clients is not None:
                context.load_verify_locations(self.clients)
                context.verify_mode = ssl.CERT_OPTIONAL  # who shows none can still prove a key by DPoP
        except (OSError, ssl.SSLError) as error:
            raise malformed(
                f"the certificates cannot be used ({error}): check `--tls-cert`, `--tls-key` and `--client-ca`"
            ) from None
        return context


MAX_HEAD = 65_536
"""A connection whose request line and headers have more bytes is ended, as is one with more after a body that are no message."""
HEAD_SECONDS = 15.0
"""So long a connection may take until it has sent the headers of a request that it has begun, or of its first."""


LAST_SECONDS = 1.0
"""So long a connection that was just made when the server is to end may take to send the head of its only request."""


class Bounded(HttpToolsProtocol):
    """HTTP over a connection that is ended if it sends a head too slowly, or one without end, or anything without end that is no body. What
    follows a body (trailers) is not taken for headers."""

    _head: int | None = 0
    _idle, _went_on = 0, False
    """Bytes after a head that brought nothing further, and whether those that are being taken do: some body, or another message."""
    _timer: asyncio.TimerHandle | None = None
    _is_last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take what came, and look whether a head is under way."""
        self._went_on = False
        super().data_received(data)
        if self._head is None:
            self._idle = 0 if self._went_on else self._idle + len(data)
            if self._idle > MAX_HEAD:
                self.transport.abort()
            return
        self._head += len(data)
        if self._head > MAX_HEAD:
            self.transport.abort()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.transport.abort)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head, self._went_on = 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is none: it may have passed whoever looks at headers before us (RFC 9110, section 6.5.1)."""
        # INVARIANT (fail closed): it says neither who calls nor with whose authority, and nobody keeps it.
        if self._head is not None:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._went_on = True
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """It has ended."""
        self._head = None
        self._stop()
        super().on_headers_complete()
        if self._is_last:
            super().shutdown()

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

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class WithCertificate(Bounded):
    """HTTP over a connection whose client certificate goes with each request."""

    _certificate: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the certificate that TLS has checked."""
        super().connection_made(transport)
        secured: Any = transport.get_extra_info("ssl_object")
        self._certificate = secured.getpeercert(binary_form=True) if secured is not None else None

    def on_headers_complete(self) -> None:
        """Put it where callers are identified."""
        if self._certificate is not None:
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[CERTIFICATE] = self._certificate
        super().on_headers_complete()
