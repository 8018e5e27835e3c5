"""One process at a time: locks on folders and files that end with their process, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from remit.model.errors import conflict


@contextmanager
def alone_in(folder: Path, taken: str) -> Iterator[int]:
    """While this process is the one in a folder, which is there and open as this descriptor.

    Raises `RemitError` (conflict) with `taken` as its words where another is, and `OSError` for what cannot be opened or locked.
    """
    with _locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), taken) as descriptor:
        yield descriptor


@contextmanager
def alone_at(file: Path, taken: str) -> Iterator[None]:
    """The same of a file (mode 0600), which is made if it is not there."""
    with _locked(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), taken):
        yield


@contextmanager
def _locked(descriptor: int, taken: str) -> Iterator[int]:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise conflict(taken) from None
        yield descriptor
    finally:
        os.close(descriptor)


def is_free(folder: Path) -> bool:
    """Whether no process is in a folder. Raises `OSError` for one that cannot be opened."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # nobody can tell, or somebody is
    else:
        return True
    finally:
        os.close(descriptor)
