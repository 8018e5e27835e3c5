"""The control plane, served: on this machine alone, without proof of who calls (`--dev`)."""

import ipaddress
import signal
import socket
from collections.abc import Callable

import uvicorn

from remit.local.wiring import Embedded
from remit.model.errors import malformed, unavailable
from remit.server.app import application

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_CONNECTIONS = 10_000
IDLE_SECONDS = 30
DRAIN_SECONDS = 10


def serve(embedded: Embedded, host: str, port: int, listening: Callable[[str], None]) -> None:
    """Serve until a signal ends it, then finish what was begun. `listening` is told the address once connections are taken.

    Raises `RemitError`: malformed for an address that is not of this machine alone, unavailable where it is taken.
    """
    # INVARIANT (authority enters from outside the agent): without proof of who calls, nobody but this machine may.
    if not ipaddress.ip_address(host).is_loopback:
        raise malformed(f"`--dev` asks nobody who they are, so it serves this machine alone, not `{host}`: leave `--host` out")
    with _bound(host, port) as listener:
        config = uvicorn.Config(
            application(embedded, LOOPBACK),
            loop="auto",
            http="auto",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        name = f"[{host}]" if ":" in host else host
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # the server hands the signal that ended it on: that is no fault
        listening(f"http://{name}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise unavailable(f"port {port} of {host} cannot be served ({error.strerror}): name another by `--port`") from None
    return listener
