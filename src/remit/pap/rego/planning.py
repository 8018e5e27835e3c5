"""The plan of Rego policies, made by a process of its own.

The engine (regopy 1.5.2) ends the whole process when it writes a plan beside libraries such as pyarrow ("free(): invalid size").
What it does when it evaluates is not concerned.
"""

import os
import subprocess
import sys
from collections.abc import Mapping

import msgspec

from remit.model.errors import RemitError, malformed, unavailable
from remit.pdp.rego.engine import RegoPolicies

SECONDS = 60


class _Job(msgspec.Struct):
    modules: dict[str, str]
    data: str


def plan_of(modules: Mapping[str, str], data: str) -> bytes:
    """The engine's plan of what it will do (OPA's intermediate representation, JSON); files in it are named by position.

    Raises `RemitError` (malformed, unavailable).
    """
    job = msgspec.json.encode(_Job(dict(modules), data))
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        # `-P`: what lies in the working directory is not imported.
        done = subprocess.run(  # noqa: S603 - this very interpreter, with this module
            [sys.executable, "-P", "-m", __name__], input=job, capture_output=True, timeout=SECONDS, env=surroundings, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise unavailable(f"the Rego policies cannot be analysed, since no process can be started for it ({error})") from None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip().splitlines()
    why = said[-1] if said else f"it ended by {done.returncode}"
    raise malformed(f"the Rego policies cannot be planned ({why}): check them with `opa check --strict`")


def main() -> int:
    """Plan what comes on standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    try:
        sys.stdout.buffer.write(RegoPolicies(job.modules, job.data).plan())
    except RemitError as fault:
        sys.stderr.write(fault.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
