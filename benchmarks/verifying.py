"""The program that `verification` runs: one export verified, with the time and memory it took."""

import json
import sys
import time

from benchmarks.workplace import peak_memory
from remit.decision_log.verify import verify_export


def main(export: str, key: str) -> None:
    """Print what was found, as JSON."""
    begun = time.perf_counter()
    report = verify_export(export, key)
    seconds = time.perf_counter() - begun
    print(json.dumps({"verified": report.verified, "size": report.size, "seconds": seconds, "megabytes": peak_memory()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
