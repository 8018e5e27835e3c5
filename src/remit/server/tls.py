"""TLS of the server's own: its certificate, and those of clients, which bind tokens (RFC 8705)."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import msgspec

from remit.model.errors import malformed
from remit.server.callers import CERTIFICATE
from remit.server.connections import Bounded


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
