"""One of several processes that answer at one port: begun by the one that watches it, ended by it or with it."""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import msgspec

from remit.authentication.possession.dpop import Proofs
from remit.authentication.possession.replays import Nonces
from remit.authentication.possession.shared import SharedProofs, SharedTable
from remit.local.config import Settings
from remit.local.wiring import Embedded
from remit.model.errors import ErrorKind, RemitError
from remit.server.api.callback import SharedCallbacks
from remit.server.repeating.repeats import Repeats
from remit.server.running import Place, serve_on
from remit.server.shared import Shared
from remit.server.workers.peers import Peers

PROOFS, KEYS = "proofs", "keys"
"""Files of what the workers have seen, in their folder."""


class Charge(msgspec.Struct, frozen=True):
    """What a worker is to do: the first line of its input. It works until the input ends.

    `number` is one that no worker of this server had before, `listener` the file descriptor of its socket, `folder` what the workers
    have in common, `nonces` what theirs are made with, and `beat` how often (s) it says that it lives.
    """

    number: int
    listener: int
    home: Path
    settings: Settings
    place: Place
    address: str
    folder: Path
    nonces: bytes
    beat: float


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """It takes connections."""


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """It runs, and is not stopped."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot, and why."""

    kind: ErrorKind
    message: str


def main() -> int:
    """Work as the input says; what there is to say of it stands in one line of the output."""
    charge = msgspec.json.decode(sys.stdin.buffer.readline(), type=Charge, dec_hook=lambda kind, value: kind(value))
    try:
        embedded = Embedded(charge.home, charge.settings)
    except RemitError as error:
        _say(Failed(error.kind, error.message))
        return 1
    try:
        in_use(charge.folder)
        threading.Thread(target=_end_with_input, name="remit-lifeline", daemon=True).start()
        threading.Thread(target=_beat, args=(charge.beat,), name="remit-beat", daemon=True).start()
        clock, keys = embedded.runtime.clock, SharedTable(charge.folder / KEYS)
        peers = Peers(charge.folder, charge.number, keys, Repeats(clock), clock)
        seen = SharedTable(charge.folder / PROOFS)
        shared = Shared(peers, Proofs(SharedProofs(seen), Nonces(charge.nonces)), SharedCallbacks(seen))
        listener = socket.socket(fileno=charge.listener)
        serve_on(listener, embedded, charge.place, charge.address, lambda: _say(Ready()), shared)
    except RemitError as error:
        _say(Failed(error.kind, error.message))
        return 1
    finally:
        embedded.close()
    return 0


def in_use(folder: Path) -> int:
    """Say, as long as this descriptor is open, that a folder is used: who cleans up what is old leaves alone what somebody has locked."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def encoded(charge: Charge) -> bytes:
    """A charge as a worker reads it."""
    return msgspec.json.encode(charge, enc_hook=str) + b"\n"


def _end_with_input() -> None:
    """Nobody watches any more once the input ends: this process is to end, too."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _beat(seconds: float) -> None:
    """Of a thread, not the loop: a store that hangs may hold that up, and nothing would be won by another worker."""
    with contextlib.suppress(OSError):
        while True:
            time.sleep(seconds)
            _say(Alive())


def _say(what: Ready | Alive | Failed) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(what) + b"\n")  # at once and whole, whichever thread says it


if __name__ == "__main__":
    sys.exit(main())
