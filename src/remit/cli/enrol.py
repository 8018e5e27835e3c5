"""`remit enrol`: become the first administrator of a server, by the link that it printed."""

from typing import Annotated

import msgspec
import typer

from remit.cli.output import JsonFlag, err, plain
from remit.cli.tokens import Key, bound_to, show_token
from remit.local.config import this_operator
from remit.model.errors import malformed, unavailable

SECONDS = 10.0


def enrol(
    link: Annotated[str, typer.Argument(help="The link that `remit serve` printed when it first started.")],
    name: Annotated[str, typer.Option(help="Who you are, for the log and for approvals (default: your name here).")] = "",
    key: Key = None,
    json: JsonFlag = False,
) -> None:
    """Become the first administrator of a server, by the link that it printed; prints your token."""
    from remit.local.enrolment import PATH
    from remit.pep.remote.connection import Connections, Lost, NotSent, address_of
    from remit.pep.remote.messages import Unreadable, problem

    place, _, code = link.partition("#")
    if not code or not place.endswith(PATH):
        raise malformed(f"`{place}` is no link of a server: give all of what `remit serve` printed")
    connections = Connections(address_of(place.removesuffix(PATH)), lambda: "")
    said = {"code": code, "name": name or this_operator().id, "key": bound_to(key)}
    try:
        answer = connections.exchange("POST", PATH, msgspec.json.encode(said), {"Content-Type": "application/json"}, SECONDS)
        if answer.status != 200:
            raise problem(answer.status, answer.body)
        token = msgspec.json.decode(answer.body, type=dict[str, object])["token"]
    except (NotSent, Lost) as fault:
        raise unavailable(f"the server `{connections.address}` {fault}") from None
    except (Unreadable, msgspec.MsgspecError, KeyError):
        raise unavailable(f"the server `{connections.address}` answered what cannot be read: is it Remit?") from None
    finally:
        connections.close()
    if not json:
        held = " and REMIT_KEY_FILE to the key" if key is not None else ""
        told = f"set REMIT_SERVER={place.removesuffix(PATH)}, REMIT_TOKEN_FILE to a file with this token{held}; then"
        err.print(plain(f"{told} `remit call GET /v1/caller` says who you are there"), soft_wrap=True)
    show_token(str(token), json, key is None, agent=False)
