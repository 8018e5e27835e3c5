"""Access requests and break-glass, sent to a webhook as the log has them: at least once, in order, going on where it was acknowledged."""

import http.client
import logging
import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from remit import __version__
from remit.decision_log.encoding import decode
from remit.decision_log.entry import Entry
from remit.decision_log.merkle import leaf_hash
from remit.local.following import Cursor, alone, check_cursor, keep_cursor, read_cursor
from remit.local.webhooks.alarms import BREAK_GLASS, Alarm, alarm
from remit.local.webhooks.messages import event_of, message
from remit.local.webhooks.settings import Webhook
from remit.local.wiring import Embedded
from remit.model.clock import SECOND
from remit.model.errors import ErrorKind, RemitError, unavailable
from remit.model.identity import ApprovalId, BreakGlassId
from remit.pep.remote.timed import response_in_time
from remit.runtime.approving.inbox import card

SIGNATURE, TIMESTAMP = "X-Remit-Signature", "X-Remit-Request-Timestamp"
SECONDS = 10.0
LONGEST_WAIT = 60.0
TRIES_REFUSED, TRIES_FAILED = 5, 20
"""So often is one message sent that the receiver refuses (3xx, 4xx), or fails on (5xx, 429). It is then put aside, so that others go on."""
BATCH = 500
_OURS = b'{"kind":"approval', b'{"kind":"break-glass.'
_log = logging.getLogger("remit")


class _Answered(Exception):
    """The receiver answered, and did not take it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answered {status}")
        self.tries = TRIES_FAILED if status >= http.client.INTERNAL_SERVER_ERROR or status in (408, 425, 429) else TRIES_REFUSED


class Sender:
    """Sends to one webhook; of several processes of one machine, one does."""

    def __init__(self, embedded: Embedded, webhook: Webhook) -> None:
        self._embedded, self._webhook = embedded, webhook
        folder = embedded.home / "webhooks"
        self._file, self._aside = folder / f"{webhook.name}.json", folder / f"{webhook.name}.undelivered"

    def run(self, stop: threading.Event, poll: float = 0.5) -> None:
        """Send whatever there is until `stop` is set. Whatever goes wrong is said once in the process's log, and tried again."""
        said = ""
        while not stop.is_set():
            try:
                with self.alone():
                    while not stop.is_set():
                        self.send(stop)
                        said = ""
                        stop.wait(poll)
            except RemitError as error:
                if error.message != said:
                    level = logging.INFO if error.kind is ErrorKind.CONFLICT else logging.WARNING  # of several workers one sends
                    _log.log(level, "webhook `%s`: %s", self._webhook.name, error.message)
                said = error.message
                stop.wait(5 * poll)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While this process is the one that sends. Raises `RemitError` (conflict)."""
        with alone(self._file, "another process sends to it already"):
            yield

    def send(self, stop: threading.Event, first_wait: float = 1.0) -> int:
        """Send all there is, or until `stop` is set; how many messages were dealt with. One that is new hears of what comes from now on.

        Raises `RemitError`: corrupt if the log is not the one that was followed so far, unavailable if how far it came cannot be kept.
        """
        log, sent = self._embedded.store.log, 0
        while not stop.is_set():
            cursor = read_cursor(self._file) or self._begin()
            size = check_cursor(cursor, log, self._webhook.name)
            lines = list(log.lines(cursor.next, min(size, cursor.next + BATCH)))
            if not lines:
                break
            for index, line in enumerate(lines, cursor.next):
                if line.startswith(_OURS) and (told := self._told(decode(index, line))):
                    if not self._delivered(told, stop, first_wait):
                        return sent
                    sent += 1
                    keep_cursor(self._file, Cursor(index + 1, leaf_hash(line).hex()))
            keep_cursor(self._file, Cursor(cursor.next + len(lines), leaf_hash(lines[-1]).hex()))
        return sent

    def _begin(self) -> Cursor:
        log = self._embedded.store.log
        size = log.size()
        cursor = Cursor(size, next(iter(log.leaves(size - 1, size))).hex() if size else "")
        keep_cursor(self._file, cursor)
        return cursor

    def _told(self, entry: Entry) -> bytes:
        """The message of an entry, empty for what this receiver does not wait for."""
        if isinstance(entry.body, Alarm):
            glass = self._embedded.store.break_glass(BreakGlassId(entry.body.id)) if BREAK_GLASS in self._webhook.events else None
            return alarm(entry, entry.body, glass, self._embedded.settings.origin) if glass is not None else b""
        event = event_of(entry.body)
        if event not in self._webhook.events:
            return b""
        approval = self._embedded.store.approval(ApprovalId(entry.body.id))  # type: ignore[union-attr]
        if approval is None:
            return b""
        return message(self._webhook, event, entry, card(self._embedded.runtime, approval), self._embedded.settings.origin)

    def _delivered(self, body: bytes, stop: threading.Event, wait: float) -> bool:
        """Whether it was taken or put aside; false if `stop` came first, so that it is sent again."""
        tries = 0
        while not stop.is_set():
            try:
                self._post(body)
                return True
            except _Answered as answer:
                tries, why = tries + 1, str(answer)
                if tries >= answer.tries:
                    self._put_aside(body, why)
                    return True
            except (OSError, http.client.HTTPException, ValueError) as error:  # it is down: nothing else would arrive either
                why = str(error) or type(error).__name__
            if wait in (1.0, LONGEST_WAIT):
                _log.warning("webhook `%s` does not take a message (%s): trying again", self._webhook.name, why)
            stop.wait(wait)
            wait = min(wait * 2, LONGEST_WAIT)
        return False

    def _post(self, body: bytes) -> None:
        url = self._webhook.url
        timestamp = str(self._embedded.runtime.clock() // SECOND)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Remit/{__version__}",
            TIMESTAMP: timestamp,
            SIGNATURE: self._webhook.secret.sign(timestamp, body),
        }
        connection, until = self._connection(), time.monotonic() + SECONDS
        try:
            connection.request("POST", (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
            answer = response_in_time(connection, until)  # a redirect is an answer like any other: it is not followed
            if not 200 <= answer.status < 300:
                raise _Answered(answer.status)
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        url = self._webhook.url
        if url.scheme == "https":
            return http.client.HTTPSConnection(
                url.hostname or "", url.port, timeout=SECONDS, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(url.hostname or "", url.port, timeout=SECONDS)

    def _put_aside(self, body: bytes, why: str) -> None:
        """Keep what the receiver does not take, for whoever looks why."""
        line = msgspec.json.encode({"at": self._embedded.runtime.clock(), "why": why, "message": msgspec.Raw(body)}) + b"\n"
        try:
            with open(os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unavailable(f"`{self._aside}` could not be written ({error.strerror})") from None
        _log.error("webhook `%s` refused a message (%s): it is in `%s`", self._webhook.name, why, self._aside.name)


def undelivered(home: Path, name: str) -> list[bytes]:
    """The messages that a webhook did not take, oldest first."""
    file = home / "webhooks" / f"{name}.undelivered"
    return (
        [bytes(msgspec.json.decode(line, type=_Aside).message) for line in file.read_bytes().splitlines()]
        if file.exists()
        else []
    )


class _Aside(msgspec.Struct, frozen=True):
    message: msgspec.Raw
