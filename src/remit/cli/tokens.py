"""What the verbs that make tokens share: the issuer at hand, its key, and how a token is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remit.cli.output import say, show_json, store_to_change, warn
from remit.local.config import DEFAULT_URL
from remit.local.wiring import Embedded

if TYPE_CHECKING:
    from remit.credentials.minting import TokenIssuer

DEFAULT_SECONDS = 3600
Seconds = Annotated[int, typer.Option(min=1, help="How long it lasts.")]
Key = Annotated[
    Path | None, typer.Option(help="Bind it to this key (`remit agent key`, or any public JWK); without, it is a bearer token.")
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


def show_token(token: str, json: bool, bearer: bool, agent: bool = True) -> None:
    """Print a token (an agent's, or that of a person or a service), alone on a line, so that a program can take it."""
    if bearer:
        bound = ", and an agent reaches the low tier only with it" if agent else ""
        warn(f"a bearer token: whoever has it can use it{bound}; `--key` binds it")
    show_json({"token": token}) if json else say(token)
