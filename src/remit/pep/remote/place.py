"""Where a Unix socket is: whether somebody else could put another one there, and who it is that listens."""

import errno
import os
import socket
import stat
import struct
from pathlib import Path

ROOT = 0
MAX_LINKS = 40
"""So many symbolic links are followed on the way to a folder."""
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group of a peer, as Linux tells them."""


def believed() -> frozenset[int]:
    """The users (by number) who could read and change all that is ours anyway: this process's own, and root."""
    return frozenset((os.geteuid(), ROOT))


def open_to(folder: Path, users: frozenset[int]) -> str:
    """Which folder or link on the way lets others than these users put something else there, and why; empty for none.

    Each is of one of them, and nobody else may write to it. Above the last one a sticky folder will do, as `/tmp` is: what is in it can
    be moved away by its owner alone. Raises `OSError`.
    """
    walked, left, links = Path("/"), [*reversed(folder.absolute().parts[1:])], 0
    while True:
        found = walked.lstat()
        if found.st_uid not in users:
            return f"`{walked}` is of another user ({found.st_uid})"
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (left and found.st_mode & stat.S_ISVTX):
            return f"others may write to `{walked}`"
        if not left:
            return ""
        step = walked / left.pop()
        if step.name == "..":
            walked = walked.parent
        elif not step.is_symlink():
            walked = step
        elif step.lstat().st_uid not in users:
            return f"`{step}` is of another user ({step.lstat().st_uid})"
        elif (links := links + 1) > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        else:
            target = step.readlink()
            left += [part for part in reversed(target.parts) if part != "/"]
            walked = Path("/") if target.is_absolute() else walked


def stranger(connected: socket.socket, path: str, users: frozenset[int]) -> str:
    """Why whoever listens at this socket, which is connected, is none of these users; empty if it is one. Raises `OSError`.

    The system says who began to listen. Where it cannot be asked, the socket and its folders must let nobody else listen there.
    """
    asked = getattr(socket, "SO_PEERCRED", None)
    if asked is not None:
        _, user, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, asked, _CREDENTIALS.size))
        return "" if user in users else f"another user ({user}) listens there"
    owner = os.lstat(path).st_uid
    return open_to(Path(path).parent, users) if owner in users else f"`{path}` is of another user ({owner})"
