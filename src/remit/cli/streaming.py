"""`remit log stream`: the log, sent on to a SIEM."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from remit.cli.output import JsonFlag, err, plain, say, show_json, store_folder
from remit.local.config import read_settings
from remit.local.wiring import open_store

TOKEN_VARIABLE = "REMIT_STREAM_TOKEN"  # noqa: S105 - a name
_EVERY = 1.0


def stream(
    to: Annotated[str, typer.Option(help="The receiver: https://host/path, http://…, syslog+tls://host:port or syslog+tcp://….")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on as the log grows, and never give up.")] = False,
    patience: Annotated[float, typer.Option(help="Without --follow: how many seconds a receiver may refuse.")] = 60.0,
    ca: Annotated[Path | None, typer.Option(help="Certificates to trust (PEM) instead of the system's.")] = None,
    json: JsonFlag = False,
) -> None:
    """Send the log to a SIEM: every entry at least once, in order, from where the receiver last acknowledged.

    HTTP receivers get newline-delimited JSON (REMIT_STREAM_TOKEN is sent as bearer token), syslog receivers RFC 5424 over TCP.
    """
    from remit.local.streaming import Stream

    home = store_folder()
    settings = read_settings(home)
    opened = open_store(home, settings)
    try:
        sender = Stream(home, opened.log, settings.origin, to, ca, os.environ.get(TOKEN_VARIABLE, ""))
        with sender.alone():
            sent = sender.run(None if follow else patience, _warn)
            while follow:
                time.sleep(_EVERY)
                sent += sender.run(None, _warn)
    finally:
        opened.close()
    if json:
        show_json({"sent": sent, "to": sender.shown})
    else:
        say(f"sent {sent} {'entry' if sent == 1 else 'entries'} to {sender.shown}")


def _warn(text: str) -> None:
    err.print(plain(text), style="yellow", soft_wrap=True)
