"""How far somebody who follows the log came: kept in a file, so that they go on there after a crash."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from remit.decision_log.store import LogReader
from remit.local.locking import alone_at
from remit.model.errors import corrupt, unavailable


class Cursor(msgspec.Struct, frozen=True):
    """The entry to send next, and the leaf hash (hex) of the one before it."""

    next: int
    leaf: str


@contextmanager
def alone(file: Path, taken: str) -> Iterator[None]:
    """While this process is the one on this machine that goes on from a file. Raises `RemitError`: conflict (`taken`), unavailable."""
    with ExitStack() as held:
        try:
            file.parent.mkdir(exist_ok=True, mode=0o700)
            held.enter_context(alone_at(file.with_suffix(".lock"), taken))
        except OSError as error:
            raise unavailable(f"`{file.parent}` cannot be written ({error.strerror})") from None
        yield


def read_cursor(file: Path) -> Cursor | None:
    """What was kept; None if nothing was yet. Raises `RemitError` (corrupt)."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Cursor)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise corrupt(
            f"`{file}`, which says how far it came, cannot be read ({error}): remove it to begin as a new receiver does"
        ) from None


def keep_cursor(file: Path, cursor: Cursor) -> None:
    """Keep it durably. Raises `RemitError` (unavailable)."""
    partial = file.with_suffix(".partial")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(msgspec.json.encode(cursor))
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(partial, file)
    except OSError as error:
        raise unavailable(f"`{file}` could not be written ({error.strerror}): the last entries will be sent twice") from None


def check_cursor(cursor: Cursor, log: LogReader, receiver: str) -> int:
    """The size of the log, if what was sent is what it begins with. Raises `RemitError` (corrupt)."""
    size = log.size()
    if cursor.next > size:
        raise corrupt(f"{cursor.next} entries were sent to `{receiver}`, the log has {size}: it was truncated or replaced")
    if cursor.next:
        [before] = log.leaves(cursor.next - 1, cursor.next)
        if before.hex() != cursor.leaf:
            raise corrupt(f"entry {cursor.next - 1} is not the one that was sent to `{receiver}`: the log was written anew")
    return size
