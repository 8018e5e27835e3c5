"""The control plane, served until a signal ends it."""

import gc
import ipaddress
import signal
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
import uvicorn

from remit.local.trust import checked_url, read_trust
from remit.local.wiring import Embedded
from remit.model.errors import malformed, unavailable
from remit.pap.administration import read_administration
from remit.pdp.administration import Administration
from remit.server.app import application
from remit.server.callers import Believed, Callers, Proven
from remit.server.observing.figures import Figures
from remit.server.observing.whole import observed
from remit.server.observing.written import Format
from remit.server.tls import Tls, WithCertificate

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_CONNECTIONS = 10_000
IDLE_SECONDS = 30
DRAIN_SECONDS = 10


class Place(msgspec.Struct, frozen=True):
    """Where a server listens, and how. `development`: nobody is asked who they are. `proxied`: another server in front of it does TLS.
    `log` is how lines about what happens are written."""

    host: str = "127.0.0.1"
    port: int = 8181
    development: bool = False
    tls: Tls | None = None
    proxied: bool = False
    log: Format = Format.JSON


def serve(embedded: Embedded, place: Place, listening: Callable[[str], None]) -> None:
    """Serve until a signal ends it, then finish what was begun. `listening` is told the address once connections are taken.

    Raises `RemitError`: malformed for an address or settings that it must not be served with, unavailable where the port is taken.
    """
    _check(place)
    with _bound(place.host, place.port) as listener, observed(embedded, place.log) as watching:
        address = _address(place, listener.getsockname()[1])
        url = address if place.development else embedded.settings.url or address
        tls = place.tls
        callers, administration = _callers(embedded, place, url, watching.figures), _administration(embedded)
        config = uvicorn.Config(
            application(embedded, _hosts(place, url), url, callers, administration, observed=watching),
            loop="auto",
            http=WithCertificate,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            ssl_context_factory=(lambda _config, _default: tls.context()) if tls is not None else None,
        )
        server = uvicorn.Server(config)
        for number in (signal.SIGINT, signal.SIGTERM):
            # It has handlers of its own once it runs, and hands the signal that ended it on to these: that is no fault.
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        listening(address)
        gc.collect()
        gc.freeze()  # bundle, modules and routes stay: looked through again with each full collection, they held up every caller
        server.run(sockets=[listener])


def _check(place: Place) -> None:
    here = ipaddress.ip_address(place.host).is_loopback
    # INVARIANT (authority enters from outside the agent): without proof of who calls, nobody but this machine may.
    if place.development and not here:
        raise malformed(
            f"`--dev` asks nobody who they are, so it serves this machine alone, not `{place.host}`: leave `--host` out"
        )
    if not here and place.tls is None and not place.proxied:
        raise malformed(
            f"tokens must not cross a network in the open: serve `{place.host}` with `--tls-cert` and `--tls-key`, or with "
            "`--behind-proxy` where a server in front of this one does TLS"
        )
    if place.proxied and place.tls is not None:
        raise malformed("`--behind-proxy` leaves TLS to the server in front: leave out `--tls-cert`, or it")
    if place.tls is not None:
        place.tls.context()  # what is wrong with it is said now


def _callers(embedded: Embedded, place: Place, url: str, figures: Figures) -> Callers:
    if place.development:
        return Believed()
    if not embedded.settings.url and not ipaddress.ip_address(place.host).is_loopback:
        raise malformed(
            "say where callers reach this server: the setting `url` (`https://remit.example`), which their tokens name"
        )
    trust = read_trust(embedded.settings, embedded.home, checked_url(url), embedded.runtime.clock)
    figures.follow_keys(trust, embedded.runtime.clock)
    return Proven(trust, embedded, figures.token)


def _administration(embedded: Embedded) -> Administration:
    file = embedded.settings.administration
    return read_administration(embedded.home / file) if file else read_administration()


def _address(place: Place, port: int) -> str:
    name = f"[{place.host}]" if ":" in place.host else place.host
    return f"{'https' if place.tls is not None else 'http'}://{name}:{port}"


def _hosts(place: Place, url: str) -> frozenset[str]:
    """The names that are answered to: that of the address, and this machine's own where it listens there."""
    named = urlsplit(url).netloc.rpartition("@")[2]
    host = named.rpartition(":")[0] if named.rpartition(":")[2].isdecimal() else named
    here = ipaddress.ip_address(place.host).is_loopback
    return frozenset({host}) | (LOOPBACK if here else frozenset())


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
