"""What several processes of one machine have seen, in memory that they share: each thing belongs to whoever is first."""

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from remit.authentication.refusal import unavailable
from remit.model.clock import SECOND

DIGEST = 16
"""Bytes by which a thing is known."""
SLOTS = 1 << 20
_SLOT = struct.Struct("<16sQQ")
_BUCKET = 64
"""So many things share a place; of a table that is half full, one in a million has no room."""
_HEADER = 4096


class SharedTable:
    """Things with an owner until a time (µs), in a file. A process that dies leaves what it has said, and no lock.

    `until` of 0 marks a slot that is free, and is written with the rest: a slot that was half written by a process that was killed is
    one of a thing that nobody has.
    """

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._file = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        self._memory = mmap.mmap(self._file, 0)
        self._buckets = (len(self._memory) - _HEADER) // (_SLOT.size * _BUCKET)
        self.since = int.from_bytes(self._memory[:8], "little")
        """When it was made (µs): what was before, it does not know."""

    @classmethod
    def make(cls, file: Path, now: int, slots: int = SLOTS) -> None:
        """Make an empty one, which nobody else may read, with all its room on the disk. Raises `OSError` where there is none."""
        size = _HEADER + _SLOT.size * _BUCKET * max(1, slots // _BUCKET)
        with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600), "wb") as made:
            # It is mapped into memory: room that is missing only when it is written to would end the process that writes.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(made.fileno(), 0, size)
            else:
                made.write(bytes(size))
                made.seek(0)
            made.write(now.to_bytes(8, "little"))

    def claim(self, digest: bytes, owner: int, until: int, now: int, instead_of: int | None = None) -> int | None:
        """Whose it is: None if it is the caller's from now on (it was nobody's, or that of `instead_of`).

        Raises `NotVerified` (unavailable) if there is no room: nothing is forgotten early.
        """
        start = _HEADER + int.from_bytes(digest[:8], "little") % self._buckets * _SLOT.size * _BUCKET
        with self._alone():
            free: int | None = None
            for place in range(start, start + _SLOT.size * _BUCKET, _SLOT.size):
                known, owned, ends = _SLOT.unpack_from(self._memory, place)
                if ends <= now:
                    free = place if free is None else free
                    if ends == 0:
                        break  # behind one that was never used there are none
                elif known == digest:
                    if owned != instead_of:
                        return int(owned)
                    free = place
                    break
            if free is None:
                # INVARIANT (fail closed): what cannot be remembered does not count.
                raise unavailable("too much at once: come again in a minute")
            self._memory[free : free + _SLOT.size] = _SLOT.pack(digest, owner, until)
        return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()
        os.close(self._file)


class SharedProofs:
    """The proofs that all processes have seen that share a table."""

    def __init__(self, table: SharedTable) -> None:
        self._table = table
        self.since = table.since

    def first(self, proof: bytes, until: int, now: int) -> bool:
        """Whether it is seen for the first time. Raises `NotVerified` (unavailable) if there is no room."""
        return self._table.claim(proof, 0, until + SECOND, now) is None
