"""The program that `replay` runs: one replay, with the time it took and the memory of all its processes together."""

import json
import os
import sys
import threading
import time
from pathlib import Path

from remit.local.config import Settings
from remit.local.replaying import replay
from remit.local.wiring import open_store
from remit.pap.reading.folder import read_bundle


def memory() -> float:
    """What this process and its children hold now, in MB; pages that several share count once (PSS)."""
    total = 0
    mine = str(os.getpid())
    for process in Path("/proc").iterdir():
        try:
            if not process.name.isdecimal():
                continue
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if mine in (process.name, parent):
                rollup = (process / "smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue  # it has ended meanwhile
    return total / 1024


def main(home: str, folder: str) -> None:
    """Print what was found, as JSON."""
    peak = [0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            peak[0] = max(peak[0], memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    store = open_store(Path(home), Settings())
    begun = time.perf_counter()
    found = replay(Path(home), Settings(), store, read_bundle(folder))
    seconds = time.perf_counter() - begun
    over.set()
    watcher.join()
    store.close()
    told = {"decisions": found.decisions, "requests": found.requests, "changed": found.changed, "gaps": found.gaps}
    print(json.dumps({**told, "seconds": seconds, "megabytes": peak[0]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
