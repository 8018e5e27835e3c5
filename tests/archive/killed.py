"""A process that archives and is killed, or waits, at the moment it is told: `HOME FOLDER (manifest|segment|wait) N`."""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from remit.decision_log import archive
from remit.local import archiving, head
from tests.archive.building import SMALL, MemoryLog, archived, long


def main() -> None:
    home, folder, moment, times = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    for module in (archive, head, archiving):
        module.SEGMENT = SMALL  # type: ignore[attr-defined]
    write, keep, left = archiving.parquet_writer(), archiving._keep, [times]

    def die(at: str) -> None:
        left[0] -= moment == at
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def written(file: Any, lines: Iterable[bytes], first: int) -> int:
        done = write(file, lines, first)
        die("segment")
        if moment == "wait" and first == SMALL:
            print("waiting", flush=True)
            sys.stdin.readline()
        return done

    def kept(folder: Path, manifest: str) -> None:
        if "segment " in manifest:
            die("manifest")
        keep(folder, manifest)

    archiving.parquet_writer = lambda: written
    archiving._keep = kept
    archived(home, folder, MemoryLog(long(3 * SMALL + 40)))


if __name__ == "__main__":
    main()
