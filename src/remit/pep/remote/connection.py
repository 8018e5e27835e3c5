"""Kept connections to one server, TCP, TLS or a Unix socket: one exchange within a time, and whether anything was sent."""

import errno
import http.client
import ipaddress
import os
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from remit.model.errors import RemitError, malformed
from remit.pep.remote.place import believed, stranger
from remit.pep.remote.timed import hurry, read_in_time, response_in_time, speaks

MAX_ANSWER = 8 << 20
"""A longer answer (bytes) is none."""
KEPT = 64
"""So many idle connections are kept; with more callers at once, some are opened anew."""
CONNECT_SECONDS = 3.0
_AT_SOCKET = re.compile(r"unix://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?/[^?#]*")

Token = Callable[[], str]
"""Gives the token to show, empty for none; asked anew for each request, so that it can be renewed."""


class Prover(Protocol):
    """Holds the key that a token is bound to."""

    def proof(self, method: str, url: str, token: str, nonce: str) -> str:
        """A proof of it for one request (RFC 9449); `nonce` is the server's, empty before it gave one."""
        ...


class Address(msgspec.Struct, frozen=True):
    """Where a server is: a host and port, or the path of a Unix socket and the `user` who serves there, empty for this process's own."""

    host: str
    port: int = 0
    tls: bool = False
    socket: str = ""
    path: str = ""
    user: str = ""

    def __str__(self) -> str:
        if self.socket:
            return f"unix://{self.user and self.user + '@'}{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.path}"

    @property
    def origin(self) -> str:
        """What a request there is addressed to, as a proof for it names it."""
        return "http://localhost" if self.socket else str(self)


def address_of(url: str) -> Address:
    """The address in a URL: `https://host`, `http://` for this machine alone, `unix:///path` or `unix://user@/path`.

    Raises `RemitError` (malformed).
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise malformed(f"the server's address `{url}` is none ({error}): give `https://host:port`") from None
    at_socket = _AT_SOCKET.fullmatch(url)
    if at_socket is not None:
        return Address("localhost", socket=parts.path, user=at_socket["user"] or "")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise malformed("the server's address has more than host, port and path: a token belongs into `REMIT_TOKEN_FILE`")
    if parts.scheme not in ("http", "https") or not host:
        raise malformed(f"the server's address `{url}` is none: give `https://host:port`, or `unix:///path`")
    # INVARIANT (fail closed): whoever can change an answer on its way can permit anything.
    if parts.scheme == "http" and not _is_this_machine(host):
        raise malformed(f"`{url}` would be asked without TLS: `http://` is for this machine alone, give `https://`")
    return Address(host, port or (443 if parts.scheme == "https" else 80), parts.scheme == "https", path=parts.path.rstrip("/"))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class NotSent(Exception):
    """Nobody was asked: surely nothing has reached the server. Says why."""


class Lost(Exception):
    """Something was sent, and no whole answer came: what the server has done is not known. Says why; `late`: the time was up."""

    def __init__(self, why: str, late: bool = False) -> None:
        super().__init__(why)
        self.late = late


class Answer(NamedTuple):
    """What came back: status, media type, the request id that the server echoed, the body, and the nonce for the next proof."""

    status: int
    kind: str
    id: str
    body: bytes
    nonce: str = ""


class Connections:
    """Exchanges with one server. Safe to share between threads, and with processes that are forked off."""

    def __init__(self, address: Address, token: Token, prover: Prover | None = None) -> None:
        self.address = address
        self._token, self._prover, self._nonce = token, prover, ""
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._process = os.getpid()
        self._context = ssl.create_default_context() if address.tls else None

    def exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], seconds: float) -> Answer:
        """Ask once, all within so many seconds. Raises `NotSent` or `Lost`; a redirect is an answer like any other."""
        deadline, nonce = time.monotonic() + seconds, self._nonce
        answer = self._exchanged(method, path, body, headers, deadline)
        if answer.nonce:
            self._nonce = answer.nonce
        if self._prover is None or answer.status != http.client.UNAUTHORIZED or answer.nonce in ("", nonce):
            return answer
        # Nothing was done for a caller who was not believed yet: with the nonce, it is asked for the first time.
        return self._exchanged(method, path, body, headers, deadline)

    def _exchanged(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], deadline: float) -> Answer:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise Lost("did not answer in time", late=True)
        shown = self._shown(method, path)
        connection = self._taken() or self._opened(seconds)
        try:
            hurry(connection, deadline)
            connection.request(method, self.address.path + path, body, {**headers, **shown})
            hurry(connection, deadline)
            response = response_in_time(connection, deadline)
            text = read_in_time(connection, response, deadline, MAX_ANSWER)
        except TimeoutError:
            connection.close()
            raise Lost(f"did not answer within {seconds:.3g} s", late=True) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise Lost(f"hung up or sent what is no HTTP ({_words(error)})") from None
        except BaseException:  # interrupted: nobody may read its late answer as that to another question
            connection.close()
            raise
        if response.length:
            connection.close()
            raise Lost("hung up before its answer was whole")
        if response.status >= http.client.OK and not response.will_close:
            self._give_back(connection)
        else:  # after 103 the answer itself is still to come: nobody may take it for that of another question
            connection.close()
        kinds = response.headers.get_all("content-type") or [""]
        ids = response.headers.get_all("x-request-id") or [""]
        kind = kinds[0].partition(";")[0].strip().lower() if len(kinds) == 1 else ""
        return Answer(response.status, kind, ids[0] if len(ids) == 1 else "", text, response.headers.get("dpop-nonce", ""))

    def _shown(self, method: str, path: str) -> dict[str, str]:
        try:
            token = self._token().strip()
        except (OSError, UnicodeError) as error:
            raise NotSent(f"cannot be asked: the token cannot be read ({_words(error)})") from None
        except RemitError as error:
            raise NotSent(f"cannot be asked: {error.message}") from None
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise NotSent("cannot be asked: the token has characters that no token has")
        if not token or self._prover is None:
            return {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.address.origin}{path.partition('?')[0]}"
        return {"Authorization": f"DPoP {token}", "DPoP": self._prover.proof(method, url, token, self._nonce)}

    def _taken(self) -> http.client.HTTPConnection | None:
        """A kept connection that is still good."""
        if self._process != os.getpid():
            # INVARIANT (what was decided is what runs): two processes on one connection would read each other's answers.
            inherited, self._idle, self._process = self._idle, deque(), os.getpid()
            for connection in inherited:
                connection.close()  # this process's copy of it; the other's stays open
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not speaks(connection):
                return connection
            connection.close()  # INVARIANT (what was decided is what runs): what nobody asked for is no answer to the next question

    def _opened(self, seconds: float) -> http.client.HTTPConnection:
        connection = self._connection(min(CONNECT_SECONDS, seconds))
        try:
            connection.connect()
        except (OSError, ValueError, UnicodeError) as error:  # TLS that does not hold is one, too
            connection.close()
            raise NotSent(f"cannot be reached ({_words(error)})") from None
        return connection

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        address = self.address
        if address.socket:
            return _UnixConnection(address, seconds)
        if self._context is not None:
            return http.client.HTTPSConnection(address.host, address.port, timeout=seconds, context=self._context)
        return http.client.HTTPConnection(address.host, address.port, timeout=seconds)

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is not None and len(self._idle) < KEPT and self._process == os.getpid():
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Hang up on all of them."""
        while self._idle:
            self._idle.pop().close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, address: Address, seconds: float) -> None:
        super().__init__(address.host, timeout=seconds)
        self._address = address

    def connect(self) -> None:
        """Reach the socket, and whom we believe. Raises `OSError`."""
        users = believed() | _user(self._address.user)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address.socket)
        # INVARIANT (fail closed): whoever is first to listen where nobody does would be shown the token, and could permit anything.
        why = stranger(self.sock, self._address.socket, users)
        if why:
            raise PermissionError(
                errno.EACCES, f"{why}: if a server of theirs is meant, give `unix://user@{self._address.socket}`"
            )


def _user(name: str) -> frozenset[int]:
    """The number of a user, by name or itself. Raises `OSError` where there is none now: a service's may be there only while it runs."""
    if not name:
        return frozenset()
    if name.isdecimal():
        return frozenset((int(name),))
    import pwd  # not on every system

    try:
        return frozenset((pwd.getpwnam(name).pw_uid,))
    except KeyError:
        raise OSError(errno.ENOENT, f"this machine has no user `{name}`") from None


def _words(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return "".join(char if char.isprintable() else "?" for char in text)[:300]
