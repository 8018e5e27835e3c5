"""`remit operator`: people and services that call a server, where no other issuer vouches for them."""

from typing import Annotated

import typer

from remit.cli.output import JsonFlag
from remit.cli.tokens import DEFAULT_SECONDS, Key, Output, Seconds, Url, bound_to, issuing, place_for, show_token
from remit.local.config import this_operator
from remit.model.caller import Role

app = typer.Typer(no_args_is_help=True)
GIVEN = {role.value: role for role in Role if role is not Role.AGENT}
"""The roles that somebody is given: who is an agent, `remit agent` says."""


def _given(text: str) -> Role:
    if text not in GIVEN:
        raise typer.BadParameter(f"`{text}` is no role that somebody is given: give one of {', '.join(GIVEN)}")
    return GIVEN[text]


@app.command("token")
def token(
    name: Annotated[str, typer.Argument(help="Who: a person, or a service.")],
    role: Annotated[
        list[Role], typer.Option(parser=_given, metavar="ROLE", help=f"What they are here: {', '.join(GIVEN)}; may be repeated.")
    ],
    seconds: Seconds = DEFAULT_SECONDS,
    key: Key = None,
    output: Output = None,
    url: Url = "",
    json: JsonFlag = False,
) -> None:
    """Make a token for a person or a service with these roles. Whoever may use this store may make any."""
    from remit.local.issuing import operator_token

    with place_for(output) as file, issuing(url) as (embedded, own):
        made = operator_token(embedded, own, name, role, seconds, bound_to(key), this_operator())
        show_token(made, json, key is None, agent=False, file=file)
