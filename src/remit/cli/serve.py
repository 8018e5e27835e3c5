"""`remit serve`: decisions over HTTP."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import err, say, store, warn
from remit.local.config import Settings, this_operator
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded
from remit.model.errors import malformed, unavailable


class LogFormat(StrEnum):
    """How lines about what happens are written."""

    JSON = "json"
    TEXT = "text"


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
    tls_cert: Annotated[Path | None, typer.Option(help="The server's certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate (PEM).")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="Take client certificates of these authorities (PEM), to which tokens may be bound.")
    ] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A server in front of this one does TLS.")] = False,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(help="How lines about what happens are written. Without it: text on a terminal, else json."),
    ] = None,
) -> None:
    """Answer the AuthZEN Authorization API 1.0 and Remit's own API to callers who prove who they are."""
    if bundle is not None and not dev:
        raise malformed("`--bundle` decides by a store that ends with the server, which nobody has a token for: add `--dev`")
    if (tls_cert is None) != (tls_key is None) or (client_ca is not None and tls_cert is None):
        raise malformed(
            "a certificate and its key belong together: give `--tls-cert` and `--tls-key`, and `--client-ca` only with them"
        )
    try:
        from remit.server.observing.written import Format
        from remit.server.running import Place
        from remit.server.running import serve as run
        from remit.server.tls import Tls
    except ImportError as error:
        raise unavailable(f"serving needs more than is installed ({error.name}): install `remit[server]`") from None
    if dev:
        err.print("[bold red]DEVELOPMENT MODE[/]: whoever reaches this port is believed, whoever they say they are.")
    tls = Tls(tls_cert, tls_key, client_ca) if tls_cert is not None and tls_key is not None else None
    with store() if bundle is None else _passing(bundle) as embedded:
        log = Format(log_format or _usual_format())
        run(embedded, Place(host, port, dev, tls, behind_proxy, log), lambda address: _listening(embedded, address, dev))
    say("stopped")


def _usual_format() -> LogFormat:
    return LogFormat.TEXT if sys.stderr is not None and sys.stderr.isatty() else LogFormat.JSON


def _listening(embedded: Embedded, address: str, dev: bool) -> None:
    from remit.local.enrolment import PATH, begin, needs_administrator

    say(f"listening on {address}")
    if not dev and needs_administrator(embedded, embedded.settings):
        code = begin(embedded.home, embedded.runtime.clock)
        warn("nobody can administer this server yet: within an hour, whoever has this link becomes its administrator, once")
        err.print(f"  remit enrol {embedded.settings.url or address}{PATH}#{code}", soft_wrap=True, highlight=False)


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
