"""Entries for other programs: one JSON object each, that says of which log it is and where it stands. Nothing is signed here."""

import json
from collections.abc import Iterable
from pathlib import Path

from remit.decision_log.export import new_export


def plain(origin: str, index: int, line: bytes) -> bytes:
    """An entry as one JSON object: `log`, `index`, and then what stands in the log; what is sealed stays sealed."""
    return b'{"log":%s,"index":%d,%s' % (json.dumps(origin).encode(), index, line[1:])


def write_plain(path: Path, origin: str, lines: Iterable[bytes], overwrite: bool = False) -> int:
    """Write entries from the first on as JSON Lines; how many there were. The file appears whole and durable, or not at all.

    Raises `RemitError`: conflict where the file exists and is not to be overwritten, unavailable where the disk fails.
    """
    count = 0
    with new_export(path, overwrite) as file:
        for line in lines:
            file.write(plain(origin, count, line) + b"\n")
            count += 1
    return count
