"""What the verbs that make tokens share: the issuer at hand, its key, and how a token is shown."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from remit.cli.output import say, show_json, store_to_change, warn
from remit.local.config import DEFAULT_URL
from remit.local.wiring import Embedded
from remit.model.errors import conflict, unavailable

if TYPE_CHECKING:
    from remit.credentials.minting import TokenIssuer

DEFAULT_SECONDS = 3600
Seconds = Annotated[int, typer.Option(min=1, help="How long it lasts.")]
Key = Annotated[
    Path | None, typer.Option(help="Bind it to this key (`remit agent key`, or any public JWK); without, it is a bearer token.")
]
Output = Annotated[
    Path | None,
    typer.Option(help="Write it to this file, which nobody else may read and must not exist, instead of printing it."),
]
Url = Annotated[str, typer.Option(help="The server that it is for (default: the setting `url`).")]


@contextmanager
def issuing(url: str) -> Iterator[tuple[Embedded, "TokenIssuer"]]:
    """The store, and Remit's own issuer for the server at `url` (empty: as it is set)."""
    from remit.local.trust import checked_url, own_issuer  # costs every other verb a twentieth of a second

    with store_to_change() as embedded:
        named = checked_url(url or embedded.settings.url or DEFAULT_URL)
        yield embedded, own_issuer(embedded.home, named, embedded.runtime.clock)


def bound_to(key: Path | None) -> dict[str, Any] | None:
    """The public key in a file, if one is named."""
    from remit.credentials.holder_keys import public_key

    return public_key(key) if key is not None else None


@contextmanager
def place_for(output: Path | None) -> Iterator[IO[bytes] | None]:
    """The file for a token that is to be made, if one is named: there before the token is, and gone again if none was made.

    Raises `RemitError` (conflict, unavailable).
    """
    if output is None:
        yield None
        return
    try:
        file = open(output, "xb", buffering=0, opener=lambda path, flags: os.open(path, flags, 0o600))  # noqa: SIM115 - closed below
    except FileExistsError:
        raise conflict(f"`{output}` exists: a token is never written over a file, give another path") from None
    except OSError as error:
        raise unavailable(f"no token could be written to `{output}` ({error.strerror}): none was made") from None
    with file:
        try:
            yield file
        except BaseException:  # whatever it was, no token was made: no empty file stays that looks like one
            if file.tell() == 0:
                output.unlink(missing_ok=True)
            raise


def show_token(token: str, json: bool, bearer: bool, agent: bool = True, file: IO[bytes] | None = None) -> None:
    """Write a token (an agent's, or that of a person or a service) to its file; without one, print it alone on a line, so that a program
    can take it."""
    if bearer:
        bound = ", and an agent reaches the low tier only with it" if agent else ""
        warn(f"a bearer token: whoever has it can use it{bound}; `--key` binds it")
    if file is not None and _written(file, token):
        show_json({"file": file.name}) if json else say(f"wrote the token to {file.name}")
        return
    show_json({"token": token}) if json else say(token)


def _written(file: IO[bytes], token: str) -> bool:
    """Whether it is in its file. Where not, it is told all the same: it was made, and nobody is told it again."""
    try:
        line = f"{token}\n".encode()
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except OSError as error:
        warn(f"the token could not be written to `{file.name}` ({error.strerror}): keep it yourself")
        return False
    return True
