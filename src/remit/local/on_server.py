"""A server as where tasks are entered; loaded only where one is named, since HTTP costs a process its start."""

import logging
import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from remit.credentials.private_files import is_open_to_others
from remit.local.config import HOME_VARIABLE, SERVER_VARIABLE, chooses_server, key_file, server_token, shows_token, token_file
from remit.local.unknown import warn
from remit.local.wiring import wall_clock
from remit.model.authorizer import Pending
from remit.model.errors import ErrorKind, RemitError, malformed
from remit.model.identity import SessionId, TaskId
from remit.model.task import Opening, Session, Task
from remit.pep.remote.client import Opened, Remote
from remit.pep.remote.connection import Connections, Prover, Token, address_of
from remit.pep.sdk.context import Working

_log = logging.getLogger(__name__)


class OnServer:
    """A server, which knows who calls by the token."""

    def __init__(self, remote: Remote, agent: str) -> None:
        self.authorizer = remote
        self.agent = agent
        self.protected = tuple([os.path.realpath(file) for file in (token_file(), key_file()) if file])

    def open_task(self, opening: Opening, outer: Working | None) -> Pending[Task]:
        """As whose token is shown, or as the agent outside; see `Entrance`."""
        opened = self.authorizer.open_task(opening, outer.session if outer is not None else None)

        return Warned(opened)

    def close_task(self, task: Task) -> Pending[None]:
        """See `Entrance`."""
        return self.authorizer.close_task(task.id)

    def open_session(self, task: TaskId) -> Pending[Session]:
        """See `Entrance`."""
        return self.authorizer.open_session(task)

    def resume(self, session: SessionId) -> Pending[Session]:
        """See `Entrance`."""
        return self.authorizer.resume(session)

    def inherit(self, session: SessionId, child: SessionId) -> Pending[Session]:
        """See `Entrance`."""
        return self.authorizer.inherit(session, child)


class Warned:
    """A task under way, whose warnings are logged."""

    def __init__(self, opened: Pending[Opened]) -> None:
        self._opened = opened

    def result(self) -> Task:
        """Block until it is opened."""
        return self._told(self._opened.result())

    def __await__(self) -> Generator[Any, Any, Task]:
        """Await it."""
        return self._told((yield from self._opened.__await__()))

    @staticmethod
    def _told(opened: Opened) -> Task:
        for text in opened.warnings:
            warn(text)
        return opened.task


def connect(url: str) -> Remote:
    """The server at an address, asked with the token of this process. Raises `RemitError` (malformed)."""
    return Remote(url, _token_for(url), prover=_holder(), clock=wall_clock)


def connections_to(url: str) -> Connections:
    """The same server, to ask it whatever its API has; a token that others can read is warned of. Raises `RemitError` (malformed)."""
    for text in open_to_others():
        _log.warning("warning: %s", text)
    return Connections(address_of(url), _token_for(url), _holder())


def _token_for(url: str) -> Token:
    """Gives the token to show to the server of the settings. Raises `RemitError` (malformed) where that is not whom it is for."""
    if chooses_server():
        return server_token

    def none() -> str:
        # INVARIANT (fail closed): a folder that one works in, which others may have written, never says to whom a token is shown.
        if shows_token():
            raise malformed(
                f"the server `{url}` is named by the working folder alone, and is not shown the token of this environment: "
                f"where it is for that server, set `{SERVER_VARIABLE}` to its address (or `{HOME_VARIABLE}` to an absolute path)"
            )
        return ""

    none()
    return none


def open_to_others() -> Iterator[str]:
    """A warning where other users of this machine can read the token."""
    file = token_file()
    with suppress(RemitError):  # reading it says what is wrong
        if file and is_open_to_others(Path(file)):
            yield f"`{file}` can be read by other users of this machine: run `chmod 600` on it"


def explained(error: RemitError) -> RemitError:
    """What a server answered; where it did not accept who is calling, led by what this process lacks to show that."""
    lacks = _lacks() if error.kind is ErrorKind.REFUSED else ""
    return RemitError(error.kind, f"{lacks} ({error.message})") if lacks else error


def _lacks() -> str:
    """What this process needs to show who it is and does not have, as far as its token says; empty for nothing."""
    from remit.authentication.jose.compact import Malformed, read_compact

    try:
        token = server_token().strip()
        bound = read_compact(token).claims.get("cnf") if token else None
    except (UnicodeError, RemitError, Malformed):
        return ""  # what is no token, or of a kind of its own, the server knows more about
    if not token and token_file():
        return f"the token file `{token_file()}` (`REMIT_TOKEN_FILE`) is empty: have a token written to it"
    if not token:
        return "no token is given: name the file that holds it in `REMIT_TOKEN_FILE`"
    if not isinstance(bound, dict) or key_file():
        return ""
    if "jkt" in bound:
        return "the token is bound to a key and none is given: name the file that holds it in `REMIT_KEY_FILE`"
    return "the token is bound to a client certificate, which is not shown from here: have one made for a key (`remit agent key`)"


def _holder() -> Prover | None:
    """The key that the token is bound to, if this process has one. Raises `RemitError`."""
    if not key_file():
        return None
    from remit.credentials.holder_keys import Holder  # costs a process its start

    return Holder.load(Path(key_file()), wall_clock)
