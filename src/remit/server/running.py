"""The control plane, served until a signal ends it."""

import asyncio
import gc
import ipaddress
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvicorn

from remit.authentication.possession.dpop import Proofs
from remit.local.config import DEFAULT_URL
from remit.local.trust import checked_url, read_trust
from remit.local.webhooks.settings import read_webhooks
from remit.local.wiring import Embedded
from remit.model.errors import malformed
from remit.pap.administration import read_administration
from remit.pdp.administration import Administration
from remit.server.app import application
from remit.server.binding import PRIVATE, is_waited_at, let_begin, port_at, refuse_beginnings, socket_at
from remit.server.callers import Believed, Callers, Proven
from remit.server.observing.figures import Figures
from remit.server.observing.whole import observed
from remit.server.observing.written import Format
from remit.server.shared import Shared
from remit.server.sweeps import sweeping
from remit.server.tls import Tls, WithCertificate

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
BEHIND_SOCKET = "http://localhost"
"""What a request over a Unix socket is addressed to, and a proof for it names: its `Host` is `localhost`."""
MAX_CONNECTIONS = 10_000
FILES = MAX_CONNECTIONS + 2_000
"""So many files (connections are files) a process may have open, where the system lets it: idle ones must leave some to others."""
IDLE_SECONDS = 30
DRAIN_SECONDS = 10
ACT_SECONDS = 3.0
"""So long a server that is to end answers whether permits stand that it has given."""
QUIET_SECONDS, TAKE_SECONDS = 0.1, 2.0
"""A server that is to end takes who waits until nobody has for `QUIET_SECONDS`, at most for `TAKE_SECONDS`."""


class Place(msgspec.Struct, frozen=True):
    """Where a server listens, and how. `development`: nobody is asked who they are. `proxied`: another server in front of it does TLS.
    `workers`: so many processes answer. `socket`: the path of a Unix socket to listen at instead of a port, for those whom `mode` lets.
    `log` is how lines about what happens are written."""

    host: str = "127.0.0.1"
    port: int = 8181
    development: bool = False
    tls: Tls | None = None
    proxied: bool = False
    workers: int = 1
    socket: Path | None = None
    mode: int = PRIVATE
    log: Format = Format.JSON


def serve(embedded: Embedded, place: Place, listening: Callable[[str], None]) -> None:
    """Serve until a signal ends it, then finish what was begun. `listening` is told the address once connections are taken.

    Raises `RemitError`: malformed for an address or settings that it must not be served with, unavailable where the port is taken.
    """
    check(embedded, place)
    with listening_at(place) as listener:
        address = address_of(place, listener)
        serve_on(listener, embedded, place, address, lambda: listening(address))


def serve_on(
    listener: socket.socket,
    embedded: Embedded,
    place: Place,
    address: str,
    listening: Callable[[], None],
    shared: Shared | None = None,
) -> None:
    """Serve connections to a socket that others may take some of. Raises `RemitError` as `serve` does."""
    url, tls = _url(embedded, place, address), place.tls
    _make_room()
    with observed(embedded, place.log) as watching:
        callers = _callers(embedded, place, url, shared.proofs if shared is not None else None, watching.figures)
        config = uvicorn.Config(
            application(embedded, _hosts(place, url), url, callers, _administration(embedded), shared, observed=watching),
            loop="auto",
            http=WithCertificate,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            ssl_context_factory=(lambda _config, _default: tls.context()) if tls is not None else None,
        )
        _run(_Draining(config, embedded, listening), listener, embedded)


def _make_room() -> None:
    """Take what the system lets a process have open of files: what one is given at first is often 1,024."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):  # there the system has a bound of its own: it is served with what there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def ending_signals() -> list[signal.Signals]:
    """The signals that a server ends by, in peace: that of a terminal that is closed, too, unless it was begun to outlive that (nohup)."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *[signal.SIGHUP][:hangs_up]]


def _run(server: uvicorn.Server, listener: socket.socket, embedded: Embedded) -> None:
    for number in ending_signals():
        # It has handlers of its own once it runs, and hands the signal that ended it on to these: that is no fault.
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    gc.collect()
    gc.freeze()  # bundle, modules and routes stay: looked through again with each full collection, they held up every caller
    gc.set_threshold(10_000)  # requests leave little that only a collection ends, and each looks at all that are under way
    let_begin(listener)
    with sweeping(embedded):
        server.run(sockets=[listener])


class _Draining(uvicorn.Server):
    """A server that says that it ends before it does, and lets those act who were permitted to."""

    def __init__(self, config: uvicorn.Config, embedded: Embedded, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._embedded, self._listening = embedded, listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, and say so."""
        await super().startup(sockets)
        if self.started:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer who waits, give no more permits that must be asked about again, wait for those that were given, then end."""
        self._embedded.ending = True
        until = asyncio.get_running_loop().time() + ACT_SECONDS
        view = self._embedded.runtime.view
        while view.live and not self.force_exit and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - others use them
            await asyncio.sleep(0.05)
        for listener in sockets or ():
            refuse_beginnings(listener)
            await self._taken(listener)
        await super().shutdown(sockets)

    async def _taken(self, listener: socket.socket) -> None:
        """Wait until whoever had come is taken: of a socket that is closed, the system ends the connections that nobody took."""
        now = asyncio.get_running_loop().time
        until, quiet = now() + TAKE_SECONDS, now() + QUIET_SECONDS
        while now() < min(quiet, until) and not self.force_exit:
            await asyncio.sleep(0.01)
            if is_waited_at(listener):
                quiet = now() + QUIET_SECONDS


def check(embedded: Embedded, place: Place) -> None:
    """Raises `RemitError` (malformed) for a place that must not be served, or not with these settings."""
    _check_place(place)
    _callers(embedded, place, _url(embedded, place, address_of(place)), None)
    _administration(embedded)
    read_webhooks(embedded.settings, embedded.home)


def _check_place(place: Place) -> None:
    try:
        here = ipaddress.ip_address(place.host).is_loopback
    except ValueError:
        raise malformed(
            f"`{place.host}` is no address to listen on: give one of this machine, or `0.0.0.0` for all of them"
        ) from None
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
    if place.socket is not None and (place.tls is not None or set("?#") & set(str(place.socket))):
        raise malformed("a Unix socket is reached from this machine alone, without TLS, by a path without `?` and `#`")
    if place.proxied and place.tls is not None:
        raise malformed("`--behind-proxy` leaves TLS to the server in front: leave out `--tls-cert`, or it")
    if place.tls is not None:
        place.tls.context()  # what is wrong with it is said now


def _callers(embedded: Embedded, place: Place, url: str, proofs: Proofs | None, figures: Figures | None = None) -> Callers:
    if place.development:
        return Believed()
    if not embedded.settings.url and not ipaddress.ip_address(place.host).is_loopback:
        raise malformed(
            "say where callers reach this server: the setting `url` (`https://remit.example`), which their tokens name"
        )
    trust = read_trust(embedded.settings, embedded.home, checked_url(url), embedded.runtime.clock, proofs)
    named = BEHIND_SOCKET if place.socket is not None and not place.proxied else url
    if figures is None:
        return Proven(trust, embedded, named)
    figures.follow_keys(trust, embedded.runtime.clock)
    return Proven(trust, embedded, named, figures.token)


def _administration(embedded: Embedded) -> Administration:
    file = embedded.settings.administration
    return read_administration(embedded.home / file) if file else read_administration()


def listening_at(place: Place) -> AbstractContextManager[socket.socket]:
    """A socket that listens there, closed afterwards. Raises `RemitError` where it cannot be served."""
    return socket_at(place.socket, place.mode) if place.socket is not None else port_at(place.host, place.port)


def address_of(place: Place, listener: socket.socket | None = None) -> str:
    """Where a place is reached, which listens so."""
    if place.socket is not None:
        return f"unix://{place.socket}"
    name = f"[{place.host}]" if ":" in place.host else place.host
    port = listener.getsockname()[1] if listener is not None else place.port
    return f"{'https' if place.tls is not None else 'http'}://{name}:{port}"


def _url(embedded: Embedded, place: Place, address: str) -> str:
    """The address that tokens name: where callers reach the server, or, of one behind a socket, what they name if nobody says."""
    here = DEFAULT_URL if place.socket is not None else address
    return here if place.development else embedded.settings.url or here


def _hosts(place: Place, url: str) -> frozenset[str]:
    """The names that are answered to: that of the address, and this machine's own where it listens there."""
    named = urlsplit(url).netloc.rpartition("@")[2]
    host = named.rpartition(":")[0] if named.rpartition(":")[2].isdecimal() else named
    here = ipaddress.ip_address(place.host).is_loopback
    return frozenset({host}) | (LOOPBACK if here else frozenset())
