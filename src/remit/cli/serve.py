"""`remit serve`: decisions over HTTP."""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from remit.cli import break_glass, people
from remit.cli.output import err, plain, say, store, warn
from remit.local.config import Settings, this_operator
from remit.local.enrolment import PATH, begin, needs_administrator
from remit.local.policy import publish_folder
from remit.local.wiring import Embedded
from remit.model.errors import malformed, unavailable


class LogFormat(StrEnum):
    """How lines about what happens are written."""

    JSON = "json"
    TEXT = "text"


def serve(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port (8181); 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on (127.0.0.1): of this machine alone.")] = None,
    socket: Annotated[Path | None, typer.Option(help="Listen at this Unix socket instead of a port.")] = None,
    socket_mode: Annotated[str, typer.Option(help="Who may reach that socket, in octal.")] = "600",
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
    workers: Annotated[int, typer.Option(min=1, max=64, help="So many processes answer; one that dies is begun again.")] = 1,
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
    if socket is not None and (port is not None or host is not None):
        raise malformed("`--socket` is instead of a port: leave out `--port` and `--host`, or it")
    if not re.fullmatch("0?[67][0-7]{2}", socket_mode):
        raise malformed("`--socket-mode` is an octal mode that lets you read and write, as `660` does")
    try:
        from remit.server.observing.written import Format
        from remit.server.running import Place, check
        from remit.server.running import serve as run
        from remit.server.tls import Tls
        from remit.server.workers.watching import watch
    except ImportError as error:
        raise unavailable(
            f"serving needs more than is installed ({error.name}): install `remit[server]` (docs/operating.md says how)"
        ) from None
    if dev:
        err.print("[bold red]DEVELOPMENT MODE[/]: whoever reaches this server is believed, whoever they say they are.")
    tls = Tls(tls_cert, tls_key, client_ca) if tls_cert is not None and tls_key is not None else None
    at = socket.absolute() if socket is not None else None
    log = Format(log_format or _usual_format())
    place = Place(
        host if host and host != "localhost" else "127.0.0.1",
        8181 if port is None else port,
        dev,
        tls,
        behind_proxy,
        workers,
        at,
        int(socket_mode, 8),
        log,
    )
    with store() if bundle is None else _passing(bundle) as embedded:
        enrols, open_now = (
            not dev and needs_administrator(embedded, embedded.settings),
            (*break_glass.warnings(embedded), *people.warnings(embedded)),
        )
        if workers == 1:
            run(embedded, place, lambda address: _listening(embedded, address, enrols, open_now))
        else:
            check(embedded, place)
            embedded.close()  # each worker opens it; whoever watches them needs none
            watch(embedded.home, embedded.settings, place, lambda address: _listening(embedded, address, enrols, open_now))
    say("stopped")


def _usual_format() -> LogFormat:
    return LogFormat.TEXT if sys.stderr is not None and sys.stderr.isatty() else LogFormat.JSON


def _listening(embedded: Embedded, address: str, enrols: bool, open_now: Sequence[str]) -> None:
    say(f"listening on {address}")
    for text in open_now:
        warn(text)
    if enrols:
        code = begin(embedded.home, embedded.runtime.clock)
        told = (
            "warning: nobody can administer this server yet: within an hour, whoever has this link becomes its administrator, once",
            "  remit agent key YOU.jwk",
            f"  remit enrol {embedded.settings.url or address}{PATH}#{code} --name YOU --key YOU.jwk --output YOU.token",
        )
        # Written as one: lines about what happens are written by another thread, to the same place.
        err.print(plain("\n".join(told)), style="yellow", soft_wrap=True, highlight=False)


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
