"""`remit store`: the schema of a store on a server."""

import typer

from remit.cli.output import JsonFlag, say, show_json
from remit.local.config import home_folder
from remit.local.wiring import migrate_store

app = typer.Typer(no_args_is_help=True)


@app.callback()
def store() -> None:
    """The store that REMIT_STORE, or `store` in the configuration, names."""


@app.command("migrate")
def migrate(json: JsonFlag = False) -> None:
    """Bring the schema of a PostgreSQL store up to date, in one transaction. Stop the older processes of Remit first."""
    before, after = migrate_store(home_folder())
    if json:
        show_json({"before": before, "after": after})
    else:
        say(f"the schema is {after}" if before == after else f"brought the schema from {before or 'nothing'} to {after}")
