"""Environments of rivals: installed when first needed into `.bench`, from hashed requirements that name no host."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.figures import progress
from benchmarks.workplace import ROOT, bench_folder

_SECONDS = 300


class NotAvailable(Exception):
    """A rival that cannot be measured here, and why."""


def python_of(rival: str, install: bool) -> Path:
    """The Python that has what `requirements/bench-RIVAL.txt` pins. Raises `NotAvailable`."""
    requirements = ROOT / "requirements" / f"bench-{rival}.txt"
    folder = bench_folder() / rival
    stamp, python = folder / "installed.txt", folder / "bin" / "python"
    if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
        return python
    if not install:
        raise NotAvailable("a quick run installs nothing: run `./run bench core` once")
    progress(f"rivals: installing {rival} into {folder.relative_to(ROOT)} (once)")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _install(folder, python, requirements)
    except (subprocess.SubprocessError, OSError) as error:
        raise NotAvailable(_reason(error)) from None
    stamp.write_bytes(requirements.read_bytes())
    return python


def _install(folder: Path, python: Path, requirements: Path) -> None:
    # All is pinned: without its own resolving pip does not stumble over what is asked for with and without an extra.
    hashed = ["--only-binary", ":all:", "--require-hashes", "--no-deps", "-r", str(requirements)]
    uv = shutil.which("uv")
    if uv is not None:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), *hashed])
    else:
        venv.create(folder, with_pip=True)
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *hashed])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)


def _reason(error: Exception) -> str:
    said = error.stderr.strip().splitlines() if isinstance(error, subprocess.CalledProcessError) and error.stderr else []
    return said[-1] if said else str(error)
