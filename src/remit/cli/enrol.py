"""`remit enrol`: become the first administrator of a server, by the link that it printed."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from remit.cli.output import JsonFlag, err, plain
from remit.cli.tokens import Key, Output, bound_to, place_for, show_token
from remit.local.config import this_operator
from remit.model.errors import malformed, unavailable

SECONDS = 10.0


def enrol(
    link: Annotated[str, typer.Argument(help="The link that `remit serve` printed when it first started.")],
    name: Annotated[str, typer.Option(help="Who you are, for the log and for approvals (default: your name here).")] = "",
    key: Key = None,
    bearer: Annotated[bool, typer.Option("--bearer", help="Without a key: whoever has the token is the administrator.")] = False,
    output: Output = None,
    json: JsonFlag = False,
) -> None:
    """Become the first administrator of a server, by the link that it printed, with a key of yours; prints your token."""
    from remit.local.enrolment import PATH

    place, _, code = link.partition("#")
    if not code or not place.endswith(PATH):
        raise malformed(f"`{place}` is no link of a server: give all of what `remit serve` printed")
    _check_proof(key, bearer)
    said: dict[str, object] = {"code": code, "name": name or this_operator().id, "key": bound_to(key)}
    with place_for(output) as file:
        token = _redeemed(place.removesuffix(PATH), PATH, said)
        if not json:
            _tell(place.removesuffix(PATH), key, output)
        show_token(token, json, key is None, agent=False, file=file)


def _check_proof(key: Path | None, bearer: bool) -> None:
    """Raises `RemitError` (malformed) unless it is said how the token is held: the link is good once."""
    if key is None and not bearer:
        raise malformed(
            "without a key whoever has your token is the administrator: make one (`remit agent key FILE`) and give it by `--key FILE`, "
            "or say `--bearer`. The link is still good"
        )
    if key is not None and bearer:
        raise malformed("a token is bound to a key (`--key`) or not (`--bearer`): give one of both")


def _redeemed(server: str, path: str, said: dict[str, object]) -> str:
    """The token that a server gives for the code. Raises `RemitError`: what it answers, or unavailable."""
    from remit.pep.remote.connection import Connections, Lost, NotSent, address_of
    from remit.pep.remote.messages import Unreadable, problem

    connections = Connections(address_of(server), lambda: "")
    try:
        answer = connections.exchange("POST", path, msgspec.json.encode(said), {"Content-Type": "application/json"}, SECONDS)
        if answer.status != 200:
            raise problem(answer.status, answer.body)
        return str(msgspec.json.decode(answer.body, type=dict[str, object])["token"])
    except (NotSent, Lost) as fault:
        raise unavailable(f"the server `{connections.address}` {fault}") from None
    except (Unreadable, msgspec.MsgspecError, KeyError):
        raise unavailable(f"the server `{connections.address}` answered what cannot be read: is it Remit?") from None
    finally:
        connections.close()


def _tell(server: str, key: Path | None, output: Path | None) -> None:
    """What to set, to work there from now on."""
    held = f" and REMIT_KEY_FILE={key}" if key is not None else ""
    told = f"set REMIT_SERVER={server}, REMIT_TOKEN_FILE{f'={output}' if output else ' to a file with this token'}{held}; then"
    err.print(plain(f"{told} `remit call GET /v1/caller` says who you are there"), soft_wrap=True)
