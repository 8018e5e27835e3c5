"""Where tests write: in memory where there is room, since most wait for their disk and are not about it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOM = 2 << 30
"""What all tests together may need at once, with room to spare, bytes."""


def in_memory() -> Path | None:
    """A folder in memory. None where there is none, or it is too small, or the machine has too little memory itself."""
    place = Path("/dev/shm")
    try:
        room = os.statvfs(place)
    except OSError:
        return None
    free = min(room.f_bavail * room.f_frsize, psutil.virtual_memory().available // 2)
    return place if free >= ROOM and os.access(place, os.W_OK) else None


@contextmanager
def on_disk() -> Iterator[Path]:
    """A folder on this machine's disk, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="remit-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()
