"""`remit ping`: whether a server answers, for whatever watches over it; no store and no token are needed."""

import time
from typing import Annotated
from urllib.parse import urlsplit

import typer

from remit.cli.output import say
from remit.local.config import DEFAULT_URL, home_folder, read_settings
from remit.model.errors import ErrorKind, RemitError, unavailable

SECONDS, AGAIN = 5.0, 0.2


def ping(
    url: Annotated[str, typer.Argument(help="The address it listens on.")] = DEFAULT_URL,
    ready: Annotated[bool, typer.Option("--ready", help="Whether it can decide, not just whether it is there.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Try for so many seconds, until it answers.")] = 0,
) -> None:
    """Ask a server whether it is there: ends with 0 if it answers, with 3 if not. For health checks of a container or a unit."""
    until = time.monotonic() + wait
    while True:
        try:
            _ask(url, ready)
            break
        except RemitError as error:
            if error.kind is not ErrorKind.UNAVAILABLE or time.monotonic() + AGAIN >= until:
                raise
            time.sleep(AGAIN)
    say("it can decide" if ready else "it answers")


def _ask(url: str, ready: bool) -> None:
    from remit.pep.remote.connection import Connections, Lost, NotSent, address_of

    # It answers to the name that callers know it by, wherever it is reached.
    known = urlsplit(read_settings(home_folder()).url).netloc
    connections = Connections(address_of(url), lambda: "")
    try:
        answer = connections.exchange("GET", "/readyz" if ready else "/healthz", None, {"Host": known} if known else {}, SECONDS)
    except (NotSent, Lost) as fault:
        raise unavailable(f"the server `{connections.address}` {fault}") from None
    finally:
        connections.close()
    if answer.status != 200:
        raise unavailable(f"the server `{connections.address}` answers {answer.status}: {_why(answer.status, answer.body)}")


def _why(status: int, body: bytes) -> str:
    from remit.pep.remote.messages import Unreadable, problem

    try:
        return problem(status, body).message
    except Unreadable:
        return "is it Remit?"
