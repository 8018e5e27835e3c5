"""The log, sent on to a SIEM as it grows: at least once, in order, going on where the last run was acknowledged."""

import fcntl
import hashlib
import http.client
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from remit.decision_log.encoding import decode
from remit.decision_log.entry import DecisionMade
from remit.decision_log.merkle import leaf_hash
from remit.decision_log.plain import plain
from remit.decision_log.store import LogReader
from remit.local.following import Cursor, alone, check_cursor, keep_cursor, read_cursor
from remit.model.errors import malformed, unavailable

BATCH, BATCH_BYTES = 500, 1 << 20
SECONDS = 10.0
LONGEST_WAIT = 30.0
_AUDIT = 13 << 3  # the facility of RFC 5424
_WARNING, _INFO = 4, 6


class Sink(Protocol):
    """A receiver."""

    def send(self, entries: list[tuple[int, bytes]]) -> None:
        """Send entries and wait until they are acknowledged. Raises `OSError`, `http.client.HTTPException` or `Refused`."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Refused(Exception):
    """The receiver answered, and did not take what was sent."""


class Stream:
    """Sends one log to one receiver. `home` keeps how far it came; two processes never send to the same receiver at once."""

    def __init__(self, home: Path, log: LogReader, origin: str, url: str, ca: Path | None = None, token: str = "") -> None:
        """Raises `RemitError` (malformed) for an address or a file of certificates that cannot be used."""
        self._log, self._origin = log, origin
        self._sink = _sink(url, origin, ca, token)
        self.shown = _without_secrets(urlsplit(url))
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._file = home / "streams" / f"{name}.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While this process is the one that sends. Raises `RemitError` (conflict)."""
        with alone(self._file, f"another process streams to `{self.shown}` already: let it, or end it"):
            try:
                yield
            finally:
                self._sink.close()

    def run(self, patience: float | None, told: Callable[[str], None], pause: Callable[[float], None] = time.sleep) -> int:
        """Send all there is; how many entries that were. Gives up after `patience` seconds without success, never if None.

        Raises `RemitError`: unavailable then, corrupt if the log is not the one that was sent so far.
        """
        sent, failing, wait = 0, None, 1.0
        while batch := self._batch():
            try:
                self._sink.send(batch)
            except (OSError, http.client.HTTPException, Refused) as error:
                self._sink.close()
                now = time.monotonic()
                failing = now if failing is None else failing
                why = f"`{self.shown}` does not take entry {batch[0][0]} ({error or type(error).__name__})"
                if patience is not None and now + wait - failing > patience:
                    raise unavailable(f"{why}: mend it and repeat, nothing is lost") from None
                told(f"{why}: trying again in {wait:.0f} s")
                pause(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            keep_cursor(self._file, Cursor(batch[-1][0] + 1, leaf_hash(batch[-1][1]).hex()))
            sent, failing, wait = sent + len(batch), None, 1.0
        return sent

    def _batch(self) -> list[tuple[int, bytes]]:
        cursor = self._cursor()
        size = check_cursor(cursor, self._log, self.shown)
        batch: list[tuple[int, bytes]] = []
        held = 0
        for index, line in enumerate(self._log.lines(cursor.next, min(size, cursor.next + BATCH)), cursor.next):
            held += len(line)
            if batch and held > BATCH_BYTES:
                break
            batch.append((index, line))
        return batch

    def _cursor(self) -> Cursor:
        return read_cursor(self._file) or Cursor(0, "")


def _sink(url: str, origin: str, ca: Path | None, token: str) -> Sink:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.username is not None:
        raise malformed(f"`{_without_secrets(parts)}` was given with a name or a password: use REMIT_STREAM_TOKEN instead")
    if parts.scheme == "syslog+udp":
        raise malformed("UDP loses what it cannot deliver and says nothing: use `syslog+tls://` or `syslog+tcp://`")
    known = ("http", "https", "syslog+tcp", "syslog+tls")
    if parts.scheme not in known or not host or (parts.scheme.startswith("syslog") and port is None):
        forms = ", ".join(f"`{name}://host:port`" for name in known)
        shown = "…" if set("@?") & set(url) else url  # what is no address has no parts to tell a secret from
        raise malformed(f"`{shown}` is no address to stream to: use {forms}")
    context = _tls(ca) if parts.scheme in ("https", "syslog+tls") else None
    if parts.scheme.startswith("http"):
        return _Http(parts, origin, context, token)
    assert port is not None
    return _Syslog(host, port, origin, context)


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca is not None else None)
    except OSError as error:
        raise malformed(f"the certificates in `{ca}` cannot be used ({error.strerror or error}): give a PEM file") from None


def _without_secrets(parts: SplitResult) -> str:
    return f"{parts.scheme}://{(parts.netloc.rpartition('@')[2])}{parts.path}"


class _Http:
    """Posts batches as newline-delimited JSON; any 2xx acknowledges the whole batch."""

    def __init__(self, parts: SplitResult, origin: str, context: ssl.SSLContext | None, token: str) -> None:
        self._origin = origin
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/x-ndjson"} | ({"Authorization": f"Bearer {token}"} if token else {})
        host = parts.hostname or ""
        if context is not None:
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, parts.port, timeout=SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, parts.port, timeout=SECONDS)

    def send(self, entries: list[tuple[int, bytes]]) -> None:
        """Post them as one."""
        body = b"".join(plain(self._origin, index, line) + b"\n" for index, line in entries)
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        answer.read(BATCH_BYTES)
        if not 200 <= answer.status < 300:
            raise Refused(f"it answered {answer.status}")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class _Syslog:
    """RFC 5424 messages with their length in front (RFC 6587). Acknowledged is what the receiver's machine has taken."""

    def __init__(self, host: str, port: int, origin: str, context: ssl.SSLContext | None) -> None:
        self._where, self._origin, self._context = (host, port), origin, context
        self._wire: socket.socket | None = None
        self._name = socket.gethostname().encode("ascii", "ignore").decode()[:255] or "-"

    def send(self, entries: list[tuple[int, bytes]]) -> None:
        """Send them, and wait until nothing of them is on its way."""
        if self._wire is None:
            self._wire = self._connect()
        wire = self._wire
        self._check_open(wire)
        for index, line in entries:
            message = self._message(index, line)
            wire.sendall(b"%d %s" % (len(message), message))
        self._wait(wire)

    def _connect(self) -> socket.socket:
        plain_wire = socket.create_connection(self._where, SECONDS)
        if self._context is None:
            return plain_wire
        try:
            return self._context.wrap_socket(plain_wire, server_hostname=self._where[0])
        except BaseException:  # no TLS, or interrupted: what nobody holds must not stay open
            plain_wire.close()
            raise

    def _message(self, index: int, line: bytes) -> bytes:
        entry = decode(index, line)
        kind = type(entry.body).__struct_config__.tag
        decided = isinstance(entry.body, DecisionMade) and (entry.body.effect == "deny" or bool(entry.body.break_glass))
        loud = decided or str(kind).startswith("break-glass.")
        when = datetime.fromtimestamp(entry.time / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        head = f"<{_AUDIT + (_WARNING if loud else _INFO)}>1 {when} {self._name} remit - {kind} - "
        return head.encode() + plain(self._origin, index, line)

    @staticmethod
    def _check_open(wire: socket.socket) -> None:
        """What a receiver that is gone was sent would vanish without an error: it says so by ending the connection."""
        wire.setblocking(False)
        try:
            if not wire.recv(4096):
                raise ConnectionResetError("it hung up")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        finally:
            wire.settimeout(SECONDS)

    def _wait(self, wire: socket.socket) -> None:
        until = time.monotonic() + SECONDS
        while _on_its_way(wire):
            if time.monotonic() > until:
                raise TimeoutError("it does not read what it is sent")
            time.sleep(0.005)
        self._check_open(wire)

    def close(self) -> None:
        """Hang up."""
        wire, self._wire = self._wire, None
        if wire is not None:
            with suppress(OSError):
                wire.close()


def _on_its_way(wire: socket.socket) -> int:
    """How many bytes the receiver's machine has not confirmed (tcp(7), SIOCOUTQ)."""
    held: tuple[int] = struct.unpack("i", fcntl.ioctl(wire.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    return held[0]
