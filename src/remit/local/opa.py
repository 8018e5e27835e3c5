"""OPA servers, asked over their Data API: one answer within a time, from the policies that the bundle wants, or none."""

import http.client
import os
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

from remit.model.errors import RemitError
from remit.model.values import read_json
from remit.pdp.outside import EngineFailure, Opa, Said, Unanswered
from remit.pdp.rego.reading import Unreadable, canonical
from remit.pep.remote.timed import hurry, read_in_time, response_in_time, speaks

TOKEN_VARIABLE, FOR_VARIABLE = "REMIT_OPA_TOKEN", "REMIT_OPA_TOKEN_FOR"
MAX_ANSWER = 1 << 20
KEPT = 8
"""So many idle connections to one server are kept."""
_QUERY = "provenance=true&strict-builtin-errors=true"


class OpaClient:
    """Asks OPA servers; safe to share between threads. The bearer token, if any, is in `REMIT_OPA_TOKEN`, for the server of
    `REMIT_OPA_TOKEN_FOR`."""

    def __init__(self) -> None:
        self._idle: dict[str, deque[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    def ask(self, opa: Opa, document: bytes) -> Said:
        """What the server says to one document; never raises for what the server or the network does."""
        deadline = time.monotonic() + opa.seconds
        body = b'{"input":' + document + b"}"
        try:
            status, answer = self._post(opa, body, deadline)
            return _said(opa, status, read_json(answer))
        except _NoToken as fault:
            why = str(fault)
        except (OSError, http.client.HTTPException) as error:
            late = isinstance(error, TimeoutError) or time.monotonic() >= deadline
            why = f"did not answer within {opa.seconds:g} s" if late else f"cannot be asked ({_words(error)})"
        except RemitError as error:
            why = f"answered what is no answer ({error.message})"
        except Exception as error:  # whatever a server makes the reading of its answer trip over
            why = f"answered what cannot be read ({type(error).__name__})"
        # INVARIANT (fail closed): an engine that is down, slow or babbles permits nothing.
        return Said(
            Unanswered(EngineFailure.UNAVAILABLE, f"the policy engine `{opa.url}` {why}: nothing is permitted until it does")
        )

    def _post(self, opa: Opa, body: bytes, deadline: float) -> tuple[int, bytes]:
        """Post once; a kept connection that the server has closed meanwhile is opened anew, since asking changes nothing."""
        connection = self._taken(opa.url)
        if connection is not None:
            try:
                return self._exchange(connection, opa, body, deadline)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, http.client.CannotSendRequest):
                connection.close()
        return self._exchange(_connection(opa.url), opa, body, deadline)

    def _exchange(self, connection: http.client.HTTPConnection, opa: Opa, body: bytes, deadline: float) -> tuple[int, bytes]:
        try:
            hurry(connection, deadline)
            path = f"/v1/data/{quote(opa.package.replace('.', '/'))}?{_QUERY}"
            headers = {"Content-Type": "application/json"}
            if token := _token_for(opa.url):
                headers["Authorization"] = f"Bearer {token}"
            connection.request("POST", path, body, headers)
            hurry(connection, deadline)
            response = response_in_time(connection, deadline)
            answer = read_in_time(connection, response, deadline, MAX_ANSWER)
        except BaseException:  # whoever waited is gone, or it failed: nobody may read its late answer as that to another question
            connection.close()
            raise
        if response.status == http.client.OK:
            self._give_back(opa.url, connection)
        else:  # after 103 the answer itself is still to come: nobody may take it for that of another question
            connection.close()
        return response.status, answer

    def _taken(self, url: str) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                idle = self._idle.get(url)
                connection = idle.pop() if idle else None
            if connection is None or not speaks(connection):
                return connection
            connection.close()  # INVARIANT (what was decided is what runs): what nobody asked for is no answer to the next question

    def _give_back(self, url: str, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            idle = self._idle.setdefault(url, deque())
            if connection.sock is not None and len(idle) < KEPT:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Hang up on all of them."""
        with self._lock:
            for connection in (connection for idle in self._idle.values() for connection in idle):
                connection.close()
            self._idle.clear()


class _NoToken(Exception):
    """The token cannot be sent. Says so without it."""


def _token_for(url: str) -> str:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise _NoToken(f"cannot be asked: `{TOKEN_VARIABLE}` has characters that no token has")
    # INVARIANT (fail closed): a bundle, which somebody may have proposed, never says to whom a token is shown.
    if token and _origin(os.environ.get(FOR_VARIABLE, "")) != _origin(url):
        raise _NoToken(f"is not shown `{TOKEN_VARIABLE}`: where it is for that server, set `{FOR_VARIABLE}` to its address")
    return token


def _origin(url: str) -> tuple[str, str, int | None]:
    with suppress(ValueError):
        parts = urlsplit(url.strip())
        return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return "", "", None


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, parts.port)


def _said(opa: Opa, status: int, answer: Any) -> Said:
    if not isinstance(answer, dict):
        return _unanswered(opa, "answered what is no object")
    if status != http.client.OK:
        return _failed(opa, status, answer)
    engine, revisions = _engine(answer.get("provenance"))
    if opa.revision and revisions != [opa.revision]:
        # INVARIANT (what was decided is what runs): policies that nobody here published decide nothing.
        found = ", ".join(f"`{revision}`" for revision in revisions) or "no bundle"
        message = (
            f"the policy engine `{opa.url}` has {found} and not revision `{opa.revision}`: load the bundle that was published"
        )
        return Said(Unanswered(EngineFailure.REVISION, message), engine)
    try:
        return Said(canonical(answer.get("result")), engine)
    except Unreadable as problem:
        return _unanswered(opa, f"gave no answer that can be read: {problem}")


def _failed(opa: Opa, status: int, answer: dict[str, Any]) -> Said:
    code, message = str(answer.get("code", "")), str(answer.get("message", ""))
    errors = answer.get("errors") or [{}]
    first = errors[0].get("message", "") if isinstance(errors, list) and isinstance(errors[0], dict) else ""
    return _unanswered(opa, f"answered {status} ({_printable(': '.join(filter(None, (code, message, str(first)))))})")


def _unanswered(opa: Opa, why: str) -> Said:
    return Said(Unanswered(EngineFailure.UNAVAILABLE, f"the policy engine `{opa.url}` {why}"))


def _engine(provenance: Any) -> tuple[str, list[str]]:
    """The engine by name and version, with the revisions of its bundles; and these alone."""
    if not isinstance(provenance, dict):
        return "opa", []
    bundles = provenance.get("bundles")
    bundles = bundles if isinstance(bundles, dict) else {}
    revisions = [str(bundle.get("revision", "")) for bundle in bundles.values() if isinstance(bundle, dict)]
    if not revisions and provenance.get("revision"):  # one bundle of the old configuration
        revisions = [str(provenance["revision"])]
    version = _printable(str(provenance.get("version", "")))
    return " ".join(["opa", version, *sorted(map(_printable, revisions))]).strip(), sorted(revisions)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:300]


def _words(error: Exception) -> str:
    return _printable((error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__)
