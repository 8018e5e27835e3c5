"""`remit issuer`: the key that tokens of Remit's own issuer are signed with."""

from typing import Annotated

import typer

from remit.cli.output import JsonFlag, say, show_json
from remit.cli.tokens import issuing
from remit.local.config import this_operator

app = typer.Typer(no_args_is_help=True)


@app.callback()
def issuer() -> None:
    """The own issuer."""


@app.command("rotate")
def rotate(
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Refuse every token that was made before: for a key that somebody else knows.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Sign with a new key from now on. Tokens that were made before stand until they expire."""
    from remit.local import issuing as making

    with issuing("") as (embedded, own):
        before, fresh = making.rotate(embedded, own, refuse, this_operator())
    if json:
        show_json({"key": fresh, "before": before, "refused": refuse})
        return
    say(f"tokens are signed with {fresh} from now on")
    say(
        "those made before are refused, by a server that runs within two minutes: make new ones"
        if refuse
        else "those made before stand until they expire"
    )
