"""A rival at work in a process of its own: asked for rounds of calls, it answers with the time of one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks.rivals.environments import NotAvailable, python_of


class Worker:
    """A started rival."""

    def __init__(self, ask: IO[str], answer: IO[str]) -> None:
        self._ask = ask
        self._answer = answer

    def round(self, calls: int) -> float:
        """The median µs of so many calls. Raises `NotAvailable` if the rival has ended."""
        try:
            self._ask.write(f"{calls}\n")
            self._ask.flush()
            return float(self._answer.readline())
        except (OSError, ValueError):
            raise NotAvailable("its process ended: see what it said above") from None


@contextmanager
def started(rival: str, install: bool) -> Iterator[Worker]:
    """Run `RIVAL_program.py` in the rival's environment, ended with the block. Raises `NotAvailable`."""
    python = python_of(rival, install)
    program = Path(__file__).parent / f"{rival}_program.py"
    with subprocess.Popen([python, "-W", "ignore", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            worker = Worker(process.stdin, process.stdout)
            worker.round(1)
            yield worker
        finally:
            process.kill()
