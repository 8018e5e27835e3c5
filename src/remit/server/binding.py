"""Where a server listens: a port, or a Unix socket that is this user's alone."""

import ctypes
import fcntl
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from remit.model.errors import RemitError, conflict, malformed, unavailable
from remit.pep.remote.place import believed, open_to

PRIVATE = 0o600
"""Who may reach a Unix socket, unless somebody says otherwise: the user that serves."""
QUEUED = 2048
"""So many connections wait to be taken."""
_ASK_SECONDS = 1.0
_ATTACH_FILTER, _DETACH_FILTER = 26, 27
"""Of Linux (`SO_ATTACH_FILTER`, socket(7)); Python does not name them."""
_NO_BEGINNING = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""A program that drops a segment which begins a connection (of SYN and ACK, SYN alone) and lets pass any other."""


def port_at(host: str, port: int, together: bool = False) -> socket.socket:
    """A socket that listens there; with `together`, beside others that do, among whom the system shares connections out.

    Raises `RemitError` (unavailable).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if together:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(QUEUED)
    except OSError as error:
        listener.close()
        raise unavailable(
            f"port {port} of {host} cannot be served ({error.strerror}): name another by `--port`, or `--host`"
        ) from None
    return listener


def refuse_beginnings(listener: socket.socket) -> None:
    """Let no further connection begin at a port, while those that have begun are still to be taken. Whoever tries comes again after a
    second, by which time the system leads them to another socket of the port, or says that there is none. Nothing where the system cannot
    do it (all but Linux; a Unix socket)."""
    if not sys.platform.startswith("linux") or listener.family == socket.AF_UNIX:
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_BEGINNING))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", len(_NO_BEGINNING), ctypes.addressof(program)))


def let_begin(listener: socket.socket) -> None:
    """Let connections begin again, where one that has ended had refused them: the socket is its successor's now."""
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)


def is_waited_at(listener: socket.socket) -> bool:
    """Whether somebody waits to be taken."""
    polled = select.poll()
    polled.register(listener, select.POLLIN)
    return bool(polled.poll(0))


@contextmanager
def socket_at(path: Path, mode: int = PRIVATE) -> Iterator[socket.socket]:
    """A Unix socket that listens there, for those whom `mode` lets; gone afterwards. One that nobody listens at any more is replaced.

    Raises `RemitError`: conflict for what is there and is no socket, unavailable where another server listens, or none can.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone_in(path.parent):
            _make_room(path)
            made = _bind(listener, path, mode)
        try:
            yield listener
        finally:
            _remove(path, made)
    finally:
        listener.close()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """While no other looks for room in this folder: of two that find a dead socket, the second would remove the new one of the first.

    Raises `RemitError`: unavailable without the folder, conflict where another user could put another socket there.
    """
    try:
        others = open_to(folder, believed())
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unavailable(f"no socket can be made in `{folder}` ({error.strerror}): make the folder, or name another") from None
    try:
        if others:
            # INVARIANT (fail closed): whoever can put another socket there can permit anything.
            raise conflict(
                f"another user may put something else into `{folder}` ({others}): `chmod go-w`, or name a folder of your own"
            )
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _make_room(path: Path) -> None:
    """Remove a socket that nobody listens at. Raises `RemitError` for anything else that is there."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise unavailable(f"`{path}` cannot be served ({error.strerror}): name another by `--socket`") from None
    if not stat.S_ISSOCK(there.st_mode):
        raise conflict(f"`{path}` is there and is no socket: remove it, or name another by `--socket`")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ASK_SECONDS)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # INVARIANT (fail closed): somebody may be there, busy or another user's
    raise unavailable(f"another server listens at `{path}`: end it, or name another by `--socket`")


def _bind(listener: socket.socket, path: Path, mode: int) -> tuple[int, int, int]:
    """Listen there; by what the file that was made is known."""
    before = os.umask(0o777 & ~mode)  # from its first moment on nobody else may reach it
    try:
        listener.bind(str(path))
    except OSError as error:
        raise _cannot(path, error) from None
    finally:
        os.umask(before)
    listener.listen(QUEUED)
    return _known(path)


def _known(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_mtime_ns  # the number alone may be given to the next file


def _cannot(path: Path, error: OSError) -> RemitError:
    if error.errno is None:  # as Python says it of an address that the system has no room for
        return malformed(f"`{path}` is too long a name for a socket ({error}): name another by `--socket`")
    return unavailable(f"`{path}` cannot be served ({error.strerror}): name another by `--socket`")


def _remove(path: Path, made: tuple[int, int, int]) -> None:
    """Remove what was made, unless another server has put its own there since."""
    with suppress(OSError):
        if _known(path) == made:
            path.unlink()
