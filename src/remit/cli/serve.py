"""`remit serve`: decisions over HTTP."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import err, say, store
from remit.local.config import Settings, this_operator
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded
from remit.model.errors import malformed, unavailable


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8181,
    host: Annotated[str, typer.Option(help="The address to listen on: of this machine alone.")] = "127.0.0.1",
    bundle: Annotated[
        Path | None,
        typer.Option(help="Decide by this bundle, on a store that ends with the server. Without it: REMIT_HOME."),
    ] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="For development: nobody has to prove who they are, and only this machine is served.")
    ] = False,
) -> None:
    """Answer the AuthZEN Authorization API 1.0: evaluation, evaluations, search, metadata. Only `--dev` yet."""
    if not dev:
        raise malformed("callers cannot prove who they are yet: `--dev` serves this machine alone, without asking")
    try:
        from remit.server.running import serve as run
    except ImportError as error:
        raise unavailable(f"serving needs more than is installed ({error.name}): install `remit[server]`") from None
    err.print("[bold red]DEVELOPMENT MODE[/]: whoever reaches this port is believed, whoever they say they are.")
    with store() if bundle is None else _passing(bundle) as embedded:
        run(embedded, host, port, lambda address: say(f"listening on {address}"))
    say("stopped")


@contextmanager
def _passing(bundle: Path) -> Iterator[Embedded]:
    """A store with this bundle, gone when it is closed."""
    home = Path(tempfile.mkdtemp(prefix="remit-dev-"))
    try:
        embedded = Embedded(home, Settings())
        try:
            publish_folder(embedded, bundle, this_operator())
            yield embedded
        finally:
            embedded.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
