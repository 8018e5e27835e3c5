"""Measuring in a fresh process of this Python, where what was loaded or cached before must not count."""

import os
import subprocess
import sys

from benchmarks.workplace import ROOT


def run_module(module: str, *arguments: str, **environment: str) -> str:
    """What a module prints, run as a program in a process of its own. Raises `CalledProcessError` if it fails."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    known = {name: value for name, value in os.environ.items() if not name.startswith("REMIT_")}
    finished = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**known, "PYTHONPATH": paths, **environment},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return finished.stdout
