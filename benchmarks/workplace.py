"""Where benchmarks work: a folder on the disk of this checkout, gone when they end."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def bench_folder() -> Path:
    """`.bench` of this checkout, ignored by Git: what rivals are installed in, and temporary folders."""
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    return folder


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder on a real disk, unlike what the system has for temporary files, which may be memory."""
    with tempfile.TemporaryDirectory(prefix="run-", dir=bench_folder()) as name:
        yield Path(name)


def peak_memory() -> float:
    """The most memory this process has held so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` would count what the process that started this one held
        held = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(held.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
