"""Files that only their owner may read, as keys and secrets are kept in."""

import os
import stat
from pathlib import Path

from remit.model.errors import malformed, not_found, refused, unavailable


def read_private(path: Path, what: str, missing: str, limit: int) -> bytes:
    """At most `limit` bytes of a file that holds a `what`; `missing` says what to do where there is none.

    Raises `RemitError`: not-found, malformed if it is no file, refused if others than its owner may read it, unavailable.
    """
    try:
        # Nobody is waited for: a pipe would be opened once somebody writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            # The mode is asked of the open file, so that nobody can exchange it between check and read.
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise malformed(f"`{path}` is no file: give the path of a file with the {what}")
            if status.st_mode & 0o077:
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
