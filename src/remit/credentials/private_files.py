"""Files that keys, secrets and tokens are kept in: most of them only their owner may read, and none keeps its reader waiting."""

import os
import stat
from pathlib import Path

from remit.model.errors import malformed, not_found, refused, unavailable


def read_private(path: Path, what: str, missing: str, limit: int) -> bytes:
    """At most `limit` bytes of a file that holds a `what`; `missing` says what to do where there is none.

    Raises `RemitError`: not-found, malformed if it is no file, refused if others than its owner may read it, unavailable.
    """
    return _read(path, what, missing, limit, others_may_read=False)


def read_file(path: Path, what: str, missing: str, limit: int) -> bytes:
    """The same of a file that others may read, too. Raises `RemitError`: not-found, malformed if it is no file, unavailable."""
    return _read(path, what, missing, limit, others_may_read=True)


def is_open_to_others(path: Path) -> bool:
    """Whether others than its owner may read a file, or write it. Raises `RemitError` (unavailable) where that cannot be told."""
    try:
        return _is_open(path.stat())
    except OSError as error:
        raise unavailable(f"`{path}` could not be looked at ({error.strerror})") from None


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _read(path: Path, what: str, missing: str, limit: int, others_may_read: bool) -> bytes:
    try:
        # Nobody is waited for: a pipe would be opened once somebody writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            # The mode is asked of the open file, so that nobody can exchange it between check and read.
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise malformed(f"`{path}` is no file: give the path of a file with the {what}")
            if not others_may_read and _is_open(status):
                raise refused(
                    f"the {what} `{path}` is open to others than its owner: run `chmod 600` on it, or replace the {what}"
                )
            return file.read(limit)
    except FileNotFoundError:
        raise not_found(f"there is no {what} at `{path}`: {missing}") from None
    except IsADirectoryError:
        raise malformed(f"`{path}` is no file: give the path of a file with the {what}") from None
    except OSError as error:
        raise unavailable(f"the {what} `{path}` could not be read ({error.strerror})") from None
