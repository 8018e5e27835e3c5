"""Other processes of a test: started with the same paths, always ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def python(*arguments: str, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    """A Python process with pipes to and from it, killed by its id when the block ends."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore", **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    """The next line a process prints; fails with its errors if there is none."""
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        assert process.stderr is not None
        raise AssertionError(f"the process ended: {process.stderr.read()[-2000:]}")
    return text.rstrip("\n")


def tell(process: "subprocess.Popen[str]", text: str = "") -> None:
    """Send a line to a process."""
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def rest(process: "subprocess.Popen[str]") -> list[str]:
    """All lines a process prints until it ends; fails if it ended with an error."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-2000:]
    return out.splitlines()
