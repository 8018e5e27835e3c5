"""Files that are there whole and durable, or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

BUFFER = 1024 * 1024
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES})


@contextmanager
def new_file(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A file (mode 0600) that takes its name only when the block ends without an error, durably, and is gone otherwise.

    Raises `OSError`; `FileExistsError` where the name is taken and not to be overwritten.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb", BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _give_name(partial, path, overwrite)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def _give_name(partial: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(partial, path)
        return
    try:
        # A hard link, unlike a rename, never replaces a file that came to be there meanwhile.
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, "the file exists", str(path)) from None
        os.rename(partial, path)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
